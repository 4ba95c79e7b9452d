/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A node of a tailnet without a data path: registers, follows the netmap, logs
 * in to its home relay, and prints what happens as JSON lines. For the lab's
 * tests against real servers; `tailnet_probe --help` says how.
 */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <poll.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "policy/alloc.h"
#include "user/wireguard/crypto.h"
#include "user/tailnet/disco/disco.h"
#include "user/tailnet/coord/hostinfo.h"
#include "user/base/keys.h"
#include "user/tailnet/disco/netcheck.h"
#include "user/tailnet/network/process.h"
#include "user/tailnet/tailnet.h"
#include "user/base/clock.h"
#include "user/base/file.h"

#define ROUTES_MAX 16

struct probe {
	struct tailnet *tailnet;
	struct prefix routes[ROUTES_MAX];
	size_t n_routes;
	struct map_endpoint endpoints[ROUTES_MAX];
	size_t n_endpoints;
	uint16_t home;
	struct disco *disco;
	struct netcheck *netcheck;
	int udp; /* -1: no port to listen on */
};

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
	stopped = signal;
}

static void print(json_t *line)
{
	json_dumpf(line, stdout, JSON_COMPACT);
	putchar('\n');
	fflush(stdout);
	json_decref(line);
}

static json_t *prefixes_json(const struct prefix *v, size_t n)
{
	json_t *list = json_array();
	char text[ADDR_STRLEN];

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_string(prefix_cidr(&v[i], text)));
	return list;
}

static json_t *node_json(const struct tailnet_node *n)
{
	char key[TAILKEY_SIZE], disco[TAILKEY_SIZE], addr[ADDR_STRLEN];
	json_t *endpoints = json_array();

	for (size_t i = 0; i < n->n_endpoints; i++)
		json_array_append_new(
			endpoints, json_sprintf("%s %u", addr_str(&n->endpoints[i].addr, addr), n->endpoints[i].port));
	return json_pack("{s:I, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:i, s:I, s:b, s:b, s:i}", "id", (json_int_t)n->id,
			 "name", n->name, "user", n->user, "key", tailkey_text(TAILKEY_NODE, n->node_key, key), "disco",
			 tailkey_text(TAILKEY_DISCO, n->disco_key, disco), "addresses",
			 prefixes_json(n->addresses, n->n_addresses), "allowed",
			 prefixes_json(n->allowed, n->n_allowed), "endpoints", endpoints, "region", n->region, "expiry",
			 (json_int_t)n->key_expiry, "expired", n->expired, "online", n->online, "tags", (int)n->n_tags);
}

static void on_status(void *ctx, enum wire_state state, const char *text)
{
	static const char *const names[] = {"connecting", "connected", "login",	     "approval",  "expired",
					    "offline",	  "refused",   "unreadable", "logged out"};

	print(json_pack("{s:s, s:s, s:s}", "event", "status", "state", names[state], "text", text));
}

static void on_login(void *ctx, const char *url)
{
	print(json_pack("{s:s, s:s}", "event", "login", "url", url));
}

static void on_health(void *ctx, struct health *list)
{
	for (size_t i = 0; i < list->n; i++)
		print(json_pack("{s:s, s:s, s:s}", "event", "remark", "severity",
				health_severity_name(list->v[i].severity), "text", list->v[i].text));
}

static void print_rules(const struct netmap *m)
{
	struct filter rules = netmap_rules(m);
	json_t *list = json_array();

	for (size_t i = 0; i < rules.n; i++)
		json_array_append_new(list, json_string(rules.rules[i].text));
	free(rules.rules);
	print(json_pack("{s:s, s:o}", "event", "rules", "rules", list));
}

/* ---- the UDP port ------------------------------------------------------------ */

static void send_udp(struct probe *p, const void *bytes, size_t len, const struct addr *to, uint16_t port)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	memcpy(&in6.sin6_addr, to, sizeof(*to));
	if (p->udp >= 0 && sendto(p->udp, bytes, len, 0, (struct sockaddr *)&in6, sizeof(in6)) < 0)
		print(json_pack("{s:s, s:s}", "event", "send", "error", strerror(errno)));
}

static void disco_send(void *ctx, const void *bytes, size_t len, const struct endpoint *to)
{
	send_udp(ctx, bytes, len, &to->addr, to->port);
}

