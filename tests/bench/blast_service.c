/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * blast_service DEVICE ADDRESS PORT (tcp|udp) SIZE FLOWS BURST RATE COUNT
 *
 * The far end of blast_client: a service that exists only on a packet socket, so
 * that it costs nothing (nftables drops what comes before the kernel looks at it).
 * It answers SYNs until it knows all flows, then says "ready" and stops itself.
 * Continued, it sends COUNT packets back on the flows in turn, in bursts; with
 * COUNT 0 it only waits to be killed. Frames leave with partial checksums, as from
 * a real stack over a NIC that offloads them, and one by one, never as super-packets.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include "packets.h"

#define ISN	  7000
#define FLOWS_MAX 256
#define FRAME_MAX (sizeof(struct frame) + 9000)

struct frame { /* what a packet socket with PACKET_VNET_HDR takes */
	struct virtio_net_hdr hdr;
	struct ethhdr eth;
	uint8_t packet[];
} __attribute__((packed));

struct service {
	int sock;
	struct ethhdr eth;	      /* towards the gateway */
	struct tuple flow[FLOWS_MAX]; /* as we send */
	struct tcp_state tcp[FLOWS_MAX];
	unsigned n;
	struct load load;
	uint32_t address;
	uint16_t port;
};

static int packet_socket(const char *device)
{
	struct sockaddr_ll at = {
		.sll_family = AF_PACKET, .sll_protocol = htobe16(ETH_P_IP), .sll_ifindex = if_nametoindex(device)};
	int sock = socket(AF_PACKET, SOCK_RAW, 0);
	int on = 1;

	if (sock < 0 || setsockopt(sock, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) ||
	    setsockopt(sock, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)) ||
	    bind(sock, (struct sockaddr *)&at, sizeof(at)))
		die("packet socket on %s: %s", device, strerror(errno));
	setsockopt(sock, SOL_SOCKET, SO_SNDBUFFORCE, &(int){8 << 20}, sizeof(int));
	return sock;
}

static size_t frame_write(const struct service *s, struct frame *f, unsigned flow, const struct tcp_state *tcp,
			  size_t size)
{
	uint8_t proto = s->load.proto;

	f->hdr = (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.csum_start = sizeof(f->eth) + sizeof(struct iphdr),
		.csum_offset = packet_checksum_offset(proto),
	};
	f->eth = s->eth;
	packet_write(f->packet, &s->flow[flow], proto == IPPROTO_TCP ? tcp : NULL, size, CHECKSUM_PSEUDO);
	return sizeof(*f) + size;
}

/* The flow of a packet that came, a new one if need be. */
static unsigned flow_of(struct service *s, const struct seen *seen)
{
	struct tuple back = {seen->tuple.dst, seen->tuple.src, seen->tuple.dport, seen->tuple.sport, seen->tuple.proto};

	for (unsigned i = 0; i < s->n; i++)
		if (!memcmp(&s->flow[i], &back, sizeof(back)))
			return i;
	s->flow[s->n] = back;
	return s->n++;
}

static void meet(struct service *s)
{
	uint8_t buf[65536], answer[FRAME_MAX];
	struct frame *f = (struct frame *)buf;
	ssize_t len = recv(s->sock, buf, sizeof(buf), 0);
	struct seen seen;
	unsigned flow;

	if (len < (ssize_t)sizeof(*f) || !packet_read(f->packet, len - sizeof(*f), &seen))
		return;
	if (seen.tuple.dst != s->address || seen.tuple.dport != s->port || seen.tuple.proto != s->load.proto)
		return;
	memcpy(s->eth.h_dest, f->eth.h_source, ETH_ALEN);
	memcpy(s->eth.h_source, f->eth.h_dest, ETH_ALEN);
	s->eth.h_proto = htobe16(ETH_P_IP);
	flow = flow_of(s, &seen);
	if (seen.tcp.flags != TH_SYN)
		return;
	struct tcp_state syn_ack = {ISN, seen.tcp.seq + 1, TH_SYN | TH_ACK};
	size_t size = frame_write(s, (struct frame *)answer, flow, &syn_ack, packet_headers(IPPROTO_TCP));

	s->tcp[flow] = (struct tcp_state){ISN + 1, seen.tcp.seq + 1, TH_ACK};
	send(s->sock, answer, size, 0);
}

static void blast(struct service *s, uint8_t *frames, size_t len)
{
	struct mmsghdr messages[44] = {0};
	struct iovec parts[44];
	unsigned long sent = 0, lost = 0;
	uint64_t began = now_ns();

	while (sent < s->load.count) {
		unsigned long n = s->load.count - sent < s->load.burst ? s->load.count - sent : s->load.burst;

		for (unsigned i = 0; i < n; i++) {
			parts[i] = (struct iovec){frames + (sent + i) * len, len};
			messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
		}
		wait_until(began + sent * 1000000000ull / s->load.rate);
		for (unsigned done = 0; done < n;) {
			int got = sendmmsg(s->sock, messages + done, n - done, 0);

			lost += got < 0; /* the far ring is full: as on a wire, that one is gone */
			done += got < 0 ? 1 : got;
		}
		sent += n;
	}
	report(sent - lost, began);
}

int main(int argc, char **argv)
{
	static struct service s;
	struct in_addr address;
	uint8_t *frames = NULL;
	size_t len;

	if (argc != 10 || !inet_aton(argv[2], &address))
		die("blast_service DEVICE ADDRESS PORT (tcp|udp) SIZE FLOWS BURST RATE COUNT");
	s.load = load_parse(argv + 4, FLOWS_MAX);
	s.address = address.s_addr;
	s.port = htobe16(atoi(argv[3]));
	s.sock = packet_socket(argv[1]);
	puts("listening");
	fflush(stdout);
	while (s.n < s.load.flows)
		meet(&s);
	len = sizeof(struct frame) + s.load.size;
	if (s.load.count && !(frames = malloc(len * s.load.count)))
		die("no memory for %lu frames", s.load.count);
	for (unsigned long i = 0; i < s.load.count; i++) {
		unsigned flow = i % s.load.flows;

		frame_write(&s, (struct frame *)(frames + i * len), flow, &s.tcp[flow], s.load.size);
		s.tcp[flow].seq += s.load.size - packet_headers(s.load.proto);
	}
	if (!frames)
		close(s.sock); /* a listening packet socket would cost a copy of each packet */
	wait_for_go();
	if (frames)
		blast(&s, frames, len);
	free(frames);
	return 0;
}
