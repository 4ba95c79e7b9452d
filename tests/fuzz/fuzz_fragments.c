/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fragments from anybody. The input is a list of packets: two bytes of time, two of
 * length, then the packet. Whatever comes out whole is whole by its own header and no
 * fragment; cut and joined again it is the same.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "user/datapath/fragment.h"
#include "user/wireguard/packet.h"
#include "user/datapath/reassemble.h"

static void no_drop(void *ctx, enum drop_reason reason, unsigned n)
{
	assert(reason > DROP_NONE && reason < DROP_MAX && n);
}

static void lose(void *ctx, enum drop_reason reason, unsigned n)
{
	assert(!"a fragment of our own was dropped");
}

/* Cuts @packet for @mtu, and joins it last fragment first. */
static void cut_and_join(const uint8_t *packet, size_t len, size_t mtu)
{
	static uint8_t parts[REASSEMBLE_FRAGMENTS][2048];
	static struct reassembly *r;
	size_t sizes[REASSEMBLE_FRAGMENTS], most, n = 0;
	struct joined whole;
	uint8_t *got = NULL;
	struct fragmenter c;

	if (!r)
		r = reassembly_new(lose, NULL, NULL);
	if (!fragment_begin(&c, packet, len, mtu, 1))
		return;
	most = (c.len + c.room - 1) / c.room;
	if (most > REASSEMBLE_FRAGMENTS)
		return;
	while ((sizes[n] = fragment_next(&c, parts[n]))) {
		assert(sizes[n] <= mtu);
		n++;
	}
	assert(n <= most);
	if (n < 2)
		return;
	while (n--) {
		assert(!got);
		got = reassemble(r, 0, parts[n], sizes[n], 1, &whole);
	}
	assert(got && whole.len == len && whole.largest == sizes[0]);
	assert(!memcmp(got + c.header, packet + c.header, len - c.header));
}

static void judge(uint8_t *got, size_t len, size_t mtu)
{
	struct packet p;

	assert(len <= UINT16_MAX);
	assert(packet_parse(got, len, &p));
	assert(p.len == len);
	assert(got[0] >> 4 == 6 || !reassemble_is_fragment(got, len));
	cut_and_join(got, len, mtu);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct reassembly *r;
	static uint64_t now = 1;

	if (!r)
		r = reassembly_new(no_drop, NULL, NULL);
	while (size > 4) {
		size_t len = (size_t)(data[2] << 8 | data[3]);
		struct joined whole;
		uint8_t *exact, *got;

		now += (uint64_t)(data[0] << 8 | data[1]) * 1000000;
		data += 4;
		size -= 4;
		len = len < size ? len : size;
		exact = malloc(len); /* a read past its end is found */
		memcpy(exact, data, len);
		got = reassemble(r, 0, exact, len, now, &whole);
		free(exact);
		if (got)
			judge(got, whole.len, 68 + now % 1500);
		data += len;
		size -= len;
	}
	now += REASSEMBLE_NS;
	assert(reassemble_expire(r, now) == UINT64_MAX);
	return 0;
}
