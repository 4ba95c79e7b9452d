/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the daemon tells the programs: settings, clients, sessions, egress; and the
 * counters it reads.
 */
#include "maps_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int maps_set_value(struct bpf_map *map, const void *key, const void *value)
{
	return bpf_map_update_elem(bpf_map__fd(map), key, value, BPF_ANY);
}

static int unset(struct bpf_map *map, const void *key)
{
	int err = bpf_map_delete_elem(bpf_map__fd(map), key);

	return err == -ENOENT ? 0 : err;
}

/* Removes every key of @size bytes that was there, while programs may add others. */
static int clear(const struct bpf_map *map, size_t size)
{
	int fd = bpf_map__fd(map), err;
	uint8_t key[sizeof(struct addr)];

	if (size > sizeof(key))
		return -EINVAL;
	for (uint32_t left = bpf_map__max_entries(map); left && bpf_map_get_next_key(fd, NULL, key) == 0; left--) {
		err = bpf_map_delete_elem(fd, key);
		if (err && err != -ENOENT)
			return err;
	}
	return 0;
}

/* Its port is a mapping's. */
static bool is_mapped(const void *none, const struct flow *f)
{
	return f->mapping;
}

int maps_settings_set(struct maps *m, const struct settings *s)
{
	struct settings old;
	uint32_t zero = 0;
	int err;

	maps_settings_get(m, &old);
	err = maps_set_value(m->skel->maps.settings, &zero, s);
	if (!err && (old.filtering != s->filtering || old.tcp_endpoint_independent > s->tcp_endpoint_independent))
		maps_flows_end(m, is_mapped, NULL);
	return err;
}

void maps_settings_get(const struct maps *m, struct settings *s)
{
	uint32_t zero = 0;

	if (bpf_map_lookup_elem(bpf_map__fd(m->skel->maps.settings), &zero, s))
		memset(s, 0, sizeof(*s));
}

int maps_client_set(struct maps *m, const struct prefix *p, uint32_t client, uint32_t worker)
{
	struct client_ref ref = {.client = client};
	struct route_key key = maps_key(p);

	if (!client || client >= CLIENT_GATEWAY || worker >= MAX_WORKERS)
		return -EINVAL;
	return maps_set_value(m->skel->maps.client_worker, &client, &worker)
		       ?: maps_set_value(m->skel->maps.clients, &key, &ref);
}

int maps_client_delete(struct maps *m, const struct prefix *p)
{
	struct route_key key = maps_key(p);

	return unset(m->skel->maps.clients, &key);
}

void maps_client_each(struct maps *m, bool (*each)(void *arg, const struct prefix *p, uint32_t client), void *arg)
{
	int fd = bpf_map__fd(m->skel->maps.clients);
	struct route_key key, *last = NULL;
	struct client_ref ref;

	while (bpf_map_get_next_key(fd, last, &key) == 0) {
		struct prefix p = {.addr = key.addr, .len = key.prefixlen - KEY_BITS};

		if (bpf_map_lookup_elem(fd, &key, &ref) == 0 && !each(arg, &p, ref.client))
			return;
		last = &key;
	}
}

int maps_reserved_set(struct maps *m, const struct prefix *p, enum reserved kind)
{
	struct reserved_ref ref = {.kind = kind};
	struct route_key key = maps_key(p);

	return maps_set_value(m->skel->maps.reserved, &key, &ref);
}

int maps_reserved_delete(struct maps *m, const struct prefix *p)
{
	struct route_key key = maps_key(p);

	return unset(m->skel->maps.reserved, &key);
}

