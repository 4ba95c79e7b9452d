/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Flows: which of them match, and what they look like (report.h).
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "policy/policy.h"
#include "report.h"
#include "user/base/text.h"
#include "user/base/exit.h"
#include "user/base/clock.h"

/* ---- filters -------------------------------------------------------------------------- */

/* ADDRESS, PREFIX, [ADDRESS] or, where the policy has one, the name of a host. */
static bool parse_destination(const char *text, size_t len, const struct policy *p, struct report_filter *f)
{
	const struct policy_host *host = p ? policy_host_named(p, text, len) : NULL;

	f->has_service = true;
	if (host)
		f->service = host->prefix;
	if (host)
		return true;
	if (len > 2 && text[0] == '[' && text[len - 1] == ']')
		return prefix_parse(text + 1, len - 2, &f->service, NULL);
	return prefix_parse(text, len, &f->service, NULL);
}

/* One of those, followed by :PORT or not; or :PORT alone. */
static bool parse_service(const char *text, const struct policy *p, struct report_filter *f)
{
	size_t len = strlen(text);
	const char *colon = strrchr(text, ':');
	unsigned long port;
	char *end;

	if (parse_destination(text, len, p, f))
		return true;
	f->has_service = false;
	if (!colon || colon[1] < '0' || colon[1] > '9')
		return false;
	port = strtoul(colon + 1, &end, 10);
	if (*end || !port || port > 65535)
		return false;
	f->port = (uint16_t)port;
	len = (size_t)(colon - text);
	/* of an IPv6 address without brackets nobody knows where its port begins */
	return !len || (parse_destination(text, len, p, f) &&
			(*text == '[' || !memchr(text, ':', len) || !strncmp(text, "host:", 5)));
}

/* The host that may have been meant; NULL: none is near. */
static const char *nearest_host(const struct policy *p, const char *text)
{
	const char **names = mem_alloc(p->n_hosts + 1, sizeof(*names)), *near;
	char *word = mem_strndup(text, strcspn(text, ":"));

	for (size_t i = 0; i < p->n_hosts; i++)
		names[i] = p->hosts[i].name;
	near = diag_nearest(word, names);
	free(word);
	free(names);
	return near;
}

