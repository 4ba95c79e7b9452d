/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The gateway's lists for people (print.h): clients, flows, drops, routes, maps.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "policy/alloc.h"
#include "print.h"
#include "table.h"
#include "user/base/text.h"

const char *field_text(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s ? s : "";
}

uint64_t field_number(const json_t *j, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(j, key));

	return n < 0 ? 0 : (uint64_t)n;
}

/* "alice@example.com", or the tags joined by commas. Into @buf. */
static const char *owner_of(const json_t *j, char *buf, size_t size)
{
	const char *user = field_text(j, "user");
	const json_t *tag;
	size_t i, len = 0;

	snprintf(buf, size, "%s", user);
	if (*user)
		return buf;
	json_array_foreach (json_object_get(j, "tags"), i, tag)
		if (len < size && json_is_string(tag))
			len += (size_t)snprintf(buf + len, size - len, "%s%s", i ? "," : "", json_string_value(tag));
	return buf;
}

static bool print_is_null(const json_t *j, const char *key)
{
	return !json_is_integer(json_object_get(j, key));
}

static void add_bytes(struct table *t, const json_t *j, const char *key)
{
	char buf[TEXT_SIZE];

	table_add(t, text_bytes(field_number(j, key), buf));
}

static void add_number(struct table *t, const json_t *j, const char *key)
{
	char buf[TEXT_SIZE];

	table_add(t, print_is_null(j, key) ? NULL : text_number(field_number(j, key), buf));
}

static void add_duration(struct table *t, const json_t *j, const char *key)
{
	char buf[TEXT_SIZE];

	table_add(t, print_is_null(j, key) ? NULL : text_duration(field_number(j, key), buf));
}

static void print_finish(struct table *t, FILE *out)
{
	table_print(t, out);
	table_free(t);
}

/* ---- clients ------------------------------------------------------------------------ */

static int print_by_text(const json_t *a, const json_t *b, const char *key)
{
	return strcmp(field_text(a, key), field_text(b, key));
}

static int by_number(uint64_t a, uint64_t b) /* the largest first */
{
	return (a < b) - (a > b);
}

static int order_name(const void *a, const void *b)
{
	return print_by_text(*(json_t *const *)a, *(json_t *const *)b, "name");
}

static int order_user(const void *pa, const void *pb)
{
	const json_t *a = *(json_t *const *)pa, *b = *(json_t *const *)pb;
	char owner_a[256], owner_b[256];
	int order = strcmp(owner_of(a, owner_a, sizeof(owner_a)), owner_of(b, owner_b, sizeof(owner_b)));

	return order ? order : print_by_text(a, b, "name");
}

static int order_received(const void *a, const void *b)
{
	return by_number(field_number(*(json_t *const *)a, "received"), field_number(*(json_t *const *)b, "received"));
}

static int order_sent(const void *a, const void *b)
{
	return by_number(field_number(*(json_t *const *)a, "sent"), field_number(*(json_t *const *)b, "sent"));
}

static uint64_t bytes(const json_t *j)
{
	return field_number(j, "received") + field_number(j, "sent");
}

static int order_bytes(const void *a, const void *b)
{
	return by_number(bytes(*(json_t *const *)a), bytes(*(json_t *const *)b));
}

static int order_handshake(const void *pa, const void *pb) /* the latest first, never last */
{
	const json_t *a = *(json_t *const *)pa, *b = *(json_t *const *)pb;
	uint64_t age_a = print_is_null(a, "handshake") ? UINT64_MAX : field_number(a, "handshake");
	uint64_t age_b = print_is_null(b, "handshake") ? UINT64_MAX : field_number(b, "handshake");

	return -by_number(age_a, age_b);
}

static const struct {
	const char *key;
	int (*order)(const void *, const void *);
} orders[] = {
	{"name", order_name},	      {"user", order_user}, {"bytes", order_bytes},
	{"received", order_received}, {"sent", order_sent}, {"handshake", order_handshake},
};

static int order_index(const char *key)
{
	for (size_t i = 0; i < sizeof(orders) / sizeof(*orders); i++)
		if (!strcmp(orders[i].key, key))
			return (int)i;
	return -1;
}

int print_sorts_by(const char *key)
{
	return order_index(key) >= 0;
}

static void print_add_client(struct table *t, const json_t *c)
{
	const char *relay = field_text(c, "relay");
	const char *out = json_is_true(json_object_get(c, "removed"))	? "removed"
			  : json_is_true(json_object_get(c, "expired")) ? "expired"
									: NULL;
	char owner[256];

	table_add(t, field_text(c, "name"));
	table_add(t, owner_of(c, owner, sizeof(owner)));
	table_add(t, json_string_value(json_array_get(json_object_get(c, "addresses"), 0)));
	if (*relay)
		table_addf(t, "relay %s%s", relay, json_is_true(json_object_get(c, "relay_away")) ? " (away)" : "");
	else
		table_add(t, field_text(c, "endpoint"));
	table_add(t, out ? out : field_text(c, "path"));
	add_duration(t, c, "handshake");
	add_bytes(t, c, "received");
	add_bytes(t, c, "sent");
	add_number(t, c, "flows");
	add_number(t, c, "held");
}