static const struct {
	const char *prefix;
	enum reserved kind;
} reserved_defaults[] = {
	{"127.0.0.0/8", RESERVED_LOOPBACK},
	{"::1", RESERVED_LOOPBACK},
	/* the others of 169.254.0.0/16 are link-local: nobody reaches them by any rule */
	{"169.254.169.254", RESERVED_METADATA},
	{"168.63.129.16", RESERVED_METADATA},	   /* Azure */
	{"100.100.100.200", RESERVED_METADATA},	   /* Alibaba */
	{"192.0.0.192", RESERVED_METADATA},	   /* OCI, before */
	{"fd00:ec2::/32", RESERVED_METADATA},	   /* AWS: instance ::254, EKS ::23, DNS, NTP */
	{"fd20:ce::254", RESERVED_METADATA},	   /* GCP */
	{"fd00:c1::a9fe:a9fe", RESERVED_METADATA}, /* OCI */
	{"fd00:42::42", RESERVED_METADATA},	   /* Scaleway */
	{"fd00:a9fe:a9fe::1", RESERVED_METADATA},  /* Akamai */
	{"fd00:100::100:200", RESERVED_METADATA},  /* Alibaba */
};

#define RESERVED_DEFAULTS (sizeof(reserved_defaults) / sizeof(*reserved_defaults))

int maps_reserved_defaults(struct maps *m)
{
	for (size_t i = 0; i < RESERVED_DEFAULTS; i++) {
		const char *text = reserved_defaults[i].prefix;
		struct prefix p;
		int err;

		if (!prefix_parse(text, strlen(text), &p, NULL))
			return -EINVAL;
		err = maps_reserved_set(m, &p, reserved_defaults[i].kind);
		if (err)
			return err;
	}
	return 0;
}

enum reserved maps_reserved_default(const struct addr *a)
{
	for (size_t i = 0; i < RESERVED_DEFAULTS; i++) {
		const char *text = reserved_defaults[i].prefix;
		struct prefix p;

		if (prefix_parse(text, strlen(text), &p, NULL) && prefix_contains(&p, a))
			return reserved_defaults[i].kind;
	}
	return 0;
}

int maps_session_set(struct maps *m, uint32_t index, uint32_t worker, uint32_t client)
{
	struct session_ref ref = {.worker = worker, .client = client};

	return maps_set_value(m->skel->maps.sessions, &index, &ref);
}

int maps_session_delete(struct maps *m, uint32_t index)
{
	return unset(m->skel->maps.sessions, &index);
}

int maps_sessions_clear(struct maps *m)
{
	return clear(m->skel->maps.sessions, sizeof(uint32_t));
}

int maps_worker_socket(struct maps *m, uint32_t worker, bool v6, int fd)
{
	uint32_t key = worker + (v6 ? MAX_WORKERS : 0);
	uint64_t value = (uint64_t)fd;

	return worker < MAX_WORKERS ? maps_set_value(m->skel->maps.workers, &key, &value) : -EINVAL;
}

/* ---- egress ------------------------------------------------------------------- */

static bool is_prime(uint32_t n)
{
	for (uint32_t d = 2; d * d <= n; d++)
		if (n % d == 0)
			return false;
	return n > 1;
}

int maps_egress_set(struct maps *m, uint32_t id, const struct egress *e)
{
	struct egress full = *e;

	if (!id || id >= MAX_EGRESS)
		return -EINVAL;
	full.ports = 0;
	for (int i = 0; i < MAX_PORT_RANGES; i++)
		full.ports += full.range[i].count;
	full.prime = full.ports < 3 ? 3 : full.ports;
	while (!is_prime(full.prime))
		full.prime++;
	return maps_set_value(m->skel->maps.egresses, &id, &full)
		       ?: maps_set_value(m->skel->maps.egress_ids, &e->addr, &id);
}

int maps_egress_get(struct maps *m, uint32_t id, struct egress *e)
{
	return bpf_map_lookup_elem(bpf_map__fd(m->skel->maps.egresses), &id, e);
}

int maps_pool_set(struct maps *m, uint32_t id, const struct pool *p)
{
	if (id >= MAX_POOLS || p->n4 > POOL_ADDRESSES || p->n6 > POOL_ADDRESSES)
		return -EINVAL;
	return maps_set_value(m->skel->maps.pools, &id, p);
}

int maps_reassemble(struct maps *m, const struct addr *a, uint64_t until)
{
	return maps_set_value(m->skel->maps.reassembled, a, &until);
}

