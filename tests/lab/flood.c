/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * flood MESSAGES LENGTH TO PORT SOURCE RATE SECONDS [DEVICE MAC]
 *
 * Sends the messages of a file, each of LENGTH bytes, one after the other and again, RATE of them a second to
 * TO:PORT by IPv4. SOURCE is an address, or a network 10.0.0.0/8: each datagram comes from another address and
 * port of it. Prints how many went out. The messages are made before, so that the sender costs little.
 *
 * With a device whole frames go to it, past routing, firewall and queues: the most that this machine can send. MAC is
 * whom they are for.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define BURST	    64
#define MESSAGE_MAX 1500

struct datagram {
	struct ether_header ether; /* of a frame; else it is not sent */
	struct iphdr ip;
	struct udphdr udp;
	char message[MESSAGE_MAX];
} __attribute__((packed));

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint32_t random_word(void)
{
	static uint64_t seed = 88172645463325252ull;

	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 32);
}

static char *read_all(const char *path, size_t *len)
{
	FILE *in = fopen(path, "rb");
	char *bytes = malloc(64u << 20);

	*len = in && bytes ? fread(bytes, 1, 64u << 20, in) : 0;
	return bytes;
}

struct flood {
	struct datagram datagrams[BURST];
	struct mmsghdr msgs[BURST];
	struct iovec iov[BURST];
	struct sockaddr_in to;
	struct sockaddr_ll device; /* sll_ifindex 0: by IP */
	struct ether_addr mac;
	char *messages;
	size_t len, length, at;
	struct in_addr source;
	int bits; /* of the source that are fixed */
};

/* Of a header whose checksum is 0. */
static uint16_t ip_checksum(const void *ip)
{
	const uint8_t *b = ip;
	uint32_t sum = 0;

	for (size_t i = 0; i < sizeof(struct iphdr); i += 2)
		sum += (uint32_t)b[i] << 8 | b[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~(sum + (sum >> 16)));
}

static void prepare(struct flood *f)
{
	size_t udp_len = sizeof(struct udphdr) + f->length, ip_len = sizeof(struct iphdr) + udp_len;
	bool whole = f->device.sll_ifindex;
	struct msghdr by_ip = {.msg_name = &f->to, .msg_namelen = sizeof(f->to)};
	struct msghdr by_device = {.msg_name = &f->device, .msg_namelen = sizeof(f->device)};

	for (int i = 0; i < BURST; i++) {
		struct datagram *d = &f->datagrams[i];

		d->ether.ether_type = htons(ETHERTYPE_IP);
		memcpy(d->ether.ether_dhost, &f->mac, sizeof(f->mac));
		d->ether.ether_shost[0] = 2;
		d->ip = (struct iphdr){.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP};
		d->ip.daddr = f->to.sin_addr.s_addr;
		d->ip.tot_len = htons((uint16_t)ip_len);
		d->udp.dest = f->to.sin_port;
		d->udp.len = htons((uint16_t)udp_len);
		f->iov[i] = whole ? (struct iovec){d, sizeof(d->ether) + ip_len} : (struct iovec){&d->ip, ip_len};
		f->msgs[i].msg_hdr = whole ? by_device : by_ip;
		f->msgs[i].msg_hdr.msg_iov = &f->iov[i];
		f->msgs[i].msg_hdr.msg_iovlen = 1;
	}
}

/* The next messages, each from where it is said to come. */
static void fill(struct flood *f)
{
	for (int i = 0; i < BURST; i++) {
		uint32_t host = f->bits < 32 ? random_word() >> f->bits : 0;
		struct datagram *d = &f->datagrams[i];

		d->ip.saddr = f->source.s_addr | htonl(host);
		d->ip.check = 0;
		d->ip.check = ip_checksum(&d->ip); /* by IP the kernel does it */
		d->udp.source = htons((uint16_t)(1024 + random_word() % 60000));
		memcpy(d->message, f->messages + f->at, f->length);
		f->at = f->at + 2 * f->length <= f->len ? f->at + f->length : 0;
	}
}

/* Returns how many went out. */
static uint64_t run(struct flood *f, int fd, uint64_t rate, uint64_t seconds)
{
	uint64_t start = now_ns(), end = start + seconds * 1000000000u, paced = 0, sent = 0;

	for (uint64_t now = start; now < end; now = now_ns()) {
		uint64_t due = (now - start) / 1000 * rate / 1000000;
		int done;

		if (paced + BURST > due) {
			nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
			continue;
		}
		if (due - paced > rate / 50) /* it was not let run: no more than 20 ms are made up for */
			paced = due - rate / 50;
		fill(f);
		done = sendmmsg(fd, f->msgs, BURST, 0);
		sent += done > 0 ? (uint64_t)done : 0; /* a full queue is part of a flood */
		paced += BURST;
	}
	return sent;
}

/* Returns the socket, or -1. */
static int open_socket(struct flood *f, const char *device, const char *mac)
{
	struct ether_addr *to = mac ? ether_aton(mac) : NULL;
	int fd = socket(device ? AF_PACKET : AF_INET, SOCK_RAW, device ? 0 : IPPROTO_RAW);

	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &(int){8 << 20}, sizeof(int));
	if (!device)
		return fd;
	f->device = (struct sockaddr_ll){
		.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(device), .sll_halen = ETH_ALEN};
	if (!f->device.sll_ifindex || !to || setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &(int){1}, sizeof(int)))
		return -1;
	f->mac = *to;
	return fd;
}

int main(int argc, char **argv)
{
	static struct flood f = {.to.sin_family = AF_INET, .bits = 32};
	char *prefix;
	int fd;

	if (argc != 8 && argc != 10)
		return 2;
	f.messages = read_all(argv[1], &f.len);
	f.length = strtoul(argv[2], NULL, 10);
	f.to.sin_port = htons((uint16_t)atoi(argv[4]));
	if ((prefix = strchr(argv[5], '/'))) {
		*prefix = 0;
		f.bits = atoi(prefix + 1);
	}
	fd = open_socket(&f, argv[8], argc == 10 ? argv[9] : NULL);
	if (fd < 0 || f.len < f.length || !f.length || f.length > MESSAGE_MAX || !inet_aton(argv[3], &f.to.sin_addr) ||
	    !inet_aton(argv[5], &f.source)) {
		perror("flood");
		return 2;
	}
	prepare(&f);
	printf("%llu datagrams\n",
	       (unsigned long long)run(&f, fd, strtoull(argv[6], NULL, 10), strtoull(argv[7], NULL, 10)));
	return 0;
}