void print_clients(const json_t *r, const char *sort, FILE *out)
{
	static const char *const heads[] = {"NAME",	 "USER",  "ADDRESS", "ENDPOINT", "PATH", "HANDSHAKE",
					    ">RECEIVED", ">SENT", ">FLOWS",  ">HELD",	 NULL};
	const json_t *list = json_object_get(r, "clients");
	size_t n = json_array_size(list);
	json_t **sorted = mem_alloc(n + 1, sizeof(*sorted));
	int order = order_index(sort ? sort : "name");
	struct table t;

	for (size_t i = 0; i < n; i++)
		sorted[i] = json_array_get(list, i);
	qsort(sorted, n, sizeof(*sorted), orders[order < 0 ? 0 : order].order);
	table_init(&t, heads);
	for (size_t i = 0; i < n; i++)
		print_add_client(&t, sorted[i]);
	free(sorted);
	print_finish(&t, out);
}

/* ---- flows -------------------------------------------------------------------------- */

/* Do all translations share one address, so that the port alone tells them apart? */
static bool share_address(const json_t *flows)
{
	const char *first = field_text(json_array_get(flows, 0), "as"), *colon = strrchr(first, ':');
	const json_t *f;
	size_t i;

	json_array_foreach (flows, i, f) {
		const char *as = field_text(f, "as");

		if (!colon || strncmp(as, first, (size_t)(colon - first) + 1) || strrchr(as, ':') - as != colon - first)
			return false;
	}
	return true;
}

void print_flows(const json_t *r, FILE *out)
{
	static const char *const heads[] = {"USER", "FROM", "SERVICE",	  "AS",	       "PROTO", "STATE",
					    "AGE",  "IDLE", ">BYTES OUT", ">BYTES IN", NULL};
	const json_t *flows = json_object_get(r, "flows"), *f;
	bool short_as = share_address(flows);
	char owner[256], shown[TEXT_SIZE], matched[TEXT_SIZE];
	struct table t;
	size_t i;

	table_init(&t, heads);
	json_array_foreach (flows, i, f) {
		const char *as = field_text(f, "as");

		table_add(&t, owner_of(f, owner, sizeof(owner)));
		table_add(&t, field_text(f, "from"));
		table_add(&t, field_text(f, "service"));
		table_add(&t, short_as ? strrchr(as, ':') : as);
		table_add(&t, field_text(f, "proto"));
		table_add(&t, field_text(f, "state"));
		add_duration(&t, f, "age");
		add_duration(&t, f, "idle");
		add_bytes(&t, f, "bytes_out");
		add_bytes(&t, f, "bytes_in");
	}
	print_finish(&t, out);
	if (field_number(r, "matched") > json_array_size(flows))
		fprintf(out, "%s of %s flows; --limit shows more\n", text_number(json_array_size(flows), shown),
			text_number(field_number(r, "matched"), matched));
}

/* ---- drops and routes ------------------------------------------------------------------ */

void print_drops(const json_t *r, FILE *out)
{
	static const char *const heads[] = {"REASON", ">PACKETS", ">LAST MINUTE", "MEANING", NULL};
	const json_t *d;
	struct table t;
	size_t i;

	table_init(&t, heads);
	json_array_foreach (json_object_get(r, "drops"), i, d) {
		if (!field_number(d, "packets"))
			continue;
		table_add(&t, field_text(d, "reason"));
		add_number(&t, d, "packets");
		add_number(&t, d, "minute");
		table_add(&t, field_text(d, "meaning"));
	}
	if (table_rows(&t))
		table_print(&t, out);
	else
		fputs("nothing was dropped\n", out);
	table_free(&t);
}

static void add_primary(struct table *t, const json_t *primary)
{
	const char *node = field_text(primary, "node");

	if (json_is_true(json_object_get(primary, "ours")))
		table_add(t, "yes");
	else if (*node)
		table_addf(t, "no: %s", node);
	else
		table_add(t, "not told");
}

void print_routes(const json_t *r, FILE *out)
{
	static const char *const alone[] = {"PREFIX", "APPROVED BY", "ACTIVE", "POOL", "VIA", NULL};
	static const char *const in_tailnet[] = {"PREFIX", "APPROVED BY", "PRIMARY", "ACTIVE", "POOL", "VIA", NULL};
	const json_t *route = json_array_get(json_object_get(r, "routes"), 0);
	bool tailnet = json_is_object(json_object_get(route, "primary"));
	struct table t;
	size_t i;

	table_init(&t, tailnet ? in_tailnet : alone);
	json_array_foreach (json_object_get(r, "routes"), i, route) {
		const char *next = field_text(route, "next_hop"), *reason = field_text(route, "reason");

		table_add(&t, field_text(route, "prefix"));
		table_add(&t, json_is_true(json_object_get(route, "approved")) ? field_text(route, "by") : "nobody");
		if (tailnet)
			add_primary(&t, json_object_get(route, "primary"));
		if (json_is_true(json_object_get(route, "active")))
			table_add(&t, "yes");
		else
			table_addf(&t, "no%s%s", *reason ? ": " : "", reason);
		table_add(&t, field_text(route, "pool"));
		table_addf(&t, "%s%s%s", field_text(route, "interface"), *next ? " " : "", next);
	}
	print_finish(&t, out);
}