static void disco_relay(void *ctx, uint16_t region, const uint8_t node[KEY_LEN], const void *bytes, size_t len)
{
	struct probe *p = ctx;

	tailnet_relay(p->tailnet, region, node, bytes, len);
}

static void disco_new_path(void *ctx, const uint8_t node[KEY_LEN], const struct endpoint *to, uint16_t region)
{
	char key[TAILKEY_SIZE], addr[ADDR_STRLEN];

	print(json_pack("{s:s, s:s, s:s, s:i, s:i}", "event", "path", "peer", tailkey_text(TAILKEY_NODE, node, key),
			"direct", to ? addr_str(&to->addr, addr) : "", "port", to ? to->port : 0, "region", region));
}

static void disco_ponged(void *ctx, const uint8_t node[KEY_LEN], const struct disco_result *r)
{
	char key[TAILKEY_SIZE];

	print(json_pack("{s:s, s:s, s:b, s:I}", "event", "pong", "peer", tailkey_text(TAILKEY_NODE, node, key),
			"direct", r->direct, "us", (json_int_t)(r->latency / 1000)));
}

static void fill_random(void *ctx, void *buf, size_t len)
{
	crypto_random(buf, len);
}

static void netcheck_send(void *ctx, const void *bytes, size_t len, const struct addr_port *to)
{
	send_udp(ctx, bytes, len, &to->addr, to->port);
}

static void netcheck_done(void *ctx, const struct netcheck_result *r)
{
	struct probe *p = ctx;
	char addr[ADDR_STRLEN];

	p->home = r->home;
	tailnet_set_netinfo(p->tailnet, r->home, r->udp, r->ipv6);
	print(json_pack("{s:s, s:i, s:b, s:s, s:i}", "event", "home", "region", r->home, "udp", r->udp, "seen",
			r->seen[0].port ? addr_str(&r->seen[0].addr, addr) : "", "port", r->seen[0].port));
}

static void read_udp(struct probe *p)
{
	struct sockaddr_in6 in6;
	socklen_t in6_len = sizeof(in6);
	uint8_t buf[2048];
	ssize_t n = recvfrom(p->udp, buf, sizeof(buf), MSG_DONTWAIT, (struct sockaddr *)&in6, &in6_len);
	struct addr_port from = {.port = ntohs(in6.sin6_port)};
	struct endpoint endpoint = {.port = from.port};
	char addr[ADDR_STRLEN];

	if (n <= 0)
		return;
	memcpy(&from.addr, &in6.sin6_addr, sizeof(from.addr));
	endpoint.addr = from.addr;
	if (disco_sender(buf, (size_t)n))
		disco_input(p->disco, buf, (size_t)n, &endpoint, clock_now());
	else if (!netcheck_input(p->netcheck, buf, (size_t)n, &from, clock_now()))
		print(json_pack("{s:s, s:s, s:i, s:s}", "event", "udp", "from", addr_str(&from.addr, addr), "len",
				(int)n, "kind", buf[0] == 1 ? "initiation" : "other"));
}

static void open_udp(struct probe *p, uint16_t port)
{
	static const struct disco_ops disco_ops = {disco_send, disco_relay, disco_new_path, disco_ponged, fill_random};
	static const struct netcheck_ops netcheck_ops = {netcheck_send, netcheck_done, fill_random};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	p->disco = disco_new(&disco_ops, p);
	p->netcheck = netcheck_new(&netcheck_ops, p);
	p->udp = -1;
	if (!port)
		return;
	p->udp = socket(AF_INET6, SOCK_DGRAM, 0);
	if (p->udp < 0 || bind(p->udp, (struct sockaddr *)&in6, sizeof(in6))) {
		perror("udp");
		exit(1);
	}
}

static void set_identity(struct probe *p)
{
	struct tailnet_secrets secrets;
	uint8_t public[KEY_LEN];

	tailnet_secrets(p->tailnet, &secrets);
	crypto_public_key(secrets.node, public);
	disco_set_identity(p->disco, secrets.disco, public);
	crypto_wipe(&secrets, sizeof(secrets));
}

/* ---- what the tailnet says ------------------------------------------------------- */

