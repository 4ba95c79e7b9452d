/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The folder of pins.
 *
 *   PINS/NAME        the maps in use; `layout` is written last, so what is without it is of a
 *                    start that was cut off, and nothing uses it yet
 *   PINS/new/NAME    maps that a start fills from these, because they have another form; of
 *                    no worth to the next start
 *   PINS/ready/NAME  the same once they are whole: one by one they take the places of the
 *                    old ones, by this start or, should it be cut off, by the next
 */
#include "maps_private.h"

#include <dirent.h>
#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

char *pin_path(const char *pins, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", pins, name) < 0 ? NULL : path;
}

int pin_open(const char *pins, const char *name)
{
	char *path = pin_path(pins, name);
	int fd = path ? bpf_obj_get(path) : -ENOMEM;

	free(path);
	return fd;
}

static bool on_bpffs(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && fs.f_type == BPF_FS_MAGIC;
}

/* Where a bpffs is open to all, as the kernel mounts it, anybody may have made the folder before us. */
static int check_pins(const char *pins, char **error)
{
	struct stat st;

	if (lstat(pins, &st))
		return maps_fail(error, -errno, "%s: %s", pins, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return maps_fail(error, -ENOTDIR, "%s is not a folder", pins);
	if (st.st_uid != geteuid() || st.st_mode & 022)
		return maps_fail(error, -EPERM,
				 "%s belongs to uid %u, mode %04o: others than this program could exchange the maps in "
				 "it: remove it (rm -r), or name another folder (pins)",
				 pins, st.st_uid, st.st_mode & 07777);
	return 0;
}

int maps_make_pins(const char *pins, char **error)
{
	bool made;
	int err;

	if (strncmp(pins, "/sys/fs/bpf/", 12) == 0 && !on_bpffs("/sys/fs/bpf") &&
	    mount("bpf", "/sys/fs/bpf", "bpf", 0, "mode=0700"))
		return maps_fail(error, -errno, "cannot mount a bpf file system on /sys/fs/bpf: %s", strerror(errno));
	made = !mkdir(pins, 0700);
	if (!made && errno != EEXIST)
		return maps_fail(error, -errno, "cannot make %s: %s", pins, strerror(errno));
	err = on_bpffs(pins) ? check_pins(pins, error)
			     : maps_fail(error, -EINVAL, "%s is not on a bpf file system", pins);
	if (err && made)
		rmdir(pins);
	return err;
}

/* Calls @each for every name in the folder; its first error. 0 also when there is no folder. */
static int each_name(const char *folder, int (*each)(const char *folder, const char *name))
{
	DIR *dir = opendir(folder);
	struct dirent *e;
	int err = 0, one;

	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	for (errno = 0; (e = readdir(dir)); errno = 0) { /* NULL is its end, or says that it cannot be read on */
		if (e->d_name[0] == '.')
			continue;
		one = each(folder, e->d_name);
		err = err ?: one;
	}
	err = err ?: -errno;
	closedir(dir);
	return err;
}

static int remove_name(const char *folder, const char *name)
{
	char *path = pin_path(folder, name);
	int err = !path ? -ENOMEM : unlink(path) && errno != ENOENT && errno != EISDIR ? -errno : 0;

	free(path);
	return err;
}

static int remove_within(const char *pins, const char *name)
{
	char *folder = pin_path(pins, name);
	int err = folder ? each_name(folder, remove_name) : -ENOMEM;

	if (!err && rmdir(folder) && errno != ENOENT)
		err = -errno;
	free(folder);
	return err;
}

/* Removes what is in the folder, which stays: its lock is held by us. */
static int empty_pins(const char *pins)
{
	return remove_within(pins, PINS_NEW) ?: remove_within(pins, PINS_READY) ?: each_name(pins, remove_name);
}

/* From PINS/ready to PINS, in the place of what is there. */
static int maps_pins_move_up(const char *folder, const char *name)
{
	char *from = pin_path(folder, name), *to = NULL;
	int err = from && asprintf(&to, "%s/../%s", folder, name) >= 0 ? 0 : -ENOMEM;

	if (!err && rename(from, to))
		err = -errno;
	free(from);
	free(to);
	return err;
}

/*
 * Ends what an earlier start began. `layout` goes first: a program of before, should it be
 * started again in the middle, finds that the maps are not its own.
 */
static int maps_pins_settle(const char *pins)
{
	char *ready = pin_path(pins, PINS_READY);
	int err = ready ? remove_within(pins, PINS_NEW) : -ENOMEM;

	if (!err && !access(ready, F_OK)) {
		err = maps_pins_move_up(ready, "layout");
		if (!err || err == -ENOENT)
			err = each_name(ready, maps_pins_move_up);
		if (!err && rmdir(ready))
			err = -errno;
	}
	free(ready);
	return err;
}

int pins_put_in_place(const char *pins)
{
	char *new = pin_path(pins, PINS_NEW), *ready = pin_path(pins, PINS_READY);
	int err = new && ready ? 0 : -ENOMEM;

	if (!err && rename(new, ready))
		err = -errno;
	free(new);
	free(ready);
	return err ?: maps_pins_settle(pins);
}

int maps_unpin(const char *pins)
{
	int err = empty_pins(pins);

	if (!err && rmdir(pins) && errno != ENOENT && errno != ENOTEMPTY)
		err = -errno;
	return err;
}

/*
 * The layout of the pins. -ENOENT when there is none, or a first start did not get to its end; another error says
 * nothing of what is there.
 */
static int pinned_layout(const char *pins, uint32_t *layout)
{
	int fd = pin_open(pins, "layout"), err;
	uint32_t zero = 0;

	*layout = 0;
	if (fd < 0)
		return fd;
	err = bpf_map_lookup_elem(fd, &zero, layout);
	close(fd);
	return err ?: *layout ? 0 : -ENOENT;
}

int pin_compare(const char *pins, const struct bpf_map *map)
{
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);
	int fd = pin_open(pins, bpf_map__name(map)), err = fd < 0 ? fd : bpf_obj_get_info_by_fd(fd, &info, &len);

	if (fd >= 0)
		close(fd);
	if (err)
		return err;
	return info.type == bpf_map__type(map) && info.key_size == bpf_map__key_size(map) &&
			       info.value_size == bpf_map__value_size(map) &&
			       info.max_entries == bpf_map__max_entries(map) &&
			       info.map_flags == bpf_map__map_flags(map)
		       ? 0
		       : -EPROTO;
}

