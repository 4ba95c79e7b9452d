/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef SLUICE_CONTRACT_H
#define SLUICE_CONTRACT_H

/*
 * The contract between the BPF programs and userspace: every key and value of
 * every map, the drop reasons, and what a frame on the TAP carries. Both sides
 * include this file; BPF takes the fixed-width types from vmlinux.h, userspace
 * from <linux/types.h>. Sizes are asserted at the end, so a compiler that laid a
 * struct out otherwise does not build.
 *
 * Addresses are 16 bytes, IPv4 mapped (addr.h). Ports are in network order in
 * tuples (they are compared with packets) and in host order in rules (they are
 * compared by size). Times are monotonic nanoseconds, the clock of
 * bpf_ktime_get_ns() and CLOCK_MONOTONIC.
 */
#include "addr.h"

/*
 * A changed layout of a pinned map must change this number. A start reads the layout before
 * and takes live flows over (user/kernel/maps_carry.c), so what a change replaces is frozen
 * there. A map that is new, or has another size, needs no other number.
 */
#define SLUICE_LAYOUT 7

#define MAX_CLIENTS	65536		  /* ids 1..CLIENT_GATEWAY-1; 0 is nobody */
#define CLIENT_GATEWAY	(MAX_CLIENTS - 1) /* the gateway itself, which no rule binds: `sluice probe` */
#define MAX_WORKERS	64
#define MAX_TUNNEL_ADDR 4
#define MAX_RULES	65536 /* rule ids with counters; 0 is the default deny */
#define MAX_EGRESS	256   /* external addresses, ids 1..; an id is never given to another address */
#define MAX_POOLS	64    /* 0 is the pool "default" */
#define POOL_ADDRESSES	16    /* of one family in one pool */
#define MAX_SESSIONS	262144
#define MAX_PORT_RANGES 8
#define MAX_ANSWERS	8 /* interfaces by which the answers to one external address may come */

/* ---- drops ---------------------------------------------------------------- */

/*
 * Every packet that dies has one of these. name: as `sluice drops` prints it;
 * text: what it means, and for the reader what to do about it.
 * Order is the index in the drops map: another one is another layout. With another number
 * of them the counters begin anew.
 */
