/* SPDX-License-Identifier: BSD-2-Clause */
/* Look-ups of host names in threads (lookup.h). */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "policy/alloc.h"
#include "lookup.h"

static_assert(sizeof(struct lookup_answer) <= PIPE_BUF, "written in one piece");

struct job {
	char *host;
	int fd;
};

static void take(struct lookup_answer *out, const struct addrinfo *list)
{
	for (; list && out->n < LOOKUP_MAX; list = list->ai_next) {
		if (list->ai_family == AF_INET) {
			const struct sockaddr_in *in = (const void *)list->ai_addr;

			out->addrs[out->n++] = addr_from_v4(in->sin_addr.s_addr);
		} else if (list->ai_family == AF_INET6) {
			const struct sockaddr_in6 *in6 = (const void *)list->ai_addr;

			memcpy(&out->addrs[out->n++], &in6->sin6_addr, sizeof(struct addr));
		}
	}
}

static void *run(void *ctx)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
	struct lookup_answer answer = {0};
	struct addrinfo *list = NULL;
	struct job *l = ctx;

	answer.error = getaddrinfo(l->host, NULL, &hints, &list);
	if (!answer.error)
		take(&answer, list);
	freeaddrinfo(list);
	/* Nobody may be waiting any more; there is nothing to do about that here. */
	if (write(l->fd, &answer, sizeof(answer)) < 0)
		answer.error = EAI_SYSTEM;
	close(l->fd);
	free(l->host);
	free(l);
	return NULL;
}

int lookup_start(const char *host)
{
	struct job *l;
	pthread_attr_t attr;
	pthread_t thread;
	int fds[2], error;

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	l = mem_alloc(1, sizeof(*l));
	*l = (struct job){.host = mem_strdup(host), .fd = fds[1]};
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 256 * 1024);
	error = pthread_create(&thread, &attr, run, l);
	pthread_attr_destroy(&attr);
	if (!error)
		return fds[0];
	free(l->host);
	free(l);
	close(fds[0]);
	close(fds[1]);
	return -error;
}

bool lookup_finish(int fd, struct lookup_answer *out)
{
	return read(fd, out, sizeof(*out)) == sizeof(*out);
}
