/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Putting programs on interfaces, and taking them off. A link is pinned as
 * link_PROGRAM_IFINDEX beside the maps. The link of an interface that has gone is a
 * dead one: its interface reads 0, and it is made anew.
 */
#include "netlink.h" /* first: see there */

#include "attach_private.h"

#include <dirent.h>
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINK_PREFIX "link_"

static int attach_fail(char **error, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static int attach_fail(char **error, int err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	if (vasprintf(error, fmt, args) < 0)
		*error = NULL;
	va_end(args);
	return err;
}

#define ATTACH_POINTS (ATTACH_XDP + 1)

/* Where a program goes; ATTACH_POINTS: on no interface. */
static enum attach_point point_of(enum program p)
{
	switch (p) {
	case PROGRAM_TAP_IN:
	case PROGRAM_NIC_IN:
	case PROGRAM_NIC_FENCE:
		return ATTACH_INGRESS;
	case PROGRAM_NIC_OUT:
		return ATTACH_EGRESS;
	case PROGRAM_FRONT:
	case PROGRAM_FRONT_GENERIC:
		return ATTACH_XDP;
	default:
		return ATTACH_POINTS;
	}
}

const char *attach_way_name(enum attach_way way)
{
	static const char *const names[] = {
		[ATTACH_NONE] = "missing",	  [ATTACH_TCX] = "tcx",
		[ATTACH_CLSACT] = "clsact",	  [ATTACH_XDP_NATIVE] = "native",
		[ATTACH_XDP_GENERIC] = "generic", [ATTACH_UNKNOWN] = "not known",
	};

	return names[way];
}

/* ---- pinned links --------------------------------------------------------------- */

static void link_path(char *path, size_t size, const char *pins, enum program p, unsigned ifindex)
{
	snprintf(path, size, "%s/" LINK_PREFIX "%s_%u", pins, maps_program_name(p), ifindex);
}

/* 0 and the interface a link is on (0: it is dead), or -errno: the kernel did not tell. */
static int link_ifindex(int link, unsigned *ifindex)
{
	struct bpf_link_info info = {};
	uint32_t len = sizeof(info);
	int err = bpf_obj_get_info_by_fd(link, &info, &len);

	*ifindex = err ? 0 : info.xdp.ifindex; /* a tcx link's stands in the same place */
	return err;
}

/* The pinned link that is on @ifindex, with its program replaced; -ENOENT: there is none. A pin is removed only
 * where the kernel has said that its link is dead, or elsewhere. */
static int link_take_over(const char *path, int prog_fd, unsigned ifindex)
{
	int link = bpf_obj_get(path), err;
	unsigned on;

	if (link < 0)
		return link;
	err = link_ifindex(link, &on);
	if (!err)
		err = on == ifindex ? bpf_link_update(link, prog_fd, NULL) : -ENOLINK;
	if (!err)
		return link;
	close(link);
	if (err != -ENOLINK)
		return err;
	unlink(path);
	return -ENOENT;
}

/* A link made or taken over: a descriptor, or -errno. @flags: of XDP. */
static int link_attach(const char *path, int prog_fd, unsigned ifindex, enum bpf_attach_type type, uint32_t flags)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = flags);
	int link = path ? link_take_over(path, prog_fd, ifindex) : -ENOENT, err;

	if (link != -ENOENT)
		return link;
	link = bpf_link_create(prog_fd, (int)ifindex, type, &opts);
	if (link < 0 || !path)
		return link;
	err = bpf_obj_pin(link, path);
	if (!err)
		return link;
	close(link);
	return err;
}

/* Gives the link to the caller, or lets it live by its pin. */
static void hand_over(int fd, int *link)
{
	if (link)
		*link = fd;
	else
		close(fd);
}

/* ---- clsact --------------------------------------------------------------------- */

static enum bpf_tc_attach_point tc_point(enum attach_point point)
{
	return point == ATTACH_INGRESS ? BPF_TC_INGRESS : BPF_TC_EGRESS;
}

int64_t attach_clsact_query(const char *pins, unsigned ifindex, enum attach_point point, enum program p)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = tc_point(point));
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = clsact_handle(pins), .priority = clsact_priority(p));
	int err = bpf_tc_query(&hook, &opts);

	if (err == -ENOENT || err == -EINVAL || err == -ENODEV) /* no filter, no clsact, no interface */
		return 0;
	return err ? err : (int64_t)opts.prog_id;
}

static bool clsact_is_ours(uint32_t id)
{
	char name[BPF_OBJ_NAME_LEN];

	return attach_program_name(id, name) && attach_is_our_name(name);
}

static int clsact_attach(int prog_fd, const char *pins, unsigned ifindex, enum attach_point point, enum program p)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = tc_point(point));
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = prog_fd, .handle = clsact_handle(pins),
		    .priority = clsact_priority(p), .flags = BPF_TC_F_REPLACE);
	int64_t id = attach_clsact_query(pins, ifindex, point, p);
	int err;

	if (id < 0)
		return (int)id;
	if (id && !clsact_is_ours((uint32_t)id))
		return -EBUSY;
	err = bpf_tc_hook_create(&hook);
	if (err && err != -EEXIST)
		return err;
	return bpf_tc_attach(&hook, &opts);
}

