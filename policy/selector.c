/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The small languages inside a policy's strings: selectors, ports, protocols.
 * Messages keep the words that users of the language know from its service.
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "digits.h"
#include "policy_parse.h"

#define PORT_MAX 65535

static const struct {
	const char *name;
	enum policy_sel_kind kind;
} autogroups[] = {
	{"member", SEL_MEMBER},		{"tagged", SEL_TAGGED},	     {"internet", SEL_INTERNET}, {"self", SEL_SELF},
	{"danger-all", SEL_DANGER_ALL}, {"admin", SEL_ROLE},	     {"owner", SEL_ROLE},	 {"it-admin", SEL_ROLE},
	{"network-admin", SEL_ROLE},	{"billing-admin", SEL_ROLE}, {"auditor", SEL_ROLE},	 {"shared", SEL_SHARED},
};

#define N_AUTOGROUPS (sizeof(autogroups) / sizeof(autogroups[0]))

static const struct {
	const char *name;
	uint8_t number;
} protocols[] = {
	{"icmp", 1}, {"igmp", 2}, {"ipv4", 4}, {"ip-in-ip", 4}, {"tcp", 6},	   {"egp", 8},	  {"igp", 9},
	{"udp", 17}, {"gre", 47}, {"esp", 50}, {"ah", 51},	{"ipv6-icmp", 58}, {"sctp", 132},
};

#define N_PROTOCOLS (sizeof(protocols) / sizeof(protocols[0]))

bool proto_has_ports(uint8_t proto)
{
	return proto == POLICY_PROTO_DEFAULT || proto == 6 || proto == 17 || proto == 132;
}

const char *policy_proto_name(uint8_t proto, char *buf)
{
	for (size_t i = 0; i < N_PROTOCOLS; i++)
		if (protocols[i].number == proto)
			return protocols[i].name;
	snprintf(buf, 4, "%u", proto);
	return buf;
}

bool parse_proto(const char *text, size_t len, uint8_t *out)
{
	uint64_t number;

	if (!len) {
		*out = POLICY_PROTO_DEFAULT;
		return true;
	}
	for (size_t i = 0; i < N_PROTOCOLS; i++)
		if (strlen(protocols[i].name) == len && !strncasecmp(protocols[i].name, text, len)) {
			*out = protocols[i].number;
			return true;
		}
	if (text[0] == '0' || !digits_parse(text, len, 255, &number))
		return false;
	*out = (uint8_t)number;
	return true;
}

static void trim(const char **text, size_t *len)
{
	while (*len && isspace((unsigned char)**text))
		(*text)++, (*len)--;
	while (*len && isspace((unsigned char)(*text)[*len - 1]))
		(*len)--;
}

/* One of a list of ports. NULL: well. Else what is wrong with it. */
static const char *parse_range(const char *text, size_t len, struct policy_ports *out)
{
	const char *dash = memchr(text, '-', len);
	size_t n = dash ? (size_t)(dash - text) : len;
	uint64_t first, last;

	if (!digits_parse(text, n, PORT_MAX, &first))
		return "invalid first integer";
	last = first;
	if (dash && !digits_parse(dash + 1, len - n - 1, PORT_MAX, &last))
		return "invalid last integer";
	if (!last)
		return "first port must be >0, or use '*' for wildcard";
	if (first > last)
		return "first port is greater than the last";
	*out = (struct policy_ports){(uint16_t)first, (uint16_t)last};
	return NULL;
}

/* "*" or a comma list of N and A-B; @whole is what stands in the file, for the message. */
static bool parse_ports(struct parser *x, const char *whole, const char *text, size_t len, struct diag_at at,
			struct policy_portlist *out)
{
	size_t n = 1;

	trim(&text, &len);
	for (size_t i = 0; i < len; i++)
		n += text[i] == ',';
	out->v = arena_alloc(&x->p->mem, n, sizeof(*out->v));
	out->n = 0;
	if (len == 1 && text[0] == '*') {
		out->v[out->n++] = (struct policy_ports){0, PORT_MAX};
		return true;
	}
	for (const char *end = text + len, *next; out->n < n; text = next + 1) {
		const char *item = text, *wrong;
		size_t item_len;

		next = memchr(text, ',', (size_t)(end - text));
		if (!next)
			next = end;
		item_len = (size_t)(next - text);
		trim(&item, &item_len);
		wrong = parse_range(item, item_len, &out->v[out->n++]);
		if (wrong) {
			diag_error(x->d, at, "%s: port range \"%.*s\": %s", whole, (int)item_len, item, wrong);
			return false;
		}
	}
	return true;
}

static bool starts_with(const char *text, size_t len, const char *prefix)
{
	size_t n = strlen(prefix);

	return len >= n && !memcmp(text, prefix, n);
}

static bool parse_autogroup(struct parser *x, const char *what, struct policy_sel *s)
{
	const char *names[N_AUTOGROUPS + 1], *name = s->text + strlen("autogroup:"), *near;

	if (!strcmp(name, "members")) {
		hint_old(x, s->at, s->text, "autogroup:member");
		s->text = "autogroup:member";
		name = "member";
	}
	for (size_t i = 0; i < N_AUTOGROUPS; i++) {
		names[i] = autogroups[i].name;
		if (!strcmp(name, names[i])) {
			s->kind = autogroups[i].kind;
			return true;
		}
	}
	names[N_AUTOGROUPS] = NULL;
	near = diag_nearest(name, names);
	diag_error(x->d, s->at, "%s=\"%s\": unknown autogroup%s%s%s", what, s->text,
		   near ? "; did you mean \"autogroup:" : "", near ? near : "", near ? "\"?" : "");
	return false;
}

