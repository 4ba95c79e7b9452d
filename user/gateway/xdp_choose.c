/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the front runs. XDP is free where the driver runs it on the ring's buffers,
 * before it builds packets, and nothing else has to be given up for it. It is not on
 * veth (each frame is copied, and the peer loses its segmentation), on virtio with
 * GRO in hardware (which XDP switches off), with an MTU or a number of queues that the
 * driver cannot combine with XDP, and never in generic mode (super-packets are copied
 * into one piece first).
 */
#include "xdp_choose.h"
#include "user/kernel/offload.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define XDP_PAGE_MTU 3498 /* a frame with headroom and tail in a page of 4 KiB */

/* Drivers that run XDP natively and what they ask for. */
static const struct driver {
	const char *name;
	uint32_t mtu;	       /* the largest that fits a page with headroom; 0: no limit of its own */
	uint32_t queues_a_cpu; /* of transmit, set aside for XDP: 1 a CPU; 0: none */
	bool half_queues;      /* may use only half of its queues with XDP */
} drivers[] = {
	{"ena", XDP_PAGE_MTU, 0, true},
	{"gve", 2048, 0, true},
	{"i40e", 0, 1, false},
	{"ice", 0, 1, false},
	{"igb", 3050, 0, false},
	{"igc", 3050, 0, false},
	{"ixgbe", 3050, 1, false},
	{"mlx4_en", XDP_PAGE_MTU, 0, false},
	{"mlx5_core", 0, 0, false},
	{"bnxt_en", XDP_PAGE_MTU, 0, false},
	{"hv_netvsc", 3050, 0, false},
	{"mana", XDP_PAGE_MTU, 0, false},
	{"nfp", XDP_PAGE_MTU, 0, false},
	{"qede", XDP_PAGE_MTU, 0, false},
	{"sfc", XDP_PAGE_MTU, 0, false},
	{"thunder_nicvf", 1508, 0, false},
	{"atlantic", 2048, 0, false},
	{"stmmac", 1500, 0, false},
	{"mvneta", XDP_PAGE_MTU, 0, false},
	{"cpsw", 1500, 0, false},
	{"tsnep", 1500, 0, false},
};

static const struct driver *driver_of(const char *name)
{
	for (size_t i = 0; i < sizeof(drivers) / sizeof(*drivers); i++)
		if (strcmp(drivers[i].name, name) == 0)
			return &drivers[i];
	return NULL;
}

static void xdp_choose_mode(struct xdp_choice *out, enum xdp_mode mode, const char *reason)
{
	out->mode = mode;
	snprintf(out->reason, sizeof(out->reason), "%s", reason);
}

/* Off because of @why, which can be overruled. */
static void off(struct xdp_choice *out, const char *why)
{
	out->mode = XDP_MODE_OFF;
	snprintf(out->reason, sizeof(out->reason), "%s (xdp: native to force)", why);
}

/* Names the cost of native XDP on a driver that has it; NULL: it costs nothing. */
static const char *price(const struct driver *d, const struct xdp_nic *nic)
{
	uint32_t used = nic->rx_queues > nic->tx_queues ? nic->rx_queues : nic->tx_queues;

	if (d->mtu && nic->mtu > d->mtu)
		return "the MTU is too large for XDP on this driver";
	if (d->half_queues && nic->max_queues && used > nic->max_queues / 2)
		return "XDP would take half of the queues in use";
	if (d->queues_a_cpu && nic->max_queues && nic->cpus > nic->max_queues)
		return "XDP needs a queue for each CPU";
	return NULL;
}

static void choose_virtio(const struct xdp_nic *nic, struct xdp_choice *out)
{
	if (nic->gro_hw)
		off(out, "virtio would lose GRO_HW");
	else if (nic->mtu > XDP_PAGE_MTU)
		off(out, "the MTU is too large for XDP on this driver");
	else if (nic->max_queues && nic->cpus + nic->rx_queues > nic->max_queues)
		off(out, "virtio has no spare queues for XDP");
	else
		xdp_choose_mode(out, XDP_MODE_NATIVE, "virtio without GRO_HW runs XDP before it builds packets");
}

static void choose_auto(const struct xdp_nic *nic, struct xdp_choice *out)
{
	const struct driver *d = driver_of(nic->driver);
	const char *why;

	if (!*nic->driver) {
		xdp_choose_mode(out, XDP_MODE_OFF, "the driver is not known");
	} else if (strcmp(nic->driver, "veth") == 0) {
		off(out, "veth would copy every frame and lose its peer's offloads");
	} else if (strcmp(nic->driver, "virtio_net") == 0) {
		choose_virtio(nic, out);
	} else if (!d) {
		off(out, "nobody has measured XDP on this driver");
	} else {
		why = price(d, nic);
		if (why)
			off(out, why);
		else
			xdp_choose_mode(out, XDP_MODE_NATIVE, "the driver runs XDP before it builds packets");
	}
}

void xdp_choose(const struct xdp_nic *nic, enum xdp_wanted wanted, struct xdp_choice *out)
{
	switch (wanted) {
	case XDP_OFF:
		xdp_choose_mode(out, XDP_MODE_OFF, "configured");
		break;
	case XDP_NATIVE:
		xdp_choose_mode(out, XDP_MODE_NATIVE, "configured");
		break;
	case XDP_GENERIC:
		xdp_choose_mode(out, XDP_MODE_GENERIC, "configured");
		break;
	case XDP_AUTO:
		choose_auto(nic, out);
		break;
	}
}

/* ---- what there is ---------------------------------------------------------------- */

static int ethtool(int fd, struct ifreq *ifr, void *command)
{
	ifr->ifr_data = command;
	return ioctl(fd, SIOCETHTOOL, ifr) ? -errno : 0;
}

static void read_queues(int fd, struct ifreq *ifr, struct xdp_nic *nic)
{
	struct ethtool_channels c = {.cmd = ETHTOOL_GCHANNELS};

	if (ethtool(fd, ifr, &c))
		return;
	nic->rx_queues = c.combined_count + c.rx_count;
	nic->tx_queues = c.combined_count + c.tx_count;
	nic->max_queues = c.max_combined ? c.max_combined : c.max_rx;
}

int xdp_nic_read(const char *ifname, struct xdp_nic *nic, char driver[32])
{
	struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
	struct ifreq ifr = {};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), err = 0;

	if (fd < 0)
		return -errno;
	memset(nic, 0, sizeof(*nic));
	strncpy(ifr.ifr_name, ifname, sizeof(ifr.ifr_name) - 1);
	if (ioctl(fd, SIOCGIFMTU, &ifr))
		err = -errno;
	nic->mtu = (uint32_t)ifr.ifr_mtu;
	driver[0] = 0;
	if (!err && !ethtool(fd, &ifr, &info))
		snprintf(driver, 32, "%.31s", info.driver);
	nic->driver = driver;
	read_queues(fd, &ifr, nic);
	offload_get(ifname, "rx-gro-hw", &nic->gro_hw); /* no such feature: off, as it was zeroed */
	nic->cpus = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN);
	close(fd);
	return err;
}
