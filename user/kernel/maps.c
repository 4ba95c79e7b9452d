/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loading the programs and maps. On a pinned start every map is first looked for
 * under the pins (maps_pins.c).
 */
#include "attach.h"
#include "maps_private.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define KERNEL_LOG     (16u << 20) /* the kernel fails when it has more to say; untouched pages cost nothing */
#define MAPS_FLOWS_MIN 1024
#define FREED_PAUSE_NS 100000000
#define FREED_TRIES    20

int maps_fail(char **error, int err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	if (vasprintf(error, fmt, args) < 0)
		*error = NULL;
	va_end(args);
	return err;
}

/* Drops libbpf's messages: the error text has their content, or they are of no use to people. */
static int quiet(enum libbpf_print_level level, const char *fmt, va_list args)
{
	return 0;
}

/* ---- loading ---------------------------------------------------------------- */

static int set_sizes(struct maps *m)
{
	struct gateway_bpf *s = m->skel;
	uint32_t n = m->slots - 1; /* a power of two is best: the kernel rounds a hash's buckets up to one */

	s->rodata->flow_slots = m->slots;
	return bpf_map__set_max_entries(s->maps.flows, n + 1) ?: bpf_map__set_max_entries(s->maps.flow_index, 2 * n) ?:
	       bpf_map__set_max_entries(s->maps.free_slots, n) ?: bpf_map__set_max_entries(s->maps.pairs, n);
}

static void keep_templates(struct maps *m)
{
	struct bpf_map *const outer[MAPS_TABLES] = {
		[MAPS_CLASSES] = m->skel->maps.classes,	    [MAPS_ACL] = m->skel->maps.acl,
		[MAPS_RULES] = m->skel->maps.rules,	    [MAPS_ROUTES] = m->skel->maps.routes,
		[MAPS_BLOCKED] = m->skel->maps.blocked,	    [MAPS_BLOCKED16] = m->skel->maps.blocked16,
		[MAPS_BLOCKED24] = m->skel->maps.blocked24,
	};

	for (int i = 0; i < MAPS_TABLES; i++) {
		const struct bpf_map *like = bpf_map__inner_map(outer[i]);

		m->tables[i] = (struct maps_template){
			.outer = outer[i],
			.type = bpf_map__type(like),
			.key_size = bpf_map__key_size(like),
			.value_size = bpf_map__value_size(like),
			.flags = bpf_map__map_flags(like),
			.btf_key = bpf_map__btf_key_type_id(like),
			.btf_value = bpf_map__btf_value_type_id(like),
		};
	}
}

/* The last thing the verifier said, which names the fault, without its statistics. */
static void last_line(char *log)
{
	char *line = log, *end;

	end = strstr(log, "\nprocessed ");
	if (end)
		*end = 0;
	for (char *p = log; (p = strchr(p, '\n')) && p[1]; p++)
		line = p + 1;
	memmove(log, line, strlen(line) + 1);
}

static bool lacks_memory(int err)
{
	return err == -ENOMEM || err == -E2BIG;
}

static int load(struct maps *m, char *log, char **error)
{
	int err = gateway_bpf__load(m->skel);

	if (!err)
		return 0;
	last_line(log);
	if (err == -EPERM && !*log)
		return maps_fail(error, err, "loading BPF programs needs CAP_BPF and CAP_NET_ADMIN (run as root)");
	if (*log && lacks_memory(err)) /* the verifier's words of a program: other tables would not help it */
		err = -EINVAL;
	if (lacks_memory(err))
		return maps_fail(error, err, "no memory for a table of %u flows: %s%s", m->slots - 1, strerror(-err),
				 m->aside ? " (beside the old one; `sluice down` first, and live flows end)" : "");
	return maps_fail(error, err, "the kernel refused a BPF program or map: %s%s%s", strerror(-err),
			 *log ? ": " : "", log);
}

static int start_sweep(struct maps *m, char **error)
{
	uint8_t frame[64] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame));
	int err = bpf_prog_test_run_opts(bpf_program__fd(m->skel->progs.sweep_start), &opts);

	if (!err)
		err = (int)opts.retval;
	return err ? maps_fail(error, err, "the timer that ends old flows did not start: %s", strerror(-err)) : 0;
}

