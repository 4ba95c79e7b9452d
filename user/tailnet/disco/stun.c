/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * STUN (stun.h). A message is a header of type, length, magic cookie and
 * transaction id, then attributes of type, length and value, padded to 4 bytes.
 */
#include <string.h>

#include "stun.h"

#define BINDING_REQUEST	   0x0001
#define BINDING_SUCCESS	   0x0101
#define XOR_MAPPED_ADDRESS 0x0020
#define FAMILY_4	   1
#define FAMILY_6	   2

static const uint8_t cookie[4] = {0x21, 0x12, 0xa4, 0x42};

static uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

void stun_request(const uint8_t id[STUN_ID_LEN], uint8_t out[STUN_REQUEST_LEN])
{
	memset(out, 0, STUN_REQUEST_LEN);
	out[1] = BINDING_REQUEST;
	memcpy(out + 4, cookie, sizeof(cookie));
	memcpy(out + 8, id, STUN_ID_LEN);
}

/* 14.2: the address is hidden from meddling NATs by the cookie, and for IPv6 the id behind it. */
static bool read_address(const uint8_t *value, size_t len, const uint8_t *key, struct addr *addr, uint16_t *port)
{
	size_t bytes = len == 8 && value[1] == FAMILY_4 ? 4 : len == 20 && value[1] == FAMILY_6 ? 16 : 0;

	if (!bytes)
		return false;
	memset(addr, 0, sizeof(*addr));
	if (bytes == 4)
		addr->b[10] = addr->b[11] = 0xff;
	for (size_t i = 0; i < bytes; i++)
		addr->b[16 - bytes + i] = value[4 + i] ^ key[i];
	*port = be16(value + 2) ^ be16(key);
	return true;
}

bool stun_answer(const uint8_t *bytes, size_t len, const uint8_t id[STUN_ID_LEN], struct addr *addr, uint16_t *port)
{
	size_t at = STUN_REQUEST_LEN;

	if (len < STUN_REQUEST_LEN || be16(bytes) != BINDING_SUCCESS || be16(bytes + 2) != len - STUN_REQUEST_LEN ||
	    memcmp(bytes + 4, cookie, sizeof(cookie)) || memcmp(bytes + 8, id, STUN_ID_LEN))
		return false;
	while (len - at >= 4) {
		size_t size = be16(bytes + at + 2), padded = (size + 3) & ~(size_t)3;

		if (padded > len - at - 4)
			return false;
		if (be16(bytes + at) == XOR_MAPPED_ADDRESS)
			return read_address(bytes + at + 4, size, bytes + 4, addr, port);
		at += 4 + padded;
	}
	return false;
}
