/* SPDX-License-Identifier: BSD-2-Clause */
/* Which changes of the host the gateway hears of: all that it looks at, and nothing of others' full tables (F2.37). */
#include "taps.h"
#include "user/kernel/netlink.h"

static const struct {
	const char *name, *before, *change; /* protocols by number: an emulated machine has no names for them */
	unsigned heard;			    /* bits of enum netlink_change; 0: nothing arrives at all */
} cases[] = {
	{"a route by hand", "", "ip route add 203.0.113.0/24 dev t0", NETLINK_ROUTES},
	{"a static route", "", "ip route add 203.0.113.0/24 dev t0 proto 4", NETLINK_ROUTES},
	{"a route by DHCP", "", "ip route add 203.0.113.0/24 dev t0 proto 16", NETLINK_ROUTES},
	{"a route by router advertisement", "", "ip -6 route add 2001:db8:9::/64 dev t0 proto 9", NETLINK_ROUTES},
	{"a route by keepalived", "", "ip route add 203.0.113.0/24 dev t0 proto 18", NETLINK_ROUTES},
	{"a route by BIRD", "", "ip route add 203.0.113.0/24 dev t0 proto 12", 0},
	{"a route by BGP", "", "ip route add 203.0.113.0/24 dev t0 proto 186", 0},
	{"an IPv6 route by zebra", "", "ip -6 route add 2001:db8:9::/64 dev t0 proto 11", 0},
	{"BIRD's route goes", "ip route add 203.0.113.0/24 dev t0 proto 12", "ip route del 203.0.113.0/24", 0},
	{"the default route by BGP", "", "ip route add default dev t0 proto 186", NETLINK_ROUTES},
	{"BGP's IPv6 default route goes", "ip -6 route add default dev t0 proto 186", "ip -6 route del default",
	 NETLINK_ROUTES},
	{"our own route is deleted", "ip route add 100.64.0.2/32 dev t0 proto 83", "ip route del 100.64.0.2/32",
	 NETLINK_ROUTES | NETLINK_OWN_ROUTES},
	{"a rule", "", "ip rule add fwmark 7 lookup 100", NETLINK_RULES},
	{"an address", "", "ip address add 192.0.2.9/32 dev t0", NETLINK_ADDRESS | NETLINK_ROUTES},
	{"a link", "", "ip link set t0 mtu 1400", NETLINK_LINK},
};

/* The emulated machine of check-kernels has busybox's ip, which knows no protocols. */
static void need_iproute2(void)
{
	if (system("ip -V 2> /dev/null | grep -q iproute2"))
		skip();
}

static void run_command(const char *command)
{
	if (*command && system(command))
		fail_msg("%s", command);
}

static void test_fault_37_what_is_heard(void **state)
{
	need_iproute2();
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct netlink n;
		struct tap t;
		unsigned heard;
		int fd;

		own_namespace();
		t = tap_open("t0", 0);
		run_command("ip address add 192.0.2.1/24 dev t0");
		run_command(cases[i].before);
		assert_int_equal(netlink_open(&n), 0);
		fd = netlink_monitor_open();
		assert_true(fd >= 0);
		netlink_monitor_read(fd, &n, (int)t.ifindex);
		run_command(cases[i].change);
		heard = netlink_monitor_read(fd, &n, (int)t.ifindex);
		if (heard != cases[i].heard)
			fail_msg("%s: heard %#x, expected %#x", cases[i].name, heard, cases[i].heard);
		close(fd);
		close(t.fd);
		netlink_close(&n);
	}
}

/* A full table that changes: no message waits afterwards, and the socket has not overflowed. */
static void test_fault_37_a_full_table(void **state)
{
	struct netlink n;
	struct tap t;
	FILE *ip;
	int fd;

	need_iproute2();
	own_namespace();
	t = tap_open("t0", 0);
	run_command("ip address add 192.0.2.1/24 dev t0");
	assert_int_equal(netlink_open(&n), 0);
	fd = netlink_monitor_open();
	assert_true(fd >= 0);
	netlink_monitor_read(fd, &n, (int)t.ifindex);
	ip = popen("ip -batch -", "w");
	assert_non_null(ip);
	for (unsigned i = 0; i < 4000; i++)
		fprintf(ip, "route add 10.%u.%u.%u/32 dev t0 proto 12\n", i >> 16, i >> 8 & 255, i & 255);
	assert_int_equal(pclose(ip), 0);
	assert_int_equal(poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 0), 0);
	assert_int_equal(netlink_monitor_read(fd, &n, (int)t.ifindex), 0);
	close(fd);
	close(t.fd);
	netlink_close(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fault_37_what_is_heard),
		cmocka_unit_test(test_fault_37_a_full_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
