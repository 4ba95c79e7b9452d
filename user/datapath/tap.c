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
#include "user/kernel/tap_link.h"

#ifndef TUN_F_USO4 /* Linux 6.2 */
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

#define TAP_ATTEMPTS 32 /* to make an interface before another process attaches to it */

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

/* Closed to all but whoever runs as we do, whatever the mode of /dev/net/tun. */
static int tap_claim(const struct tap *t)
{
	return ioctl(t->fd[0], TUNSETOWNER, (unsigned long)geteuid()) ? -errno : 0;
}

/* The group is set last: a TAP with both was found to be ours alone before anybody relied on it. */
static int tap_seal(const struct tap *t)
{
	return ioctl(t->fd[0], TUNSETGROUP, (unsigned long)getegid()) ? -errno : 0;
}

static bool is_sealed(const struct tap_link *link)
{
	return link->has_owner && link->owner == geteuid() && link->has_group && link->group == getegid();
}

/*
 * The TAP of an earlier run is taken over if it was ours from its beginning; its @link is as found before. One that
 * was open to others is deleted: their queues stay attached whoever owns it later, and so do the programs, the filter
 * and the header that they may have set. 0 or -errno.
 */
static int tap_clear_name(struct tap *t, const char *name, struct tap_link *link)
{
	int err = tap_link_get(name, link);

	if (err == -ENODEV)
		return 0;
	if (err || !link->is_tun) /* TUNSETIFF refuses what is no TAP */
		return err;
	if (is_sealed(link))
		return link->queues || link->disabled ? -EBUSY : 0;
	t->made_anew = true;
	err = tap_link_delete(link->ifindex);
	memset(link, 0, sizeof(*link));
	return err;
}

static int open_queues(struct tap *t, const char *name, unsigned queues, int flags)
{
	while (t->queues < queues) {
		int fd = open_queue(name, flags | IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE, t->name);

		if (fd < 0)
			return fd;
		t->fd[t->queues++] = fd;
	}
	return 0;
}

/*
 * The first queue of an interface that nobody else has. Between its making and its owner's name others may attach:
 * -EAGAIN, with the interface deleted under them.
 */
static int open_first(struct tap *t, const char *name, bool fresh)
{
	struct tap_link before = {0}, link;
	int err = fresh ? 0 : tap_clear_name(t, name, &before);

	err = err ?: open_queues(t, name, 1, fresh ? IFF_TUN_EXCL : 0);
	if (err || is_sealed(&before))
		return err;
	err = tap_claim(t) ?: tap_link_get(t->name, &link);
	if (err)
		return err;
	if (link.queues == 1 && !link.disabled)
		return tap_seal(t);
	t->made_anew = true;
	return tap_link_delete(link.ifindex) ?: -EAGAIN;
}

int tap_open(struct tap *t, const char *name, unsigned queues, bool fresh)
{
	int err = -EAGAIN;

	memset(t, 0, sizeof(*t));
	for (int i = 0; i < TAP_ATTEMPTS && err == -EAGAIN; i++) {
		tap_close(t);
		err = open_first(t, name, fresh);
	}
	err = err ?: open_queues(t, name, queues, 0);
	if (!err) {
		set_offloads(t);
		err = identify(t);
	}
	if (err)
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
