/* SPDX-License-Identifier: BSD-2-Clause */
/* Where the front runs, by what is known of the NIC. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "user/kernel/maps.h"
#include "user/gateway/xdp_choose.h"

static const struct {
	const char *name;
	struct xdp_nic nic; /* driver, mtu, rx, tx and most queues, CPUs, GRO_HW */
	enum xdp_wanted wanted;
	enum xdp_mode mode;
	const char *says;
} cases[] = {
	{"veth copies", {"veth", 1500, 2, 2, 2, 2, false}, XDP_AUTO, XDP_MODE_OFF, "veth would copy"},
	{"veth, forced", {"veth", 1500, 2, 2, 2, 2, false}, XDP_NATIVE, XDP_MODE_NATIVE, "configured"},
	{"virtio with GRO_HW", {"virtio_net", 1500, 2, 2, 8, 2, true}, XDP_AUTO, XDP_MODE_OFF, "lose GRO_HW"},
	{"virtio without",
	 {"virtio_net", 1500, 2, 2, 8, 2, false},
	 XDP_AUTO,
	 XDP_MODE_NATIVE,
	 "before it builds packets"},
	{"virtio, jumbo", {"virtio_net", 9000, 2, 2, 8, 2, false}, XDP_AUTO, XDP_MODE_OFF, "MTU"},
	{"virtio, largest MTU", {"virtio_net", 3498, 2, 2, 8, 2, false}, XDP_AUTO, XDP_MODE_NATIVE, "before"},
	{"virtio, no spare queues", {"virtio_net", 1500, 2, 2, 2, 2, false}, XDP_AUTO, XDP_MODE_OFF, "spare queues"},
	{"virtio, just enough", {"virtio_net", 1500, 2, 2, 4, 2, false}, XDP_AUTO, XDP_MODE_NATIVE, "before"},
	{"virtio, forced", {"virtio_net", 1500, 2, 2, 2, 2, true}, XDP_NATIVE, XDP_MODE_NATIVE, "configured"},
	{"i40e", {"i40e", 1500, 8, 8, 64, 8, false}, XDP_AUTO, XDP_MODE_NATIVE, "before it builds packets"},
	{"i40e, too few queues", {"i40e", 1500, 8, 8, 8, 16, false}, XDP_AUTO, XDP_MODE_OFF, "queue for each CPU"},
	{"ixgbe, jumbo", {"ixgbe", 9000, 8, 8, 64, 8, false}, XDP_AUTO, XDP_MODE_OFF, "MTU is too large"},
	{"mlx5, jumbo", {"mlx5_core", 9000, 8, 8, 64, 8, false}, XDP_AUTO, XDP_MODE_NATIVE, "before"},
	{"ENA, large MTU of its cloud", {"ena", 9001, 2, 2, 8, 4, false}, XDP_AUTO, XDP_MODE_OFF, "MTU"},
	{"ENA, all queues in use", {"ena", 1500, 8, 8, 8, 8, false}, XDP_AUTO, XDP_MODE_OFF, "half of the queues"},
	{"ENA, half of them", {"ena", 1500, 4, 4, 8, 8, false}, XDP_AUTO, XDP_MODE_NATIVE, "before"},
	{"a bridge", {"bridge", 1500, 1, 1, 0, 2, false}, XDP_AUTO, XDP_MODE_OFF, "nobody has measured"},
	{"no driver", {"", 1500, 0, 0, 0, 2, false}, XDP_AUTO, XDP_MODE_OFF, "not known"},
	{"off", {"mlx5_core", 1500, 8, 8, 64, 8, false}, XDP_OFF, XDP_MODE_OFF, "configured"},
	{"generic", {"veth", 1500, 2, 2, 2, 2, false}, XDP_GENERIC, XDP_MODE_GENERIC, "configured"},
};

static void test_choose(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct xdp_choice c;

		xdp_choose(&cases[i].nic, cases[i].wanted, &c);
		if (c.mode != cases[i].mode || !strstr(c.reason, cases[i].says))
			fail_msg("%s: mode %d, %s", cases[i].name, c.mode, c.reason);
		/* What can be overruled says how. */
		if (c.mode == XDP_MODE_OFF && *cases[i].nic.driver && cases[i].wanted == XDP_AUTO)
			assert_non_null(strstr(c.reason, "(xdp: native to force)"));
	}
}

/* ---- ports of an address --------------------------------------------------------------- */

static const struct {
	const char *name;
	struct maps_ports taken[12];
	size_t n;
	uint32_t ports;
	struct port_range want[4]; /* the first ones */
} ranges[] = {
	{"nothing taken", {{0, 0}}, 0, 64512, {{1024, 64512}}},
	{"the ephemeral range", {{32768, 60999}}, 1, 31744 + 4536, {{1024, 31744}, {61000, 4536}}},
	{"one port", {{51820, 51820}}, 1, 64511, {{1024, 50796}, {51821, 13715}}},
	{"the first", {{1024, 1024}}, 1, 64511, {{1025, 64511}}},
	{"the last", {{65535, 65535}}, 1, 64511, {{1024, 64511}}},
	{"below the range", {{1, 1023}}, 1, 64512, {{1024, 64512}}},
	{"everything", {{0, 65535}}, 1, 0, {{0, 0}}},
	{"overlapping, in disorder",
	 {{5000, 6000}, {2000, 5500}, {5200, 5300}},
	 3,
	 976 + 59535,
	 {{6001, 59535}, {1024, 976}}},
	{"adjacent", {{2000, 2999}, {3000, 3999}}, 2, 976 + 61536, {{4000, 61536}, {1024, 976}}},
	{"the same twice", {{2000, 2999}, {2000, 2999}}, 2, 976 + 62536, {{3000, 62536}, {1024, 976}}},
	/* More holes than ranges: the smallest are given up. */
	{"many",
	 {{2000, 2000},
	  {3001, 3001},
	  {4003, 4003},
	  {5006, 5006},
	  {6010, 6010},
	  {7015, 7015},
	  {8021, 8021},
	  {9028, 9028},
	  {10036, 10036}},
	 9,
	 0,
	 {{10037, 55499}}},
};

static void check_ranges(size_t i)
{
	struct port_range out[MAX_PORT_RANGES];
	uint32_t ports = maps_port_ranges(ranges[i].taken, ranges[i].n, out), sum = 0;

	if (ranges[i].ports)
		assert_int_equal(ports, ranges[i].ports);
	for (int r = 0; r < 4 && ranges[i].want[r].count; r++) {
		assert_int_equal(out[r].first, ranges[i].want[r].first);
		assert_int_equal(out[r].count, ranges[i].want[r].count);
	}
	for (int r = 0; r < MAX_PORT_RANGES; r++) {
		sum += out[r].count;
		for (size_t t = 0; t < ranges[i].n && out[r].count; t++) { /* none is a taken one */
			uint32_t end = out[r].first + out[r].count - 1u;

			assert_true(end < ranges[i].taken[t].first || out[r].first > ranges[i].taken[t].last);
		}
		assert_true(!out[r].count || out[r].first >= 1024);
	}
	assert_int_equal(sum, ports);
}

static void test_port_ranges(void **state)
{
	for (size_t i = 0; i < sizeof(ranges) / sizeof(*ranges); i++)
		check_ranges(i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_choose),
		cmocka_unit_test(test_port_ranges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