static void on_map(void *ctx, const struct netmap_copy *r)
{
	const struct netmap *m = &r->map;
	struct probe *p = ctx;

	if (m->self.changed && m->self.node)
		print(json_pack("{s:s, s:o}", "event", "self", "node", node_json(m->self.node)));
	for (size_t i = 0; i < m->n_peers; i++) {
		if (!m->peers[i].changed)
			continue;
		print(json_pack("{s:s, s:o}", "event", "peer", "node", node_json(m->peers[i].node)));
		disco_peer_set(p->disco, m->peers[i].node, clock_now());
	}
	for (size_t i = 0; i < m->n_removed; i++)
		print(json_pack("{s:s, s:I}", "event", "gone", "id", (json_int_t)m->removed[i]));
	if (m->rules_changed)
		print_rules(m);
	if (m->derpmap_changed)
		netcheck_set_map(p->netcheck, m->derpmap, clock_now());
}

static void on_relayed(void *ctx, uint16_t region, const uint8_t from[KEY_LEN], const uint8_t *bytes, size_t len)
{
	bool disco = disco_sender(bytes, len);
	char key[TAILKEY_SIZE];
	struct probe *p = ctx;

	if (disco)
		disco_input_relayed(p->disco, bytes, len, region, from, clock_now());

	print(json_pack("{s:s, s:i, s:s, s:i, s:s}", "event", "relayed", "region", region, "from",
			tailkey_text(TAILKEY_NODE, from, key), "len", (int)len, "kind",
			disco		       ? "disco"
			: len && bytes[0] == 1 ? "initiation"
					       : "other"));
}

static void on_relay(void *ctx, const struct wire_relay_state *s)
{
	print(json_pack("{s:s, s:i, s:b, s:s, s:s?}", "event", "relay", "region", s->region, "up",
			s->state == WIRE_RELAY_UP, "trouble", conn_error_name(&s->why), "host", s->host));
}

static void on_fd(void *ctx, int fd)
{
}

static void on_identity(void *ctx)
{
	set_identity(ctx);
	print(json_pack("{s:s}", "event", "identity"));
}

static void ping(struct probe *p, const char *name)
{
	const struct netmap *m = &tailnet_netmap(p->tailnet)->map;

	for (size_t i = 0; i < m->n_peers; i++)
		if (name && strcmp(m->peers[i].node->name, name) == 0)
			disco_ping(p->disco, m->peers[i].node->node_key, clock_now());
}

/* Lines on stdin: "logout", "up", "up new", "ping NAME", "routes PREFIX...". */
static void command(struct probe *p, char *line)
{
	char error[200] = "", *save, *word = strtok_r(line, " \n", &save);

	if (!word)
		return;
	if (strcmp(word, "logout") == 0)
		tailnet_logout(p->tailnet, error, sizeof(error));
	else if (strcmp(word, "ping") == 0)
		ping(p, strtok_r(NULL, " \n", &save));
	else if (strcmp(word, "up") == 0 && !tailnet_up(p->tailnet, strtok_r(NULL, " \n", &save), error, sizeof(error)))
		print(json_pack("{s:s, s:s}", "event", "error", "text", error));
	else if (strcmp(word, "routes") == 0) {
		p->n_routes = 0;
		while ((word = strtok_r(NULL, " \n", &save)) && p->n_routes < ROUTES_MAX)
			if (prefix_parse(word, strlen(word), &p->routes[p->n_routes], NULL))
				p->n_routes++;
		tailnet_set_routes(p->tailnet, p->routes, p->n_routes);
	}
}

static void read_stdin(struct probe *p, struct pollfd *in)
{
	char buf[512];
	ssize_t n = read(0, buf, sizeof(buf) - 1);

	if (n <= 0) {
		in->fd = -1;
		return;
	}
	buf[n] = 0;
	command(p, buf);
}

static uint64_t tick(struct probe *p)
{
	uint64_t now = clock_now(), a = tailnet_tick(p->tailnet, now), b = disco_tick(p->disco, now),
		 c = netcheck_tick(p->netcheck, now), ab = a < b ? a : b;

	return ab < c ? ab : c;
}

static void run(struct probe *p, uint64_t until)
{
	struct pollfd in = {.fd = 0, .events = POLLIN};

	while (!stopped && clock_now() < until) {
		uint64_t next = tick(p), now = clock_now();
		struct pollfd fds[] = {
			{.fd = tailnet_fd(p->tailnet), .events = POLLIN}, {.fd = p->udp, .events = POLLIN}, in};
		int ms = next <= now ? 0 : next - now > NS_PER_SEC ? 1000 : (int)((next - now) / NS_PER_MS) + 1;

		if (poll(fds, 3, ms) < 0)
			continue;
		if (fds[0].revents)
			tailnet_ready(p->tailnet, clock_now());
		if (fds[1].revents)
			read_udp(p);
		if (fds[2].revents)
			read_stdin(p, &in);
	}
}

