/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_BENCH_SCALE_H
#define SLUICE_BENCH_SCALE_H

/*
 * What the scale benches share: a gateway without a network (tests/bpf/scratch.h) of any
 * size, batches of frames that are pushed through the real programs, and sheets: tables
 * that print for people and, all together, as JSON.
 *
 * Costs are what BPF_PROG_TEST_RUN measures around the program, so neither system call
 * nor socket buffer is in them. Nothing is asserted about time.
 */
#include <jansson.h>
#include <math.h>
#include <sched.h>
#include <sys/resource.h>

#include "policy/alloc.h"
#include "die.h"
#include "tests/bpf/slots.h"
#include "tests/unit/random.h"
#include "user/print/table.h"

/* Stops here for what must not fail. */
static inline void check(int err, const char *what)
{
	if (err)
		die("%s: %s", what, strerror(err < 0 ? -err : err));
}

/* ---- sheets ---------------------------------------------------------------------- */

struct sheet {
	const char *title;
	struct table table;
};

/* @heads as in table.h. */
static inline struct sheet sheet_begin(const char *title, const char *const *heads)
{
	struct sheet s = {.title = title};

	table_init(&s.table, heads);
	fprintf(stderr, "%s\n", title);
	return s;
}

/* A list of the heads, then one for each row. */
static inline json_t *sheet_json(const struct table *t)
{
	json_t *sheet = json_array(), *row = json_array();

	for (size_t i = 0; i < t->columns; i++)
		json_array_append_new(row, json_string(t->heads[i] + (*t->heads[i] == '>')));
	json_array_append_new(sheet, row);
	for (size_t i = 0; i < t->n; i++) {
		if (i % t->columns == 0)
			json_array_append_new(sheet, row = json_array());
		json_array_append_new(row, json_string(t->cells[i]));
	}
	return sheet;
}

/* Prints it and adds it to @document under its title. */
static inline void sheet_end(struct sheet *s, json_t *document)
{
	printf("\n%s\n", s->title);
	table_print(&s->table, stdout);
	fflush(stdout);
	json_object_set_new(document, s->title, sheet_json(&s->table));
	table_free(&s->table);
}

/* Writes all sheets where the first argument says, if there is one. */
static inline void sheets_save(json_t *document, int argc, char **argv)
{
	if (argc > 1 && json_dump_file(document, argv[1], JSON_INDENT(1)))
		die("%s: cannot be written", argv[1]);
	json_decref(document);
}

/* ---- time and memory --------------------------------------------------------------- */

static inline double seconds_since(uint64_t began)
{
	return (double)(now_ns() - began) / 1e9;
}

/* CPU time of the process, in ns. */
static inline double cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* A field of /proc/self/status or /proc/meminfo, in bytes. */
static inline size_t proc_bytes(const char *file, const char *field)
{
	FILE *f = fopen(file, "r");
	size_t kib = 0, len = strlen(field);
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, field, len) && line[len] == ':')
			kib = strtoul(line + len + 1, NULL, 10);
	if (f)
		fclose(f);
	return kib << 10;
}

static inline size_t peak_rss(void)
{
	return proc_bytes("/proc/self/status", "VmHWM");
}

/* Forgets the peak. */
static inline void peak_reset(void)
{
	FILE *f = fopen("/proc/self/clear_refs", "w");

	if (f) {
		fputs("5", f);
		fclose(f);
	}
}

static inline double mib(size_t bytes)
{
	return (double)bytes / (1 << 20);
}

/* Memory that the kernel says a map takes: of hashes, elements in use included. */
static inline size_t map_bytes(const struct bpf_map *map)
{
	char path[64], line[256];
	size_t bytes = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", bpf_map__fd(map));
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "memlock: %zu", &bytes);
	if (f)
		fclose(f);
	return bytes;
}

/* The exponent of growth between two sizes: 1 is linear. */
static inline double growth(double size, double time, double size2, double time2)
{
	return log(time2 / time) / log(size2 / size);
}

/* ---- frames -------------------------------------------------------------------------- */

#define FRAME_MAX 128

struct packed { /* a frame, small enough to prepare a million */
	uint16_t len;
	uint8_t b[FRAME_MAX - 2];
};

struct costs {				 /* ns in the program */
	uint64_t total, n, worst, other; /* other: runs with another verdict than wanted */
};

static inline void packed_build(struct packed *p, const struct shape *shape, uint32_t client)
{
	static struct frame f;

	frame_build(&f, shape);
	if (client)
		from_client(&f, client);
	if (f.len > sizeof(p->b))
		die("a frame of %zu bytes", f.len);
	p->len = (uint16_t)f.len;
	memcpy(p->b, f.b, f.len);
}

/* Pushes one frame; returns ns, and what came out in @out where that is not NULL. */
static inline uint32_t push_one(int program, const struct packed *p, int verdict, struct costs *c, struct packed *out)
{
	uint8_t back[512];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = p->b, .data_size_in = p->len, .data_out = back,
		    .data_size_out = sizeof(back));

	check(bpf_prog_test_run_opts(program, &opts), "BPF_PROG_TEST_RUN");
	c->n++;
	c->total += opts.duration;
	if (opts.duration > c->worst)
		c->worst = opts.duration;
	c->other += (int)opts.retval != verdict;
	if (out) {
		out->len = (uint16_t)opts.data_size_out;
		memcpy(out->b, back, out->len);
	}
	return opts.duration;
}

static inline struct costs push_all(int program, const struct packed *list, size_t n, int verdict)
{
	struct costs c = {};

	for (size_t i = 0; i < n; i++)
		push_one(program, &list[i], verdict, &c, NULL);
	return c;
}

static inline double mean(const struct costs *c)
{
	return c->n ? (double)c->total / (double)c->n : 0;
}

static inline int by_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static inline double median(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), by_double);
	return v[n / 2];
}

#define PORTS 64511 /* of its addresses */

/* ---- a gateway --------------------------------------------------------------------------- */

/* As scratch.h draws it, with room for @flows and all the ports there are but our own. */
static inline struct scratch *gateway_open(uint32_t flows, bool no_sweep)
{
	struct maps_options o = {.flows = flows, .no_sweep = no_sweep};
	struct scratch *s = mem_alloc(1, sizeof(*s));
	char *error = NULL;

	s->m = maps_open(&o, &error);
	if (!s->m)
		die("%s", error);
	s->notices = ring_buffer__new(maps_notices_fd(s->m), throw_away, NULL, NULL);
	scratch_settings(s);
	scratch_addresses(s);
	for (int v6 = 0; v6 < 2; v6++) {
		struct egress e = {.addr = family_of(v6).external,
				   .state = EGRESS_HERE,
				   .ifindex = 2,
				   .answers = {TEST_IFINDEX, 2},
				   .mtu = EGRESS_MTU,
				   .range = {{1024, WG_PORT - 1024}, {WG_PORT + 1, 65535 - WG_PORT}}};

		check(maps_egress_set(s->m, v6 ? 2 : 1, &e), "egress");
	}
	return s;
}

static inline void gateway_close(struct scratch *s)
{
	ring_buffer__free(s->notices);
	maps_close(s->m);
	free(s);
}

/* Stays on one core, so that caches and counters are one's. */
static inline void stay_here(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	sched_setaffinity(0, sizeof(set), &set);
}

#endif
