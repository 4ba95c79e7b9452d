/* SPDX-License-Identifier: BSD-2-Clause */
/* Asks over rtnetlink which user may open a TAP, and how many queues are open (tap_link.h). */
#include "tap_link.h"

#include <linux/if_link.h>
#include <string.h>

#include "netlink_private.h"

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

static int tap_link_ask(struct netlink_request *r, mnl_cb_t each, void *ctx)
{
	struct netlink n;
	int err = netlink_open(&n);

	if (err)
		return err;
	err = netlink_ask(&n, r, each, ctx);
	netlink_close(&n);
	return err;
}

int tap_link_get(const char *name, struct tap_link *out)
{
	struct netlink_request r;

	memset(out, 0, sizeof(*out));
	if (strlen(name) >= IFNAMSIZ)
		return -ENODEV;
	netlink_begin(&r, RTM_GETLINK, 0, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(r.nlh, IFLA_IFNAME, name);
	return tap_link_ask(&r, tap_link_take_link, out);
}

int tap_link_delete(int ifindex)
{
	struct netlink_request r;
	struct ifinfomsg *ifi = netlink_begin(&r, RTM_DELLINK, 0, sizeof(*ifi));

	ifi->ifi_index = ifindex;
	return tap_link_ask(&r, NULL, NULL);
}
