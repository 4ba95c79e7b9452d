/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * scale_live [JSON]
 *
 * Short connections, one after the other, through a gateway on real devices, beside the
 * kernel's own: forwarding with nftables' masquerade.
 *
 *	this program --(client: TAP)--> [ tap_in, or ip_forward and masquerade ] --(nic: TAP)--> this program
 *
 * The program plays both ends. What it writes to a TAP is translated and queued on the
 * other one before write() returns, so its own CPU time is that of the gateway and of the
 * two calls a packet, which both pay. Each has a namespace and a process of its own, and
 * they take turns.
 */
#include <sys/wait.h>

#include "scale.h"
#include "tests/bpf/taps.h"
#include "user/kernel/attach.h"

#define REMOTES	    50
#define CONNECTIONS 20000
#define WARM_UP	    2000
#define TURNS	    3

enum contender { SLUICE, NFTABLES, CONTENDERS };

struct ends {
	enum contender which;
	struct scratch *s; /* of Sluice */
	struct tap client, nic;
	uint64_t packets;
};

static const uint8_t far_mac[6] = {0x02, 0, 0, 0, 0, 0xfe};

/* ---- the gateways ------------------------------------------------------------------- */

static void set_sysctl(const char *name, const char *value)
{
	char *path = mem_printf("/proc/sys/net/%s", name);
	FILE *f = fopen(path, "w");

	if (!f || fputs(value, f) < 0 || fclose(f))
		die("%s: %s", path, strerror(errno));
	free(path);
}

static struct addr remote_addr(unsigned i)
{
	return addr_from_v4(htonl(0xcb007100 + 100 + i % REMOTES));
}

static void put_on(struct ends *e, enum program program, const struct tap *tap, enum attach_point point)
{
	enum attach_way way;
	char *error = NULL;
	int link;

	if (attach_tc(e->s->m, NULL, program, tap->ifindex, point, &way, &link, &error))
		die("%s", error);
}

static void start_sluice(struct ends *e)
{
	struct egress egress;

	e->s = gateway_open(262144, false);
	scratch_policy(e->s, false);
	check(maps_egress_get(e->s->m, 1, &egress), "egress");
	egress.ifindex = egress.answers[0] = e->nic.ifindex;
	check(maps_egress_set(e->s->m, 1, &egress), "egress");
	e->s->settings.tap_ifindex = e->client.ifindex;
	check(maps_settings_set(e->s->m, &e->s->settings), "settings");
	put_on(e, PROGRAM_TAP_IN, &e->client, ATTACH_INGRESS);
	put_on(e, PROGRAM_NIC_IN, &e->nic, ATTACH_INGRESS);
	put_on(e, PROGRAM_NIC_OUT, &e->nic, ATTACH_EGRESS);
}

static void start_nftables(void)
{
	set_sysctl("ipv4/ip_forward", "1");
	if (system("nft add table ip nat && "
		   "nft add chain ip nat post '{ type nat hook postrouting priority 100; }' && "
		   "nft add rule ip nat post oifname nic0 masquerade"))
		die("nft");
}

static void start(struct ends *e, enum contender which)
{
	struct family f = family_of(false);
	struct addr router = addr_of("198.51.100.254");

	*e = (struct ends){.which = which};
	own_namespace();
	set_sysctl("ipv6/conf/all/disable_ipv6", "1");
	set_sysctl("ipv6/conf/default/disable_ipv6", "1");
	e->client = tap_open("client0", 0);
	e->nic = tap_open("nic0", 0);
	tap_address(&e->client, &f.tunnel, 10);
	tap_neighbour(&e->client, &f.client, far_mac);
	tap_address(&e->nic, &f.external, 24);
	tap_neighbour(&e->nic, &router, far_mac);
	for (unsigned i = 0; i < REMOTES; i++) {
		struct addr a = remote_addr(i);

		tap_route(&e->nic, &a, &router);
	}
	if (which == SLUICE)
		start_sluice(e);
	else
		start_nftables();
}

/* ---- packets --------------------------------------------------------------------------- */

static void put_macs(struct ends *e, struct frame *f, const struct tap *tap)
{
	if (e->which == SLUICE && tap == &e->client) {
		from_client(f, 1);
		return;
	}
	memcpy(f->b, tap->mac, 6);
	memcpy(f->b + 6, far_mac, 6);
}

/* Writes it to one device, and reads what comes out of the other one. */
static void carry(struct ends *e, const struct tap *from, const struct tap *to, const struct shape *shape,
		  struct frame *out)
{
	struct virtio_net_hdr none = {0};
	uint8_t buf[2048];
	struct frame f;
	ssize_t n;

	frame_build(&f, shape);
	put_macs(e, &f, from);
	tap_write(from, &none, &f);
	do {
		n = read(to->fd, buf, sizeof(buf));
		if (n < 0)
			die("packet %lu did not come through", (unsigned long)e->packets);
	} while (n < (ssize_t)sizeof(none) + 34 || get16(buf + sizeof(none) + 12) != 0x0800);
	out->len = (size_t)n - sizeof(none);
	memcpy(out->b, buf + sizeof(none), out->len);
	frame_like(out, &f);
	e->packets++;
}

