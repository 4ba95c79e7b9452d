/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Live flows from maps of another form (an earlier layout, another size, a map that has
 * grown) into new ones, which nobody else uses yet. Maps that are as they were are used on:
 * the policy, clients and their numbers, counters. The flows' own are made anew, and the
 * program flow_import puts every live flow and mapping into them, with its port, its id and
 * its time. The old ones go on under the old programs until the new ones are attached.
 */
#include "maps_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "maps_layout6.h"
#include "user/base/clock.h"

/* How a layout is read. The functions return false for what holds nothing that lives. */
struct old_layout {
	uint32_t layout;
	uint32_t flow_size, egress_size;
	bool (*flow)(const void *slot, struct flow *out);
	void (*egress)(const void *value, struct egress *out);
};

struct carry {
	const struct old_layout *layout;
	const unsigned char *flows; /* mapped */
	size_t size;
	uint32_t high;
	uint64_t ids; /* 0: flows had none */
};

/* Numbers in flows speak of these: without all of them a flow means something else. */
static const char *const meanings[] = {"policy",    "classes",	 "acl",	    "rules",	     "routes",	  "blocked",
				       "blocked16", "blocked24", "clients", "client_worker", "egress_ids"};
/* Are filled from the flows, or by finish(). */
static const char *const of_flows[] = {"flows", "flow_index",	"flow_table", "free_slots",
				       "pairs", "client_state", "layout",     "sweep"};
/* Where only the layout tells what they say, not their size: reasons have another order, settings take bytes of a pad.
 */
static const char *const of_layout[] = {"drops", "daemon_drops", "settings"};

#define IS_IN(list, name) maps_carry_is_in(list, sizeof(list) / sizeof(*(list)), name)

static bool maps_carry_is_in(const char *const *list, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(list[i], name))
			return true;
	return false;
}

/* ---- reading ---------------------------------------------------------------------- */

static bool maps_carry_is_wanted(uint32_t state)
{
	return flow_is_live(state) || state == FLOW_MAPPING;
}

static bool read_flow6(const void *slot, struct flow *out)
{
	struct flow6 f;

	memcpy(&f, slot, sizeof(f));
	*out = (struct flow){
		.out = f.out,
		.back = f.back,
		.life = LIFE(0, f.state),
		.client = f.client,
		.generation = f.generation,
		.rule = f.rule,
		.mapping = f.mapping,
		.egress = f.egress,
		.pool = f.pool,
		.route = f.route,
		.flags = f.flags,
		.traits = f.traits,
		.seen = f.seen,
		.created = f.created,
		.expires = f.expires,
		.packets_out = f.packets_out,
		.bytes_out = f.bytes_out,
		.packets_in = f.packets_in,
		.bytes_in = f.bytes_in,
		.end_out = f.end_out,
		.end_in = f.end_in,
		.ack_out = f.ack_out,
		.ack_in = f.ack_in,
	};
	return maps_carry_is_wanted(f.state) &&
	       __atomic_load_n(&((const struct flow6 *)slot)->serial, __ATOMIC_ACQUIRE) == f.serial;
}

static void read_egress6(const void *value, struct egress *out)
{
	const struct egress6 *e = value;

	*out = (struct egress){
		.addr = e->addr,
		.ifindex = e->ifindex,
		.ports = e->ports,
		.prime = e->prime,
		.mtu = e->mtu,
		.exclusive = e->exclusive,
		.state = e->ifindex ? EGRESS_HERE : EGRESS_GONE,
		.answers = {e->ifindex}, /* until the daemon has looked */
	};
	memcpy(out->range, e->range, sizeof(out->range));
}

static bool read_flow(const void *slot, struct flow *out)
{
	memcpy(out, slot, sizeof(*out));
	return maps_carry_is_wanted(flow_state(out)) && LIFE_ID(flow_life(slot)) == LIFE_ID(out->life);
}

static void maps_carry_read_egress(const void *value, struct egress *out)
{
	memcpy(out, value, sizeof(*out));
}

static const struct old_layout layouts[] = {
	{MAPS_LAYOUT_OLDEST, sizeof(struct flow6), sizeof(struct egress6), read_flow6, read_egress6},
	{SLUICE_LAYOUT, sizeof(struct flow), sizeof(struct egress), read_flow, maps_carry_read_egress},
};

#define EGRESS_SIZE_MAX 256

static const struct old_layout *layout_of(uint32_t layout)
{
	for (size_t i = 0; i < sizeof(layouts) / sizeof(*layouts); i++)
		if (layouts[i].layout == layout)
			return &layouts[i];
	return NULL;
}

bool carry_reads(uint32_t layout)
{
	return layout_of(layout);
}

static uint32_t value_size(int fd)
{
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);

	return fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) ? 0 : info.value_size;
}

static bool read_table(struct carry *c, const char *pins)
{
	unsigned char value[MAPS_TABLE_MAX] = {};
	int fd = pin_open(pins, "flow_table");
	uint32_t zero = 0, size = value_size(fd);
	struct flow_table table = {};
	bool ok = size && size <= sizeof(value) && !bpf_map_lookup_elem(fd, &zero, value);

	if (fd >= 0)
		close(fd);
	memcpy(&table, value, size < sizeof(table) ? size : sizeof(table));
	c->high = table.high;
	c->ids = c->layout->layout == 6 ? 0 : table.ids;
	return ok;
}

