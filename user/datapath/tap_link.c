/* SPDX-License-Identifier: BSD-2-Clause */
/* Who may open a TAP and who has it open, as the kernel says it over rtnetlink (tap_link.h). */
#include "tap_link.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>

static int take_data(const struct nlattr *attr, void *ctx)
{
	struct tap_link *out = ctx;
	uint16_t type = mnl_attr_get_type(attr);

	if (type != IFLA_TUN_OWNER && type != IFLA_TUN_GROUP && type != IFLA_TUN_NUM_QUEUES &&
	    type != IFLA_TUN_NUM_DISABLED_QUEUES)
		return MNL_CB_OK;
	if (mnl_attr_validate(attr, MNL_TYPE_U32) < 0)
		return MNL_CB_ERROR;
	switch (type) {
	case IFLA_TUN_OWNER:
		out->has_owner = true;
		out->owner = mnl_attr_get_u32(attr);
		break;
	case IFLA_TUN_GROUP:
		out->has_group = true;
		out->group = mnl_attr_get_u32(attr);
		break;
	case IFLA_TUN_NUM_QUEUES:
		out->queues = mnl_attr_get_u32(attr);
		break;
	default:
		out->disabled = mnl_attr_get_u32(attr);
	}
	return MNL_CB_OK;
}

static int take_info(const struct nlattr *attr, void *ctx)
{
	struct tap_link *out = ctx;

	if (mnl_attr_get_type(attr) == IFLA_INFO_KIND)
		out->is_tun = !strcmp(mnl_attr_get_str(attr), "tun");
	else if (mnl_attr_get_type(attr) == IFLA_INFO_DATA && out->is_tun) /* the kind comes before its data */
		return mnl_attr_parse_nested(attr, take_data, out);
	return MNL_CB_OK;
}

static int take_attribute(const struct nlattr *attr, void *ctx)
{
	return mnl_attr_get_type(attr) == IFLA_LINKINFO ? mnl_attr_parse_nested(attr, take_info, ctx) : MNL_CB_OK;
}

static int tap_link_take_link(const struct nlmsghdr *nlh, void *ctx)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	struct tap_link *out = ctx;

	out->ifindex = ifi->ifi_index;
	return mnl_attr_parse(nlh, sizeof(*ifi), take_attribute, out);
}

/* Sends one request and reads until its acknowledgement. 0 or -errno. */
static int tap_link_ask(struct nlmsghdr *nlh, mnl_cb_t each, void *ctx)
{
	_Alignas(struct nlmsghdr) char answer[16384];
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	int more = 1, err;

	if (!socket)
		return -errno;
	nlh->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0 || mnl_socket_sendto(socket, nlh, nlh->nlmsg_len) < 0)
		more = -1;
	while (more > 0) {
		ssize_t len = mnl_socket_recvfrom(socket, answer, sizeof(answer));

		if (len < 0 && errno == EINTR)
			continue;
		more = len < 0 ? -1 : mnl_cb_run(answer, (size_t)len, 0, mnl_socket_get_portid(socket), each, ctx);
	}
	err = more < 0 ? -errno : 0;
	mnl_socket_close(socket);
	return err;
}

int tap_link_get(const char *name, struct tap_link *out)
{
	_Alignas(struct nlmsghdr) char buf[256] = {0};
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);

	memset(out, 0, sizeof(*out));
	if (strlen(name) >= IFNAMSIZ)
		return -ENODEV;
	nlh->nlmsg_type = RTM_GETLINK;
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(nlh, IFLA_IFNAME, name);
	return tap_link_ask(nlh, tap_link_take_link, out);
}

int tap_link_delete(int ifindex)
{
	_Alignas(struct nlmsghdr) char buf[256] = {0};
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *ifi;

	nlh->nlmsg_type = RTM_DELLINK;
	ifi = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifi));
	ifi->ifi_index = ifindex;
	return tap_link_ask(nlh, NULL, NULL);
}
