/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The answers of a running gateway (report.h): status, clients, drops, routes.
 */
#include <endian.h>
#include <string.h>

#include "user/kernel/drops.h"
#include "user/base/key.h"
#include "report.h"
#include "user/base/text.h"
#include "user/base/clock.h"

/* A name that is no valid text is shown escaped rather than lost with its object. */
static json_t *report_text(const char *s)
{
	char escaped[512];
	json_t *j = s ? json_string(s) : json_null();

	return j ? j : json_string(text_escape(s, escaped, sizeof(escaped)));
}

static json_t *report_addr_json(const struct addr *a)
{
	char buf[ADDR_STRLEN];

	return json_string(addr_str(a, buf));
}

static json_t *addrs_json(const struct addr *a, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, report_addr_json(&a[i]));
	return list;
}

static json_t *texts_json(const char *const *s, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, report_text(s[i]));
	return list;
}

int64_t report_age(uint64_t now, uint64_t then)
{
	return now > then ? (int64_t)((now - then) / NS_PER_SEC) : 0;
}

/* ---- status ----------------------------------------------------------------------- */

static json_t *policy_json(const struct report_source *s)
{
	const struct report_policy *p = s->policy;

	if (!p)
		return json_null();
	return json_pack("{s:I, s:o, s:o, s:I, s:b, s:o, s:I, s:b}", "generation", (json_int_t)p->generation, "file",
			 report_text(p->file), "hash", report_text(p->hash), "applied",
			 (json_int_t)report_age(s->now_ns, p->applied_ns), "differs", p->differs, "source",
			 report_text(p->source), "number", (json_int_t)p->number, "kept", p->kept);
}

static json_t *left_out_json(const struct report_tailnet *t)
{
	if (!t->left_out)
		return json_null();
	return json_pack("{s:I, s:o}", "number", (json_int_t)t->left_out, "why", report_text(t->left_out_why));
}

static json_t *relay_json(const struct report_relay *r)
{
	json_t *j = json_pack("{s:i, s:o, s:b, s:s, s:o}", "region", r->region, "name", report_text(r->name), "home",
			      r->home, "state", r->state, "host", report_text(r->host));
	char why[256];

	json_object_set_new(j, "trouble", report_text(r->why.kind ? conn_error_name(&r->why) : NULL));
	json_object_set_new(j, "reason", report_text(r->why.kind ? conn_error_text(&r->why, why, sizeof(why)) : NULL));
	json_object_set_new(j, "advice", report_text(r->why.kind ? conn_error_advice(&r->why) : NULL));
	return j;
}

static json_t *relays_json(const struct report_tailnet *t)
{
	json_t *list = json_array();

	for (size_t i = 0; i < t->n_relays; i++)
		json_array_append_new(list, relay_json(&t->relays[i]));
	return list;
}

static json_t *health_json(const struct report_tailnet *t)
{
	json_t *list = json_array();

	for (size_t i = 0; t->health && i < t->health->n; i++)
		json_array_append_new(list, json_pack("{s:s, s:o}", "severity",
						      health_severity_name(t->health->v[i].severity), "text",
						      report_text(t->health->v[i].text)));
	return list;
}

static json_t *tailnet_json(const struct report_source *s)
{
	const struct report_tailnet *t = s->tailnet;

	if (!t)
		return json_null();
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:I, s:o, s:o}", "server",
			 report_text(t->server), "state", report_text(t->state), "text", report_text(t->text), "login",
			 report_text(t->login), "node", report_text(t->node), "home", report_text(t->home), "peers",
			 (json_int_t)t->peers, "left_out", left_out_json(t), "expires",
			 t->expires ? json_integer((json_int_t)t->expires) : json_null(), "clock_ahead",
			 (json_int_t)t->clock_ahead, "health", health_json(t), "relays", relays_json(t));
}

static json_t *tunnel_json(const struct report_source *s)
{
	return json_pack("{s:o, s:i, s:i, s:o, s:o, s:o, s:o, s:I}", "interface", report_text(s->tunnel), "listen",
			 s->listen, "mtu", s->mtu, "addresses", addrs_json(s->tunnel_addresses, s->n_tunnel_addresses),
			 "gso_in", report_text(s->gso_in), "gso_out", report_text(s->gso_out), "aead",
			 report_text(s->aead), "workers", (json_int_t)s->workers);
}

