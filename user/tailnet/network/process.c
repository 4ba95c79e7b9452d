/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The network process (process.h): one thread, one poll(2), around state
 * machines that know nothing of sockets. Rights are given up before the first
 * byte is received; system calls once the certificates have been read.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "user/tailnet/coord/coord.h"
#include "user/tailnet/transport/conn.h"
#include "user/tailnet/coord/pings.h"
#include "process.h"
#include "user/tailnet/relay/relay.h"
#include "user/tailnet/relay/relay_hosts.h"
#include "user/process/sandbox.h"
#include "user/wireguard/crypto.h"
#include "user/base/log.h"
#include "user/base/secret.h"
#include "user/tailnet/ipc/ipc.h"
#include "user/base/clock.h"
#include "user/base/url.h"
#include "user/base/http1.h"

#define PAIR_FD	  3
#define HEADS_MAX 4

struct head { /* an answer to a ping of the server's */
	struct process *p;
	struct conn *conn; /* NULL: free */
	struct http1 http;
	struct url url;
	uint64_t deadline;
};

struct process {
	struct ipc ipc;
	struct conns conns;
	struct coord *coord;   /* NULL until WIRE_CONFIG */
	struct relays *relays; /* NULL: none wanted */
	struct derpmap *map;   /* the coordination client's; NULL: not known yet */
	struct derpmap *kept;  /* of before we were started, until then */
	struct relay_hosts hosts;
	struct conn *control;
	bool open_failed; /* to be told when nobody is being called */
	bool unverified;  /* the server's key is pinned */
	struct url server;
	bool over;
	struct head heads[HEADS_MAX];
};

/* ---- to the gateway ---------------------------------------------------------------- */

static void process_tell(void *ctx, const struct wire_message *m)
{
	struct process *p = ctx;

	if (!ipc_send(&p->ipc, m))
		p->over = true;
}

static void tell_refused(struct process *p, const char *text)
{
	struct wire_message m = {.type = WIRE_STATUS};

	m.status = (struct wire_status){.state = WIRE_STATE_REFUSED, .text = (char *)text};
	process_tell(p, &m);
}

/* ---- the client's wishes -------------------------------------------------------------- */

static void control_opened(void *ctx)
{
	struct process *p = ctx;

	coord_opened(p->coord, clock_now());
}

static void control_received(void *ctx, const uint8_t *bytes, size_t len)
{
	struct process *p = ctx;

	coord_received(p->coord, bytes, len, clock_now());
}

static void control_closed(void *ctx, const struct conn_error *why)
{
	struct process *p = ctx;
	char what[256], text[WIRE_TEXT_MAX + 1];

	p->control = NULL;
	snprintf(text, sizeof(text), "%s (%s)", conn_error_text(why, what, sizeof(what)), conn_error_advice(why));
	coord_closed(p->coord, text, clock_now());
}

static void do_open(void *ctx, const struct url *url, const struct dial_plan *plan)
{
	static const struct conn_ops ops = {control_opened, control_received, control_closed};
	struct process *p = ctx;
	const struct conn_target to = {.url = *url,
				       .addrs = plan ? plan->v : NULL,
				       .n_addrs = plan ? plan->n : 0,
				       .unverified = p->unverified};

	p->control = conn_open(&p->conns, &to, &ops, p, clock_now());
	p->open_failed = !p->control;
}

static void do_send(void *ctx, const uint8_t *bytes, size_t len)
{
	struct process *p = ctx;

	if (p->control)
		conn_send(p->control, bytes, len);
}

static void do_close(void *ctx)
{
	struct process *p = ctx;

	if (p->control)
		conn_close(p->control);
	p->control = NULL;
	p->open_failed = false;
}

static void end_head(struct head *h)
{
	conn_close(h->conn);
	http1_free(&h->http);
	h->conn = NULL;
}

static void head_opened(void *ctx)
{
	const struct http1_header close = {"Connection", "close"};
	struct head *h = ctx;
	char request[2048];

	conn_send(h->conn, request, http1_request(request, sizeof(request), "HEAD", &h->url, &close, 1));
}

static void head_received(void *ctx, const uint8_t *bytes, size_t len)
{
	struct head *h = ctx;

	http1_receive(&h->http, (const char *)bytes, len);
	if (h->http.state != HTTP1_HEAD && h->http.state != HTTP1_BODY)
		end_head(h);
}