#define DROP_REASONS(X)                                                                                              \
	/* the front: the WireGuard port */                                                                          \
	X(WG_TYPE, "wg_type", "not a WireGuard message type")                                                        \
	X(WG_LENGTH, "wg_length", "length does not fit the WireGuard message type")                                  \
	X(WG_RESERVED, "wg_reserved", "reserved bytes of a WireGuard message are not zero")                          \
	X(WG_INDEX, "wg_index", "no session has this receiver index")                                                \
	/* the engine */                                                                                             \
	X(WG_MAC1, "wg_mac1", "handshake with a wrong mac1: not for this key")                                       \
	X(WG_HANDSHAKE, "wg_handshake", "handshake or disco refused: unknown peer, replayed timestamp or bad key")   \
	X(WG_RATE, "wg_rate", "handshake or disco refused: too many from this source, or from all strangers")        \
	X(WG_BUSY, "wg_busy", "handshake dropped: the queue is full")                                                \
	X(WG_AUTH, "wg_auth", "data message that does not decrypt")                                                  \
	X(WG_REPLAY, "wg_replay", "data message seen before or too old")                                             \
	X(WG_EXPIRED, "wg_expired", "data message on a session past its time")                                       \
	X(WG_ECN, "wg_ecn", "congestion mark on a packet that does not take one (RFC 6040)")                         \
	X(INNER_SOURCE, "inner_source", "inner source address is not this client's")                                 \
	X(NO_PEER, "no_peer", "no client has this destination address")                                              \
	X(NO_SESSION, "no_session", "packet for a client without a session and a full queue")                        \
	X(NO_ENDPOINT, "no_endpoint", "packet for a client whose endpoint is not known")                             \
	X(SEND, "send", "the underlay refused to send")                                                              \
	X(LOOP, "loop", "of the tunnel's own datagrams: from an address inside it, or about to go back into it")     \
	X(TAP, "tap", "the TAP refused a frame")                                                                     \
	/* packets */                                                                                                \
	X(MALFORMED, "malformed", "shorter than its headers say")                                                    \
	X(NOT_IP, "not_ip", "neither IPv4 nor IPv6")                                                                 \
	X(SOURCE_ROUTE, "source_route", "IPv4 source route option")                                                  \
	X(ROUTING_HEADER, "routing_header", "IPv6 routing header")                                                   \
	X(EXTENSION, "extension", "IPv6 extension headers that are not understood")                                  \
	X(FRAGMENT, "fragment", "fragment that makes no sense, or of a packet too large or in too many pieces")      \
	X(FRAGMENT_OVERLAP, "fragment_overlap", "fragments that overlap or contradict each other")                   \
	X(FRAGMENT_REPEATED, "fragment_repeated", "fragment that was there already")                                 \
	X(FRAGMENT_TIMEOUT, "fragment_timeout", "fragments whose packet was not complete in time")                   \
	X(FRAGMENT_FULL, "fragment_full", "fragments that made room: too many packets were in pieces")               \
	X(FRAGMENT_RATE, "fragment_rate", "more fragments a second than are put together")                           \
	X(TTL, "ttl", "time to live ran out")                                                                        \
	X(TOO_BIG, "too_big", "larger than the tunnel's MTU")                                                        \
	/* decisions */                                                                                              \
	X(CLIENT, "client", "client is not known to the policy")                                                     \
	X(MULTICAST, "multicast", "multicast or broadcast destination")                                              \
	X(LINK_LOCAL, "link_local", "link-local destination")                                                        \
	X(RESERVED, "reserved", "loopback, metadata or own address that no rule names")                              \
	X(NO_ROUTE, "no_route", "destination outside every active route")                                            \
	X(BLOCKED, "blocked", "destination on a block list")                                                         \
	X(POLICY, "policy", "no rule allows it, or a deny rule forbids it")                                          \
	X(NO_FLOW, "no_flow", "belongs to no flow: a TCP segment that opens none, an answer nobody asked for")       \
	X(PROTOCOL, "protocol", "IP protocol that cannot be translated")                                             \
	X(QUOTA_FLOWS, "quota_flows", "the client has as many flows as its quota allows")                            \
	X(QUOTA_NEW_FLOWS, "quota_new_flows", "the client opens more flows a second than its quota allows")          \
	X(QUOTA_PACKETS, "quota_packets", "more packets a second than the client's quota allows")                    \
	X(QUOTA_BYTES, "quota_bytes", "more bytes a second than the client's quota allows")                          \
	X(QUOTA_PORTS, "quota_ports", "the last ports towards this destination are for clients with fewer flows")    \
	X(FLOWS_FULL, "flows_full", "the flow table is full")                                                        \
	X(PORTS_FULL, "ports_full", "no port is free towards this destination")                                      \
	X(NO_EGRESS, "no_egress", "no external address of this family in the pool")                                  \
	X(UNSOLICITED, "unsolicited", "a SYN from outside to a port of ours that no mapping and no listener has")    \
	X(EXCLUSIVE, "exclusive", "belongs to no flow, and on an exclusive address the host does not answer")        \
	X(FILTERED, "filtered", "inbound to a mapping from an address it did not talk to")                           \
	X(REWRITE, "rewrite", "the kernel refused to change the packet")                                             \
	X(NO_TAP, "no_tap", "answer to a flow while the tunnel interface is missing")                                \
	X(GUARD, "guard", "tunnel address about to leave by the NIC")                                                \
	X(FORWARDED, "forwarded", "for a client, forwarded by the host: only answers and the gateway may reach one") \
	X(FORGED, "forged", "came in by a NIC with an address of the tunnel's as its source")                        \
	X(WRONG_WAY, "wrong_way", "for a flow, by an interface that its answers do not come by")

enum drop_reason {
	DROP_NONE, /* not dropped */
#define X(id, name, text) DROP_##id,
	DROP_REASONS(X)
#undef X
		DROP_MAX
};

/* ---- frames on the TAP ---------------------------------------------------- */

/*
 * A frame that the daemon gives to the TAP has been authenticated: its Ethernet
 * source names the client, its destination is never the TAP's own address, so
 * the kernel takes it for somebody else's (PACKET_OTHERHOST) and drops it should
 * no program be there. What is for the host, the program hands over itself
 * (bpf_skb_change_type).
 */
#define TAP_MAC_0 0x02 /* locally administered */

