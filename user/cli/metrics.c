/* SPDX-License-Identifier: BSD-2-Clause */
/* Answers become metrics (metrics.h): a table says where in the JSON each one stands. */
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "metrics.h"

#define LABELS_MAX 3

struct label {
	const char *name, *field;
};

struct metric {
	const char *name; /* behind "sluice_"; one that ends in _total is a counter, others are gauges */
	const char *help;
	const char *at;	   /* path to an object; arrays on the way: a sample for each of their elements */
	const char *value; /* a field: a number, or a truth as 0 or 1; NULL: always 1 */
	const char *is;	   /* the field is text; 1 where it is this one, else 0 */
	struct label labels[LABELS_MAX];
};

#define OF_CLIENT  {{"client", "name"}, {"user", "user"}}
#define OF_RELAY   {{"region", "region"}, {"relay", "name"}} /* names are the server's, and may be one name */
#define OF_SERVICE {{"service", "service"}, {"proto", "proto"}}

static const struct metric metrics[] = {
	{"info", "Which gateway this is.", "status", .labels = {{"name", "name"}, {"version", "version"}}},
	{"uptime_seconds", "Since the daemon started; the programs may be older.", "status", .value = "uptime"},
	{"degraded", "Something is not as it should be: sluice status has a note.", "status", .value = "degraded"},
	{"policy_generation", "Which policy is in force, counted.", "status.policy", .value = "generation"},
	{"policy_age_seconds", "Since the policy came into force.", "status.policy", .value = "applied"},
	{"policy_differs", "The policy's file differs from what runs.", "status.policy", .value = "differs"},
	{"tailnet_connected", "The coordination server is connected.", "status.tailnet", .value = "state",
	 .is = "connected"},
	{"tailnet_peers", "Nodes in the netmap.", "status.tailnet", .value = "peers"},
	{"tailnet_key_expiry_timestamp_seconds", "When the node key expires.", "status.tailnet", .value = "expires"},
	{"tailnet_clock_ahead_seconds", "Of this machine's clock, before the coordination server's.", "status.tailnet",
	 .value = "clock_ahead"},
	{"tailnet_rules_left_out", "Rules of the server that are not in force.", "status.tailnet.left_out",
	 .value = "number"},
	{"relay_connected", "The relay is connected.", "status.tailnet.relays", .value = "state", .is = "connected",
	 .labels = OF_RELAY},
	{"relay_home", "The relay is the gateway's home.", "status.tailnet.relays", .value = "home",
	 .labels = OF_RELAY},
	{"egress_address_present", "The address is on its interface.", "status.egress.addresses", .value = "present",
	 .labels = {{"address", "address"}}},
	{"program_missing", "The BPF program of the interface is gone.", "status.egress", .value = "program",
	 .is = "missing", .labels = {{"interface", "interface"}, {"pool", "pool"}}},
	{"packets_out_total", "From clients to services.", "status.totals", .value = "packets_out"},
	{"bytes_out_total", "From clients to services.", "status.totals", .value = "bytes_out"},
	{"packets_in_total", "From services to clients.", "status.totals", .value = "packets_in"},
	{"bytes_in_total", "From services to clients.", "status.totals", .value = "bytes_in"},
	{"resets_out_total", "Segments of clients on no connection, answered with a reset.", "status.totals",
	 .value = "resets_out"},
	{"resets_in_total", "Segments from outside on no connection, answered with a reset.", "status.totals",
	 .value = "resets_in"},
	{"flows", "Slots of the flow table in use.", "status.flows", .value = "used"},
	{"flows_max", "Slots of the flow table.", "status.flows", .value = "max"},
	{"busiest_ports_used", "Ports taken towards the service that has most.", "status.busiest", .value = "used",
	 .labels = OF_SERVICE},
	{"busiest_ports_max", "Ports there are towards it.", "status.busiest", .value = "ports", .labels = OF_SERVICE},
	{"clients_configured", "Clients that may connect.", "status.clients", .value = "configured"},
	{"clients_active", "Clients with a handshake in the last 3 minutes.", "status.clients", .value = "active"},
	{"drops_total", "Packets that died, by reason.", "drops.drops", .value = "packets",
	 .labels = {{"reason", "reason"}}},
	{"route_active", "The route is served.", "routes.routes", .value = "active", .labels = {{"prefix", "prefix"}}},
	{"client_received_bytes_total", "From the client.", "clients.clients", .value = "received",
	 .labels = OF_CLIENT},
	{"client_sent_bytes_total", "To the client.", "clients.clients", .value = "sent", .labels = OF_CLIENT},
	{"client_handshake_age_seconds", "Since its last handshake.", "clients.clients", .value = "handshake",
	 .labels = OF_CLIENT},
	{"client_relayed", "Its packets take a relay.", "clients.clients", .value = "path", .is = "relay",
	 .labels = OF_CLIENT},
	{"client_flows", "Its live flows.", "clients.clients", .value = "flows", .labels = OF_CLIENT},
	{"client_refused_flows_total", "Its flows that no rule allowed.", "clients.clients", .value = "refused",
	 .labels = OF_CLIENT},
	{"client_held_packets_total", "Its packets that a quota stopped.", "clients.clients", .value = "held",
	 .labels = OF_CLIENT},
};

