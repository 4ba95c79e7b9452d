/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The server's filter rules as ours (netmap.h, policy/filter.h). Sources and
 * destinations are "*", an address, a prefix or a range "first-last".. "*" is
 * two prefixes here, for a prefix is of one family (policy/addr.h).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "netmap.h"
#include "policy/alloc.h"
#include "user/base/text.h"

#define ENTRIES_MAX 65536 /* sources, or destinations, of one rule */

typedef unsigned __int128 bits128;

struct prefixes {
	struct prefix *v;
	size_t n;
};

static bool netmap_filter_add(struct prefixes *list, const struct prefix *p)
{
	if (list->n == ENTRIES_MAX)
		return false;
	list->v = mem_grow(list->v, list->n, sizeof(*list->v));
	list->v[list->n++] = *p;
	return true;
}

static bits128 number(const struct addr *a)
{
	bits128 v = 0;

	for (size_t i = 0; i < sizeof(a->b); i++)
		v = v << 8 | a->b[i];
	return v;
}

static struct addr address(bits128 v)
{
	struct addr a;

	for (size_t i = sizeof(a.b); i-- > 0; v >>= 8)
		a.b[i] = (uint8_t)v;
	return a;
}

/* The fewest prefixes that are exactly first..last. */
static bool netmap_filter_add_range(struct prefixes *list, const struct addr *first, const struct addr *last)
{
	bits128 at = number(first), end = number(last);

	while (at <= end) {
		struct prefix p = {.addr = address(at), .len = 128};
		bits128 size = 1;

		while (p.len && !(at & size) && at + (size | (size - 1)) <= end && at + (size | (size - 1)) >= at) {
			size <<= 1;
			p.len--;
		}
		if (!netmap_filter_add(list, &p))
			return false;
		if (at + size < at || !size)
			break; /* up to the last address there is */
		at += size;
	}
	return true;
}

static const struct prefix all_v4 = {.addr.b = {[10] = 0xff, [11] = 0xff}, .len = ADDR_V4_BITS};
static const struct prefix all_v6;

static bool add_text(struct prefixes *list, const char *text)
{
	const char *dash = strchr(text, '-');
	struct addr first, last;
	struct prefix p;

	if (strcmp(text, "*") == 0)
		return netmap_filter_add(list, &all_v4) && netmap_filter_add(list, &all_v6);
	if (dash)
		return addr_parse(text, (size_t)(dash - text), &first) &&
		       addr_parse(dash + 1, strlen(dash + 1), &last) && addr_is_v4(&first) == addr_is_v4(&last) &&
		       addr_cmp(&first, &last) <= 0 && netmap_filter_add_range(list, &first, &last);
	/* One with bits behind its length could be meant either way. */
	return prefix_parse(text, strlen(text), &p, &first) && !addr_cmp(&first, &p.addr) &&
	       netmap_filter_add(list, &p);
}

/*
 * "cap:NAME": peers that hold a capability, which are added later (netmap_expand()). Returns the first of these.
 * A source that cannot be understood is left out, as Tailscale's client does it, and @left_out says so.
 */
static const char *read_sources(struct fields *f, struct fields *left_out, const json_t *json, struct prefixes *list,
				struct capabilities *caps)
{
	json_t *sources = field_array(f, json, "SrcIPs"), *value;
	const char *cap = NULL;
	size_t i;

	if (json_array_size(json_object_get(json, "SrcBits"))) /* of 2020; what it makes of a source is a guess */
		fields_mistake(f, "SrcBits", "is not used any more");
	json_array_foreach (sources, i, value) {
		const char *text = element_string(f, value, "SrcIPs");

		if (fields_bad(f))
			break;
		if (strncmp(text, "cap:", 4) == 0) {
			cap = cap ? cap : text;
			if (text[4] && !capabilities_add(caps, text + 4)) /* nobody holds one without a name */
				fields_mistake(left_out, "SrcIPs", "more than %d capabilities", CAPABILITIES_MAX);
		} else if (!add_text(list, text)) {
			fields_mistake(left_out, "SrcIPs", "not an address, prefix or range, or too many");
		}
	}
	capabilities_settle(caps);
	return cap;
}

static void read_ports(struct fields *f, const json_t *json, uint16_t *first, uint16_t *last)
{
	json_t *ports = field_object(f, json, "Ports");

	*first = (uint16_t)field_int(f, ports, "First", 0, UINT16_MAX);
	*last = (uint16_t)field_int(f, ports, "Last", 0, UINT16_MAX);
	if (!ports || *first > *last)
		fields_mistake(f, "Ports", "absent, or the last before the first");
}

static void read_destination(struct fields *f, struct fields *left_out, const json_t *json, struct filter_rule *r)
{
	json_t *bits = json_object_get(json, "Bits");
	struct prefixes list = {0};
	uint16_t first, last;
	const char *ip;

	if (!element_object(f, json, "DstPorts"))
		return;
	ip = field_string(f, json, "IP");
	read_ports(f, json, &first, &last);
	if (bits && !json_is_null(bits))
		fields_mistake(f, "DstPorts.Bits", "is not used any more");
	if (!fields_bad(f) && (!ip || !add_text(&list, ip)))
		fields_mistake(left_out, "DstPorts.IP", "not an address, prefix or range");
	for (size_t i = 0; i < list.n && !fields_bad(f); i++) {
		if (r->n_dst == ENTRIES_MAX) {
			fields_mistake(left_out, "DstPorts", "too many");
			break;
		}
		r->dst = mem_grow(r->dst, r->n_dst, sizeof(*r->dst));
		r->dst[r->n_dst++] = (struct filter_dst){.prefix = list.v[i], .first = first, .last = last};
	}
	free(list.v);
}

