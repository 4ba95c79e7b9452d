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

struct carry; /* the maps of before, whose flows are taken over */

struct maps {
	struct gateway_bpf *skel;
	char *pins; /* NULL: scratch */
	bool reused;
	bool aside;	     /* those under the pins have another form: ours are in PINS/new until they are whole */
	struct carry *carry; /* NULL: nothing of them can be taken over */
	struct maps_carried carried;
	struct maps_template tables[MAPS_TABLES];
	uint32_t slots;		/* of the flow table, slot 0 included */
	struct flow *flows;	/* mapped */
	uint64_t *daemon_drops; /* mapped */
	size_t cpus;
	uint64_t *per_cpu; /* one element of any counter, of all CPUs: the control thread's scratch */
};

/* Sets *error to a text made like printf's and returns @err. */
int maps_fail(char **error, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* ---- maps_pins.c ---- */

#define PINS_NEW   "new"
#define PINS_READY "ready"

char *pin_path(const char *pins, const char *name); /* freed by the caller */
int pin_open(const char *pins, const char *name);   /* a descriptor, or -errno */
bool is_pinned_map(const struct bpf_map *map);
/* Is what is pinned by the name of @map of its form? 0; -EPROTO: no; -ENOENT: there is none. */
int pin_compare(const char *pins, const struct bpf_map *map);

/* Makes the folder, or ends and clears away what earlier starts left there. @found->layout 0: it is empty. */
int pins_open(const char *pins, struct maps_pinned *found, char **error);
/* Where each map is taken from, and where it is pinned, before they are loaded. */
int pins_plan(struct maps *m, const struct maps_pinned *found);
int pins_put_in_place(const char *pins); /* PINS/new is whole */
void pins_abandon(const char *pins);	 /* it never will be */

/* ---- maps_carry.c ---- */

#define MAPS_TABLE_MAX 64 /* bytes of a `flow_table`, whichever the layout */

bool carry_reads(uint32_t layout);
/* Sets m->carry, and which maps are used on. Before they are loaded. */
int carry_prepare(struct maps *m, const struct maps_pinned *found);
int carry_do(struct maps *m);		   /* m->carried says how it went */
uint64_t carry_ids(const struct carry *c); /* the last id that was given; 0: none, or no @c */
void carry_close(struct carry *c);	   /* NULL is fine */

static inline struct route_key maps_key(const struct prefix *p)
{
	return (struct route_key){.prefixlen = KEY_BITS + p->len, .addr = p->addr};
}

#endif
