/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * blast_client KEYFILE PEER ENDPOINT SOURCE TO PORT (tcp|udp) SIZE FLOWS BURST RATE COUNT
 *
 * A WireGuard client that costs nothing while the clock runs: it sets up a session,
 * opens its flows, seals COUNT packets ahead, and then only sends them, in bursts.
 * Packets of the flows alternate one by one. With COUNT 0 it opens the flows and
 * stays, for blast_service to send to; what comes is left to the kernel to drop.
 *
 *	1. initiation ->, <- response			(noise.h; mac1 of cookie.h)
 *	2. per flow: UDP: one datagram ->; TCP: SYN ->, <- SYN ACK, ACK ->
 *	3. "ready", SIGSTOP
 *	4. bursts by UDP_SEGMENT -> (all messages have one length)
 */
#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "packets.h"
#include "user/wireguard/cookie.h"
#include "user/wireguard/crypto.h"
#include "user/base/key.h"
#include "user/wireguard/noise.h"
#include "user/wireguard/session.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#define MTU	  9000 /* no packet of ours is longer: all are padded alike */
#define TRIES	  20
#define ISN	  1000
#define FLOWS_MAX (1u << 20) /* of UDP; a connection waits for its answer */
#define ENDPOINTS 30000	     /* source ports, fewer than a NAT has; further flows go to further addresses */
#define STRIDE	  7919ull    /* prime: neighbours in time are no neighbours in memory */

struct client {
	int sock;
	struct session session;
	struct tuple *flow;
	struct tcp_state *tcp;
	struct load load;
};

static void connect_to(struct client *c, const char *endpoint)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	struct timeval patience = {.tv_usec = 500000};
	char host[64];
	int port;

	if (sscanf(endpoint, "%63[^:]:%d", host, &port) != 2 || !inet_aton(host, &to.sin_addr))
		die("endpoint: %s", endpoint);
	to.sin_port = htobe16(port);
	c->sock = socket(AF_INET, SOCK_DGRAM, 0);
	if (c->sock < 0 || connect(c->sock, (struct sockaddr *)&to, sizeof(to)))
		die("connect: %s", strerror(errno));
	setsockopt(c->sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(c->sock, SOL_SOCKET, SO_SNDBUFFORCE, &(int){8 << 20}, sizeof(int));
}

static void read_key(const char *path, uint8_t key[KEY_LEN])
{
	char text[KEY_LEN_BASE64 + 1];
	FILE *file = fopen(path, "r");

	if (!file || !fgets(text, sizeof(text), file) || !key_from_base64(text, KEY_LEN_BASE64, key))
		die("%s: no key", path);
	fclose(file);
}

static void timestamp_now(uint8_t out[TIMESTAMP_LEN])
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	uint64_t seconds = htobe64(0x400000000000000aull + ts.tv_sec);
	uint32_t nanoseconds = htobe32(ts.tv_nsec);
	memcpy(out, &seconds, sizeof(seconds));
	memcpy(out + sizeof(seconds), &nanoseconds, sizeof(nanoseconds));
}

static bool handshake_once(struct client *c, const struct noise_identity *id, const struct noise_peer *peer,
			   struct cookie_maker *macs)
{
	struct message_initiation initiation;
	struct message_response response;
	struct noise_state state;
	struct noise_keys keys;
	uint8_t ephemeral[KEY_LEN], timestamp[TIMESTAMP_LEN];

	crypto_random(ephemeral, sizeof(ephemeral));
	crypto_clamp(ephemeral);
	timestamp_now(timestamp);
	if (!noise_initiation_write(&state, &initiation, id, peer, 1, ephemeral, timestamp))
		die("the peer's key is no key");
	cookie_macs_write(macs, &initiation, sizeof(initiation), now_ns());
	send(c->sock, &initiation, sizeof(initiation), 0);
	if (recv(c->sock, &response, sizeof(response), 0) != sizeof(response) ||
	    !noise_response_read(&state, &response, &keys, id, peer))
		return false;
	session_init(&c->session, &keys, 1, true, NULL, now_ns());
	return true;
}

static void handshake(struct client *c, const char *keyfile, const char *peer_text)
{
	struct noise_identity id;
	struct noise_peer peer = {0};
	struct cookie_maker macs;
	uint8_t secret[KEY_LEN], public[KEY_LEN];

	read_key(keyfile, secret);
	noise_identity_init(&id, secret);
	if (!key_from_base64(peer_text, strlen(peer_text), public) || !noise_peer_init(&peer, public, &id))
		die("peer: %s", peer_text);
	cookie_maker_init(&macs, public);
	for (int i = 0; i < TRIES; i++)
		if (handshake_once(c, &id, &peer, &macs))
			return;
	die("no answer to the handshake");
}

static void send_packet(struct client *c, unsigned flow, const struct tcp_state *tcp, size_t size)
{
	uint8_t packet[MTU], message[MTU + DATA_MIN_LEN + PADDING];

	packet_write(packet, &c->flow[flow], tcp, size, CHECKSUM_WHOLE);
	size = session_seal(&c->session, c->session.send_counter++, message, packet, size, MTU);
	send(c->sock, message, size, 0);
}

