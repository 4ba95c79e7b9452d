/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_ANSWERS_BY_H
#define SLUICE_ANSWERS_BY_H

#include "egress.h"

/* The interfaces of a pool, whose own is known, by which answers may come. 0, or -errno: the kernel did not tell. */
int answers_by(const struct site *s, const struct config_pool *config, struct egress_pool *pool);
bool answers_come_by(const struct egress_pool *pool, unsigned ifindex);

#endif
