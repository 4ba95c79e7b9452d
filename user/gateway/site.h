/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_SITE_H
#define SLUICE_SITE_H

#include "user/base/loop.h"
#include "user/config/config.h"
#include "user/datapath/device.h"
#include "user/kernel/maps.h"
#include "user/kernel/netlink.h"

/*
 * Where the parts of a gateway stand: what all of them use, and what knows none of them. A part owns its state; its
 * functions take that state and the site. What one part has to know of another is handed to it by gateway.c, which
 * alone knows all of them.
 */
struct site {
	const struct config *config; /* in force, at the same place for the gateway's life; running.c replaces it */
	struct loop *loop;
	struct netlink *netlink;
	struct device *device;
	struct maps *maps; /* NULL until the programs are loaded */
};

#endif