static void *map_memory(struct bpf_map *map, size_t size, int prot)
{
	void *p = mmap(NULL, size, prot, MAP_SHARED, bpf_map__fd(map), 0);

	return p == MAP_FAILED ? NULL : p;
}

static size_t drops_size(void)
{
	return DROP_MAX * sizeof(uint64_t);
}

/*
 * Ids begin at the second in which the table is made, so those of an earlier table, in a
 * log say, are other ones, too. 2^24 new flows a second would catch up with the clock.
 */
static int begin_ids(const struct maps *m)
{
	uint64_t now = (uint64_t)time(NULL) << 24, old = carry_ids(m->carry);
	struct flow_table table = {.ids = old > now ? old : now};
	uint32_t zero = 0;

	return bpf_map_update_elem(bpf_map__fd(m->skel->maps.flow_table), &zero, &table, BPF_ANY);
}

/* The flows of before; should that fail, the gateway begins without them rather than not at all. */
static void maps_take_over(struct maps *m)
{
	if (m->carry)
		m->carried.error = carry_do(m);
	carry_close(m->carry);
	m->carry = NULL;
}

static int maps_finish(struct maps *m, bool sweep, char **error)
{
	uint32_t zero = 0, layout = SLUICE_LAYOUT;
	int err = m->reused ? 0 : begin_ids(m);

	if (err)
		return maps_fail(error, err, "cannot write the flow table: %s", strerror(-err));

	m->flows = map_memory(m->skel->maps.flows, (size_t)m->slots * sizeof(struct flow), PROT_READ | PROT_WRITE);
	m->daemon_drops = map_memory(m->skel->maps.daemon_drops, drops_size(), PROT_READ | PROT_WRITE);
	if (!m->flows || !m->daemon_drops)
		return maps_fail(error, -errno, "cannot map the flow table: %s", strerror(errno));
	maps_take_over(m);
	err = sweep ? start_sweep(m, error) : 0;
	if (err)
		return err;
	err = bpf_map_update_elem(bpf_map__fd(m->skel->maps.layout), &zero, &layout, BPF_ANY);
	if (err)
		return maps_fail(error, err, "cannot write the layout: %s", strerror(-err));
	err = m->aside ? pins_put_in_place(m->pins) : 0;
	return err ? maps_fail(error, err, "cannot replace the maps in %s: %s", m->pins, strerror(-err)) : 0;
}

static int open_all(struct maps *m, const struct maps_options *o, struct maps_pinned *found, char *log, char **error)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .kernel_log_buf = log, .kernel_log_size = KERNEL_LOG);
	int err;

	err = m->pins ? pins_open(m->pins, found, error) : 0;
	if (err)
		return err;
	if (o->flows)
		m->slots = (o->flows < MAPS_FLOWS_MIN ? MAPS_FLOWS_MIN : o->flows) + 1;
	else
		m->slots = found->slots ?: MAPS_FLOWS_DEFAULT + 1;
	m->skel = gateway_bpf__open_opts(&opts);
	if (!m->skel)
		return maps_fail(error, -errno, "the BPF programs are damaged: %s", strerror(errno));
	keep_templates(m);
	err = set_sizes(m);
	if (!err && m->pins)
		err = pins_plan(m, found);
	if (err)
		return maps_fail(error, err, "cannot prepare the BPF maps: %s", strerror(-err));
	err = load(m, log, error);
	return err ?: maps_finish(m, !o->no_sweep, error);
}

/* One attempt. *found: what was there; its layout is 0 where that was not in the way. */
static int maps_try(const struct maps_options *o, struct maps **out, struct maps_pinned *found, char **error)
{
	struct maps *m = calloc(1, sizeof(*m));
	char *log = calloc(1, KERNEL_LOG);
	int err;

	*error = NULL;
	*found = (struct maps_pinned){};
	if (m) {
		m->cpus = (size_t)libbpf_num_possible_cpus();
		m->per_cpu = calloc(m->cpus, MAPS_COUNTER_WORDS * sizeof(*m->per_cpu));
		m->pins = o->pins ? strdup(o->pins) : NULL;
	}
	if (!m || !log || !m->per_cpu || (o->pins && !m->pins))
		err = maps_fail(error, -ENOMEM, "no memory");
	else
		err = open_all(m, o, found, log, error);
	free(log);
	*out = m;
	if (!err)
		return 0;
	if (m && m->aside)
		pins_abandon(m->pins);
	else
		found->layout = 0;
	maps_close(m);
	*out = NULL;
	return err;
}