enum tap_mac_kind {
	TAP_CLIENT = 'S', /* id: the client that sent it; above its 16 bits how large its fragments were, if any */
	TAP_RETURN = 'N', /* fragments from a NIC, put together; id: its ifindex. Back to its ingress */
	TAP_PIECE = 'P',  /* of a packet that was translated and then cut; id: its egress, above 16 bits of MTU */
};

struct tap_mac {
	__u8 local; /* TAP_MAC_0 */
	__u8 kind;  /* enum tap_mac_kind */
	__u8 id[4]; /* big-endian; as a destination: zero, or what it was on the NIC */
};

/*
 * The mark of a frame that a program hands to the TAP: the low half is the worker's
 * number. What has none comes from the host itself, or is forwarded and dies.
 */
#define TAP_MARK	0x53310000u
#define TAP_MARK_WORKER 0x0000ffffu

/*
 * The mark of a frame that tap_in hands to the ingress of a NIC. nic_in takes it off before
 * anybody else sees the frame. Nothing in the frame could say so: a neighbour chooses every
 * byte of his own, and link addresses that begin with 02 are common.
 */
#define ROUND_MARK   0x53320000u
#define ROUND_TURNED 1 /* a client's, translated: for another client, and never the host's */
#define ROUND_JOINED 2 /* fragments that came in by this NIC, put together */
#define ROUND_CUT    4 /* it came in fragments: it may go on in some */

/*
 * A client's packet that came in fragments may leave in some, and does where it is larger
 * than they were: IPv6's sender has found out what its path takes. IPv4's routers cut it
 * again themselves, so it may be as large as the egress takes.
 */
#define FRAME_CLIENT(id)    ((id) & 0xffff)
#define FRAME_FRAGMENTS(id) ((id) >> 16)
#define FRAGMENTS_ANY	    0xffff

/*
 * What the programs ask of the daemon with a frame, they say by its type (IEEE's for
 * local experiments: the kernel makes no such frames), with the Ethernet source as
 * the answer will need it: TAP_RETURN, or TAP_PIECE.
 */
#define ETH_P_REASSEMBLE 0x88b5
#define ETH_P_CUT	 0x88b6
#define ETH_P_RESET	 0x88b7 /* a segment, for whose sender a reset is to be made */

/* ---- settings ------------------------------------------------------------- */

enum filtering { FILTER_ADDRESS, FILTER_ENDPOINT_INDEPENDENT, FILTER_ADDRESS_AND_PORT };

struct settings {	   /* map `settings`, one element, changed while programs run */
	__u32 tap_ifindex; /* 0: there is none */
	__u16 wg_port;	   /* host order; what the front looks at */
	__u8 front_armed;
	__u8 filtering;	  /* enum filtering */
	__u16 mtu;	  /* of the tunnel */
	__u16 mss4, mss6; /* clamp, 0: off */
	__u16 workers;
	__u8 tcp_endpoint_independent;
	__u8 client_share; /* percent of the flow table, and of a pair's ports, for one client; 0: no limit */
	__u8 front_disco;  /* the front lets Tailscale's disco through */
	__u8 front_stun;   /* the front lets STUN through */
	__u8 resets;	   /* who has lost a flow hears of it; not while another gateway may know the flow */
	__u8 hide_routers; /* a time exceeded by a router that no route holds comes as from the service */
	__u8 pad[2];
	__u64 udp_ns; /* idle times after which state is gone */
	__u64 tcp_established_ns;
	__u64 tcp_transitory_ns;
	__u64 icmp_ns;
	__u64 other_ns;
	struct prefix tunnel[MAX_TUNNEL_ADDR]; /* the guard looks closer at these; len 0: unused */
};

/* ---- the policy ----------------------------------------------------------- */

/*
 * One word, read once a packet, says which of the two slots of every table is
 * live. The tables of the other slot belong to the daemon. Flows carry the
 * generation that decided them; at their next packet under another generation
 * they are decided again.
 */
#define POLICY_SLOT(word)			  ((__u32)((word) & 1))	     /* classes, acl, rules, routes */
#define POLICY_BLOCK_SLOT(word)			  ((__u32)((word) >> 1 & 1)) /* blocked, blocked16, blocked24 */
#define POLICY_GENERATION(word)			  ((__u32)((word) >> 2))
#define POLICY_WORD(generation, slot, block_slot) ((__u64)(generation) << 2 | (block_slot) << 1 | (slot))