bool parse_selector(struct parser *x, const char *what, const char *text, size_t len, struct diag_at at,
		    struct policy_sel *out)
{
	struct policy_sel s = {.at = at};

	trim(&text, &len);
	s.text = arena_strndup(&x->p->mem, text, len);
	if (prefix_parse(text, len, &s.prefix, NULL))
		s.kind = SEL_PREFIX;
	else if (len == 1 && text[0] == '*')
		s.kind = SEL_ANY;
	else if (memchr(text, '@', len))
		s.kind = starts_with(text, len, "user:*@") ? SEL_DOMAIN : SEL_USER;
	else if (starts_with(text, len, "group:"))
		s.kind = SEL_GROUP;
	else if (starts_with(text, len, "tag:"))
		s.kind = SEL_TAG;
	else if (starts_with(text, len, "ipset:"))
		s.kind = SEL_IPSET;
	else if (starts_with(text, len, "svc:"))
		s.kind = SEL_SERVICE;
	else if (len && !memchr(text, ':', len))
		s.kind = SEL_HOST;
	else if (starts_with(text, len, "host:") && s.text[strlen("host:")]) {
		s.kind = SEL_HOST;
		s.text += strlen("host:");
	} else if (!starts_with(text, len, "autogroup:")) {
		diag_error(x->d, at,
			   "%s=\"%s\": expected an address, a CIDR, *, a user, group:, tag:, autogroup:, ipset: "
			   "or the name of a host",
			   what, s.text);
		return false;
	} else if (!parse_autogroup(x, what, &s)) {
		return false;
	}
	*out = s;
	return true;
}

/*
 * "[v6]" or "[v6]/len": unwraps into @buf. False: brackets around something else.
 */
static bool unwrap(const char *text, size_t len, char *buf, size_t size, size_t *out_len)
{
	const char *close = memchr(text, ']', len);
	size_t inner, rest;
	struct addr a;

	if (!close)
		return false;
	inner = (size_t)(close - text) - 1;
	rest = len - inner - 2;
	if (!memchr(text + 1, ':', inner) || !addr_parse(text + 1, inner, &a) || inner + rest >= size)
		return false;
	if (rest && close[1] != '/')
		return false;
	memcpy(buf, text + 1, inner);
	memcpy(buf + inner, close + 1, rest);
	*out_len = inner + rest;
	return true;
}

/* The selector in front of the last colon. NULL: there is none, which is reported. */
static const char *split_target(struct parser *x, const char *what, const char *text, struct diag_at at,
				struct policy_sel *out)
{
	const char *colon = strrchr(text, ':'), *sel = text;
	char unwrapped[ADDR_STRLEN];
	size_t len;

	if (!colon) {
		diag_error(x->d, at, "%s=\"%s\": no ports: write \"%s:*\" for all of them", what, text, text);
		return NULL;
	}
	len = (size_t)(colon - text);
	trim(&sel, &len);
	if (len && sel[0] == '[') {
		if (!unwrap(sel, len, unwrapped, sizeof(unwrapped), &len)) {
			diag_error(x->d, at, "%s=\"%s\": brackets go around an IPv6 address only", what, text);
			return NULL;
		}
		sel = unwrapped;
	}
	return parse_selector(x, what, sel, len, at, out) ? colon + 1 : NULL;
}

bool parse_target(struct parser *x, const char *what, const char *text, struct diag_at at, struct policy_dst *out)
{
	const char *colon = strrchr(text, ':');
	char whole[200];

	snprintf(whole, sizeof(whole), "%s=\"%s\"", what, text);
	if (colon && !parse_ports(x, whole, colon + 1, strlen(colon + 1), at, &out->ports))
		return false;
	return split_target(x, what, text, at, &out->sel);
}

bool parse_icmp_target(struct parser *x, const char *what, const char *text, struct diag_at at, struct policy_dst *out)
{
	const char *port = split_target(x, what, text, at, &out->sel);
	uint64_t number;

	if (!port)
		return false;
	if (digits_parse(port, strlen(port), PORT_MAX, &number))
		return true;
	diag_error(x->d, at, "%s=\"%s\": ICMP has no ports: expected \":0\" behind the host", what, text);
	return false;
}

bool parse_ip(struct parser *x, const char *text, struct diag_at at, struct policy_ip *out)
{
	const char *colon = strchr(text, ':'), *ports = colon ? colon + 1 : text, *proto = text;
	size_t len = colon ? (size_t)(colon - text) : 0;
	char whole[200];

	snprintf(whole, sizeof(whole), "ip=\"%s\"", text);
	if (colon && strchr(ports, ':')) {
		diag_error(x->d, at, "%s: expected only one colon in Internet protocol and port type", whole);
		return false;
	}
	trim(&proto, &len);
	if ((colon && !len) || !parse_proto(proto, len, &out->proto)) {
		diag_error(x->d, at,
			   "%s: unknown protocol \"%.*s\": expected a name such as tcp, or a number from 1 to 255",
			   whole, (int)len, proto);
		return false;
	}
	if (!parse_ports(x, whole, ports, strlen(ports), at, &out->ports))
		return false;
	if (proto_has_ports(out->proto) || (out->ports.v[0].first == 0 && out->ports.v[0].last == PORT_MAX))
		return true;
	diag_error(x->d, at, "%s: protocol \"%.*s\" does not support specific ports; only \"*\" is allowed", whole,
		   (int)len, proto);
	return false;
}
