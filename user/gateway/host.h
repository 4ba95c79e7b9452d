/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_HOST_H
#define SLUICE_HOST_H

#include "site.h"
#include "user/kernel/locks.h"

/* Settings of the host that the gateway needs. */
#define HOST_ADDRESSES 512

struct host {
	struct addr own[HOST_ADDRESSES]; /* its addresses, as the programs know them */
	size_t n_own, n_left_out;	 /* the others have no place: only a route keeps clients from them */
};

/* Privileges and kernel. False with one line in @error. */
bool host_able(char *error, size_t size);
/* Did an earlier run of this configuration leave anything on the host? */
bool host_has_gateway(const struct config *config);
/* What the gateway of a configuration has for itself alone. */
struct locks_of host_locks(const struct config *config);
/* At start: logs which of the interfaces that the configuration names for the tunnel are waited for. */
void host_underlay(const struct site *s);
uint32_t host_underlay_mtu(const struct site *s); /* the smallest; 0: not known */
/* Sets the rule by which the kernel forwards nothing that comes in by the TAP; cheap when it is set. */
bool host_guard(const struct site *s);
/* Destinations that only a rule naming them opens: the clouds' metadata, loopback, our own. */
bool host_reserve(struct host *h, const struct site *s);
bool host_owns(const struct host *h, const struct addr *a); /* as host_reserve() saw it last */

#endif
