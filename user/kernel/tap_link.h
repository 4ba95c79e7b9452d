/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAP_LINK_H
#define SLUICE_TAP_LINK_H

#include <stdbool.h>
#include <stdint.h>

/*
 * What rtnetlink says of a TAP, and the one thing that ends it whoever has it open.
 * /dev/net/tun cannot be asked: a descriptor knows its own queue alone.
 */
struct tap_link {
	int ifindex;
	bool is_tun;
	bool has_owner, has_group; /* without them whoever may open /dev/net/tun may attach a queue */
	uint32_t owner, group;
	uint32_t queues;   /* attached, by whatever process */
	uint32_t disabled; /* detached by TUNSETQUEUE but still held: they may come back unasked */
};

/* 0 or -errno; -ENODEV: no interface of this name. */
int tap_link_get(const char *name, struct tap_link *out);

/* Every queue of the interface, of whatever process, is dead after it. 0 or -errno. */
int tap_link_delete(int ifindex);

#endif