static struct shape connection(unsigned i, uint8_t proto)
{
	struct family f = family_of(false);

	return (struct shape){.proto = proto,
			      .src = f.client,
			      .dst = remote_addr(i),
			      .sport = (uint16_t)(1024 + i),
			      .dport = proto == IPPROTO_UDP ? 53 : 443,
			      .seq = 1000,
			      .payload = proto == IPPROTO_UDP ? 30 : 0};
}

/* A question and its answer. */
static void talk_udp(struct ends *e, unsigned i)
{
	struct shape ask = connection(i, IPPROTO_UDP), answer;
	struct ran sent;
	struct frame f;

	carry(e, &e->client, &e->nic, &ask, &sent.out);
	answer = answer_to(&ask, &sent);
	carry(e, &e->nic, &e->client, &answer, &f);
}

/* SYN, SYN ACK, ACK with a question, FIN with its answer, FIN, ACK. */
static void talk_tcp(struct ends *e, unsigned i)
{
	struct shape out = connection(i, IPPROTO_TCP), back;
	struct ran sent;
	struct frame f;

	out.flags = TH_SYN;
	carry(e, &e->client, &e->nic, &out, &sent.out);
	back = answer_to(&out, &sent);
	back.seq = 5000;
	back.ack = 1001;
	carry(e, &e->nic, &e->client, &back, &f);
	out.flags = TH_ACK | TH_PUSH;
	out.seq = 1001;
	out.ack = 5001;
	out.payload = 30;
	carry(e, &e->client, &e->nic, &out, &f);
	back.flags = TH_FIN | TH_ACK;
	back.seq = 5001;
	back.ack = 1031;
	back.payload = 30;
	carry(e, &e->nic, &e->client, &back, &f);
	out.flags = TH_FIN | TH_ACK;
	out.seq = 1031;
	out.ack = 5032;
	out.payload = 0;
	carry(e, &e->client, &e->nic, &out, &f);
	back.flags = TH_ACK;
	back.seq = 5032;
	back.ack = 1032;
	back.payload = 0;
	carry(e, &e->nic, &e->client, &back, &f);
}

/* ---- turns --------------------------------------------------------------------------------- */

struct kind {
	const char *name;
	void (*talk)(struct ends *e, unsigned i);
};

static const struct kind kinds[] = {
	{"UDP: question, answer", talk_udp},
	{"TCP: from SYN to the last ACK", talk_tcp},
};

/* ns a connection. */
static double measure(struct ends *e, const struct kind *kind)
{
	unsigned first = kind->talk == talk_udp ? 0 : WARM_UP + CONNECTIONS;
	double began;

	for (unsigned i = 0; i < WARM_UP; i++)
		kind->talk(e, first + i);
	began = cpu_ns();
	for (unsigned i = 0; i < CONNECTIONS; i++)
		kind->talk(e, first + WARM_UP + i);
	return (cpu_ns() - began) / CONNECTIONS;
}

/* In a process of its own, whose namespace ends with it. */
static void take_turn(enum contender which, double ns[N(kinds)])
{
	int fds[2], status;
	struct ends e;
	pid_t pid;

	check(pipe(fds) ? errno : 0, "pipe");
	fflush(NULL);
	pid = fork();
	if (!pid) {
		start(&e, which);
		for (size_t k = 0; k < N(kinds); k++)
			ns[k] = measure(&e, &kinds[k]);
		_exit(write(fds[1], ns, N(kinds) * sizeof(*ns)) < 0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || status ||
	    read(fds[0], ns, N(kinds) * sizeof(*ns)) != N(kinds) * sizeof(*ns))
		die("the process of a turn did not end well");
	close(fds[0]);
	close(fds[1]);
}

int main(int argc, char **argv)
{
	static const char *const heads[] = {"connections", ">nftables ns", ">a second", ">Sluice ns",
					    ">a second",   ">ratio of ns", NULL};
	struct sheet sheet = sheet_begin("NAT: short connections beside nftables' masquerade", heads);
	double turns[CONTENDERS][N(kinds)][TURNS], ns[N(kinds)];
	json_t *document = json_object();

	stay_here();
	for (int t = 0; t < TURNS; t++)
		for (int which = 0; which < CONTENDERS; which++) {
			take_turn(which, ns);
			for (size_t k = 0; k < N(kinds); k++)
				turns[which][k][t] = ns[k];
		}
	for (size_t k = 0; k < N(kinds); k++) {
		double sluice = median(turns[SLUICE][k], TURNS), nft = median(turns[NFTABLES][k], TURNS);

		table_add(&sheet.table, kinds[k].name);
		table_addf(&sheet.table, "%.0f", nft);
		table_addf(&sheet.table, "%.0f", 1e9 / nft);
		table_addf(&sheet.table, "%.0f", sluice);
		table_addf(&sheet.table, "%.0f", 1e9 / sluice);
		table_addf(&sheet.table, "%.2f", sluice / nft);
	}
	sheet_end(&sheet, document);
	sheets_save(document, argc, argv);
	return 0;
}
