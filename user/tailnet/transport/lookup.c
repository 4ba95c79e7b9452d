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

static struct addr addr_of(const struct addrinfo *a)
{
	struct addr addr;

	if (a->ai_family == AF_INET)
		return addr_from_v4(((const struct sockaddr_in *)(const void *)a->ai_addr)->sin_addr.s_addr);
	memcpy(&addr, &((const struct sockaddr_in6 *)(const void *)a->ai_addr)->sin6_addr, sizeof(addr));
	return addr;
}

static const struct addrinfo *next_of(const struct addrinfo *list, int family)
{
	while (list && list->ai_family != family)
		list = list->ai_next;
	return list;
}

/* The families take turns, the resolver's first choice first (RFC 8305 section 4): one may lead nowhere. */
void lookup_take(struct lookup_answer *out, const struct addrinfo *list)
{
	bool six = list && list->ai_family == AF_INET6;
	const struct addrinfo *at[2] = {next_of(list, six ? AF_INET6 : AF_INET),
					next_of(list, six ? AF_INET : AF_INET6)};

	for (unsigned i = 0; (at[0] || at[1]) && out->n < LOOKUP_MAX; i = !i) {
		if (!at[i])
			continue;
		out->addrs[out->n++] = addr_of(at[i]);
		at[i] = next_of(at[i]->ai_next, at[i]->ai_family);
	}
}

static void *lookup_run(void *ctx)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
	struct lookup_answer answer = {0};
	struct addrinfo *list = NULL;
	struct job *l = ctx;

	answer.error = getaddrinfo(l->host, NULL, &hints, &list);
	if (!answer.error)
		lookup_take(&answer, list);
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
	error = pthread_create(&thread, &attr, lookup_run, l);
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
