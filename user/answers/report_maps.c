/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pinned maps (report.h): what there is, and what is in them. Texts are
 * map_text.c's.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy/alloc.h"
#include "policy/diag.h"
#include "map_text.h"
#include "user/base/text.h"
#include "user/base/exit.h"

#define COUNT_MAX 20000 /* what is larger is not counted: it takes a system call an entry */
#define PINS_MAX  128
#define KEY_MAX	  256 /* bytes; ours are shorter */

/* ---- pins ------------------------------------------------------------------------------------ */

struct pin {
	char *name;
	int fd;
	struct bpf_map_info info;
};

struct pins {
	struct pin *v;
	size_t n;
};

static bool open_pin(const char *folder, const char *name, struct pin *out)
{
	char *path = mem_printf("%s/%s", folder, name);
	__u32 len = sizeof(out->info);

	*out = (struct pin){.fd = bpf_obj_get(path)};
	free(path);
	/* links are pinned there too, and fail here: their info is smaller than a map's */
	if (out->fd >= 0 && !bpf_obj_get_info_by_fd(out->fd, &out->info, &len) && out->info.name[0] &&
	    out->info.max_entries) {
		out->name = mem_strdup(name);
		return true;
	}
	if (out->fd >= 0)
		close(out->fd);
	return false;
}

static void close_pins(struct pins *p)
{
	for (size_t i = 0; i < p->n; i++) {
		close(p->v[i].fd);
		free(p->v[i].name);
	}
	free(p->v);
}

static bool open_pins(const char *folder, struct pins *p, char **error)
{
	struct dirent **entries;
	int n = scandir(folder, &entries, NULL, alphasort);

	*p = (struct pins){0};
	if (n < 0) {
		exit_fail(error, EXIT_NO, "%s: %s", folder, strerror(errno));
		return false;
	}
	p->v = mem_alloc((size_t)n + 1, sizeof(*p->v));
	for (int i = 0; i < n; i++) {
		if (entries[i]->d_name[0] != '.' && p->n < PINS_MAX &&
		    open_pin(folder, entries[i]->d_name, &p->v[p->n]))
			p->n++;
		free(entries[i]);
	}
	free(entries);
	return true;
}

/* ---- list ------------------------------------------------------------------------------------- */

static bool is_hash(const struct bpf_map_info *i)
{
	return i->type == BPF_MAP_TYPE_HASH || i->type == BPF_MAP_TYPE_LPM_TRIE;
}

static json_t *count_entries(const struct pin *pin)
{
	unsigned char key[KEY_MAX], next[KEY_MAX];
	unsigned n = 0;

	if (!is_hash(&pin->info) || pin->info.key_size > sizeof(key))
		return json_null();
	while (n <= COUNT_MAX && !bpf_map_get_next_key(pin->fd, n ? key : NULL, next)) {
		memcpy(key, next, pin->info.key_size);
		n++;
	}
	return n <= COUNT_MAX ? json_integer(n) : json_null();
}

/* What the kernel charges for it. */
static uint64_t memory(int fd)
{
	unsigned long long bytes = 0;
	char path[64], line[128];
	FILE *in;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	in = fopen(path, "re");
	while (in && fgets(line, sizeof(line), in))
		if (sscanf(line, "memlock: %llu", &bytes) == 1)
			break;
	if (in)
		fclose(in);
	return bytes;
}

static json_t *pin_json(const struct pin *pin)
{
	const char *type = libbpf_bpf_map_type_str(pin->info.type);

	return json_pack("{s:s, s:s, s:I, s:o, s:I, s:I, s:I, s:I}", "name", pin->name, "type", type ? type : "?", "id",
			 (json_int_t)pin->info.id, "entries", count_entries(pin), "max_entries",
			 (json_int_t)pin->info.max_entries, "key_size", (json_int_t)pin->info.key_size, "value_size",
			 (json_int_t)pin->info.value_size, "bytes", (json_int_t)memory(pin->fd));
}

json_t *report_map_list(const char *folder, char **error)
{
	json_t *list;
	struct pins pins;

	if (!open_pins(folder, &pins, error))
		return NULL;
	list = json_array();
	for (size_t i = 0; i < pins.n; i++)
		json_array_append_new(list, pin_json(&pins.v[i]));
	close_pins(&pins);
	return json_pack("{s:i, s:o}", "schema", REPORT_SCHEMA, "maps", list);
}