static void usage(void)
{
	fprintf(stderr, "tailnet_probe --server URL --state DIR [--auth-key KEY] [--hostname NAME] [--ca FILE]\n"
			"  [--control-key mkey:...] [--route PREFIX]... [--endpoint ADDR:PORT]... [--home REGION]\n"
			"  [--listen PORT] [--seconds N] [--no-relays]\n");
	exit(2);
}

static void parse(int argc, char **argv, struct probe *p, struct tailnet_config *c, unsigned *seconds, uint16_t *port)
{
	static const struct option options[] = {
		{"server", 1, 0, 's'},
		{"state", 1, 0, 'd'},
		{"auth-key", 1, 0, 'a'},
		{"hostname", 1, 0, 'n'},
		{"ca", 1, 0, 'c'},
		{"route", 1, 0, 'r'},
		{"endpoint", 1, 0, 'e'},
		{"home", 1, 0, 'h'},
		{"seconds", 1, 0, 't'},
		{"no-relays", 0, 0, 'x'},
		{"control-key", 1, 0, 'k'},
		{"listen", 1, 0, 'l'},
		{0},
	};
	static uint8_t server_key[KEY_LEN];
	size_t len;
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (o == 's')
			c->server = optarg;
		else if (o == 'd')
			c->state = optarg;
		else if (o == 'a')
			c->auth_key = optarg;
		else if (o == 'n')
			c->hostname = optarg;
		else if (o == 'c' && !(c->ca = file_read(optarg, 65536, &len)))
			usage();
		else if (o == 'k' && !tailkey_parse(TAILKEY_MACHINE, optarg, server_key))
			usage();
		else if (o == 'k')
			c->server_key = server_key;
		else if (o == 'r' && p->n_routes < ROUTES_MAX &&
			 prefix_parse(optarg, strlen(optarg), &p->routes[p->n_routes], NULL))
			p->n_routes++;
		else if (o == 'e' && p->n_endpoints < ROUTES_MAX &&
			 addr_port_parse(optarg, &p->endpoints[p->n_endpoints].at))
			p->endpoints[p->n_endpoints++].type = ENDPOINT_LOCAL;
		else if (o == 'h')
			p->home = (uint16_t)atoi(optarg);
		else if (o == 't')
			*seconds = (unsigned)atoi(optarg);
		else if (o == 'l')
			*port = (uint16_t)atoi(optarg);
		else if (o == 'x')
			c->relays = false;
		else if (o == '?')
			usage();
	}
	if (!c->server || !c->state)
		usage();
}

int main(int argc, char **argv)
{
	static const struct tailnet_ops ops = {on_status,  on_login, on_health, on_map,
					       on_relayed, on_relay, on_fd,	on_identity};
	struct tailnet_config config = {.hostname = "probe", .version = "probe", .relays = true};
	struct probe p = {0};
	unsigned seconds = 3600;
	uint16_t port = 0;
	char error[300];
	const char *what;

	if (argc > 1 && strcmp(argv[1], PROCESS_ARGUMENT) == 0)
		return process_main();
	parse(argc, argv, &p, &config, &seconds, &port);
	signal(SIGTERM, stop);
	signal(SIGINT, stop);
	if (!crypto_init(&what))
		return 1;
	p.tailnet = tailnet_new(&config, &ops, &p, error, sizeof(error));
	if (!p.tailnet) {
		fprintf(stderr, "%s\n", error);
		return 1;
	}
	open_udp(&p, port);
	set_identity(&p);
	tailnet_set_routes(p.tailnet, p.routes, p.n_routes);
	tailnet_set_endpoints(p.tailnet, p.endpoints, p.n_endpoints);
	if (p.home)
		tailnet_set_netinfo(p.tailnet, p.home, true, false);
	tailnet_start(p.tailnet, clock_now());
	run(&p, clock_now() + seconds * NS_PER_SEC);
	tailnet_free(p.tailnet);
	disco_free(p.disco);
	netcheck_free(p.netcheck);
	free((char *)config.ca);
	return 0;
}
