/* SPDX-License-Identifier: BSD-2-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tap.h"

#ifndef TUN_F_USO4 /* Linux 6.2 */
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

static int open_queue(const char *name, int flags, char *actual)
{
	struct ifreq ifr = {.ifr_flags = (short)flags};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	int err;

	if (fd < 0)
		return -errno;
	memcpy(ifr.ifr_name, name, strnlen(name, IFNAMSIZ - 1));
	if (ioctl(fd, TUNSETIFF, &ifr)) {
		err = -errno;
		close(fd);
		return err;
	}
	memcpy(actual, ifr.ifr_name, IFNAMSIZ);
	return fd;
}

/* Offloads are the interface's, not the queue's. Each step down says less. */
static void set_offloads(struct tap *t)
{
	unsigned tcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;

	t->uso = !ioctl(t->fd[0], TUNSETOFFLOAD, tcp | TUN_F_USO4 | TUN_F_USO6);
	t->gso = t->uso || !ioctl(t->fd[0], TUNSETOFFLOAD, tcp);
	if (!t->gso)
		ioctl(t->fd[0], TUNSETOFFLOAD, 0);
}

static int identify(struct tap *t)
{
	struct ifreq ifr = {0};

	if (ioctl(t->fd[0], SIOCGIFHWADDR, &ifr))
		return -errno;
	memcpy(t->mac, ifr.ifr_hwaddr.sa_data, sizeof(t->mac));
	t->ifindex = (int)if_nametoindex(t->name);
	return t->ifindex ? 0 : -errno;
}

int tap_open(struct tap *t, const char *name, unsigned queues)
{
	int err;

	memset(t, 0, sizeof(*t));
	for (t->queues = 0; t->queues < queues; t->queues++) {
		int fd = open_queue(name, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE, t->name);

		if (fd < 0) {
			err = fd;
			goto fail;
		}
		t->fd[t->queues] = fd;
	}
	set_offloads(t);
	err = identify(t);
	if (!err)
		return 0;
fail:
	tap_close(t);
	return err;
}

int tap_persist(struct tap *t, bool persist)
{
	return ioctl(t->fd[0], TUNSETPERSIST, persist) ? -errno : 0;
}

int tap_steer(struct tap *t, int prog_fd)
{
	return ioctl(t->fd[0], TUNSETSTEERINGEBPF, &prog_fd) ? -errno : 0;
}

int tap_fence(struct tap *t, int prog_fd)
{
	return ioctl(t->fd[0], TUNSETFILTEREBPF, &prog_fd) ? -errno : 0;
}

void tap_close(struct tap *t)
{
	while (t->queues)
		close(t->fd[--t->queues]);
}

void tap_mac_put(uint8_t address[ETH_ALEN], enum tap_mac_kind kind, uint32_t id)
{
	struct tap_mac mac = {.local = TAP_MAC_0, .kind = (uint8_t)kind};
	__be32 wire = htonl(id);

	memcpy(mac.id, &wire, sizeof(mac.id));
	memcpy(address, &mac, sizeof(mac));
}

uint32_t tap_mac_id(const uint8_t address[ETH_ALEN])
{
	__be32 wire;

	memcpy(&wire, address + offsetof(struct tap_mac, id), sizeof(wire));
	return ntohl(wire);
}

int tap_write(int fd, const uint8_t to[ETH_ALEN], const uint8_t from[ETH_ALEN], const uint8_t *packet, size_t len)
{
	struct ethhdr eth = {.h_proto = htons(packet[0] >> 4 == 4 ? ETH_P_IP : ETH_P_IPV6)};
	struct virtio_net_hdr vnet = {0};
	struct iovec iov[] = {{&vnet, sizeof(vnet)}, {&eth, sizeof(eth)}, {(void *)packet, len}};

	memcpy(eth.h_dest, to, ETH_ALEN);
	memcpy(eth.h_source, from, ETH_ALEN);
	return writev(fd, iov, 3) < 0 ? -errno : 0;
}