static void head_closed(void *ctx, const struct conn_error *why)
{
	end_head(ctx);
}

static void do_head(void *ctx, const struct url *url)
{
	static const struct conn_ops ops = {head_opened, head_received, head_closed};
	struct process *p = ctx;
	enum ping_target target = ping_target(&p->server, url);
	const struct conn_target to = {.url = *url, .unverified = p->unverified && target == PING_OWN};
	uint64_t now = clock_now();

	if (target == PING_REFUSED) {
		log_warning("tailnet: the server wants a request sent to %s, port %u, which is not its own: refused",
			    url->host, url->port);
		return;
	}
	for (size_t i = 0; i < HEADS_MAX; i++) {
		struct head *h = &p->heads[i];

		if (h->conn)
			continue;
		*h = (struct head){.p = p, .url = *url, .deadline = now + PING_PATIENCE};
		h->conn = conn_open(&p->conns, &to, &ops, h, now);
		if (h->conn)
			http1_init(&h->http, true);
		return;
	}
}

static uint64_t heads_tick(struct process *p, uint64_t now)
{
	uint64_t next = UINT64_MAX;

	for (size_t i = 0; i < HEADS_MAX; i++) {
		struct head *h = &p->heads[i];

		if (h->conn && now >= h->deadline)
			end_head(h);
		else if (h->conn && h->deadline < next)
			next = h->deadline;
	}
	return next;
}

static void do_relays(void *ctx, struct derpmap *map)
{
	struct process *p = ctx;

	p->map = map;
	relay_hosts_note(&p->hosts, map);
	relay_hosts_fill(&p->hosts, map);
	if (p->relays)
		relays_set_map(p->relays, map, clock_now());
}

static void do_random(void *ctx, void *buf, size_t len)
{
	crypto_random(buf, len);
}

/* ---- from the gateway ------------------------------------------------------------------- */

static void process_configure(struct process *p, struct wire_config *config)
{
	static const struct coord_ops ops = {do_open, do_send, do_close, do_head, process_tell, do_relays, do_random};
	bool relays = config->relays;
	char error[200];

	if (p->coord)
		return;
	p->unverified = config->pinned;
	url_parse(config->server, &p->server); /* or coord_new() says that it is none */
	if (!conns_init(&p->conns, config->ca, error, sizeof(error)) || !sandbox_lock(error, sizeof(error))) {
		tell_refused(p, error);
		return;
	}
	p->coord = coord_new(config, &ops, p, error);
	if (!p->coord)
		tell_refused(p, error);
	else if (relays)
		p->relays = relays_new(&p->conns, process_tell, p);
	p->kept = derpmap_new();
}

static void tell_relays(struct process *p, struct wire_message *m, uint64_t now)
{
	static const uint8_t none[KEY_LEN];
	struct relays *r = p->relays;

	if (m->type == WIRE_REGION && derpmap_add(p->kept, &m->region) && !p->map)
		relays_set_map(r, p->kept, now);
	else if (m->type == WIRE_RELAY_PACKET)
		relays_send(r, &m->packet, now);
	else if (m->type == WIRE_RELAY_BOX)
		relays_box(r, &m->box);
	else if (m->type == WIRE_NETINFO)
		relays_set_home(r, m->netinfo.region, now);
	else if (m->type == WIRE_KEYS) /* peers know us by the old one until the new one is taken */
		relays_set_key(r, key_is_zero(m->keys.old_node) ? m->keys.node : m->keys.old_node, now);
	else if (m->type == WIRE_LOGOUT)
		relays_set_key(r, none, now);
	else if (m->type == WIRE_RECONNECT)
		relays_retry(r, now);
}

static void process_take_message(struct process *p, struct wire_message *m)
{
	uint64_t now = clock_now();

	if (m->type == WIRE_CONFIG) {
		process_configure(p, &m->config);
		return;
	}
	if (!p->coord)
		return;
	if (p->relays)
		tell_relays(p, m, now);
	coord_told(p->coord, m, now);
}

static void read_link(struct process *p)
{
	enum ipc_result result = IPC_MESSAGE;

	for (int i = 0; i < 64 && result == IPC_MESSAGE; i++) {
		struct wire_message m;

		result = ipc_receive(&p->ipc, &m);
		if (result != IPC_MESSAGE)
			break;
		process_take_message(p, &m);
		wire_message_free(&m);
	}
	p->over |= result == IPC_GONE || result == IPC_MALFORMED;
}