/* 0, with *out NULL where nothing can be read of this layout; -errno: it is not known. */
static int carry_open(const char *pins, const struct maps_pinned *found, struct carry **out)
{
	struct carry *c = calloc(1, sizeof(*c));
	int fd = pin_open(pins, "flows"), err = !c ? -ENOMEM : fd < 0 ? fd : 0;
	void *p = MAP_FAILED;

	*out = NULL;
	if (!err)
		c->layout = layout_of(found->layout);
	if (!err && c->layout && value_size(fd) == c->layout->flow_size && read_table(c, pins)) {
		c->size = (size_t)found->slots * c->layout->flow_size;
		p = mmap(NULL, c->size, PROT_READ, MAP_SHARED, fd, 0);
		err = p == MAP_FAILED ? -errno : 0;
		c->high = c->high < found->slots ? c->high : found->slots;
	}
	if (fd >= 0)
		close(fd);
	if (p != MAP_FAILED) {
		c->flows = p;
		*out = c;
		return 0;
	}
	free(c);
	return err;
}

void carry_close(struct carry *c)
{
	if (c)
		munmap((void *)c->flows, c->size);
	free(c);
}

/* ---- which maps are used on ----------------------------------------------------------- */

/* Do all maps of which flows speak fit? */
/* 1: the maps that give flows their meaning are as they were; 0: they are not; -errno: it is not known. */
static int has_meaning(const struct maps *m)
{
	for (size_t i = 0; i < sizeof(meanings) / sizeof(*meanings); i++) {
		int err = pin_compare(m->pins, bpf_object__find_map_by_name(m->skel->obj, meanings[i]));

		if (err)
			return err == -EPROTO || err == -ENOENT ? 0 : err;
	}
	return 1;
}

/* The same of a map that is used on as it is. */
static int is_used_on(const struct maps *m, const struct bpf_map *map, uint32_t layout)
{
	const char *name = bpf_map__name(map);
	int err;

	if (!is_pinned_map(map) || IS_IN(of_flows, name) || (layout != SLUICE_LAYOUT && IS_IN(of_layout, name)))
		return 0;
	err = pin_compare(m->pins, map);
	return !err ? 1 : err == -EPROTO || err == -ENOENT ? 0 : err;
}

static int use_on(const struct maps *m, struct bpf_map *map)
{
	int fd = pin_open(m->pins, bpf_map__name(map)), err = fd < 0 ? fd : bpf_map__reuse_fd(map, fd);

	if (fd >= 0)
		close(fd);
	return err;
}

int carry_prepare(struct maps *m, const struct maps_pinned *found)
{
	struct bpf_map *map;
	int err = has_meaning(m);

	m->carried = (struct maps_carried){.layout = found->layout, .flows = found->used};
	if (err > 0)
		err = carry_open(m->pins, found, &m->carry);
	if (err < 0 || !m->carry)
		return err;
	bpf_object__for_each_map(map, m->skel->obj)
	{
		int use = err ? 0 : is_used_on(m, map, found->layout);

		err = err ?: use > 0 ? use_on(m, map) : use;
	}
	return err;
}

/* ---- writing ----------------------------------------------------------------------------- */

struct import {
	struct maps *m;
	struct flow *records; /* mapped: `import_work` */
	uint32_t n;
	int err;
};

static void import_run(struct import *im)
{
	uint8_t frame[64] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame));

	if (!im->n || im->err)
		return;
	im->err = bpf_prog_test_run_opts(bpf_program__fd(im->m->skel->progs.flow_import), &opts);
	for (uint32_t i = 0; i < im->n; i++)
		im->m->carried.taken += !im->records[i].life;
	memset(im->records, 0, IMPORT_FLOWS * sizeof(*im->records));
	im->n = 0;
}

/* One walk through the old table: mappings, or the flows. */
static void import_walk(struct import *im, bool mappings)
{
	const struct carry *c = im->m->carry;
	uint64_t now = clock_now();
	struct flow f;

	for (uint32_t slot = 1; slot < c->high && !im->err; slot++) {
		if (!c->layout->flow(c->flows + (size_t)slot * c->layout->flow_size, &f) || f.expires <= now ||
		    (flow_state(&f) == FLOW_MAPPING) != mappings)
			continue;
		im->m->carried.flows++;
		im->records[im->n++] = f;
		if (im->n == IMPORT_FLOWS)
			import_run(im);
	}
	import_run(im);
}

static int import_egresses(struct maps *m)
{
	int from = pin_open(m->pins, "egresses"), to = bpf_map__fd(m->skel->maps.egresses), err = from < 0 ? from : 0;
	unsigned char value[EGRESS_SIZE_MAX];
	struct egress e;

	if (!err && value_size(from) != m->carry->layout->egress_size)
		err = -EPROTO;
	for (uint32_t id = 0; id < MAX_EGRESS && !err; id++) {
		err = bpf_map_lookup_elem(from, &id, value);
		if (err)
			break;
		m->carry->layout->egress(value, &e);
		err = bpf_map_update_elem(to, &id, &e, BPF_ANY);
	}
	if (from >= 0)
		close(from);
	return err;
}

int carry_do(struct maps *m)
{
	int fd = bpf_map__fd(m->skel->maps.import_work), err = import_egresses(m);
	size_t size = IMPORT_FLOWS * sizeof(struct flow);
	struct import im = {.m = m};
	void *p;

	if (err)
		return err;
	m->carried.flows = 0;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	im.records = p;
	import_walk(&im, true);
	import_walk(&im, false);
	munmap(p, size);
	return im.err;
}

uint64_t carry_ids(const struct carry *c)
{
	return c ? c->ids : 0;
}
