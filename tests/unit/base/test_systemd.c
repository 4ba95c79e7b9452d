/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the service manager is told, over a socket of our own, by name and in the
 * abstract space; and that without one nothing happens.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "user/base/systemd.h"

static int listen_at(const char *path)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	strcpy(sa.sun_path, path);
	if (path[0] == '@')
		sa.sun_path[0] = 0;
	assert_int_equal(
		bind(fd, (struct sockaddr *)&sa, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path))),
		0);
	setenv("NOTIFY_SOCKET", path, 1);
	return fd;
}

static void expect(int fd, const char *text)
{
	char buf[1024];
	ssize_t n = recv(fd, buf, sizeof(buf) - 1, 0);

	assert_true(n > 0);
	buf[n] = 0;
	assert_string_equal(buf, text);
}

static void tell_all(int fd)
{
	assert_true(systemd_ready(NULL));
	expect(fd, "READY=1");
	assert_true(systemd_ready("forwarding"));
	expect(fd, "READY=1\nSTATUS=forwarding");
	assert_true(
		systemd_status("egress address\nMAINPID=1 is not there")); /* a line end would be another variable */
	expect(fd, "STATUS=egress address\\x0aMAINPID=1 is not there");
	assert_true(systemd_reloading(1234567890));
	expect(fd, "RELOADING=1\nMONOTONIC_USEC=1234567");
	assert_true(systemd_stopping());
	expect(fd, "STOPPING=1");
}

static void test_by_name(void **state)
{
	char folder[] = "/tmp/sluice-notify-XXXXXX", path[64];
	int fd;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/s", folder);
	fd = listen_at(path);
	tell_all(fd);
	close(fd);
	unlink(path);
	rmdir(folder);
}

static void test_abstract(void **state)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "@sluice-notify-%d", getpid());
	fd = listen_at(path);
	tell_all(fd);
	close(fd);
}

static void test_nobody_listens(void **state)
{
	static const char *const names[] = {"", "relative", "/nonexistent/s", "@sluice-nobody"};
	char long_name[200];

	unsetenv("NOTIFY_SOCKET");
	assert_false(systemd_ready(NULL));
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		setenv("NOTIFY_SOCKET", names[i], 1);
		assert_false(systemd_ready("x"));
	}
	memset(long_name, '/', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = 0;
	setenv("NOTIFY_SOCKET", long_name, 1);
	assert_false(systemd_stopping());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_name),
		cmocka_unit_test(test_abstract),
		cmocka_unit_test(test_nobody_listens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