/* ---- the loop ---------------------------------------------------------------------------- */

static int timeout_of(uint64_t deadline, uint64_t now)
{
	uint64_t ms = deadline <= now ? 0 : (deadline - now + NS_PER_MS - 1) / NS_PER_MS;

	return ms > 60000 ? 60000 : (int)ms;
}

static uint64_t tick(struct process *p)
{
	uint64_t next = UINT64_MAX, due;

	if (p->open_failed) {
		p->open_failed = false;
		coord_closed(p->coord, "too many connections", clock_now());
	}
	if (relay_hosts_tick(&p->hosts, clock_now(), &next) && relay_hosts_fill(&p->hosts, p->map))
		coord_relays_filled(p->coord);
	due = p->coord ? coord_tick(p->coord, clock_now()) : UINT64_MAX;
	next = due < next ? due : next;
	due = heads_tick(p, clock_now());
	next = due < next ? due : next;
	due = p->relays ? relays_tick(p->relays, clock_now()) : UINT64_MAX;
	return due < next ? due : next;
}

static void run_once(struct process *p)
{
	struct pollfd fds[1 + CONNS_MAX + RELAY_HOSTS_MAX];
	uint64_t deadline = tick(p), conns_deadline;
	size_t n = conns_prepare(&p->conns, fds + 1, &conns_deadline);
	uint64_t now = clock_now();

	if (conns_deadline < deadline)
		deadline = conns_deadline;
	fds[0] = (struct pollfd){.fd = p->ipc.fd, .events = POLLIN};
	if (ipc_wants_write(&p->ipc))
		fds[0].events |= POLLOUT;
	if (poll(fds, 1 + n + relay_hosts_prepare(&p->hosts, fds + 1 + n), timeout_of(deadline, now)) < 0 &&
	    errno != EINTR) {
		p->over = true;
		return;
	}
	conns_handle(&p->conns, fds + 1, n, clock_now());
	if (fds[0].revents & POLLOUT && !ipc_flush(&p->ipc))
		p->over = true;
	if (fds[0].revents & ~POLLOUT)
		read_link(p);
}

int process_main(void)
{
	struct process p = {0};
	const char *what;
	char lacks[200], error[200];

	prctl(PR_SET_NAME, "sluice-net");
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN); /* of the terminal: the gateway ends us */
	if (!sandbox_drop(lacks, error, sizeof(error))) {
		log_error("tailnet process: %s", error);
		return 1;
	}
	if (*lacks)
		log_warning("tailnet process: %s", lacks);
	if (!crypto_init(&what)) {
		log_error("tailnet process: %s gives wrong answers", what);
		return 1;
	}
	json_set_alloc_funcs(malloc, secret_wiping_free); /* the auth key goes through it */
	ipc_init(&p.ipc, PAIR_FD, WIRE_TO_NETWORK);
	while (!p.over)
		run_once(&p);
	coord_free(p.coord);
	relays_free(p.relays);
	derpmap_free(p.kept);
	for (size_t i = 0; i < HEADS_MAX; i++)
		if (p.heads[i].conn)
			end_head(&p.heads[i]);
	relay_hosts_free(&p.hosts);
	conns_free(&p.conns);
	ipc_free(&p.ipc);
	return 0;
}

/* In the child. The pair's end becomes PAIR_FD, everything above is closed. */
static void become(int fd)
{
	char *const argv[] = {"sluice", PROCESS_ARGUMENT, NULL};
	char *const envp[] = {NULL};

	int null = open("/dev/null", O_RDWR);

	/* Copies, which exec does not close; dup2() onto itself would keep that flag. */
	if (fd == PAIR_FD)
		fd = dup(fd);
	if (dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 || dup2(fd, PAIR_FD) != PAIR_FD ||
	    close_range(PAIR_FD + 1, ~0u, 0))
		_exit(126);
	execve("/proc/self/exe", argv, envp);
	_exit(127);
}

int process_start(pid_t *pid)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds))
		return -errno;
	*pid = fork();
	if (*pid == 0)
		become(fds[1]);
	close(fds[1]);
	if (*pid > 0)
		return fds[0];
	close(fds[0]);
	return -EAGAIN;
}
