/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * metrics: the gateway's numbers for Prometheus, printed once or served. The server is a
 * process of its own that needs no more than to open the control socket: HTTP does not
 * come near the gateway.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/addr.h"
#include "command_ask.h"
#include "user/control/control.h"
#include "metrics.h"
#include "user/base/systemd.h"
#include "user/base/text.h"
#include "user/wireguard/messages.h"
#include "user/base/clock.h"
#include "user/base/exit.h"

#define TYPE		 "text/plain; version=0.0.4; charset=utf-8"
#define CONNECTIONS	 32
#define PATIENCE_SECONDS 10

/*
 * Anybody who reaches the port may ask as often as they like: the gateway's last answer is good
 * for this long, so that it is asked no more than once in that time.
 */
#define FRESH (NS_PER_SEC)

struct source {
	const char *socket;
	bool clients; /* each of them, too */
	char *text;   /* as served last; of the server's one thread */
	size_t len;
	uint64_t made; /* monotonic ns */
};

/* What the gateway says; NULL with a message in *error (from malloc) and in *status why: none answers. */
static json_t *cmd_metrics_gather(const struct source *s, int *status, char **error)
{
	static const char *const verbs[] = {"status", "drops", "routes", "clients"};
	size_t n = s->clients ? 4 : 3;
	json_t *all = json_object(), *answer;

	for (size_t i = 0; i < n; i++) {
		*status = i < 3 ? control_call(s->socket, verbs[i], NULL, &answer, error)
				: control_call_pages(s->socket, verbs[i], NULL, verbs[i], UINT64_MAX, &answer, error);
		if (*status != EXIT_YES) {
			json_decref(all);
			return NULL;
		}
		json_object_set_new(all, verbs[i], answer);
	}
	return all;
}

static int print_once(const struct source *s)
{
	char *error = NULL;
	int status;
	json_t *answers = cmd_metrics_gather(s, &status, &error);

	metrics_print(answers, stdout);
	if (error)
		fprintf(stderr, "sluice metrics: %s\n", error);
	json_decref(answers);
	free(error);
	return status;
}

/* ---- served ------------------------------------------------------------------------------- */

static enum MHD_Result reply(struct MHD_Connection *c, unsigned status, struct MHD_Response *r)
{
	enum MHD_Result done = r ? MHD_queue_response(c, status, r) : MHD_NO;

	if (r)
		MHD_destroy_response(r);
	return done;
}

static enum MHD_Result cmd_metrics_refuse(struct MHD_Connection *c, unsigned status, const char *text)
{
	return reply(c, status, MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_PERSISTENT));
}

/* Makes s->text, unless it is fresh. False: no memory. */
static bool refresh(struct source *s)
{
	uint64_t now = clock_now();
	char *text = NULL, *error = NULL;
	json_t *answers;
	size_t len = 0;
	int status;
	FILE *out;

	if (s->text && now - s->made < FRESH)
		return true;
	out = open_memstream(&text, &len);
	if (!out)
		return false;
	answers = cmd_metrics_gather(s, &status, &error);
	metrics_print(answers, out);
	json_decref(answers);
	free(error);
	if (fclose(out)) {
		free(text);
		return false;
	}
	free(s->text);
	s->text = text;
	s->len = len;
	s->made = clock_now(); /* a gateway that is slow to answer is not asked again at once */
	return true;
}

static enum MHD_Result cmd_metrics_answer(void *source, struct MHD_Connection *c, const char *path, const char *method,
					  const char *version, const char *body, size_t *body_len, void **seen)
{
	struct source *s = source;
	struct MHD_Response *r;

	if (strcmp(method, MHD_HTTP_METHOD_GET) && strcmp(method, MHD_HTTP_METHOD_HEAD))
		return cmd_metrics_refuse(c, MHD_HTTP_METHOD_NOT_ALLOWED, "GET or HEAD\n");
	if (strcmp(path, "/metrics"))
		return cmd_metrics_refuse(c, MHD_HTTP_NOT_FOUND, "the metrics are at /metrics\n");
	if (!refresh(s))
		return MHD_NO;
	r = MHD_create_response_from_buffer(s->len, s->text, MHD_RESPMEM_MUST_COPY);
	if (r)
		MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, TYPE);
	return reply(c, MHD_HTTP_OK, r);
}

/* ADDRESS:PORT into @out. */
static bool parse_listen(const char *word, struct sockaddr_storage *out)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
	const char *host;
	struct addr a;
	uint16_t port;
	size_t len;

	*out = (struct sockaddr_storage){0};
	host = text_host_port(word, &len, &port);
	if (!host || !addr_parse(host, len, &a))
		return false;
	if (addr_is_v4(&a)) {
		*v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
		memcpy(&v4->sin_addr, a.b + 12, sizeof(v4->sin_addr));
	} else {
		*v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
		memcpy(&v6->sin6_addr, a.b, sizeof(v6->sin6_addr));
	}
	return true;
}

static int cmd_metrics_serve(struct source *s, const struct command_args *a)
{
	const char *word = command_option(a, "listen");
	struct sockaddr_storage at;
	struct MHD_Daemon *server;
	sigset_t ends;
	int which;

	if (!parse_listen(word, &at)) {
		command_refuse_value(a, "listen", "ADDRESS:PORT");
		return EXIT_USAGE;
	}
	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigprocmask(SIG_BLOCK, &ends, NULL); /* the server's thread leaves them to this one */
	server = MHD_start_daemon(
		MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_AUTO | (at.ss_family == AF_INET6 ? MHD_USE_IPv6 : 0), 0, NULL,
		NULL, cmd_metrics_answer, s, MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&at, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)PATIENCE_SECONDS, MHD_OPTION_END);
	if (!server) {
		fprintf(stderr, "sluice metrics: %s: %s\n", word, strerror(errno));
		return EXIT_NO;
	}
	systemd_ready(NULL);
	sigwait(&ends, &which);
	systemd_stopping();
	MHD_stop_daemon(server);
	free(s->text);
	return EXIT_YES;
}

int cmd_metrics(int argc, char **argv)
{
	struct command_args a;
	struct source s;
	char *socket;
	int status;

	if (!command_parse(argc, argv, &a) || !ask_config(&a))
		return EXIT_USAGE;
	socket = ask_socket(&a);
	s = (struct source){.socket = socket, .clients = command_option(&a, "clients")};
	status = command_option(&a, "listen") ? cmd_metrics_serve(&s, &a) : print_once(&s);
	free(socket);
	return status;
}