struct quota {		      /* of one client; 0: no limit */
	__u64 packets, bytes; /* a second, each way */
	__u32 flows;	      /* that live; 0: settings.client_share */
	__u32 new_flows;      /* a second */
};

struct client_class { /* inner array of `classes`, by client id */
	__u32 class;  /* 0: the policy does not know this client */
	__u32 pool;
	struct quota quota;
};

#define KEY_BITS 32 /* an LPM's prefix length counts all that follows it: also what stands before the address */

struct acl_key {	 /* inner LPM of `acl` */
	__u32 prefixlen; /* KEY_BITS + bits of the destination */
	__be32 class;
	struct addr dst;
};

#define ACL_EXACT   1 /* a rule names just this address: it may be a reserved one */
#define ACL_ACCEPTS 2 /* some rule accepts something here: ICMP may pass */

struct acl_entry {
	__u32 first; /* into `rules` */
	__u16 count; /* sorted by protocol and port, disjoint: searched by halving */
	__u16 flags;
};

enum verdict { VERDICT_DENY, VERDICT_ACCEPT };

struct acl_rule {	   /* inner array of `rules` */
	__u16 first, last; /* host order, inclusive */
	__u8 proto;
	__u8 verdict;
	__u16 pad;
	__u32 id;
};

struct route_key {	 /* inner LPM of `routes`; also of `blocked`, `clients` and `reserved` */
	__u32 prefixlen; /* KEY_BITS + bits of the address */
	__u32 pad;	 /* zero; aligns the address, and the kernel counts it */
	struct addr addr;
};

#define ROUTE_POOL_OF_CLIENT 0xffffffffu
/* The id of no route: IPv4's entry below an IPv6 default route, which would hold it. */
#define ROUTE_NONE 0xffffffffu

struct route {
	__u32 pool; /* ROUTE_POOL_OF_CLIENT: as the policy says for the client */
	__u32 id;   /* index in the configuration, for counters and people */
};

struct block16 {       /* inner array of `blocked16`, by the first half of an IPv4 address; bit n: its /24 .n.0 */
	__u32 all[8];  /* is blocked */
	__u32 some[8]; /* has blocked addresses: `blocked24` knows them */
};

struct block24_key { /* inner hash of `blocked24`: an IPv4 /24 */
	__be32 net;
};

struct block24 { /* bit n: address .n is blocked */
	__u32 bits[8];
};

/* ---- clients -------------------------------------------------------------- */

struct client_ref { /* LPM `clients`: inner address -> who; array `client_worker` has the client's worker */
	__u32 client;
};

enum reserved { RESERVED_LOOPBACK = 1, RESERVED_METADATA, RESERVED_OWN, RESERVED_TUNNEL };

struct reserved_ref { /* LPM `reserved`: destinations that only a rule naming them opens */
	__u32 kind;   /* enum reserved; RESERVED_TUNNEL: the host's own address inside the tunnel */
};

/*
 * What may happen so often and not more often. A bucket holds a second's worth (or the
 * price of one thing, where that is more) and is counted in time: it is the moment at
 * which it will be full again.
 */
enum bucket {
	BUCKET_NEW_FLOWS,
	BUCKET_PACKETS_OUT,
	BUCKET_PACKETS_IN,
	BUCKET_BYTES_OUT,
	BUCKET_BYTES_IN,
	BUCKET_NOTICES, /* that the daemon is asked for on this client's behalf */
	BUCKET_EVENTS,	/* NOTICE_FULL about this client's quota */
	BUCKET_MAX
};

struct client_state {		   /* array `client_state`, by client id; element 0: what is sent to remotes */
	__u64 full_at[BUCKET_MAX]; /* ns */
	__u32 flows;		   /* that live, mappings not included */
	__u32 slots;		   /* of the flow table, with mappings and what has ended but is not free yet */
};

struct session_ref { /* hash `sessions`: receiver index (as on the wire) -> worker */
	__u32 worker;
	__u32 client;
};

/* ---- egress --------------------------------------------------------------- */

struct port_range {
	__u16 first, count; /* host order */
};

enum egress_presence {
	EGRESS_GONE, /* its flows end, at their next packet or by the sweep; also an id that no address has yet */
	EGRESS_HERE, /* packets pass, and new flows begin */
	EGRESS_HELD, /* nothing passes, and flows age as they would without packets; they go on once it is here */
};

