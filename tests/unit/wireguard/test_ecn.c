/* SPDX-License-Identifier: BSD-2-Clause */
/* RFC 6040: congestion marks through the tunnel. */
#include "wg_sim.h"

#include "user/wireguard/ecn.h"

enum { NOT_ECT, ECT_1, ECT_0, CE, DROPPED };

static uint16_t header_sum(const uint8_t *p)
{
	uint32_t sum = 0;

	for (int i = 0; i < 20; i += 2)
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static void test_W14_rfc6040_figure_4(void **state)
{
	static const uint8_t want[4][4] = {
		/* outer:    NOT_ECT, ECT_1,   ECT_0,   CE */
		[NOT_ECT] = {NOT_ECT, NOT_ECT, NOT_ECT, DROPPED},
		[ECT_1] = {ECT_1, ECT_1, ECT_1, CE},
		[ECT_0] = {ECT_0, ECT_1, ECT_0, CE},
		[CE] = {CE, CE, CE, CE},
	};
	uint8_t p4[60], p6[60];
	uint64_t seed = 3;

	for (unsigned i = 0; i < 4 * 4 * 64 * 4; i++) {
		unsigned inner = i & 3, outer = i >> 2 & 3, dscp = i >> 4 & 63;
		uint8_t tos = (uint8_t)(dscp << 2 | inner), outer_tos = (uint8_t)(test_random(&seed) << 2 | outer);
		bool ok = want[inner][outer] != DROPPED;
		uint8_t after = ok ? (uint8_t)(dscp << 2 | want[inner][outer]) : tos;

		sim_packet4(p4, (uint32_t)test_random(&seed), (uint32_t)test_random(&seed), tos, sizeof(p4));
		assert_int_equal(ecn_decapsulate(p4, outer_tos), ok);
		assert_int_equal(p4[1], after);
		assert_int_equal(header_sum(p4), 0xffff);
		sim_packet6(p6, 1, 2, tos, sizeof(p6));
		p6[1] |= 0x0a; /* flow label */
		assert_int_equal(ecn_decapsulate(p6, outer_tos), ok);
		assert_int_equal(ecn_tos(p6), after);
		assert_int_equal(p6[0] >> 4, 6);
		assert_int_equal(p6[1] & 0x0f, 0x0a);
		assert_int_equal(ecn_encapsulate(tos), inner);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_W14_rfc6040_figure_4),
	};

	return cmocka_run_group_tests_name("ecn", tests, NULL, NULL);
}
