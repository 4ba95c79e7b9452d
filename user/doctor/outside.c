/* SPDX-License-Identifier: BSD-2-Clause */
/* How others know this machine (outside.h). */
#include "outside.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "policy/alloc.h"
#include "user/tailnet/disco/stun.h"
#include "user/base/http1.h"
#include "user/base/url.h"

#define STUN_TRIES   3
#define STUN_WAIT_MS 1000
#define METADATA     "169.254.169.254"
#define HTTP_WAIT_MS 1000
#define TOKEN_MAX    256

/* ---- STUN --------------------------------------------------------------------------- */

/* A connected socket; -1, with *why for people. */
static int connect_stun(const char *server, const char **why)
{
	const char *colon = strrchr(server, ':');
	char *host = colon ? mem_strndup(server, (size_t)(colon - server)) : mem_strdup(server);
	struct addrinfo hints = {.ai_socktype = SOCK_DGRAM}, *list = NULL;
	int fd = -1, err = getaddrinfo(host, colon ? colon + 1 : "3478", &hints, &list);

	*why = err ? gai_strerror(err) : "no way there";
	if (!err)
		for (struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
			fd = socket(a->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
			if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen)) {
				close(fd);
				fd = -1;
			}
		}
	if (list)
		freeaddrinfo(list);
	free(host);
	return fd;
}

static bool ask_stun(int fd, struct addr *seen)
{
	uint8_t id[STUN_ID_LEN], request[STUN_REQUEST_LEN], answer[1500];
	uint16_t port;

	randombytes_buf(id, sizeof(id));
	stun_request(id, request);
	for (int i = 0; i < STUN_TRIES; i++) {
		struct pollfd wait = {.fd = fd, .events = POLLIN};
		ssize_t n;

		if (send(fd, request, sizeof(request), 0) < 0 || poll(&wait, 1, STUN_WAIT_MS) <= 0)
			continue;
		n = recv(fd, answer, sizeof(answer), 0);
		if (n > 0 && stun_answer(answer, (size_t)n, id, seen, &port))
			return true;
	}
	return false;
}

enum outside_answer outside_stun(const char *server, struct addr *seen, const char **why)
{
	int fd = connect_stun(server, why);
	bool answered;

	if (fd < 0)
		return OUTSIDE_UNREACHABLE;
	answered = ask_stun(fd, seen);
	close(fd);
	return answered ? OUTSIDE_SEEN : OUTSIDE_SILENT;
}

/* ---- the cloud's metadata ------------------------------------------------------------- */

static bool wait_for(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	return poll(&p, 1, HTTP_WAIT_MS) > 0;
}

static int connect_metadata(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(80)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err = 0;
	socklen_t len = sizeof(err);

	inet_pton(AF_INET, METADATA, &to.sin_addr);
	if (fd < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) &&
	    (errno != EINPROGRESS || !wait_for(fd, POLLOUT) || getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) ||
	     err)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* One request, one answer: its text in @out. False: none, or not 200. */
static bool outside_ask(const char *method, const char *path, const struct http1_header *header, char *out, size_t size)
{
	struct url to = {.host = METADATA, .port = 80};
	int fd = connect_metadata();
	char buf[4096];
	struct http1 h;
	size_t n;
	ssize_t got = 1;
	bool ok;

	if (fd < 0)
		return false;
	strcpy(to.path, path);
	n = http1_request(buf, sizeof(buf), method, &to, header, 1);
	http1_init(&h, false);
	ok = n && send(fd, buf, n, MSG_NOSIGNAL) == (ssize_t)n;
	while (ok && got > 0 && h.state < HTTP1_DONE) {
		got = wait_for(fd, POLLIN) ? recv(fd, buf, sizeof(buf), 0) : -1;
		if (got > 0)
			http1_receive(&h, buf, (size_t)got);
		else if (!got)
			http1_end(&h);
	}
	ok = ok && h.state == HTTP1_DONE && h.status == 200 && h.body && h.body_len < size;
	if (ok)
		strcpy(out, h.body);
	http1_free(&h);
	close(fd);
	return ok;
}

/* Addresses end with the line, or the answer. */
static bool outside_parse(char *text, struct addr *seen)
{
	text[strcspn(text, " \t\r\n")] = '\0';
	return addr_parse(text, strlen(text), seen);
}

static bool ask_aws(struct addr *seen)
{
	char token[TOKEN_MAX], text[TOKEN_MAX];
	struct http1_header header = {"X-aws-ec2-metadata-token-ttl-seconds", "60"};

	if (!outside_ask("PUT", "/latest/api/token", &header, token, sizeof(token)))
		return false;
	token[strcspn(token, "\r\n")] = '\0';
	header = (struct http1_header){"X-aws-ec2-metadata-token", token};
	return outside_ask("GET", "/latest/meta-data/public-ipv4", &header, text, sizeof(text)) &&
	       outside_parse(text, seen);
}

bool outside_cloud(struct addr *seen, const char **cloud)
{
	static const struct {
		const char *name, *path;
		struct http1_header header;
	} others[] = {
		{"Google Cloud",
		 "/computeMetadata/v1/instance/network-interfaces/0/access-configs/0/external-ip",
		 {"Metadata-Flavor", "Google"}},
		{"Azure",
		 "/metadata/instance/network/interface/0/ipv4/ipAddress/0/"
		 "publicIpAddress?api-version=2021-02-01&format=text",
		 {"Metadata", "true"}},
		{"Hetzner", "/hetzner/v1/metadata/public-ipv4", {"Accept", "text/plain"}},
		{"DigitalOcean", "/metadata/v1/interfaces/public/0/ipv4/address", {"Accept", "text/plain"}},
		{"EC2's way", "/latest/meta-data/public-ipv4", {"Accept", "text/plain"}},
	};
	char text[TOKEN_MAX];
	int fd = connect_metadata();

	if (fd < 0) /* nobody is there: not to wait for it again and again */
		return false;
	close(fd);
	*cloud = "AWS";
	if (ask_aws(seen))
		return true;
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
		*cloud = others[i].name;
		if (outside_ask("GET", others[i].path, &others[i].header, text, sizeof(text)) &&
		    outside_parse(text, seen))
			return true;
	}
	return false;
}
