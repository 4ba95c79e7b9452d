/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_OFFLOAD_H
#define SLUICE_OFFLOAD_H

#include <stdbool.h>

/*
 * One feature of an interface, by the name that `ethtool -k` shows. The kernel
 * builds super-packets of forwarded UDP only where rx-udp-gro-forwarding is on
 * (118,897 reads for 118,895 packets without, 54,000 for 121,000 with it), so the
 * gateway sets it on its egress interfaces.
 */
#define OFFLOAD_UDP_GRO_FORWARDING "rx-udp-gro-forwarding"

/*
 * Packets that the NIC itself has merged cannot be told apart again, so the kernel switches this
 * off where it forwards (dev_disable_lro()), for good. Our redirection it does not notice.
 */
#define OFFLOAD_LRO "rx-lro"

/* 0 with *on, or -errno: -ENOENT when the kernel has no such feature. */
int offload_get(const char *interface, const char *feature, bool *on);
/* 0 or -errno; -EOPNOTSUPP when the driver does not let it be changed. */
int offload_set(const char *interface, const char *feature, bool on);

#endif