/* ---- dump ------------------------------------------------------------------------------------- */

struct dump {
	const struct report_source *s;
	const struct map_layout *layout; /* NULL: bytes */
	const struct bpf_map_info *info;
	int fd;
	size_t stride; /* bytes a value takes in a lookup, of all CPUs */
	json_t *entries;
	uint64_t limit;
	unsigned visited;
	unsigned char *last; /* the key that was looked at last */
	bool more;
};

static bool is_percpu(const struct bpf_map_info *i)
{
	return i->type == BPF_MAP_TYPE_PERCPU_ARRAY || i->type == BPF_MAP_TYPE_PERCPU_HASH;
}

static bool is_zero(const unsigned char *p, size_t n)
{
	while (n--)
		if (*p++)
			return false;
	return true;
}

/* Per-CPU values here are counters: lists of 64-bit words. Adds all CPUs' into the first. */
static void add_up(unsigned char *value, size_t stride, size_t each)
{
	for (size_t at = each; at + each <= stride; at += each)
		for (size_t i = 0; i < each; i += 8) {
			uint64_t sum, more;

			memcpy(&sum, value + i, 8);
			memcpy(&more, value + at + i, 8);
			sum += more;
			memcpy(value + i, &sum, 8);
		}
}

static void report_maps_put_text(json_t *entry, const char *key, const struct dump *d,
				 void (*text)(struct map_printer *, const void *), const void *data, size_t size)
{
	char buf[MAP_TEXT_SIZE] = "", escaped[MAP_TEXT_SIZE];
	struct map_printer p = {.s = d->s, .buf = buf};

	if (text)
		text(&p, data);
	else
		map_text_bytes(&p, data, size);
	json_object_set_new(entry, key, json_string(text_escape(buf, escaped, sizeof(escaped))));
}

/* False: enough. */
static bool report_maps_add_entry(struct dump *d, const unsigned char *key, unsigned char *value)
{
	json_t *entry;

	if (is_percpu(d->info))
		add_up(value, d->stride, (d->info->value_size + 7) & ~7u);
	if (d->layout && d->layout->sparse && is_zero(value, d->info->value_size))
		return true;
	if (json_array_size(d->entries) >= d->limit)
		return false;
	entry = json_object();
	report_maps_put_text(entry, "key", d, d->layout ? d->layout->key : NULL, key, d->info->key_size);
	report_maps_put_text(entry, "value", d, d->layout ? d->layout->value : NULL, value, d->info->value_size);
	json_array_append_new(d->entries, entry);
	return true;
}

/* From behind d->last; should that entry of a hash be gone meanwhile, from the first one again. */
static void dump_entries(struct dump *d, bool first)
{
	unsigned char *next = mem_alloc(1, d->info->key_size), *value = mem_alloc(1, d->stride);

	while (!bpf_map_get_next_key(d->fd, first ? NULL : d->last, next)) {
		/* an entry may go between the two calls */
		if (d->visited++ == REPORT_DUMP_VISIT ||
		    (!bpf_map_lookup_elem(d->fd, next, value) && !report_maps_add_entry(d, next, value))) {
			d->more = true;
			break;
		}
		memcpy(d->last, next, d->info->key_size);
		first = false;
	}
	free(next);
	free(value);
}

/* The flows are mapped: no system call an entry, and only the slots that were ever used. */
static void dump_flows(struct dump *d, bool first)
{
	uint32_t last = 0;

	if (!first)
		memcpy(&last, d->last, sizeof(last));
	for (uint32_t slot = last + 1; slot && slot < d->s->n_flows; slot++) {
		struct flow flow;

		memcpy(&flow, &d->s->flows[slot], sizeof(flow));
		if (d->visited++ == REPORT_FLOWS_VISIT ||
		    (flow_state(&flow) != FLOW_FREE &&
		     !report_maps_add_entry(d, (unsigned char *)&slot, (unsigned char *)&flow))) {
			d->more = true;
			return;
		}
		memcpy(d->last, &slot, sizeof(slot));
	}
}

