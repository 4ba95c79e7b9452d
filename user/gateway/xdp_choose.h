/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_XDP_CHOOSE_H
#define SLUICE_XDP_CHOOSE_H

#include <stdbool.h>
#include <stdint.h>

#include "user/config/config.h"

/*
 * Where the front runs: native XDP, generic XDP, or the socket filter alone. Attaching
 * native XDP costs something different on each driver (offloads, queues, the largest
 * MTU), so what is chosen comes with the reason that `status` shows.
 */
struct xdp_nic {	    /* what is known of an underlay interface */
	const char *driver; /* of ethtool; "" when not known */
	uint32_t mtu;
	uint32_t rx_queues, tx_queues, max_queues; /* combined; max_queues 0: not known */
	uint32_t cpus;
	bool gro_hw; /* rx-gro-hw is on */
};

enum xdp_mode { XDP_MODE_OFF, XDP_MODE_NATIVE, XDP_MODE_GENERIC };

struct xdp_choice {
	enum xdp_mode mode;
	char reason[96]; /* "virtio would lose GRO_HW (xdp: native to force)" */
};

/* Pure. Automatic is native where the driver runs XDP before it builds packets, and off
 * where it costs more than it saves; what was asked for by name is done. */
void xdp_choose(const struct xdp_nic *nic, enum xdp_wanted wanted, struct xdp_choice *out);

/* What is known of @ifname (ethtool, sysfs). @driver backs nic->driver. 0 or -errno. */
int xdp_nic_read(const char *ifname, struct xdp_nic *nic, char driver[32]);

#endif