static json_t *report_egress_json(const struct report_source *s)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->n_egress; i++) {
		const struct report_egress *e = &s->egress[i];
		json_t *addresses = json_array();

		for (size_t j = 0; j < e->n_addresses; j++) {
			const struct report_egress_address *a = &e->addresses[j];

			json_array_append_new(addresses, json_pack("{s:o, s:o, s:b, s:b}", "address",
								   report_addr_json(&a->address), "public",
								   report_addr_json(&a->public), "present", a->present,
								   "spare", a->spare));
		}
		json_array_append_new(list, json_pack("{s:o, s:o, s:o, s:o}", "pool", report_text(e->pool), "interface",
						      report_text(e->interface), "addresses", addresses, "program",
						      report_text(e->program)));
	}
	return list;
}

static json_t *busiest_json(const struct report_source *s)
{
	char service[TEXT_ENDPOINT_SIZE], proto[TEXT_SIZE];
	uint32_t used, ports;
	struct pair pair;

	if (!s->busiest || !s->busiest(s->ctx, &pair, &used, &ports))
		return json_null();
	text_endpoint(&pair.remote, be16toh(pair.port), service);
	if (!pair.port) /* ICMP, as flows show it */
		addr_str(&pair.remote, service);
	return json_pack("{s:s, s:s, s:I, s:I}", "service", service, "proto", text_proto(pair.proto, proto), "used",
			 (json_int_t)used, "ports", (json_int_t)ports);
}

static json_t *minute_json(const struct report_source *s)
{
	json_t *drops = json_object();
	uint64_t minute[DROP_MAX];

	rates_drops(s->rates, s->drops, minute);
	for (int i = 1; i < DROP_MAX; i++)
		if (minute[i])
			json_object_set_new(drops, drop_name((uint32_t)i), json_integer((json_int_t)minute[i]));
	return drops;
}

static json_t *clients_count_json(const struct report_source *s)
{
	struct report_client c;
	size_t n = 0, active = 0;

	/* a session lives 180 s (W2): who has shaken hands since then may be talking */
	for (; s->client(s->ctx, n, &c); n++)
		active += c.handshake_age >= 0 && c.handshake_age < 180;
	return json_pack("{s:I, s:I}", "configured", (json_int_t)n, "active", (json_int_t)active);
}

static json_t *now_json(const struct report_source *s)
{
	struct rate rate = rates_now(s->rates);

	return json_pack("{s:I, s:I, s:I}", "bits_out", (json_int_t)rate.bits_out, "bits_in", (json_int_t)rate.bits_in,
			 "packets", (json_int_t)rate.packets);
}

static json_t *totals_json(const struct report_source *s)
{
	const struct traffic *out = &s->totals[TOTAL_OUT], *in = &s->totals[TOTAL_IN];

	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "packets_out", (json_int_t)out->packets, "bytes_out",
			 (json_int_t)out->bytes, "packets_in", (json_int_t)in->packets, "bytes_in",
			 (json_int_t)in->bytes, "resets_out", (json_int_t)s->totals[TOTAL_RESET_OUT].packets,
			 "resets_in", (json_int_t)s->totals[TOTAL_RESET_IN].packets);
}

json_t *report_status(const struct report_source *s)
{
	json_t *r = json_pack("{s:i, s:o, s:o, s:i, s:I}", "schema", REPORT_SCHEMA, "name", report_text(s->name),
			      "version", report_text(s->version), "pid", s->pid, "uptime",
			      (json_int_t)report_age(s->now_ns, s->started_ns));

	json_object_set_new(r, "policy", policy_json(s));
	json_object_set_new(r, "tailnet", tailnet_json(s));
	json_object_set_new(r, "tunnel", tunnel_json(s));
	json_object_set_new(r, "egress", report_egress_json(s));
	json_object_set_new(
		r, "front",
		json_pack("{s:o, s:o}", "mode", report_text(s->front_mode), "reason", report_text(s->front_reason)));
	json_object_set_new(r, "now", now_json(s));
	json_object_set_new(r, "totals", totals_json(s));
	json_object_set_new(
		r, "flows",
		json_pack("{s:I, s:I}", "used", (json_int_t)s->used_flows, "max", (json_int_t)s->max_flows));
	json_object_set_new(r, "busiest", busiest_json(s));
	json_object_set_new(r, "drops", minute_json(s));
	json_object_set_new(r, "clients", clients_count_json(s));
	json_object_set_new(r, "degraded", json_boolean(s->n_notes));
	json_object_set_new(r, "notes", texts_json(s->notes, s->n_notes));
	return r;
}

