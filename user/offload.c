/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/offload.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define BLOCK_BITS 32

static int call(const char *interface, void *command)
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

/* How many features the kernel knows; 0: cannot be told. */
static unsigned count_features(const char *interface)
{
	struct {
		struct ethtool_sset_info info;
		__u32 count;
	} ask = {.info = {.cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1ull << ETH_SS_FEATURES}};

	return call(interface, &ask) || !ask.info.sset_mask ? 0 : ask.count;
}

/* The feature's number among @n, or -errno. */
static int find(const char *interface, const char *feature, unsigned n)
{
	struct ethtool_gstrings *names = calloc(1, sizeof(*names) + (size_t)n * ETH_GSTRING_LEN);
	int index = -ENOENT, err;

	if (!names)
		return -ENOMEM;
	names->cmd = ETHTOOL_GSTRINGS;
	names->string_set = ETH_SS_FEATURES;
	names->len = n;
	err = call(interface, names);
	for (unsigned i = 0; !err && i < n && index < 0; i++)
		if (!strncmp((char *)names->data + i * ETH_GSTRING_LEN, feature, ETH_GSTRING_LEN))
			index = (int)i;
	free(names);
	return err ?: index;
}

int offload_get(const char *interface, const char *feature, bool *on)
{
	unsigned n = count_features(interface), blocks = (n + BLOCK_BITS - 1) / BLOCK_BITS;
	int index = find(interface, feature, n), err;
	struct ethtool_gfeatures *all;

	if (index < 0)
		return index;
	all = calloc(1, sizeof(*all) + blocks * sizeof(all->features[0]));
	if (!all)
		return -ENOMEM;
	all->cmd = ETHTOOL_GFEATURES;
	all->size = blocks;
	err = call(interface, all);
	if (!err)
		*on = all->features[index / BLOCK_BITS].active >> index % BLOCK_BITS & 1;
	free(all);
	return err;
}

int offload_set(const char *interface, const char *feature, bool on)
{
	unsigned n = count_features(interface), blocks = (n + BLOCK_BITS - 1) / BLOCK_BITS;
	int index = find(interface, feature, n), err;
	struct ethtool_sfeatures *change;
	bool now;

	if (index < 0)
		return index;
	change = calloc(1, sizeof(*change) + blocks * sizeof(change->features[0]));
	if (!change)
		return -ENOMEM;
	change->cmd = ETHTOOL_SFEATURES;
	change->size = blocks;
	change->features[index / BLOCK_BITS].valid = 1u << index % BLOCK_BITS;
	change->features[index / BLOCK_BITS].requested = on ? 1u << index % BLOCK_BITS : 0;
	err = call(interface, change);
	free(change);
	if (!err && !offload_get(interface, feature, &now) && now != on)
		err = -EOPNOTSUPP;
	return err;
}
