/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_MAPS_PRIVATE_H
#define SLUICE_MAPS_PRIVATE_H

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "gateway.skel.h"
#include "maps.h"

enum maps_table {
	MAPS_CLASSES,
	MAPS_ACL,
	MAPS_RULES,
	MAPS_ROUTES,
	MAPS_BLOCKED,
	MAPS_BLOCKED16,
	MAPS_BLOCKED24,
	MAPS_TABLES
};

struct maps_template { /* of inner maps; libbpf forgets it once it has loaded */
	struct bpf_map *outer;
	enum bpf_map_type type;
	uint32_t key_size, value_size, flags;
	uint32_t btf_key, btf_value;
};

#define MAPS_COUNTER_WORDS (sizeof(struct rule_use) / sizeof(uint64_t)) /* of the largest counter */

struct maps {
	struct gateway_bpf *skel;
	char *pins; /* NULL: scratch */
	bool reused;
	struct maps_template tables[MAPS_TABLES];
	uint32_t slots;		/* of the flow table, slot 0 included */
	struct flow *flows;	/* mapped */
	uint64_t *daemon_drops; /* mapped */
	size_t cpus;
	uint64_t *per_cpu; /* one element of any counter, of all CPUs: the control thread's scratch */
};

/* Sets *error to a text made like printf's and returns @err. */
int maps_fail(char **error, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static inline struct route_key maps_key(const struct prefix *p)
{
	return (struct route_key){.prefixlen = KEY_BITS + p->len, .addr = p->addr};
}

#endif