struct egress { /* array `egresses`, by egress id */
	struct addr addr;
	__u32 ifindex;	/* to leave by; read only while it is here */
	__u32 ports;	/* sum of the ranges */
	__u32 prime;	/* smallest prime >= ports: the search walks by a random stride modulo it */
	__u16 mtu;	/* of the interface, 0: not known */
	__u8 exclusive; /* the host does not answer on it: its sockets are not asked */
	__u8 state;	/* enum egress_presence */
	struct port_range range[MAX_PORT_RANGES];
	__u32 answers[MAX_ANSWERS]; /* interfaces by which answers may come; the first 0 ends the list */
};

/* Hash `host_echoes` -> until when (ns): echo requests that the host sent into the tunnel, and that may be answered. */
struct host_echo {
	struct addr peer, own;
	__be16 id;
	__u16 pad[3];
};

/* Hash `egress_ids`: struct addr -> egress id, of what comes in by a NIC. */

struct pool { /* array `pools` */
	__u16 n4, n6;
	__u16 v4[POOL_ADDRESSES], v6[POOL_ADDRESSES]; /* egress ids; client id modulo n keeps a client on its own */
};

/*
 * Hash `reassembled`: an egress address, as 16 bytes -> until when (ns) its fragments are
 * the daemon's to put together. The daemon renews it: once it is gone, they are the
 * host's alone.
 */

/* ---- flows ---------------------------------------------------------------- */

enum tuple_side { SIDE_CLIENT = 1, SIDE_REMOTE = 2 };

/*
 * A connection as one side sends it. ICMP echo: from the client, sport is the
 * identifier and dport 0; from the remote, sport is 0 and dport the identifier.
 * A mapping's tuples have no remote: its address and port are zero.
 */
struct tuple {
	struct addr src, dst;
	__be16 sport, dport;
	__u8 proto;
	__u8 side;    /* enum tuple_side: the two spaces never meet */
	__u16 egress; /* in a mapping's client side the egress it is for; else 0 */
};

struct flow_ref { /* hash `flow_index`: tuple of either side -> the one owner */
	__u32 slot;
	__u32 serial; /* flow_serial(): with another one in the slot, the entry is a leftover */
};

enum flow_state {
	FLOW_FREE,	  /* slot holds nothing */
	FLOW_NEW,	  /* TCP: SYN from the client */
	FLOW_ESTABLISHED, /* TCP: both sides spoke; others: from the first packet */
	FLOW_CLOSING,	  /* TCP: a FIN from either or both */
	FLOW_RESET,	  /* TCP: a reset in sequence */
	FLOW_MAPPING,	  /* no connection but what those of one inner endpoint share: see below */
	FLOW_KILLED,	  /* a connection or mapping that userspace ended; the program that meets it next unlinks it */
	FLOW_DEAD,	  /* unlinked; the slot is reused a second later, when no program can still look at it */
};

#define FLOW_FIN_OUT 1
#define FLOW_FIN_IN  2
#define FLOW_REPLIED 4

#define FLOW_LIMITED 1 /* trait: its client has a quota of packets or bytes */
#define FLOW_HAIRPIN 2 /* trait: to another client, by its external endpoint */

/*
 * The life of a slot is one word, its state and the id of what it holds, and changes by
 * compare and swap only. So nobody who looked at one flow changes another that has the slot
 * by now, and nobody who missed its end brings it back. An id is given once: it names the
 * flow for as long as these maps, or those that took them over, exist.
 */
#define LIFE(id, state)	 ((__u64)(id) << 8 | (state))
#define LIFE_STATE(life) ((__u32)((life) & 0xff))
#define LIFE_ID(life)	 ((life) >> 8)

/*
 * Array `flows`, mappable: userspace reads it without a system call. Slot 0 is
 * never used. Who changes a state to FLOW_DEAD is the one who removes both index entries,
 * which is always a program: userspace cannot remove both at once. It ends what is there by
 * FLOW_KILLED.
 *
 * UDP is endpoint-independent (RFC 4787 REQ-1): one external port for a client's
 * endpoint, whatever the remote. That port is held by a slot of its own in state
 * FLOW_MAPPING, whose index entries have no remote: the same table, allocation and
 * expiry serve both. It expires no sooner than the flows that point to it.
 */
