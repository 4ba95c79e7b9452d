/* SPDX-License-Identifier: BSD-2-Clause */
#include "own_source.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Asks the kernel by a socket that sends nothing: it chooses the address when it is connected. */
bool is_own_source(const struct addr *a)
{
	struct sockaddr_in6 world6 = {.sin6_family = AF_INET6, .sin6_port = htons(9)}, own6 = {0};
	struct sockaddr_in world4 = {.sin_family = AF_INET, .sin_port = htons(9)}, own4 = {0};
	bool v4 = addr_is_v4(a);
	int fd = socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len = v4 ? sizeof(own4) : sizeof(own6);
	bool is = false;

	inet_pton(AF_INET, "192.0.2.1", &world4.sin_addr);
	inet_pton(AF_INET6, "2001:db8::1", &world6.sin6_addr);
	if (fd >= 0 && !connect(fd, v4 ? (void *)&world4 : (void *)&world6, len) &&
	    !getsockname(fd, v4 ? (void *)&own4 : (void *)&own6, &len))
		is = v4 ? own4.sin_addr.s_addr == a->w[3] : !memcmp(&own6.sin6_addr, a, sizeof(*a));
	if (fd >= 0)
		close(fd);
	return is;
}