static bool is_counter(const struct metric *m)
{
	size_t len = strlen(m->name);

	return len > 6 && !strcmp(m->name + len - 6, "_total");
}

static void put_head(const struct metric *m, FILE *out)
{
	fprintf(out, "# HELP sluice_%s %s\n# TYPE sluice_%s %s\n", m->name, m->help, m->name,
		is_counter(m) ? "counter" : "gauge");
}

static void metrics_put_text(const char *s, FILE *out)
{
	for (; *s; s++) {
		if (*s == '\n')
			fputs("\\n", out);
		else if (*s == '"' || *s == '\\')
			fprintf(out, "\\%c", *s);
		else
			fputc(*s, out);
	}
}

/* A number or a truth as digits; anything else, as a client without a user, is empty. */
static void put_label(const struct label *l, const json_t *of, const char *before, FILE *out)
{
	const json_t *j = json_object_get(of, l->field);

	fprintf(out, "%s%s=\"", before, l->name);
	if (json_is_string(j))
		metrics_put_text(json_string_value(j), out);
	else if (json_is_integer(j))
		fprintf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(j));
	else if (json_is_boolean(j))
		fputs(json_is_true(j) ? "true" : "false", out);
	fputc('"', out);
}

/* False: it has none. */
static bool value_of(const struct metric *m, const json_t *of, json_int_t *value)
{
	const json_t *j = m->value ? json_object_get(of, m->value) : json_true();

	if (m->is && json_is_string(j))
		*value = !strcmp(json_string_value(j), m->is);
	else if (json_is_boolean(j))
		*value = json_is_true(j);
	else if (json_is_integer(j))
		*value = json_integer_value(j);
	else
		return false;
	return true;
}

static void put_sample(const struct metric *m, const json_t *of, bool *any, FILE *out)
{
	const struct label *l = m->labels;
	json_int_t value;

	if (!value_of(m, of, &value))
		return;
	if (!*any)
		put_head(m, out);
	*any = true;
	fprintf(out, "sluice_%s", m->name);
	for (size_t i = 0; i < LABELS_MAX && l[i].name; i++)
		put_label(&l[i], of, i ? "," : "{", out);
	fprintf(out, "%s %" JSON_INTEGER_FORMAT "\n", l[0].name ? "}" : "", value);
}

/* Samples of all objects at @path below @j. */
static void put_all(const struct metric *m, const json_t *j, const char *path, bool *any, FILE *out)
{
	size_t len = strcspn(path, "."), i;
	const json_t *element;

	if (json_is_array(j)) {
		json_array_foreach (j, i, element)
			put_all(m, element, path, any, out);
		return;
	}
	if (!*path)
		put_sample(m, j, any, out);
	else
		put_all(m, json_object_getn(j, path, len), path + len + (path[len] == '.'), any, out);
}

void metrics_print(const json_t *answers, FILE *out)
{
	fprintf(out, "# HELP sluice_up A gateway answers.\n# TYPE sluice_up gauge\nsluice_up %d\n", answers != NULL);
	for (size_t i = 0; answers && i < sizeof(metrics) / sizeof(*metrics); i++) {
		bool any = false;

		put_all(&metrics[i], answers, metrics[i].at, &any, out);
	}
}
