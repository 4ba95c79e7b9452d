/* SPDX-License-Identifier: BSD-2-Clause */
#include "offload.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define FEATURES_MAX 128 /* Linux 6.18 has about half of that */
#define BLOCK_BITS   32
#define BLOCKS	     (FEATURES_MAX / BLOCK_BITS)

static int offload_call(const char *interface, void *command)
{
	struct ifreq ifr = {.ifr_data = command};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), err = 0;

	if (fd < 0)
		return -errno;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", interface);
	if (ioctl(fd, SIOCETHTOOL, &ifr))
		err = -errno;
	close(fd);
	return err;
}

/* How many features the kernel knows; 0: cannot be told, or more than we have room for. */
static uint32_t count_features(const char *interface)
{
	struct {
		struct ethtool_sset_info info;
		uint32_t n;
	} sset = {.info = {.cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1ull << ETH_SS_FEATURES}};

	return offload_call(interface, &sset) || !sset.info.sset_mask || sset.n > FEATURES_MAX ? 0 : sset.n;
}

/* The feature's number, or -errno. */
static int offload_find(const char *interface, const char *feature)
{
	struct {
		struct ethtool_gstrings head;
		char text[FEATURES_MAX][ETH_GSTRING_LEN];
	} names = {.head = {.cmd = ETHTOOL_GSTRINGS, .string_set = ETH_SS_FEATURES}};
	int err;

	names.head.len = count_features(interface);
	err = offload_call(interface, &names);
	for (uint32_t i = 0; !err && i < names.head.len; i++)
		if (!strncmp(names.text[i], feature, ETH_GSTRING_LEN))
			return (int)i;
	return err ?: -ENOENT;
}

int offload_get(const char *interface, const char *feature, bool *on)
{
	struct {
		struct ethtool_gfeatures head;
		struct ethtool_get_features_block block[BLOCKS];
	} all = {.head = {.cmd = ETHTOOL_GFEATURES, .size = BLOCKS}};
	int index = offload_find(interface, feature), err;

	if (index < 0)
		return index;
	err = offload_call(interface, &all);
	if (!err)
		*on = all.block[index / BLOCK_BITS].active >> index % BLOCK_BITS & 1;
	return err;
}

int offload_set(const char *interface, const char *feature, bool on)
{
	uint32_t blocks =
		(count_features(interface) + BLOCK_BITS - 1) / BLOCK_BITS; /* exactly, or the kernel refuses */
	struct {
		struct ethtool_sfeatures head;
		struct ethtool_set_features_block block[BLOCKS];
	} change = {.head = {.cmd = ETHTOOL_SFEATURES, .size = blocks}};
	int index = offload_find(interface, feature), err;
	bool now;

	if (index < 0)
		return index;
	change.block[index / BLOCK_BITS].valid = 1u << index % BLOCK_BITS;
	change.block[index / BLOCK_BITS].requested = on ? 1u << index % BLOCK_BITS : 0;
	err = offload_call(interface, &change);
	if (!err && !offload_get(interface, feature, &now) && now != on)
		err = -EOPNOTSUPP;
	return err;
}