/* ---- clients ------------------------------------------------------------------------- */

static json_t *client_json(const struct report_client *c)
{
	char endpoint[TEXT_ENDPOINT_SIZE], key[KEY_LEN_BASE64 + 1];
	json_t *j = json_pack("{s:I, s:o, s:o, s:o, s:o}", "id", (json_int_t)c->id, "name", report_text(c->who.name),
			      "user", report_text(c->who.user), "tags", texts_json(c->who.tags, c->who.n_tags),
			      "addresses", addrs_json(c->addresses, c->n_addresses));

	text_endpoint(&c->endpoint, c->endpoint_port, endpoint);
	json_object_set_new(j, "endpoint", c->endpoint_port ? json_string(endpoint) : json_null());
	json_object_set_new(j, "path", report_text(c->handshake_age < 0 ? NULL : c->relay ? "relay" : "direct"));
	json_object_set_new(j, "relay", report_text(c->relay));
	json_object_set_new(j, "relay_away", json_boolean(c->relay_away));
	json_object_set_new(j, "handshake", c->handshake_age < 0 ? json_null() : json_integer(c->handshake_age));
	json_object_set_new(j, "seen", c->seen < 0 ? json_null() : json_integer(c->seen));
	json_object_set_new(j, "received", json_integer((json_int_t)c->received));
	json_object_set_new(j, "sent", json_integer((json_int_t)c->sent));
	json_object_set_new(j, "flows", json_integer((json_int_t)c->flows));
	json_object_set_new(j, "refused", json_integer((json_int_t)c->refused));
	json_object_set_new(j, "held", json_integer((json_int_t)c->held));
	json_object_set_new(j, "worker", json_integer(c->worker));
	json_object_set_new(j, "expired", json_boolean(c->expired));
	json_object_set_new(j, "removed", json_boolean(c->removed));
	json_object_set_new(j, "public_key", json_string(key_to_base64(c->public_key, key)));
	return j;
}

json_t *report_clients(const struct report_source *s, size_t after)
{
	json_t *list = json_array(), *next;
	struct report_client c;
	size_t i = after;

	while (json_array_size(list) < REPORT_PAGE && s->client(s->ctx, i, &c)) {
		json_array_append_new(list, client_json(&c));
		i++;
	}
	next = s->client(s->ctx, i, &c) ? json_integer((json_int_t)i) : json_null();
	return json_pack("{s:i, s:o, s:o}", "schema", REPORT_SCHEMA, "clients", list, "next", next);
}

/* ---- drops and routes ------------------------------------------------------------------ */

json_t *report_drops(const struct report_source *s)
{
	json_t *list = json_array();
	uint64_t minute[DROP_MAX];

	rates_drops(s->rates, s->drops, minute);
	for (int i = 1; i < DROP_MAX; i++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:I}", "reason", drop_name((uint32_t)i),
						      "meaning", drop_meaning((uint32_t)i), "packets",
						      (json_int_t)s->drops[i], "minute", (json_int_t)minute[i]));
	return json_pack("{s:i, s:o}", "schema", REPORT_SCHEMA, "drops", list);
}

static json_t *primary_json(const struct report_route *r)
{
	if (!r->in_tailnet)
		return json_null();
	return json_pack("{s:o, s:o}", "ours", r->primary ? json_boolean(r->ours) : json_null(), "node",
			 report_text(r->primary));
}

static json_t *report_route_json(const struct report_route *r)
{
	char prefix[ADDR_STRLEN];

	return json_pack("{s:s, s:b, s:b, s:o, s:b, s:o, s:o, s:o, s:o, s:o}", "prefix", prefix_str(&r->prefix, prefix),
			 "advertised", r->advertised, "approved", r->approved, "by", report_text(r->by), "active",
			 r->active, "pool", report_text(r->pool), "interface", report_text(r->interface), "next_hop",
			 r->has_next_hop ? report_addr_json(&r->next_hop) : json_null(), "reason",
			 report_text(r->reason), "primary", primary_json(r));
}

json_t *report_routes(const struct report_source *s)
{
	json_t *list = json_array();
	struct report_route r;

	for (size_t i = 0; s->route(s->ctx, i, &r); i++)
		json_array_append_new(list, report_route_json(&r));
	return json_pack("{s:i, s:o}", "schema", REPORT_SCHEMA, "routes", list);
}