/* None given are the usual ones. What is not a protocol's number is for other clients than us: false, if all are. */
static bool read_protocols(struct fields *f, const json_t *json, struct filter_rule *r)
{
	json_t *protocols = field_array(f, json, "IPProto"), *value;
	size_t i;

	json_array_foreach (protocols, i, value) {
		int64_t number = element_int(f, value, "IPProto", INT64_MIN, INT64_MAX);

		if (r->n_proto == UINT8_MAX)
			fields_mistake(f, "IPProto", "too many");
		if (fields_bad(f))
			return false;
		if (number < 0 || number > UINT8_MAX)
			continue;
		r->proto = mem_grow(r->proto, r->n_proto, sizeof(*r->proto));
		r->proto[r->n_proto++] = (uint8_t)number;
	}
	return r->n_proto || !json_array_size(protocols);
}

/* "100.64.0.1", "100.64.0.1 and 3 more" or "*", of @n prefixes that are @stride bytes apart. */
static void describe_prefixes(const struct prefix *first, size_t stride, size_t n, char *buf, size_t size)
{
	const struct prefix *second = (const struct prefix *)((const char *)first + stride);
	char text[ADDR_STRLEN];

	if (n == 2 && !prefix_cmp(first, &all_v4) && !prefix_cmp(second, &all_v6))
		snprintf(buf, size, "*");
	else if (n == 1)
		snprintf(buf, size, "%s", prefix_str(first, text));
	else
		snprintf(buf, size, "%s and %zu more", prefix_str(first, text), n - 1);
}

static void describe_sources(const struct filter_rule *r, size_t caps, const char *cap, char *buf, size_t size)
{
	char shown[80], more[32] = "";

	if (!cap) {
		describe_prefixes(r->src, sizeof(*r->src), r->n_src, buf, size);
		return;
	}
	if (r->n_src + caps > 1)
		snprintf(more, sizeof(more), " and %zu more", r->n_src + caps - 1);
	snprintf(buf, size, "%s%s", text_escape(cap, shown, sizeof(shown)), more);
}

/* "100.64.0.1 and 3 more -> 203.0.113.9:443", "cap:example.com/staff -> *:*" */
static char *describe(const struct filter_rule *r, size_t caps, const char *cap)
{
	const struct filter_dst *d = &r->dst[0];
	char src[2 * ADDR_STRLEN + 32], dst[2 * ADDR_STRLEN], ports[16] = "*";

	describe_sources(r, caps, cap, src, sizeof(src));
	describe_prefixes(&d->prefix, sizeof(*d), r->n_dst, dst, sizeof(dst));
	if (d->first == d->last)
		snprintf(ports, sizeof(ports), "%u", d->first);
	else if (d->first || d->last != UINT16_MAX)
		snprintf(ports, sizeof(ports), "%u-%u", d->first, d->last);
	return mem_printf("%s -> %s:%s", src, dst, ports);
}

bool netmap_rule_read(struct fields *f, struct fields *left_out, const json_t *json, struct filter_rule *out,
		      struct netmap_by_cap *by)
{
	struct filter_rule r = {.verdict = FILTER_ACCEPT};
	struct prefixes sources = {0};
	json_t *destinations, *value;
	const char *cap;
	bool has_protocol;
	size_t i;

	if (!element_object(f, json, "PacketFilters"))
		return false;
	*by = (struct netmap_by_cap){0};
	cap = read_sources(f, left_out, json, &sources, &by->caps);
	r.src = sources.v;
	r.n_src = by->n_fixed = sources.n;
	destinations = field_array(f, json, "DstPorts");
	json_array_foreach (destinations, i, value)
		read_destination(f, left_out, value, &r);
	has_protocol = read_protocols(f, json, &r);
	if (fields_bad(f) || !has_protocol || !(r.n_src + by->caps.n) || !r.n_dst) {
		netmap_rule_free(&r);
		capabilities_free(&by->caps);
		return false;
	}
	r.text = describe(&r, by->caps.n, by->caps.n ? cap : NULL);
	*out = r;
	return true;
}

void netmap_rule_free(struct filter_rule *r)
{
	free(r->src);
	free(r->dst);
	free(r->proto);
	free(r->text);
}

void netmap_filter_free(struct netmap_filter *f)
{
	for (size_t i = 0; i < f->rules.n; i++)
		netmap_rule_free(&f->rules.rules[i]);
	for (size_t i = 0; i < f->n_by_cap; i++)
		capabilities_free(&f->by_cap[i].caps);
	free(f->by_cap);
	free(f->rules.rules);
	free(f->left_out.why);
	free(f->name);
	*f = (struct netmap_filter){0};
}