struct flow {
	struct tuple out; /* as the client sends it */
	/*
	 * As the answer arrives: dst and dport are the translation. With a mapping its entry
	 * in the index is the permission (RFC 4787 REQ-8): for as much of the remote as the
	 * filtering asks for (sport is 0 where any of its ports may answer), so several flows
	 * may share it. It names the one that came first, whose slot stays, dead or not, until
	 * the last of them has ended: `sharers` counts them there.
	 */
	struct tuple back;
	__u64 life; /* LIFE(): id and enum flow_state */
	__u32 client;
	__u32 generation; /* of the policy that allowed it last */
	__u32 rule;
	__u32 mapping; /* slot of the mapping that has the port; 0: the port is this flow's own */
	__u16 egress;
	__u16 pool;
	__u16 route;
	__u8 flags;		/* FLOW_FIN_OUT, ... */
	__u8 traits;		/* FLOW_LIMITED, ...: written with the decision only */
	__u32 sharers;		/* flows whose permission is this slot's entry, itself included while it lives */
	__u32 seen;		/* last packet from the client: ns >> SEEN_SHIFT, about ms; wraps after 52 days */
	__u64 created, expires; /* ns; dead: expires is when it died */
	__u64 packets_out, bytes_out, packets_in, bytes_in;
	__u32 end_out, end_in; /* TCP: highest sequence number seen, past its payload */
	__u32 ack_out, ack_in; /* TCP: highest acknowledgement seen; a reset must lie between it and the end */
	/*
	 * Room that is zero today, so that what needs it does not need another layout. A
	 * destination that is translated, too, needs none: out.dst is what the client sends to,
	 * back.src who answers.
	 */
	__u32 hop;  /* next hop: where it is kept, and of which epoch */
	__u32 name; /* that the client asked for, of a destination known by name */
};

#define SEEN_SHIFT 20

static inline __u64 flow_life(const struct flow *f) /* read once: others change it */
{
	return *(const volatile __u64 *)&f->life;
}

static inline __u32 flow_state(const struct flow *f)
{
	return LIFE_STATE(flow_life(f));
}

static inline __u32 flow_serial(const struct flow *f)
{
	return (__u32)LIFE_ID(flow_life(f));
}

static inline int flow_is_live(__u32 state) /* a connection, not a mapping */
{
	return state >= FLOW_NEW && state <= FLOW_RESET;
}

static inline int flow_is_mapping(const struct flow *f) /* of whichever state */
{
	return f->out.egress != 0;
}

struct flow_table {    /* array `flow_table`, one element */
	__u32 high;    /* slots below it have been used: nobody need look further */
	__u32 used;    /* slots in use, mappings included */
	__u32 refused; /* since it was last full; forgotten once it is well below that */
	__u32 pad;
	__u64 ids; /* the last id that was given */
};

#define IMPORT_FLOWS 256 /* that one run of the program `flow_import` takes, from the array `import_work` */

/* Hash `pairs` -> pair_use: ports taken towards one remote; of mappings: remote and port zero. */
struct pair {
	struct addr remote;
	__be16 port;
	__u8 proto;
	__u8 pad;
	__u32 egress;
};

#define USE_DEAD 0x80000000u /* in used, and a flow's sharers: the entry is about to be removed */

struct pair_use {
	__u32 used;	  /* exact */
	__u32 refused;	  /* since it was last full; forgotten once it is well below that */
	__u64 full_until; /* a refusal is remembered until then */
};

/* ---- what the daemon is told ---------------------------------------------- */

enum notice_kind {
	NOTICE_ICMP,   /* please answer with this ICMP error; bytes: the packet it is about */
	NOTICE_DENIED, /* refused without an answer; where there is one, it is also this */
	NOTICE_FULL,   /* flows, ports or a quota are used up */
};

#define NOTICES_A_SECOND 100 /* for one client, and for all remotes together */
#define EVENT_PERIOD	 60  /* s between two about one client's quota */
#define NOTICE_BYTES	 128 /* enough for any header chain we forward, and RFC 1812's 8 bytes more */

struct notice {			   /* ring buffer `notices` */
	__u8 kind;		   /* enum notice_kind */
	__u8 reason;		   /* enum drop_reason */
	__u8 icmp_type, icmp_code; /* of the family of the packet */
	__u16 mtu;		   /* in a packet-too-big */
	__u16 len;		   /* of bytes, from the IP header */
	__u32 client;
	__u32 rule;
	__u16 egress;	/* where ports are used up */
	__u8 to_remote; /* the error goes out by the NIC instead of to the client */
	__u8 pad[5];
	struct tuple tuple;
	__u8 bytes[NOTICE_BYTES];
};

