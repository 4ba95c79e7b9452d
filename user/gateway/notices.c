/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the programs cannot say themselves: ICMP errors to the sender of a packet
 * that died (RFC 792, RFC 4443, RFC 5508 REQ-8), and events for the log. How many
 * there are the programs limit (bpf/notice.h): errors are a courtesy, never a load.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "notices.h"
#include "tunnel.h"
#include "user/datapath/csum.h"
#include "user/kernel/drops.h"
#include "user/base/log.h"
#include "user/base/loop.h"
#include "user/base/text.h"

static void send4(const struct notices *n, const struct notice *notice, const struct addr *from, const struct addr *to)
{
	struct {
		struct icmphdr icmp;
		uint8_t quote[NOTICE_BYTES];
	} message = {.icmp = {.type = notice->icmp_type, .code = notice->icmp_code}};
	size_t len = sizeof(message.icmp) + notice->len;
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = to->w[3]};
	struct iovec iov = {&message, len};
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct in_pktinfo))] = {0};
	struct msghdr m = {.msg_name = &name,
			   .msg_namelen = sizeof(name),
			   .msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	struct in_pktinfo info = {.ipi_spec_dst.s_addr = from->w[3]};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	if (notice->icmp_type == ICMP_DEST_UNREACH && notice->icmp_code == ICMP_FRAG_NEEDED)
		message.icmp.un.frag.mtu = htons(notice->mtu);
	memcpy(message.quote, notice->bytes, notice->len);
	message.icmp.checksum = csum_finish(csum_add(0, &message, len));
	c->cmsg_level = IPPROTO_IP;
	c->cmsg_type = IP_PKTINFO;
	c->cmsg_len = CMSG_LEN(sizeof(info));
	memcpy(CMSG_DATA(c), &info, sizeof(info));
	if (sendmsg(n->icmp4, &m, MSG_DONTWAIT) < 0)
		log_debug("icmp: %s", strerror(errno));
}

static void send6(const struct notices *n, const struct notice *notice, const struct addr *from, const struct addr *to)
{
	struct {
		struct icmp6_hdr icmp;
		uint8_t quote[NOTICE_BYTES];
	} message = {.icmp = {.icmp6_type = notice->icmp_type, .icmp6_code = notice->icmp_code}};
	struct sockaddr_in6 name = {.sin6_family = AF_INET6};
	struct iovec iov = {&message, sizeof(message.icmp) + notice->len};
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct in6_pktinfo))] = {0};
	struct msghdr m = {.msg_name = &name,
			   .msg_namelen = sizeof(name),
			   .msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	struct in6_pktinfo info = {0};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	memcpy(&name.sin6_addr, to, sizeof(name.sin6_addr));
	memcpy(&info.ipi6_addr, from, sizeof(info.ipi6_addr));
	if (notice->icmp_type == ICMP6_PACKET_TOO_BIG)
		message.icmp.icmp6_mtu = htonl(notice->mtu);
	memcpy(message.quote, notice->bytes, notice->len);
	c->cmsg_level = IPPROTO_IPV6;
	c->cmsg_type = IPV6_PKTINFO;
	c->cmsg_len = CMSG_LEN(sizeof(info));
	memcpy(CMSG_DATA(c), &info, sizeof(info));
	if (sendmsg(n->icmp6, &m, MSG_DONTWAIT) < 0)
		log_debug("icmp: %s", strerror(errno));
}

void notices_send(const struct notices *n, const struct notice *notice)
{
	const struct addr *to = &notice->tuple.src;
	const struct addr *from = notice->to_remote ? &notice->tuple.dst : tunnel_address(n->site, addr_is_v4(to));

	if (!from)
		return;
	if (addr_is_v4(to))
		send4(n, notice, from, to);
	else
		send6(n, notice, from, to);
}

/* What is used up, and for whom. */
static void log_full(const struct notices *n, const struct notice *notice, const char *client)
{
	char remote[TEXT_ENDPOINT_SIZE], proto[TEXT_SIZE], addr[ADDR_STRLEN];
	const struct tuple *t = &notice->tuple;
	struct egress e = {0};

	if (notice->reason == DROP_PORTS_FULL) {
		maps_egress_get(n->site->maps, notice->egress, &e);
		log_warning("ports_full: %s has no port left for %s to %s: new flows there are refused",
			    addr_str(&e.addr, addr), text_proto(t->proto, proto),
			    text_endpoint(&t->dst, ntohs(t->dport), remote));
	} else if (notice->reason == DROP_FLOWS_FULL) {
		log_warning("flows_full: all %u flows are in use: new ones are refused", maps_flows_max(n->site->maps));
	} else {
		log_warning("%s: %s: %s (%s to %s; said once a minute)", drop_name(notice->reason), client,
			    drop_meaning(notice->reason), text_proto(t->proto, proto),
			    text_endpoint(&t->dst, ntohs(t->dport), remote));
	}
}

static void log_event(const struct notices *n, const struct notice *notice)
{
	const struct client *c = clients_by_id(n->clients, notice->client);
	char from[TEXT_ENDPOINT_SIZE], to[TEXT_ENDPOINT_SIZE], proto[TEXT_SIZE];
	const char *client = c ? c->config->name : "?";
	const struct tuple *t = &notice->tuple;

	if (notice->kind == NOTICE_FULL)
		log_full(n, notice, client);
	else if (notice->kind == NOTICE_DENIED)
		log_info("refused (%s): %s %s %s -> %s", drop_name(notice->reason), client, text_proto(t->proto, proto),
			 text_endpoint(&t->src, ntohs(t->sport), from), text_endpoint(&t->dst, ntohs(t->dport), to));
}

static int notices_take(void *ctx, void *data, size_t size)
{
	struct notices *n = ctx;
	struct notice notice;

	if (size < sizeof(notice))
		return 0;
	memcpy(&notice, data, sizeof(notice));
	if (notice.len > NOTICE_BYTES)
		notice.len = NOTICE_BYTES;
	if (notice.reason == DROP_NO_ROUTE)
		n->to.unrouted(n->to.ctx, &notice.tuple.dst);
	if (notice.client == CLIENT_GATEWAY)
		n->to.refused(n->to.ctx, notice.reason);
	else if (notice.kind == NOTICE_ICMP)
		notices_send(n, &notice);
	else
		log_event(n, &notice);
	return 0;
}

static void notices_readable(void *ctx)
{
	struct notices *n = ctx;

	ring_buffer__consume(n->ring);
}

bool notices_open(struct notices *n, const struct site *s, const struct clients *clients, struct notices_listener to,
		  char *error, size_t size)
{
	int err;

	*n = (struct notices){.site = s, .clients = clients, .to = to};
	n->icmp4 = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
	n->icmp6 = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6); /* -1: no IPv6, nothing to say */
	n->ring = ring_buffer__new(maps_notices_fd(s->maps), notices_take, n, NULL);
	err = n->icmp4 < 0 || !n->ring ? -errno : 0;
	if (!err)
		err = loop_add(s->loop, &n->watch, ring_buffer__epoll_fd(n->ring), notices_readable, n);
	if (err)
		snprintf(error, size, "notices of the programs: %s", strerror(-err));
	return !err;
}

void notices_close(struct notices *n)
{
	if (!n->site)
		return;
	if (n->watch.ready)
		loop_remove(n->site->loop, &n->watch);
	ring_buffer__free(n->ring);
	if (n->icmp4 >= 0)
		close(n->icmp4);
	if (n->icmp6 >= 0)
		close(n->icmp6);
	*n = (struct notices){0};
}
