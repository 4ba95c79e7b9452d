/* SPDX-License-Identifier: BSD-2-Clause */
/* What the network process may not do any more; each row in a child that is in the sandbox. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "user/process/sandbox.h"

#define N(list) (sizeof(list) / sizeof((list)[0]))

static int result(long rc)
{
	return rc < 0 ? errno : 0;
}

static int unix_socket(void)
{
	return result(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int generic_netlink(void)
{
	return result(socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC));
}

static int packet_socket(void)
{
	return result(socket(AF_PACKET, SOCK_RAW, 0));
}

static int route_netlink(void)
{
	return result(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
}

static int tcp_socket(void)
{
	return result(socket(AF_INET6, SOCK_STREAM, 0));
}

static int any_device_call(void)
{
	struct ifreq request = {.ifr_name = "sluice0", .ifr_flags = IFF_TAP};

	return result(ioctl(STDIN_FILENO, TUNSETIFF, &request));
}

static int terminal_call(void)
{
	return result(ioctl(STDIN_FILENO, TIOCSTI, "x"));
}

static int length_of_answer(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0), n;

	return result(ioctl(fd, FIONREAD, &n));
}

static int new_program(void)
{
	return result(execl("/bin/true", "true", NULL));
}

static int written_file(void)
{
	return result(open("/etc/x", O_WRONLY | O_CREAT, 0600));
}

static int executable_memory(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
		       ? errno
		       : 0;
}

static int look_up(void)
{
	struct addrinfo *list = NULL;

	return getaddrinfo("localhost", "443", NULL, &list) ? EIO : 0;
}

static int tun_device(void)
{
	return result(open("/dev/net/tun", O_RDONLY));
}

static int own_state(void)
{
	return result(open("/var/lib", O_RDONLY));
}

static inline int other_processes(void)
{
	return result(open("/proc/1/status", O_RDONLY));
}

static int pins(void)
{
	return result(open("/sys/fs/bpf", O_RDONLY));
}

static int resolver_file(void)
{
	return result(open("/etc/passwd", O_RDONLY));
}

static const struct {
	const char *name;
	int (*act)(void);
	int wanted;
	bool root; /* of the file system, which needs it */
} rows[] = {
	{"a socket of another service", unix_socket, EAFNOSUPPORT, false},
	{"generic netlink", generic_netlink, EPERM, false},
	{"a packet socket", packet_socket, EPERM, false},
	{"addresses of this host", route_netlink, 0, false},
	{"TCP", tcp_socket, 0, false},
	{"a queue of the tunnel", any_device_call, EPERM, false},
	{"a word into the terminal", terminal_call, EPERM, false},
	{"how long an answer is", length_of_answer, 0, false},
	{"another program", new_program, EPERM, false},
	{"a file to write", written_file, EPERM, false},
	{"executable memory", executable_memory, EPERM, false},
	{"a name", look_up, 0, false},
	{"/dev/net/tun", tun_device, ENOENT, true},
	{"our state", own_state, ENOENT, true},
#ifndef __SANITIZE_ADDRESS__ /* whose report needs it */
	{"other processes", other_processes, ENOENT, true},
#endif
	{"the pins", pins, ENOENT, true},
	{"what resolving needs", resolver_file, 0, true},
};

static int in_sandbox(int (*act)(void), char *lacks, size_t size)
{
	char error[200] = "";
	int pipes[2], status, got = 0;
	pid_t pid;

	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	if (!pid) {
		bool ok;

		look_up(); /* its libraries are loaded before no more can be */
		ok = sandbox_drop(lacks, error, sizeof(error)) && sandbox_lock(error, sizeof(error));
		got = ok ? act() : -1;
		if (!ok)
			fprintf(stderr, "%s\n", error);
		if (write(pipes[1], &got, sizeof(got)) != sizeof(got) || write(pipes[1], lacks, size) < 0)
			_exit(1);
		_exit(0);
	}
	close(pipes[1]);
	assert_int_equal(read(pipes[0], &got, sizeof(got)), sizeof(got));
	assert_true(read(pipes[0], lacks, size) > 0);
	close(pipes[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return got;
}

static void test_fault_25_what_the_network_process_may(void **state)
{
	char lacks[200];

	for (size_t i = 0; i < N(rows); i++) {
		int got = in_sandbox(rows[i].act, lacks, sizeof(lacks));

		if (rows[i].root && (geteuid() || strstr(lacks, "the host's files")))
			continue; /* said by the process; the lab shows it with all that it needs */
		if (got != rows[i].wanted)
			fail_msg("%s: %s, expected %s", rows[i].name, strerror(got), strerror(rows[i].wanted));
	}
}

/* It goes on with less, and says so. */
static void test_fault_25_what_is_less_is_said(void **state)
{
	char lacks[200];

	assert_int_equal(in_sandbox(tcp_socket, lacks, sizeof(lacks)), 0);
	if (!geteuid() && system("getent passwd sluice-net > /dev/null"))
		assert_non_null(strstr(lacks, "no user sluice-net"));
	else
		assert_null(strstr(lacks, "no user sluice-net"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fault_25_what_the_network_process_may),
		cmocka_unit_test(test_fault_25_what_is_less_is_said),
	};

	return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}