/* ---- counters, all per CPU ------------------------------------------------- */

struct traffic {
	__u64 packets, bytes;
};

/* What strangers may put into the sockets of the port (admit.h): budgets, one for all of a kind, */
enum admit {
	ADMIT_LOOKS,	 /* initiations that are looked into */
	ADMIT_STRANGERS, /* initiations for this gateway, without a true cookie */
	ADMIT_OTHERS,	 /* disco, STUN */
	ADMIT_MAX,
};

/* and buckets of sources, by their hashes. Each twice, for it is asked for at two places. */
enum admit_place { ADMIT_AT_XDP, ADMIT_AT_SOCKET, ADMIT_PLACES };

#define ADMIT_SOURCES 4096

struct admissions { /* array `admissions`, by enum admit_place: when each is full again, ns */
	__u64 kinds[ADMIT_MAX];
	__u64 strangers[ADMIT_SOURCES]; /* who has not shown to be there */
	__u64 proven[ADMIT_SOURCES];	/* who has, by a cookie */
};

#define KNOWN_MAX 16384

struct known_at { /* hash `known_work` -> when its bucket is full again, ns: a peer's address that a pong has come from
		   */
	struct addr addr;
	__be16 port;
	__u16 pad[3];
};

#define ASKED_SETS (1 << 19)

struct asked_set { /* array `asked_work`, by a hash of a source: when it was let in as a stranger (asked.h) */
	__u32 marks[2];
};

/* A state of BLAKE2s (blake2s.h). */
struct blake2s {
	__u32 h[8];
};

/* What the macs of strangers are checked by (gate.h): the states behind the block that holds the key. */
struct gate { /* array `gate_work`, one element */
	struct blake2s mac1;
	struct blake2s cookies[2]; /* of the two secrets that cookies are made with, the young one first */
	__u64 hash;		   /* of sources: odd, and nobody's guess */
	__u32 known;		   /* 0: nothing of this is */
	__u32 n_cookies;
};

enum total { /* array `totals` */
	     TOTAL_OUT,
	     TOTAL_IN,
	     TOTAL_HOST_IN,
	     TOTAL_FRONT_PASS,
	     TOTAL_RESET_OUT, /* segments of clients that were answered with a reset */
	     TOTAL_RESET_IN,  /* and of services */
	     TOTAL_MAX
};

struct rule_use { /* array `rule_use`, by rule id; traffic is added when a flow ends */
	__u64 flows, refused;
	struct traffic out, in;
};

struct client_use { /* array `client_use`, by client id */
	__u64 flows, refused;
	__u64 held; /* packets that a quota stopped */
};

/* ---- the same on both sides ------------------------------------------------ */

_Static_assert(sizeof(struct addr) == 16, "addr");
_Static_assert(sizeof(struct tap_mac) == 6, "tap_mac");
_Static_assert(FRAME_CLIENT(MAX_CLIENTS - 1) == MAX_CLIENTS - 1, "a client's id in a frame");
_Static_assert(sizeof(struct settings) == 24 + 40 + 4 * 24, "settings");
_Static_assert(sizeof(struct acl_key) == 24, "acl_key");
_Static_assert(sizeof(struct acl_entry) == 8, "acl_entry");
_Static_assert(sizeof(struct acl_rule) == 12, "acl_rule");
_Static_assert(sizeof(struct route_key) == 24, "route_key");
_Static_assert(sizeof(struct client_class) == 32, "client_class");
_Static_assert(sizeof(struct client_state) == 64, "client_state"); /* a cache line */
_Static_assert(sizeof(struct egress) == 32 + 4 * MAX_PORT_RANGES + 4 * MAX_ANSWERS, "egress");
_Static_assert(sizeof(struct host_echo) == 40, "host_echo");
_Static_assert(sizeof(struct known_at) == 24, "known_at");
_Static_assert(sizeof(struct tuple) == 40, "tuple");
_Static_assert(sizeof(struct flow) == 192, "flow"); /* three cache lines, wherever in the array */
_Static_assert(sizeof(struct flow_table) == 24, "flow_table");
_Static_assert(sizeof(struct pair) == 24, "pair");
_Static_assert(sizeof(struct notice) == 24 + 40 + NOTICE_BYTES, "notice");

#endif
