/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAP_H
#define SLUICE_TAP_H

#include <linux/if_ether.h>
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/contract.h"

/*
 * The kernel's end of the tunnel: a TAP with a virtio-net header, one queue a
 * worker, ARP off. An Ethernet device, because bpf_redirect_neigh() needs a link
 * header to overwrite; it carries nothing but IPv4 and IPv6.
 */
struct tap {
	char name[IFNAMSIZ];
	int ifindex;
	unsigned queues;
	int fd[MAX_WORKERS];
	bool gso, uso;	/* TCP and UDP super-packets, as the kernel granted */
	bool made_anew; /* what was there before could be opened by any user, or somebody tried to */
	uint8_t mac[ETH_ALEN];
};

#define TAP_FRAME_MAX (10 + ETH_HLEN + 65535) /* virtio-net header, Ethernet, the longest IP packet */

/*
 * Creates the interface, or attaches to the persistent one of an earlier run (not if @fresh). Nobody else can attach
 * a queue: udev makes /dev/net/tun open to all, and a queue without an owner would read and send as we do.
 * 0 or -errno with nothing left behind: EBUSY (another process has it open, or @fresh and it is there), EINVAL (the
 * name is taken by another kind of device), EPERM, ENOENT (no /dev/net/tun), EAGAIN (another process attaches to
 * everything that is made).
 */
int tap_open(struct tap *t, const char *name, unsigned queues, bool fresh);

/* Whether the interface outlives this process. 0 or -errno. */
int tap_persist(struct tap *t, bool persist);

/* The socket-filter program @prog_fd chooses the queue of a packet. 0 or -errno. */
int tap_steer(struct tap *t, int prog_fd);

/* The socket-filter program @prog_fd says how much of a packet gets in. 0 or -errno. */
int tap_fence(struct tap *t, int prog_fd);
void tap_close(struct tap *t);

/* The link address of a frame that we write: what @id is, says @kind. And its id. */
void tap_mac_put(uint8_t address[ETH_ALEN], enum tap_mac_kind kind, uint32_t id);
uint32_t tap_mac_id(const uint8_t address[ETH_ALEN]);

/* One packet, IPv4 or IPv6 as its first half byte says, in a frame of these addresses. 0 or -errno. */
int tap_write(int fd, const uint8_t to[ETH_ALEN], const uint8_t from[ETH_ALEN], const uint8_t *packet, size_t len);

#endif
