/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_IDENTITY_H
#define SLUICE_IDENTITY_H

#include "site.h"
#include "state.h"

/* The private key by which clients know the gateway: of its file, which is made at a first start. False with one line
 * in @error. Not for a node of a tailnet, whose key is made, and replaced, as the coordination server wants it. */
bool identity_load(const struct site *s, const struct state *remembered, char *error, size_t size);

#endif