static int clsact_remove(const char *pins, unsigned ifindex, enum attach_point point, enum program p)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = tc_point(point));
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = clsact_handle(pins), .priority = clsact_priority(p));
	int64_t id = attach_clsact_query(pins, ifindex, point, p);
	struct netlink netlink;
	int err;

	if (id < 0)
		return (int)id;
	if (!id || !clsact_is_ours((uint32_t)id))
		return 0;
	err = bpf_tc_detach(&hook, &opts);
	if (!err && !netlink_open(&netlink)) {
		netlink_clsact_tidy(&netlink, (int)ifindex);
		netlink_close(&netlink);
	}
	return err;
}

/* ---- attaching ------------------------------------------------------------------ */

int attach_tc(const struct maps *m, const char *pins, enum program program, unsigned ifindex, enum attach_point point,
	      enum attach_way *way, int *link, char **error)
{
	int prog_fd = maps_program(m, program), fd, err;
	char path[PATH_MAX];

	if (link)
		*link = -1;
	if (!pins && !link)
		return attach_fail(error, -EINVAL, "a program that is not pinned needs its link kept");
	if (pins)
		link_path(path, sizeof(path), pins, program, ifindex);
	fd = link_attach(pins ? path : NULL, prog_fd, ifindex, tcx_type(point), 0);
	if (fd >= 0) {
		hand_over(fd, link);
		*way = ATTACH_TCX;
		return 0;
	}
	if (fd != -EINVAL) /* before Linux 6.6 there is no such thing */
		return attach_fail(error, fd, "cannot attach %s: %s", maps_program_name(program), strerror(-fd));
	err = clsact_attach(prog_fd, pins, ifindex, point, program);
	if (err)
		return attach_fail(error, err, "cannot attach %s to clsact: %s", maps_program_name(program),
				   strerror(-err));
	*way = ATTACH_CLSACT;
	return 0;
}

/* A link keeps the mode it was made in: one of the other mode has to go first. */
static void drop_other_mode(const char *path, unsigned ifindex, bool generic)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, q);
	int link;

	if (bpf_xdp_query((int)ifindex, 0, &q) || q.attach_mode == XDP_ATTACHED_NONE)
		return;
	if ((q.attach_mode == XDP_ATTACHED_SKB) == generic)
		return;
	link = bpf_obj_get(path);
	if (link < 0)
		return;
	bpf_link_detach(link);
	close(link);
	unlink(path);
}

int attach_xdp(const struct maps *m, const char *pins, unsigned ifindex, bool generic, int *link, char **error)
{
	uint32_t flags = generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE;
	char path[PATH_MAX];
	int fd;

	if (link)
		*link = -1;
	if (!pins && !link)
		return attach_fail(error, -EINVAL, "a program that is not pinned needs its link kept");
	if (pins) {
		link_path(path, sizeof(path), pins, PROGRAM_FRONT, ifindex);
		drop_other_mode(path, ifindex, generic);
	}
	fd = link_attach(pins ? path : NULL, maps_program(m, generic ? PROGRAM_FRONT_GENERIC : PROGRAM_FRONT), ifindex,
			 BPF_XDP, flags);
	if (fd == -EBUSY || fd == -EEXIST)
		return attach_fail(error, -EBUSY,
				   "another XDP program is on the interface (tunnel.xdp: off goes without)");
	if (fd < 0)
		return attach_fail(error, fd, "cannot attach XDP in %s mode: %s", generic ? "generic" : "native",
				   strerror(-fd));
	hand_over(fd, link);
	return 0;
}

/* ---- removing ------------------------------------------------------------------- */

static int remove_link(const char *path)
{
	int link = bpf_obj_get(path), err = 0;

	if (link >= 0) {
		err = bpf_link_detach(link); /* at once, whoever else holds it */
		close(link);
	}
	if (err == -ENOLINK)
		err = 0;
	if (unlink(path) && errno != ENOENT && !err)
		err = -errno;
	return err;
}

static int remove_program(const char *pins, unsigned ifindex, enum attach_point point, enum program p)
{
	char path[PATH_MAX];
	int err = 0;

	if (pins) {
		link_path(path, sizeof(path), pins, p, ifindex);
		err = remove_link(path);
	}
	if (!err && point != ATTACH_XDP)
		err = clsact_remove(pins, ifindex, point, p);
	return err;
}

int attach_remove(const char *pins, unsigned ifindex, enum attach_point point)
{
	int first = 0;

	for (enum program p = 0; p < PROGRAM_MAX; p++) {
		int err = point_of(p) == point ? remove_program(pins, ifindex, point, p) : 0;

		if (!first)
			first = err;
	}
	return first;
}

static int remove_links(const char *pins)
{
	DIR *dir = opendir(pins);
	char path[PATH_MAX];
	struct dirent *e;
	int first = 0;

	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	for (errno = 0; (e = readdir(dir)); errno = 0) { /* NULL is its end, or says that it cannot be read on */
		int err;

		if (strncmp(e->d_name, LINK_PREFIX, strlen(LINK_PREFIX)) != 0)
			continue;
		if ((size_t)snprintf(path, sizeof(path), "%s/%s", pins, e->d_name) >= sizeof(path))
			continue;
		err = remove_link(path);
		if (!first)
			first = err;
	}
	first = first ?: -errno;
	closedir(dir);
	return first;
}

int attach_remove_all(const char *pins)
{
	struct if_nameindex *list = if_nameindex();
	int first = list ? 0 : -errno, err = remove_links(pins);

	first = first ?: err;

	for (size_t i = 0; list && list[i].if_index; i++) {
		for (enum attach_point point = ATTACH_INGRESS; point <= ATTACH_EGRESS; point++) {
			err = attach_remove(pins, list[i].if_index, point);
			first = first ?: err;
		}
	}
	if (list)
		if_freenameindex(list);
	return first;
}
