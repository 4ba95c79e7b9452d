/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_HOSTCHECK_H
#define SLUICE_HOSTCHECK_H

#include "user/config/config.h"

/*
 * Does this machine fit the configuration? For `check --host` and `doctor`: reads
 * only, changes nothing, and needs no privilege for most of it. A fault is a
 * diag with the place of the key that says otherwise.
 */
void hostcheck(const struct config *cfg, struct diags *d);

/* The parts, each on its own line of `doctor`. */
void hostcheck_interfaces(const struct config *cfg, struct diags *d); /* there, up, MTU */
void hostcheck_egress(const struct config *cfg, struct diags *d);     /* addresses on them */
void hostcheck_routes(const struct config *cfg, struct diags *d);     /* a way to every route */
void hostcheck_port(const struct config *cfg, struct diags *d);	      /* nobody else listens there */
void hostcheck_locks(const struct config *cfg, struct diags *d);      /* no other gateway has what is to be ours */
void hostcheck_pins(const struct config *cfg, struct diags *d);	      /* a start takes all flows over */
void hostcheck_keys(const struct config *cfg, struct diags *d);	      /* readable by us alone */

#endif
