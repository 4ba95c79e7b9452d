/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_STUN_H
#define SLUICE_STUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/addr.h"

/*
 * STUN (RFC 8489), as much as it takes to ask a server how it sees us: a binding
 * request without attributes, and the XOR-MAPPED-ADDRESS of its answer. Pure.
 */
#define STUN_REQUEST_LEN 20
#define STUN_ID_LEN	 12

void stun_request(const uint8_t id[STUN_ID_LEN], uint8_t out[STUN_REQUEST_LEN]);
/* False: not a success answer to this request, or without an address. @port: host order. */
bool stun_answer(const uint8_t *bytes, size_t len, const uint8_t id[STUN_ID_LEN], struct addr *addr, uint16_t *port);

#endif