int maps_look(const char *pins, struct maps_pinned *out)
{
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info), zero = 0;
	unsigned char table[MAPS_TABLE_MAX] = {};
	int fd = -1, err;

	*out = (struct maps_pinned){};
	err = pinned_layout(pins, &out->layout);
	if (!err) {
		fd = pin_open(pins, "flows");
		err = fd < 0 ? fd : bpf_obj_get_info_by_fd(fd, &info, &len);
	}
	if (fd >= 0)
		close(fd);
	if (err)
		return err;
	out->slots = info.max_entries;
	fd = pin_open(pins, "flow_table");
	len = sizeof(info);
	if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len) && info.value_size <= sizeof(table) &&
	    !bpf_map_lookup_elem(fd, &zero, table))
		memcpy(&out->used, table + offsetof(struct flow_table, used), sizeof(out->used));
	if (fd >= 0)
		close(fd);
	out->readable = carry_reads(out->layout);
	return 0;
}

int pins_open(const char *pins, struct maps_pinned *found, char **error)
{
	int err = maps_make_pins(pins, error);

	if (err)
		return err;
	err = maps_pins_settle(pins) ?: maps_look(pins, found);
	if (err == -ENOENT) { /* nothing but that: what could not be looked at may hold live flows */
		*found = (struct maps_pinned){};
		err = empty_pins(pins);
	}
	return err ? maps_fail(error, err, "cannot look at %s: %s", pins, strerror(-err)) : 0;
}

/* Working memory of one run and constants belong to the programs, not to the gateway. */
bool is_pinned_map(const struct bpf_map *map)
{
	const char *name = bpf_map__name(map);
	size_t len = strlen(name);

	return name[0] != '.' && !strchr(name, '.') && (len < 5 || strcmp(name + len - 5, "_work") != 0);
}

/* 0: the maps that are pinned are as the programs want them. -EPROTO: some are not. Another error says neither. */
static int pins_compare(const struct maps *m)
{
	struct bpf_map *map;
	int result = 0;

	bpf_object__for_each_map(map, m->skel->obj)
	{
		int err = is_pinned_map(map) ? pin_compare(m->pins, map) : 0;

		if (err && err != -ENOENT && err != -EPROTO)
			return err;
		if (err == -EPROTO)
			result = err;
	}
	return result;
}

static int set_paths(const struct maps *m, const char *folder)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, m->skel->obj)
	{
		char *path;
		int err;

		if (!is_pinned_map(map))
			continue;
		path = pin_path(folder, bpf_map__name(map));
		err = path ? bpf_map__set_pin_path(map, path) : -ENOMEM;
		free(path);
		if (err)
			return err;
	}
	return 0;
}

int pins_plan(struct maps *m, const struct maps_pinned *found)
{
	int err = found->layout == SLUICE_LAYOUT ? pins_compare(m) : -EPROTO;
	char *new;

	if (err && err != -EPROTO)
		return err; /* taken for another form, it would end all flows */
	m->reused = !err;
	m->aside = found->layout && err;
	if (!m->aside)
		return set_paths(m, m->pins);
	new = pin_path(m->pins, PINS_NEW);
	err = !new ? -ENOMEM : mkdir(new, 0700) ? -errno : set_paths(m, new);
	free(new);
	return err ?: carry_prepare(m, found);
}

void pins_abandon(const char *pins)
{
	remove_within(pins, PINS_NEW);
}
