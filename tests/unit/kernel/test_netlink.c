/* SPDX-License-Identifier: BSD-2-Clause */
/* Questions to the kernel that need no rights: what one left behind is not taken for the next one's answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "user/kernel/netlink.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#define ANOTHER 0x5151 /* number of a question that is not ours */

/* As a list that changed while it was read: it is given up, and the rest of it still comes. */
static void leave_behind(struct netlink *n)
{
	struct pollfd waits = {.fd = mnl_socket_get_fd(n->socket), .events = POLLIN};
	char buf[256];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);

	nlh->nlmsg_type = RTM_GETLINK;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nlh->nlmsg_seq = ANOTHER;
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifinfomsg));
	assert_int_equal(mnl_socket_sendto(n->socket, nlh, nlh->nlmsg_len), nlh->nlmsg_len);
	assert_int_equal(poll(&waits, 1, 5000), 1);
}

static void the_rest_of_another_answer(void **state)
{
	struct netlink_link link;
	struct netlink n;

	assert_int_equal(netlink_open(&n), 0);
	for (int i = 0; i < 3; i++) {
		leave_behind(&n);
		assert_int_equal(netlink_link(&n, "lo", &link), 0);
		assert_int_equal(link.ifindex, LOOPBACK_IFINDEX);
		assert_string_equal(link.name, "lo");
	}
	assert_int_equal(netlink_link(&n, "absent", &link), -ENODEV);
	netlink_close(&n);
}

/* ---- a kernel that cannot answer --------------------------------------------------- */

static struct {
	int times;	/* so many answers fail */
	int error;	/* of recv(); 0: the list says that it was changed under way (EINTR) */
	unsigned asked; /* answers that were waited for */
	unsigned slow;	/* ms that each takes */
	unsigned told;	/* what lists held */
} failing;

static void count_told(const void *buf, ssize_t n)
{
	int left = (int)n;

	for (const struct nlmsghdr *h = buf; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left))
		failing.told += h->nlmsg_type == RTM_NEWROUTE || h->nlmsg_type == RTM_NEWADDR;
}

/* In the place of libmnl's own. */
ssize_t mnl_socket_recvfrom(const struct mnl_socket *socket, void *buf, size_t size)
{
	ssize_t n = recv(mnl_socket_get_fd(socket), buf, size, 0);

	failing.asked++;
	poll(NULL, 0, (int)failing.slow);
	count_told(buf, n);
	if (n < 0 || failing.times <= 0)
		return n;
	failing.times--;
	if (failing.error) {
		errno = failing.error;
		return -1;
	}
	for (struct nlmsghdr *h = buf; mnl_nlmsg_ok(h, (int)n); h = (void *)((char *)h + NLMSG_ALIGN(h->nlmsg_len))) {
		h->nlmsg_flags |= NLM_F_DUMP_INTR;
		if ((char *)h + NLMSG_ALIGN(h->nlmsg_len) >= (char *)buf + n)
			break;
	}
	return n;
}

/* Fault 52: an error is not "none"; and what was gathered before it is not counted twice. */
static void test_fault_52_a_list_is_asked_for_again(void **state)
{
	static const int errors[] = {0, ENOBUFS, EBUSY, EINTR};
	struct addr list[64], again[64];
	struct netlink n;
	int had, have;

	assert_int_equal(netlink_open(&n), 0);
	had = netlink_host_addresses(&n, list, 64);
	assert_true(had >= 0);
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		failing.times = 3;
		failing.error = errors[i];
		failing.asked = 0;
		have = netlink_host_addresses(&n, again, 64);
		assert_int_equal(have, had);
		assert_memory_equal(list, again, (size_t)had * sizeof(list[0]));
		assert_true(failing.asked > 3);
	}
	netlink_close(&n);
}

/* One that never answers is an error to each question, and no list is empty by it. */
static void test_fault_52_no_answer_is_no_none(void **state)
{
	struct netlink_own_route *routes;
	struct netlink_link link;
	struct addr list[4];
	struct netlink n;
	size_t len;

	assert_int_equal(netlink_open(&n), 0);
	failing.error = ENOBUFS;
	failing.times = 1000000;
	assert_int_equal(netlink_host_addresses(&n, list, 4), -ENOBUFS);
	assert_int_equal(netlink_addresses(&n, LOOPBACK_IFINDEX, list, 4), -ENOBUFS);
	assert_int_equal(netlink_default_interface(&n), -ENOBUFS);
	assert_int_equal(netlink_link(&n, "lo", &link), -ENOBUFS);
	assert_int_equal(netlink_link_at(&n, LOOPBACK_IFINDEX, &link), -ENOBUFS);
	assert_int_equal(netlink_own_routes(&n, 0, &routes, &len), -ENOBUFS);
	free(routes);
	failing.times = 0;
	assert_int_equal(netlink_link_at(&n, LOOPBACK_IFINDEX, &link), 0);
	assert_string_equal(link.name, "lo");
	netlink_close(&n);
}

/* A table of a million routes takes its time: those who wait for the thread that asks wait no more than for a try more.
 */
static void test_fault_52_asked_again_for_a_while_only(void **state)
{
	struct addr list[4];
	struct netlink n;

	assert_int_equal(netlink_open(&n), 0);
	failing.error = EBUSY;
	failing.times = 1000000;
	failing.slow = 40;
	failing.asked = 0;
	assert_int_equal(netlink_host_addresses(&n, list, 4), -EBUSY);
	assert_in_range(failing.asked, 1, 4);
	failing.times = 0;
	failing.slow = 0;
	netlink_close(&n);
}

/* The local table has routes, and the host addresses: the kernel leaves them out, not we. */
static void test_fault_52_the_kernel_tells_what_is_asked(void **state)
{
	struct netlink_own_route *routes;
	struct addr list[4];
	struct netlink n;
	size_t len;

	assert_int_equal(netlink_open(&n), 0);
	n.mark = 0x5151;
	failing.told = 0;
	assert_int_equal(netlink_own_routes(&n, 0, &routes, &len), 0);
	assert_int_equal(len, 0);
	assert_int_equal(netlink_addresses(&n, 0x7ffffff0, list, 4), 0);
	assert_int_equal(failing.told, 0);
	free(routes);
	netlink_close(&n);
}

/* The same of the kernel's choice of source, which asks for routes and lists. */
static void test_fault_28_no_answer_is_no_source(void **state)
{
	const struct addr to[2] = {addr_from_v4(1)};
	struct addr list[2];
	struct netlink n;

	assert_int_equal(netlink_open(&n), 0);
	failing.error = ENOBUFS;
	failing.times = 1000000;
	assert_int_equal(netlink_sources(&n, LOOPBACK_IFINDEX, to, list), -ENOBUFS);
	failing.times = 0;
	netlink_close(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_rest_of_another_answer),
		cmocka_unit_test(test_fault_52_a_list_is_asked_for_again),
		cmocka_unit_test(test_fault_52_no_answer_is_no_none),
		cmocka_unit_test(test_fault_52_asked_again_for_a_while_only),
		cmocka_unit_test(test_fault_52_the_kernel_tells_what_is_asked),
		cmocka_unit_test(test_fault_28_no_answer_is_no_source),
	};

	return cmocka_run_group_tests_name("netlink", tests, NULL, NULL);
}
