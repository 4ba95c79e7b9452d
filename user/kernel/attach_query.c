/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is on an interface: our programs, to see that they are still there, and those
 * of others, to speak of. clsact's filters are listed by netlink (RTM_GETTFILTER);
 * the rest by bpf().
 */
#include "attach_private.h"
#include "maps_private.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_ON_HOOK 64

/* 0 and the program's id and name (BPF_OBJ_NAME_LEN), or -errno. */
static int program_info(int prog_fd, uint32_t *id, char *name)
{
	struct bpf_prog_info info = {};
	uint32_t len = sizeof(info);
	int err = bpf_obj_get_info_by_fd(prog_fd, &info, &len);

	if (err)
		return err;
	*id = info.id;
	memcpy(name, info.name, BPF_OBJ_NAME_LEN);
	name[BPF_OBJ_NAME_LEN - 1] = 0;
	return 0;
}

bool attach_program_name(uint32_t id, char *name)
{
	int fd = bpf_prog_get_fd_by_id(id);
	uint32_t same;
	bool ok;

	if (fd < 0)
		return false;
	ok = program_info(fd, &same, name) == 0;
	close(fd);
	return ok;
}

bool attach_is_our_name(const char *name)
{
	for (enum program p = 0; p < PROGRAM_MAX; p++)
		if (strcmp(name, maps_program_name(p)) == 0)
			return true;
	return false;
}

/*
 * Ids of the programs that tcx runs at a point: how many, 0 also before Linux 6.6 and where the interface is gone, or
 * -errno.
 */
static int tcx_query(unsigned ifindex, enum attach_point point, uint32_t ids[MAX_ON_HOOK])
{
	uint32_t flags = 0, n = MAX_ON_HOOK;
	int err = bpf_prog_query((int)ifindex, tcx_type(point), 0, &flags, ids, &n);

	if (err == -EINVAL || err == -ENODEV)
		return 0;
	return err ? err : (int)n;
}

static enum attach_way verify_xdp(unsigned ifindex, uint32_t id)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, q);
	int err = bpf_xdp_query((int)ifindex, 0, &q);

	if (err)
		return err == -ENODEV ? ATTACH_NONE : ATTACH_UNKNOWN;
	if (q.drv_prog_id == id)
		return ATTACH_XDP_NATIVE;
	return q.skb_prog_id == id ? ATTACH_XDP_GENERIC : ATTACH_NONE;
}

enum attach_way attach_verify(const struct maps *m, enum program program, unsigned ifindex, enum attach_point point)
{
	uint32_t ids[MAX_ON_HOOK], id;
	char name[BPF_OBJ_NAME_LEN];
	int64_t clsact;
	int n;

	if (program_info(maps_program(m, program), &id, name))
		return ATTACH_UNKNOWN;
	if (point == ATTACH_XDP && verify_xdp(ifindex, id) != ATTACH_NONE)
		return verify_xdp(ifindex, id);
	if (point == ATTACH_XDP) /* the front has a program for each mode */
		return program_info(maps_program(m, PROGRAM_FRONT_GENERIC), &id, name) ? ATTACH_UNKNOWN
										       : verify_xdp(ifindex, id);
	n = tcx_query(ifindex, point, ids);
	if (n < 0)
		return ATTACH_UNKNOWN;
	for (int i = 0; i < n; i++)
		if (ids[i] == id)
			return ATTACH_TCX;
	clsact = attach_clsact_query(m->pins, ifindex, point, program);
	return clsact < 0 ? ATTACH_UNKNOWN : clsact == id ? ATTACH_CLSACT : ATTACH_NONE;
}

/* ---- others' --------------------------------------------------------------------- */

struct foreign_list {
	struct attach_foreign *out;
	size_t n, max;
	enum attach_point point;
};

static void list_add(struct foreign_list *l, uint32_t id, const char *name)
{
	if (attach_is_our_name(name))
		return;
	if (l->n < l->max) {
		l->out[l->n] = (struct attach_foreign){.point = l->point, .id = id};
		strncpy(l->out[l->n].name, name, sizeof(l->out->name) - 1);
	}
	l->n++;
}