static bool bad_service(const char *text, const struct policy *p, char **error)
{
	const char *near = p ? nearest_host(p, text) : NULL;

	exit_fail(error, 0,
		  "service: found \"%s\", expected an address, a prefix, a host of the policy, any of them with "
		  ":PORT, or :PORT%s%s%s",
		  text, near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
	return false;
}

/* True when absent; *out is left alone then. */
static bool get_text(const json_t *args, const char *key, const char **out)
{
	const json_t *j = json_object_get(args, key);

	if (j && !json_is_string(j))
		return false;
	if (j)
		*out = json_string_value(j);
	return true;
}

static bool bad(char **error, const char *fmt, const char *found)
{
	exit_fail(error, 0, fmt, found);
	return false;
}

bool report_filter_parse(const json_t *args, const struct policy *p, struct report_filter *f, char **error)
{
	const json_t *limit = json_object_get(args, "limit"), *after = json_object_get(args, "after");
	const char *service = NULL, *proto = NULL;

	*f = (struct report_filter){.limit = REPORT_FLOWS_DEFAULT};
	if (!get_text(args, "user", &f->user) || !get_text(args, "client", &f->client) ||
	    !get_text(args, "service", &service) || !get_text(args, "proto", &proto))
		return bad(error, "user, client, service and proto: expected text%s", "");
	if (service && !parse_service(service, p, f))
		return bad_service(service, p, error);
	if (proto && !(f->proto = text_proto_parse(proto)))
		return bad(error, "proto: found \"%s\", expected tcp, udp, icmp, ... or a number from 1 to 255", proto);
	if (after && (json_integer_value(after) < 1 || json_integer_value(after) > UINT32_MAX))
		return bad(error, "after: expected what \"next\" was%s", "");
	if (limit && (json_integer_value(limit) < !after || json_integer_value(limit) > REPORT_FLOWS_MAX))
		return bad(error, "limit: expected a number from 1 to 100000%s", "");
	if (after)
		f->after = (uint32_t)json_integer_value(after);
	if (limit)
		f->limit = (uint32_t)json_integer_value(limit);
	return true;
}

bool report_filter_is_empty(const struct report_filter *f)
{
	return !f->user && !f->client && !f->has_service && !f->port && !f->proto;
}

static bool has_tag(const struct report_who *w, const char *tag)
{
	for (size_t i = 0; i < w->n_tags; i++)
		if (!strcmp(w->tags[i], tag))
			return true;
	return false;
}

static bool is_client(const char *wanted, const char *name, const struct addr *inner)
{
	struct addr a;

	if (name && !strcmp(name, wanted))
		return true;
	return addr_parse(wanted, strlen(wanted), &a) && !addr_cmp(&a, inner);
}

/* headscale's users have no domain: "alice" is who "alice@" is in a policy. */
static bool is_user(const char *wanted, const char *user)
{
	size_t len = strlen(wanted);

	return user && !strncmp(user, wanted, len) && (!user[len] || !strcmp(user + len, "@"));
}

static bool report_flows_matches(const struct report_source *s, const struct report_filter *f, const struct flow *flow)
{
	struct report_who who = {0};

	if ((f->proto && f->proto != flow->out.proto) || (f->port && f->port != be16toh(flow->out.dport)) ||
	    (f->has_service && !prefix_contains(&f->service, &flow->out.dst)))
		return false;
	if (!f->user && !f->client)
		return true;
	s->who(s->ctx, flow->client, &who);
	return (!f->user || is_user(f->user, who.user) || has_tag(&who, f->user)) &&
	       (!f->client || is_client(f->client, who.name, &flow->out.src));
}

/* A slot is copied while programs write it: whole if it still holds the same flow, alive, after. */
static bool copy_flow(const struct report_source *s, uint32_t slot, struct flow *out)
{
	const struct flow *from = &s->flows[slot];
	uint64_t before = __atomic_load_n(&from->life, __ATOMIC_ACQUIRE);

	memcpy(out, from, sizeof(*out));
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	out->life = __atomic_load_n(&from->life, __ATOMIC_RELAXED);
	return LIFE_ID(before) == LIFE_ID(out->life) && flow_is_live(LIFE_STATE(out->life)) &&
	       out->expires > s->now_ns; /* what has expired is no flow to any program, swept or not */
}

void report_each_flow(const struct report_source *s, const struct report_filter *f,
		      bool (*each)(void *arg, uint32_t slot, const struct flow *flow), void *arg)
{
	struct flow flow;

	for (uint32_t slot = 1; slot < s->n_flows; slot++)
		if (copy_flow(s, slot, &flow) && report_flows_matches(s, f, &flow) && !each(arg, slot, &flow))
			return;
}

/* ---- the report ------------------------------------------------------------------------- */

/* ICMP has an identifier in place of the port of one side, and none at the other's. */
static const char *side_text(const struct addr *a, __be16 port, char buf[TEXT_ENDPOINT_SIZE])
{
	return port ? text_endpoint(a, be16toh(port), buf) : addr_str(a, buf);
}

static const char *state_name(uint32_t state)
{
	static const char *const names[] = {[FLOW_NEW] = "new",
					    [FLOW_ESTABLISHED] = "established",
					    [FLOW_CLOSING] = "closing",
					    [FLOW_RESET] = "reset"};

	return state < sizeof(names) / sizeof(*names) && names[state] ? names[state] : "?";
}

static void report_flows_put(json_t *j, const char *key, uint64_t value)
{
	json_object_set_new(j, key, json_integer((json_int_t)value));
}

static void put_age(json_t *j, const char *key, uint64_t from, uint64_t to)
{
	report_flows_put(j, key, to > from ? (to - from) / NS_PER_SEC : 0);
}

/* As ages: whole seconds that have passed; what `seen` was cut by counts as passed. */
static uint64_t idle_seconds(const struct flow *f, uint64_t now)
{
	int32_t idle = (int32_t)((uint32_t)(now >> SEEN_SHIFT) - f->seen);

	return idle > 0 ? ((uint64_t)(idle + 1) << SEEN_SHIFT) / NS_PER_SEC : 0; /* else seen since @now was read */
}

static void report_flows_put_text(json_t *j, const char *key, const char *value)
{
	char escaped[512];

	json_object_set_new(j, key, !value ? json_null() : json_string(text_escape(value, escaped, sizeof(escaped))));
}

static void put_who(json_t *j, const struct report_source *s, uint32_t client)
{
	struct report_who who = {0};
	json_t *tags = json_array();

	s->who(s->ctx, client, &who);
	report_flows_put_text(j, "client", who.name);
	report_flows_put_text(j, "user", who.user);
	for (size_t i = 0; i < who.n_tags; i++)
		json_array_append_new(tags, json_string(who.tags[i]));
	json_object_set_new(j, "tags", tags);
}

static json_t *flow_json(const struct report_source *s, uint32_t slot, const struct flow *f)
{
	struct addr public = s->public ? s->public(s->ctx, &f->back.dst) : f->back.dst;
	char buf[TEXT_ENDPOINT_SIZE], proto[TEXT_SIZE];
	json_t *j = json_object();

	report_flows_put(j, "slot", slot);
	put_who(j, s, f->client);
	report_flows_put_text(j, "from", side_text(&f->out.src, f->out.sport, buf));
	report_flows_put_text(j, "service", side_text(&f->out.dst, f->out.dport, buf));
	report_flows_put_text(j, "as", side_text(&public, f->back.dport, buf));
	report_flows_put_text(j, "proto", text_proto(f->out.proto, proto));
	report_flows_put_text(j, "state", state_name(flow_state(f)));
	put_age(j, "age", f->created, s->now_ns);
	report_flows_put(j, "idle", idle_seconds(f, s->now_ns));
	put_age(j, "expires", s->now_ns, f->expires);
	report_flows_put(j, "packets_out", f->packets_out);
	report_flows_put(j, "bytes_out", f->bytes_out);
	report_flows_put(j, "packets_in", f->packets_in);
	report_flows_put(j, "bytes_in", f->bytes_in);
	report_flows_put(j, "rule", f->rule);
	report_flows_put(j, "generation", f->generation);
	report_flows_put_text(j, "pool", s->pool ? s->pool(s->ctx, f->pool) : NULL);
	return j;
}

json_t *report_flows(const struct report_source *s, const struct report_filter *f)
{
	uint32_t slot = f->after ? f->after : 1, end = s->n_flows;
	json_t *list = json_array();
	json_int_t matched = 0;
	struct flow flow;

	if (slot < end && end - slot > REPORT_FLOWS_VISIT)
		end = slot + REPORT_FLOWS_VISIT;
	for (; slot < end && json_array_size(list) < REPORT_PAGE; slot++) {
		if (!copy_flow(s, slot, &flow) || !report_flows_matches(s, f, &flow))
			continue;
		if (matched++ < f->limit)
			json_array_append_new(list, flow_json(s, slot, &flow));
	}
	return json_pack("{s:i, s:I, s:I, s:o, s:o}", "schema", REPORT_SCHEMA, "used", (json_int_t)s->used_flows,
			 "matched", matched, "flows", list, "next",
			 slot < s->n_flows ? json_integer(slot) : json_null());
}
