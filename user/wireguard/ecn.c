/* SPDX-License-Identifier: BSD-2-Clause */
/* ECN through the tunnel (RFC 6040): figure 4 is a table here. */
#include <endian.h>
#include <string.h>

#include "ecn.h"

#define ECN_MASK     3
#define TOS_OFFSET   1
#define CHECK_OFFSET 10

enum ecn { NOT_ECT, ECT_1, ECT_0, CE, DROP };

/* [inner][outer] */
static const uint8_t decapsulated[4][4] = {
	[NOT_ECT] = {[NOT_ECT] = NOT_ECT, [ECT_0] = NOT_ECT, [ECT_1] = NOT_ECT, [CE] = DROP},
	[ECT_0] = {[NOT_ECT] = ECT_0, [ECT_0] = ECT_0, [ECT_1] = ECT_1, [CE] = CE},
	[ECT_1] = {[NOT_ECT] = ECT_1, [ECT_0] = ECT_1, [ECT_1] = ECT_1, [CE] = CE},
	[CE] = {[NOT_ECT] = CE, [ECT_0] = CE, [ECT_1] = CE, [CE] = CE},
};

static bool is_v4(const uint8_t *packet)
{
	return packet[0] >> 4 == 4;
}

uint8_t ecn_tos(const uint8_t *packet)
{
	/* IPv6 has version, traffic class and flow label as 4, 8 and 20 bits. */
	return is_v4(packet) ? packet[TOS_OFFSET] : (uint8_t)(packet[0] << 4 | packet[1] >> 4);
}

uint8_t ecn_encapsulate(uint8_t inner)
{
	return inner & ECN_MASK;
}

/* IPv4: version, header length and TOS are the first word of the checksum, which
 * is updated for the change of it (RFC 1624, equation 3). */
static void set_v4(uint8_t *packet, uint8_t tos)
{
	uint16_t check;
	uint32_t sum;

	memcpy(&check, packet + CHECK_OFFSET, sizeof(check));
	sum = (uint16_t)~be16toh(check);
	sum += (uint16_t)~packet[TOS_OFFSET] + (uint32_t)tos;
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	check = htobe16((uint16_t)~sum);
	memcpy(packet + CHECK_OFFSET, &check, sizeof(check));
	packet[TOS_OFFSET] = tos;
}

static void set_v6(uint8_t *packet, uint8_t tos)
{
	packet[0] = (uint8_t)((packet[0] & 0xf0) | tos >> 4);
	packet[1] = (uint8_t)(tos << 4 | (packet[1] & 0x0f));
}

bool ecn_decapsulate(uint8_t *packet, uint8_t outer)
{
	uint8_t tos = ecn_tos(packet);
	uint8_t ecn = decapsulated[tos & ECN_MASK][outer & ECN_MASK];

	if (ecn == DROP)
		return false;
	if (ecn == (tos & ECN_MASK))
		return true;
	tos = (uint8_t)((tos & ~ECN_MASK) | ecn);
	if (is_v4(packet))
		set_v4(packet, tos);
	else
		set_v6(packet, tos);
	return true;
}