static void list_add_id(struct foreign_list *l, uint32_t id)
{
	char name[BPF_OBJ_NAME_LEN];

	if (id && attach_program_name(id, name))
		list_add(l, id, name);
}

static int options_attr(const struct nlattr *attr, void *data)
{
	uint32_t *id = data;

	if (mnl_attr_get_type(attr) == TCA_BPF_ID && mnl_attr_validate(attr, MNL_TYPE_U32) == 0)
		*id = mnl_attr_get_u32(attr);
	return MNL_CB_OK;
}

struct filter {
	const char *kind;
	uint32_t id; /* of a BPF program; 0: it is another kind of filter */
};

static int filter_attr(const struct nlattr *attr, void *data)
{
	struct filter *f = data;

	if (mnl_attr_get_type(attr) == TCA_KIND && mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) == 0)
		f->kind = mnl_attr_get_str(attr);
	if (mnl_attr_get_type(attr) == TCA_OPTIONS)
		mnl_attr_parse_nested(attr, options_attr, &f->id);
	return MNL_CB_OK;
}

static int filter_message(const struct nlmsghdr *nlh, void *data)
{
	const struct tcmsg *tc = mnl_nlmsg_get_payload(nlh);
	struct filter f = {.kind = ""};

	if (nlh->nlmsg_type != RTM_NEWTFILTER || !tc->tcm_handle) /* 0: the head of a list of filters */
		return MNL_CB_OK;
	mnl_attr_parse(nlh, sizeof(*tc), filter_attr, &f);
	if (f.id)
		list_add_id(data, f.id);
	else
		list_add(data, 0, f.kind);
	return MNL_CB_OK;
}

/* Filters of one direction of clsact; none when there is no clsact. */
static void list_clsact(struct foreign_list *l, struct mnl_socket *nl, unsigned ifindex)
{
	char buf[32768];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	uint32_t seq = (uint32_t)l->point + 1;
	struct tcmsg *tc;
	ssize_t n;
	int more;

	nlh->nlmsg_type = RTM_GETTFILTER;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nlh->nlmsg_seq = seq;
	tc = mnl_nlmsg_put_extra_header(nlh, sizeof(*tc));
	tc->tcm_family = AF_UNSPEC;
	tc->tcm_ifindex = (int)ifindex;
	tc->tcm_parent = TC_H_MAKE(TC_H_CLSACT, l->point == ATTACH_INGRESS ? TC_H_MIN_INGRESS : TC_H_MIN_EGRESS);
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		return;
	do {
		n = mnl_socket_recvfrom(nl, buf, sizeof(buf));
		more = n > 0 ? mnl_cb_run(buf, (size_t)n, seq, mnl_socket_get_portid(nl), filter_message, l) : 0;
	} while (more > 0);
}

size_t attach_foreign(unsigned ifindex, struct attach_foreign *out, size_t max)
{
	struct mnl_socket *nl = mnl_socket_open(NETLINK_ROUTE);
	struct foreign_list l = {.out = out, .max = max};
	LIBBPF_OPTS(bpf_xdp_query_opts, q);
	uint32_t ids[MAX_ON_HOOK];

	for (l.point = ATTACH_INGRESS; l.point <= ATTACH_EGRESS; l.point++) {
		int n = tcx_query(ifindex, l.point, ids);

		for (int i = 0; i < n; i++)
			list_add_id(&l, ids[i]);
		if (nl && mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) == 0)
			list_clsact(&l, nl, ifindex);
	}
	l.point = ATTACH_XDP;
	if (bpf_xdp_query((int)ifindex, 0, &q) == 0)
		list_add_id(&l, q.drv_prog_id ? q.drv_prog_id : q.skb_prog_id);
	if (nl)
		mnl_socket_close(nl);
	return l.n < max ? l.n : max;
}