/* The next TCP packet that came through the tunnel; false: none within the socket's patience. */
static bool receive_packet(struct client *c, struct seen *seen)
{
	uint8_t message[65536];
	ssize_t len = recv(c->sock, message, sizeof(message), 0);

	if (len < (ssize_t)DATA_MIN_LEN || message[0] != MESSAGE_DATA || !session_open(&c->session, message, len))
		return false;
	return packet_read(message + DATA_HEADER_LEN, len - DATA_MIN_LEN, seen);
}

static bool open_tcp(struct client *c, unsigned flow)
{
	struct tcp_state syn = {.seq = ISN, .flags = TH_SYN};
	struct seen seen;

	send_packet(c, flow, &syn, packet_headers(IPPROTO_TCP));
	for (int i = 0; i < 8; i++) {
		if (!receive_packet(c, &seen))
			return false;
		if (seen.tuple.dport != c->flow[flow].sport || seen.tcp.flags != (TH_SYN | TH_ACK))
			continue;
		c->tcp[flow] = (struct tcp_state){.seq = ISN + 1, .ack = seen.tcp.seq + 1, .flags = TH_ACK};
		send_packet(c, flow, &c->tcp[flow], packet_headers(IPPROTO_TCP));
		return true;
	}
	return false;
}

static void open_flow(struct client *c, unsigned flow)
{
	if (c->load.proto == IPPROTO_UDP) {
		send_packet(c, flow, NULL, c->load.size);
		return;
	}
	for (int i = 0; i < TRIES; i++)
		if (open_tcp(c, flow))
			return;
	die("flow %u: no answer to its SYN", flow);
}

/* All messages, one after the other: each of the same length. */
static uint8_t *seal_ahead(struct client *c, size_t *len)
{
	size_t payload = c->load.size - packet_headers(c->load.proto);
	uint8_t packet[MTU], *arena;

	*len = session_sealed_len(c->load.size, MTU);
	arena = malloc(*len * c->load.count);
	if (!arena)
		die("no memory for %lu messages", c->load.count);
	for (unsigned long i = 0; i < c->load.count; i++) {
		unsigned flow = i * STRIDE % c->load.flows;
		struct tcp_state *tcp = c->load.proto == IPPROTO_TCP ? &c->tcp[flow] : NULL;

		packet_write(packet, &c->flow[flow], tcp, c->load.size, CHECKSUM_WHOLE);
		c->tcp[flow].seq += payload;
		session_seal(&c->session, c->session.send_counter++, arena + i * *len, packet, c->load.size, MTU);
	}
	return arena;
}

static void blast(struct client *c, const uint8_t *arena, size_t len)
{
	unsigned long sent = 0;
	uint64_t began = now_ns();

	if (setsockopt(c->sock, IPPROTO_UDP, UDP_SEGMENT, &(int){len}, sizeof(int)))
		die("UDP_SEGMENT: %s", strerror(errno));
	while (sent < c->load.count) {
		unsigned long n = c->load.count - sent < c->load.burst ? c->load.count - sent : c->load.burst;

		wait_until(began + sent * 1000000000ull / c->load.rate);
		if (send(c->sock, arena + sent * len, n * len, 0) < 0 && errno != ENOBUFS)
			die("send: %s", strerror(errno));
		sent += n;
	}
	report(sent, began);
}

static void make_flows(struct client *c, const struct in_addr *source, uint32_t to, uint16_t port)
{
	c->flow = calloc(c->load.flows, sizeof(*c->flow));
	c->tcp = calloc(c->load.flows, sizeof(*c->tcp));
	if (!c->flow || !c->tcp)
		die("no memory for %u flows", c->load.flows);
	for (unsigned i = 0; i < c->load.flows; i++)
		c->flow[i] = (struct tuple){source->s_addr, htobe32(to + i / ENDPOINTS), htobe16(20000 + i % ENDPOINTS),
					    port, c->load.proto};
}

int main(int argc, char **argv)
{
	static struct client c;
	const char *what;
	struct in_addr source, to;
	uint64_t began;
	uint8_t *arena;
	size_t len;

	if (argc != 13)
		die("blast_client KEYFILE PEER ENDPOINT SOURCE TO PORT (tcp|udp) SIZE FLOWS BURST RATE COUNT");
	if (!crypto_init(&what))
		die("cryptography: %s", what);
	if (!inet_aton(argv[4], &source) || !inet_aton(argv[5], &to))
		die("addresses: %s %s", argv[4], argv[5]);
	c.load = load_parse(argv + 7, FLOWS_MAX);
	connect_to(&c, argv[3]);
	handshake(&c, argv[1], argv[2]);
	began = now_ns();
	make_flows(&c, &source, ntohl(to.s_addr), htobe16(atoi(argv[6])));
	for (unsigned i = 0; i < c.load.flows; i++) {
		wait_until(began + i * 1000000000ull / c.load.rate);
		open_flow(&c, i);
	}
	arena = c.load.count ? seal_ahead(&c, &len) : NULL;
	wait_for_go();
	if (arena)
		blast(&c, arena, len);
	else
		pause();
	free(arena);
	close(c.sock);
	return 0;
}