/* ---- netmap ----------------------------------------------------------------------------- */

static void print_add_node(struct table *t, const json_t *n, const char *online)
{
	char owner[256], text[TEXT_SIZE];
	uint64_t expires = field_number(n, "expires");
	time_t at = (time_t)expires;
	struct tm tm;

	table_add(t, field_text(n, "name"));
	table_add(t, owner_of(n, owner, sizeof(owner)));
	table_add(t, json_string_value(json_array_get(json_object_get(n, "addresses"), 0)));
	table_add(t, online);
	table_add(t, field_text(n, "relay"));
	table_add(t, json_string_value(json_array_get(json_object_get(n, "endpoints"), 0)));
	if (json_is_true(json_object_get(n, "expired")))
		table_add(t, "expired");
	else
		table_add(t,
			  expires && gmtime_r(&at, &tm) && strftime(text, sizeof(text), "%Y-%m-%d", &tm) ? text : NULL);
}

void print_netmap(const json_t *r, FILE *out)
{
	static const char *const heads[] = {"NODE", "USER", "ADDRESS", "ONLINE", "RELAY", "ENDPOINT", "EXPIRES", NULL};
	const json_t *self = json_object_get(r, "self"), *n;
	char escaped[512];
	struct table t;
	size_t i;

	table_init(&t, heads);
	if (json_is_object(self))
		print_add_node(&t, self, "this gateway");
	json_array_foreach (json_object_get(r, "peers"), i, n)
		print_add_node(&t, n, json_is_true(json_object_get(n, "online")) ? "yes" : "no");
	print_finish(&t, out);
	json_array_foreach (json_object_get(r, "rules"), i, n)
		fprintf(out, "%s%s\n", i ? "" : "\n", text_escape(json_string_value(n), escaped, sizeof(escaped)));
}

/* ---- maps ------------------------------------------------------------------------------- */

void print_map_list(const json_t *r, FILE *out)
{
	static const char *const heads[] = {"NAME", "TYPE",   ">ID",	 ">ENTRIES", ">MAX",
					    ">KEY", ">VALUE", ">MEMORY", NULL};
	const json_t *m;
	struct table t;
	size_t i;

	table_init(&t, heads);
	json_array_foreach (json_object_get(r, "maps"), i, m) {
		table_add(&t, field_text(m, "name"));
		table_add(&t, field_text(m, "type"));
		table_addf(&t, "%llu", (unsigned long long)field_number(m, "id"));
		add_number(&t, m, "entries");
		add_number(&t, m, "max_entries");
		add_bytes(&t, m, "key_size");
		add_bytes(&t, m, "value_size");
		add_bytes(&t, m, "bytes");
	}
	print_finish(&t, out);
}

void print_map_dump(const json_t *r, FILE *out)
{
	const json_t *entries = json_object_get(r, "entries"), *e;
	char shown[TEXT_SIZE], line[1024];
	size_t i;

	json_array_foreach (entries, i, e) {
		fprintf(out, "key   %s\n", text_escape(field_text(e, "key"), line, sizeof(line)));
		fprintf(out, "value %s\n", text_escape(field_text(e, "value"), line, sizeof(line)));
	}
	if (json_is_true(json_object_get(r, "more")))
		fprintf(out, "the first %s entries; --limit shows more\n",
			text_number(json_array_size(entries), shown));
	else if (!json_array_size(entries))
		fputs("no entries\n", out);
}

/* ---- changes ------------------------------------------------------------------------------ */

static void print_list(const json_t *list, const char *before, FILE *out)
{
	char line[512];
	const json_t *item;
	size_t i;

	json_array_foreach (list, i, item)
		fprintf(out, "%s%s\n", before, text_escape(json_string_value(item), line, sizeof(line)));
}

void print_reload(const json_t *r, FILE *out)
{
	const json_t *clients = json_object_get(r, "clients");

	const json_t *names = json_object_get(r, "names");

	print_list(json_object_get(names, "added"), "client added: ", out);
	print_list(json_object_get(names, "removed"), "client removed: ", out);
	print_list(json_object_get(names, "changed"), "client changed: ", out);
	print_list(json_object_get(names, "keys"), "changed in the configuration: ", out);
	fprintf(out, "reloaded: clients %llu added, %llu removed, %llu changed; policy %llu\n",
		(unsigned long long)field_number(clients, "added"),
		(unsigned long long)field_number(clients, "removed"),
		(unsigned long long)field_number(clients, "changed"), (unsigned long long)field_number(r, "policy"));
	print_list(json_object_get(r, "notes"), "note: ", out);
}

void print_down(const json_t *r, FILE *out)
{
	const json_t *removed = json_object_get(r, "removed");

	if (!json_array_size(removed))
		fputs("nothing was there\n", out);
	print_list(removed, "removed ", out);
}