/* A table of the policy has two slots: opens the live one. Negative: -errno. */
static int open_inner(const struct pins *pins, const struct pin *outer)
{
	bool blocks = !strncmp(outer->name, "blocked", 7);
	__u32 zero = 0, slot, id;
	uint64_t word = 0;

	for (size_t i = 0; i < pins->n; i++)
		if (!strcmp(pins->v[i].name, "policy") && pins->v[i].info.value_size == sizeof(word))
			bpf_map_lookup_elem(pins->v[i].fd, &zero, &word);
	slot = blocks ? POLICY_BLOCK_SLOT(word) : POLICY_SLOT(word);
	if (bpf_map_lookup_elem(outer->fd, &slot, &id))
		return -errno;
	return bpf_map_get_fd_by_id(id);
}

static json_t *dump_result(struct dump *d, const char *name)
{
	char next[2 * KEY_MAX + 1];

	if (d->more)
		sodium_bin2hex(next, sizeof(next), d->last, d->info->key_size);
	return json_pack("{s:i, s:s, s:o, s:b, s:I, s:o}", "schema", REPORT_SCHEMA, "map", name, "entries", d->entries,
			 "more", d->more, "max_entries", (json_int_t)d->info->max_entries, "next",
			 d->more ? json_string(next) : json_null());
}

static bool can_be_read(const struct bpf_map_info *i)
{
	return i->key_size && i->key_size <= KEY_MAX && i->type != BPF_MAP_TYPE_REUSEPORT_SOCKARRAY &&
	       i->type != BPF_MAP_TYPE_RINGBUF;
}

static bool read_cursor(const char *text, unsigned char key[KEY_MAX], size_t key_size)
{
	size_t len;

	return !sodium_hex2bin(key, KEY_MAX, text, strlen(text), NULL, &len, NULL) && len == key_size;
}

static json_t *dump_fd(const struct report_source *s, const struct report_dump *wanted, int fd, char **error)
{
	const char *name = wanted->map;
	unsigned char last[KEY_MAX] = {0};
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);
	struct dump d = {.s = s, .info = &info, .fd = fd, .last = last};
	int cpus = libbpf_num_possible_cpus();

	d.limit = wanted->limit < REPORT_PAGE ? wanted->limit : REPORT_PAGE;
	if (bpf_obj_get_info_by_fd(fd, &info, &len) || cpus < 1 || !can_be_read(&info)) {
		exit_fail(error, EXIT_NO, "%s: a map of this type cannot be listed", name);
		return NULL;
	}
	d.stride = is_percpu(&info) ? ((info.value_size + 7) & ~7u) * (size_t)cpus : info.value_size;
	d.layout = map_layout(name, info.key_size, info.value_size);
	if (wanted->after && !read_cursor(wanted->after, last, info.key_size)) {
		exit_fail(error, EXIT_USAGE, "after: expected what \"next\" was");
		return NULL;
	}
	d.entries = json_array();
	if (d.layout && !strcmp(name, "flows") && s->flows)
		dump_flows(&d, !wanted->after);
	else
		dump_entries(&d, !wanted->after);
	return dump_result(&d, name);
}

static void no_such_map(const struct pins *pins, const char *name, char **error)
{
	const char *names[PINS_MAX + 1] = {0}, *nearest;

	for (size_t i = 0; i < pins->n; i++)
		names[i] = pins->v[i].name;
	nearest = diag_nearest(name, names);
	exit_fail(error, EXIT_NO, "no such map: \"%s\"%s%s%s (sluice map list)", name,
		  nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
}

json_t *report_map_dump(const struct report_source *s, const char *folder, const struct report_dump *wanted,
			char **error)
{
	const char *name = wanted->map;
	const struct pin *pin = NULL;
	json_t *result = NULL;
	struct pins pins;
	int inner;

	if (!open_pins(folder, &pins, error))
		return NULL;
	for (size_t i = 0; i < pins.n; i++)
		if (!strcmp(pins.v[i].name, name))
			pin = &pins.v[i];
	if (!pin) {
		no_such_map(&pins, name, error);
	} else if (pin->info.type != BPF_MAP_TYPE_ARRAY_OF_MAPS) {
		result = dump_fd(s, wanted, pin->fd, error);
	} else {
		inner = open_inner(&pins, pin);
		if (inner >= 0)
			result = dump_fd(s, wanted, inner, error);
		else
			exit_fail(error, EXIT_NO, "%s: no policy was applied yet", name);
		if (inner >= 0)
			close(inner);
	}
	close_pins(&pins);
	return result;
}