/*
 * This machine has no memory for a new table of flows beside the old one. One that only is to have another size goes on
 * as it is. Otherwise a gateway without the flows of before is better than none: the old maps go, and the new table
 * is no larger than theirs, for that much there was.
 */
static int maps_instead(const struct maps_options *o, const struct maps_pinned *old, struct maps **out, char **error)
{
	const struct timespec pause = {.tv_nsec = FREED_PAUSE_NS};
	struct maps_options less = *o;
	struct maps_pinned found;
	int err = -ENOMEM;

	less.flows = old->slots - 1;
	if (old->layout == SLUICE_LAYOUT && o->flows != less.flows)
		err = maps_try(&less, out, &found, error);
	if (!err)
		(*out)->carried.wanted = o->flows;
	if (!lacks_memory(err))
		return err;
	if (o->flows && o->flows < less.flows)
		less.flows = o->flows;
	free(*error);
	err = attach_remove_all(o->pins) ?: maps_unpin(o->pins);
	if (err)
		return maps_fail(error, err,
				 "cannot remove the maps in %s, for whose successors there is no memory: %s", o->pins,
				 strerror(-err));
	err = maps_try(&less, out, &found, error);
	for (int i = 0; i < FREED_TRIES && lacks_memory(err); i++) { /* the kernel frees maps in its own time */
		free(*error);
		nanosleep(&pause, NULL);
		err = maps_try(&less, out, &found, error);
	}
	if (!err)
		(*out)->carried = (struct maps_carried){.layout = old->layout,
							.flows = old->used,
							.error = -ENOMEM,
							.wanted = less.flows < o->flows ? o->flows : 0};
	return err;
}

struct maps *maps_open(const struct maps_options *o, char **error)
{
	struct maps_pinned old;
	struct maps *m;
	int err;

	libbpf_set_print(quiet);
	err = maps_try(o, &m, &old, error);
	if (lacks_memory(err) && old.layout) {
		free(*error);
		*error = NULL;
		maps_instead(o, &old, &m, error);
	}
	return m;
}

void maps_close(struct maps *m)
{
	if (!m)
		return;
	if (m->flows)
		munmap(m->flows, (size_t)m->slots * sizeof(struct flow));
	if (m->daemon_drops)
		munmap(m->daemon_drops, drops_size());
	carry_close(m->carry);
	gateway_bpf__destroy(m->skel);
	free(m->per_cpu);
	free(m->pins);
	free(m);
}

bool maps_reused(const struct maps *m)
{
	return m->reused;
}

const struct maps_carried *maps_carried(const struct maps *m)
{
	return &m->carried;
}

static const char *const program_names[PROGRAM_MAX] = {
	[PROGRAM_TAP_IN] = "tap_in",
	[PROGRAM_NIC_IN] = "nic_in",
	[PROGRAM_NIC_OUT] = "nic_out",
	[PROGRAM_FRONT] = "front",
	[PROGRAM_FRONT_SOCKET] = "front_socket",
	[PROGRAM_STEER_UDP] = "steer_udp",
	[PROGRAM_STEER_TAP] = "steer_tap",
	[PROGRAM_FRONT_GENERIC] = "front_generic",
	[PROGRAM_FENCE_TAP] = "fence_tap",
	[PROGRAM_NIC_FENCE] = "nic_fence",
	[PROGRAM_LOOP_TAP] = "loop_tap",
};

const char *maps_program_name(enum program p)
{
	return program_names[p];
}

int maps_program(const struct maps *m, enum program p)
{
	struct bpf_program *prog = bpf_object__find_program_by_name(m->skel->obj, program_names[p]);

	return prog ? bpf_program__fd(prog) : -ENOENT;
}

int maps_notices_fd(const struct maps *m)
{
	return bpf_map__fd(m->skel->maps.notices);
}