int maps_reassemble_none(struct maps *m)
{
	return clear(m->skel->maps.reassembled, sizeof(struct addr));
}

/* Puts a range into @out, sorted by size, largest first; the smallest falls out at the end. */
static void keep_range(struct port_range out[MAX_PORT_RANGES], uint32_t first, uint32_t end)
{
	struct port_range r = {.first = (uint16_t)first, .count = (uint16_t)(end - first)};

	if (first >= end)
		return;
	for (int i = 0; i < MAX_PORT_RANGES; i++) {
		struct port_range smaller = out[i];

		if (smaller.count >= r.count)
			continue;
		out[i] = r;
		r = smaller;
	}
}

static int maps_set_by_first(const void *a, const void *b)
{
	const struct maps_ports *x = a, *y = b;

	return (x->first > y->first) - (x->first < y->first);
}

uint32_t maps_port_ranges(const struct maps_ports *taken, size_t n, struct port_range out[MAX_PORT_RANGES])
{
	struct maps_ports *sorted = calloc(n + 1, sizeof(*sorted));
	uint32_t next = 1024, ports = 0;

	memset(out, 0, MAX_PORT_RANGES * sizeof(*out));
	if (!sorted)
		return 0;
	if (n)
		memcpy(sorted, taken, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), maps_set_by_first);
	for (size_t i = 0; i < n; i++) {
		keep_range(out, next, sorted[i].first);
		if (next <= sorted[i].last)
			next = sorted[i].last + 1u;
	}
	keep_range(out, next, 65536);
	free(sorted);
	for (int i = 0; i < MAX_PORT_RANGES; i++)
		ports += out[i].count;
	return ports;
}

/* ---- counters ------------------------------------------------------------------- */

/* Adds the values of @n keys from 0, each @words counters, over all CPUs into @out. */
static int sum(const struct maps *m, const struct bpf_map *map, uint32_t first, uint32_t n, size_t words, uint64_t *out)
{
	uint64_t *values = m->per_cpu;
	int err = 0;

	memset(out, 0, n * words * sizeof(*out));
	for (uint32_t i = 0; i < n && !err; i++) {
		uint32_t key = first + i;

		err = bpf_map_lookup_elem(bpf_map__fd(map), &key, values);
		for (size_t v = 0; !err && v < m->cpus * words; v++)
			out[i * words + v % words] += values[v];
	}
	return err;
}

int maps_drops(const struct maps *m, uint64_t out[DROP_MAX])
{
	int err = sum(m, m->skel->maps.drops, 0, DROP_MAX, 1, out);

	for (int i = 0; i < DROP_MAX && !err; i++)
		out[i] += __atomic_load_n(&m->daemon_drops[i], __ATOMIC_RELAXED);
	return err;
}

void maps_drops_add(struct maps *m, enum drop_reason reason, uint64_t n)
{
	__atomic_fetch_add(&m->daemon_drops[reason], n, __ATOMIC_RELAXED);
}

int maps_totals(const struct maps *m, struct traffic out[TOTAL_MAX])
{
	return sum(m, m->skel->maps.totals, 0, TOTAL_MAX, sizeof(*out) / sizeof(uint64_t), (uint64_t *)out);
}

int maps_rule_use(const struct maps *m, uint32_t rule, struct rule_use *out)
{
	return sum(m, m->skel->maps.rule_use, rule, 1, sizeof(*out) / sizeof(uint64_t), (uint64_t *)out);
}

uint32_t maps_client_flows(const struct maps *m, uint32_t client)
{
	struct client_state state;

	return bpf_map_lookup_elem(bpf_map__fd(m->skel->maps.client_state), &client, &state) ? 0 : state.flows;
}

int maps_client_use(const struct maps *m, uint32_t client, struct client_use *out)
{
	return sum(m, m->skel->maps.client_use, client, 1, sizeof(*out) / sizeof(uint64_t), (uint64_t *)out);
}
