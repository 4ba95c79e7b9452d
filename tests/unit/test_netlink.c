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

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(the_rest_of_another_answer)};

	return cmocka_run_group_tests_name("netlink", tests, NULL, NULL);
}
