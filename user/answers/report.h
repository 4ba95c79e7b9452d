/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_REPORT_H
#define SLUICE_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/contract.h"
#include "policy/addr.h"
#include "rates.h"
#include "user/tailnet/types/health.h"
#include "user/tailnet/types/conn_error.h"

/*
 * The answers of a running gateway: what it knows, as JSON. Commands print them
 * as tables or, with --json, as they are; scripts rely on them, so a field is
 * added, never changed, within a `schema`. Numbers are exact: bytes, packets,
 * seconds (ages and times to go), bits a second. Addresses and endpoints are text:
 * "198.51.100.1", "203.0.113.9:443", "[2001:db8::9]:443". An unknown value is null.
 * Pure: time is an argument, the data comes from the caller.
 *
 * status	{"schema", "name", "version", "pid", "uptime", "degraded" (there are notes),
 *		 "policy": null | {"generation", "file", "hash", "applied" (s ago), "differs" (file against running)},
 *		 "tailnet": null | {"server", "state" ("connecting", "connected", "login", "approval",
 *			"expired", "offline", "refused", "unreadable", "logged out"), "text", "login" (URL), "node",
 *			"home" (relay), "peers", "left_out": null | {"number" (of the server's rules
 *			that are not in force), "why"}, "expires" (Unix seconds),
 *			"clock_ahead" (seconds, of the server's clock; 0: they agree), "health": [{"severity"
 *			("high", "medium", "low"), "text"}]  (what the server wants people to know),
 *			"relays": [{"region" (number),
 *			"name", "home" (ours), "state" ("connected", "connecting", "away"), "host", "trouble" (null,
 *			or a word for scripts: "cert-expired", ...), "reason", "advice"}]  (our home first)},
 *		 "tunnel": {"interface", "listen", "mtu", "addresses": [], "gso_in", "gso_out" ("on" or
 *			"off: why"), "aead", "workers"},
 *		 "egress": [{"pool", "interface", "addresses": [{"address", "public", "present",
 *			"spare" (a new flow takes another)}],
 *			"program" ("tcx", "clsact" or "missing")}],
 *		 "front": {"mode" ("off", "native", "generic"), "reason"},
 *		 "now": {"bits_out", "bits_in", "packets"}  (a second; out: from clients),
 *		 "totals": {"packets_out", "bytes_out", "packets_in", "bytes_in", "resets_out", "resets_in"},
 *		 "flows": {"used", "max"},
 *		 "busiest": null | {"service", "proto", "used", "ports"},
 *		 "drops": {"policy": 12, ...}  (the last minute, only what is not 0),
 *		 "clients": {"configured", "active"},
 *		 "notes": ["egress address 198.51.100.7 is not on eth0 yet: waiting for it", ...]}
 * clients	{"schema", "clients": [{"id", "name", "user", "tags": [], "addresses": [], "endpoint",
 *			"path" ("direct", "relay"; null: no handshake yet), "relay", "relay_away" (it cannot
 *			be reached now), "handshake" (s ago), "seen" (the same, before a restart too; null: it
 *			never came), "received", "sent" (bytes),
 *			"flows" (live), "refused" (flows), "held" (packets that a quota stopped),
 *			"worker", "expired", "removed" (by a file that was not taken as a whole: it is out),
 *			"public_key"}]}   user: null for a tagged client
 * flows	{"schema", "used", "matched", "flows": [{"slot", "client", "user", "tags": [], "from",
 *			"service", "as", "proto", "state", "age", "idle", "expires", "packets_out",
 *			"bytes_out", "packets_in", "bytes_in", "rule", "generation", "pool"}]}
 *			at most `limit` of the `matched` ones
 * flows kill	{"schema", "killed"}
 * drops	{"schema", "drops": [{"reason", "meaning", "packets", "minute"}]}  all reasons
 * routes	{"schema", "routes": [{"prefix", "advertised", "approved", "by", "active", "pool",
 *			"interface", "next_hop", "reason" (why not active), "primary": null | {"ours",
 *			"node"} (in a tailnet: to whom of all that serve it clients send; both null
 *			where the server does not tell us)}]}
 * probe		{"schema", "id", "outcome" ("waiting", "connected", "reset", "unreachable", "silent",
 *			"dropped"),
 *			"service", "route" (null: clients have none), "egress": null | {"pool", "interface",
 *			"address", "public", "next_hop"}, "as" (the flow's external end), "sent" (SYNs), "timeout",
 *			"answer": null | {"from", "ms", "icmp_type", "icmp_code", "icmp"}, "reason", "meaning"
 *			(of a drop)}   args: {"address", "port", "timeout"}; the command adds "name", "addresses"
 * probe result	the same					args: {"id"}
 * map list	{"schema", "maps": [{"name", "type", "id", "entries" (null: not counted), "max_entries",
 *			"key_size", "value_size", "bytes" (memory)}]}
 *			(args of map dump: {"map": name, "limit"})
 * map dump	{"schema", "map", "entries": [{"key", "value"}], "more"}  text, names resolved;
 *			more: the limit left some out
 * clients kick	{"schema", "client"}				args: {"client": name}
 * clients reset	{"schema", "client"}				args: {"client": name}
 * reload	{"schema", "clients": {"added", "removed", "changed"}, "policy": generation, "notes": []}
 * down		{"schema", "removed": ["tap sluice0", ...]}
 */
#define REPORT_SCHEMA	     1
#define REPORT_PAGE	     1000 /* entries of one answer, of whatever is listed */
#define REPORT_FLOWS_DEFAULT 1000 /* `limit` when none is given */
#define REPORT_FLOWS_MAX     100000
#define REPORT_DUMP_DEFAULT  1000
#define REPORT_FLOWS_VISIT   65536 /* slots that one page looks at */
#define REPORT_DUMP_VISIT    4096  /* entries, at two system calls each */

/* Whose a client id is. Strings belong to the source and live until the report is done. */
struct report_who {
	const char *name;
	const char *user;	 /* NULL: tagged */
	const char *const *tags; /* n_tags of them */
	size_t n_tags;
};

struct report_client {
	uint32_t id;
	struct report_who who;
	const struct addr *addresses;
	size_t n_addresses;
	struct addr endpoint;
	uint16_t endpoint_port;	 /* 0: not known */
	const char *relay;	 /* NULL: direct */
	bool relay_away;	 /* it cannot be reached now */
	int64_t handshake_age;	 /* seconds since the last one; negative: none yet */
	int64_t seen;		 /* the same, with those before this run; negative: it never came */
	uint64_t received, sent; /* bytes */
	uint64_t flows;		 /* that live */
	uint64_t refused, held;	 /* flows refused, packets that a quota stopped, since the maps were made */
	uint32_t worker;
	bool expired, removed; /* one of both: it has no peer */
	uint8_t public_key[32];
};

struct report_egress_address {
	struct addr address, public; /* the same where there is no 1:1 NAT */
	bool present;
	bool spare; /* no flow begins on it */
};

struct report_egress {
	const char *pool, *interface, *program;
	const struct report_egress_address *addresses;
	size_t n_addresses;
};

struct report_route {
	struct prefix prefix;
	bool advertised, approved, active;
	const char *by;	       /* who approved: "configuration", "autoApprovers tag:gateway"; NULL */
	const char *pool;      /* NULL: as the policy says for the client */
	const char *interface; /* NULL: not known */
	struct addr next_hop;
	bool has_next_hop;
	const char *reason;    /* why it is not active; NULL */
	bool in_tailnet, ours; /* clients send to us, of all nodes that serve it */
	const char *primary;   /* the node that they send to; NULL: the server does not tell us */
};

struct report_policy {
	uint32_t generation;
	const char *file, *hash;
	uint64_t applied_ns; /* monotonic */
	bool differs;	     /* the configured file is another one */
	const char *source;  /* "file", "apply": who may change it (policy_store.h) */
	uint32_t number;     /* in the history; 0: it is not there */
	bool kept;	     /* the next start knows it */
};

struct report_relay {
	uint16_t region;
	char name[64];
	bool home;
	const char *state, *host; /* "connected", ...; NULL: not known */
	struct conn_error why;
};

#define REPORT_RELAYS_MAX 33 /* as many as there can be connections, and our home */

struct report_tailnet {
	const char *server, *state; /* "connected", ... */
	const char *text, *login;   /* what the server says, where to log in; NULL */
	const char *node, *home;    /* our name there, our home relay; NULL: not known yet */
	size_t peers;
	bool homeless;		  /* the server has told relays, and none to be our home */
	bool unsettled;		  /* the last netmap could not be put into force */
	uint64_t unconfirmed;	  /* for so many seconds the server has not confirmed it; 0: it has, or is away */
	bool unserved;		  /* for so long that nobody is served */
	uint64_t unserved_in;	  /* else: seconds until then */
	size_t left_out;	  /* rules of the server that are not in force */
	const char *left_out_why; /* of the first; NULL: there are none */
	int64_t expires;	  /* of our key, Unix seconds; 0: never */
	const struct health *health;
	int64_t clock_ahead;			       /* seconds, of the server's; 0: they agree */
	struct report_relay relays[REPORT_RELAYS_MAX]; /* our home first */
	size_t n_relays;
};

/* Facts that only the daemon knows. Plain fields are filled before each report; the
 * callbacks get @ctx. */
struct report_source {
	void *ctx;
	uint64_t now_ns; /* monotonic */
	const char *name, *version, *aead;
	uint64_t started_ns;
	int pid;
	const char *tunnel, *gso_in, *gso_out;
	uint16_t listen, mtu;
	uint32_t workers;
	const struct addr *tunnel_addresses;
	size_t n_tunnel_addresses;
	const struct report_egress *egress;
	size_t n_egress;
	const char *front_mode, *front_reason;
	const struct report_policy *policy;   /* NULL: none */
	const struct report_tailnet *tailnet; /* NULL: no tailnet */
	const char *const *notes;
	size_t n_notes;
	const struct rates *rates;
	const struct traffic *totals; /* TOTAL_MAX of them */
	const uint64_t *drops;	      /* DROP_MAX of them, since the maps were made */
	const struct flow *flows;     /* maps_flows(): the array of slots, read while programs write it */
	uint32_t n_flows;	      /* slots ever used */
	uint32_t used_flows, max_flows;

	/* The i-th client, i from 0; false: past the end. */
	bool (*client)(void *ctx, size_t i, struct report_client *out);
	/* The client of an id; false: no client has it (any more). */
	bool (*who)(void *ctx, uint32_t id, struct report_who *out);
	/* The i-th route; false: past the end. */
	bool (*route)(void *ctx, size_t i, struct report_route *out);
	/* The address that the world sees in the place of this egress address. */
	struct addr (*public)(void *ctx, const struct addr *egress);
	/* Name of a pool. */
	const char *(*pool)(void *ctx, uint32_t pool);
	/* Most used pair of egress address and service; false: none. */
	bool (*busiest)(void *ctx, struct pair *pair, uint32_t *used, uint32_t *ports);
};

/* Seconds between two times in ns; 0 where a clock that can be set has gone back between them. */
int64_t report_age(uint64_t now, uint64_t then);

/* Each returns a new reference. */
json_t *report_status(const struct report_source *s);
json_t *report_clients(const struct report_source *s, size_t after); /* a page of them, from that one on */
json_t *report_drops(const struct report_source *s);
json_t *report_routes(const struct report_source *s);

/* ---- flows ---------------------------------------------------------------------- */

struct policy;

struct report_filter {		   /* what is not set matches everything */
	const char *user, *client; /* names; user also "tag:x"; client also an inner address */
	struct prefix service;	   /* of the destination */
	bool has_service;
	uint16_t port;	/* of the destination, 0: any */
	uint8_t proto;	/* 0: any */
	uint32_t limit; /* 0: they are only counted */
	uint32_t after; /* slot to begin with */
};

/* From the args {"user", "client", "service" ("203.0.113.9", "203.0.113.0/24",
 * "203.0.113.9:443", ":443", or a host of @p, with a port or without), "proto" (a name
 * or number), "limit"}. @p: the running policy, NULL: there is none. Strings point
 * into @args. False with *error (from malloc) that names the bad one. */
bool report_filter_parse(const json_t *args, const struct policy *p, struct report_filter *f, char **error);
/* Nothing set: `flows kill` refuses this unless "all": true. */
bool report_filter_is_empty(const struct report_filter *f);

/* A page of them (control.h): what matches from slot @f->after on. */
json_t *report_flows(const struct report_source *s, const struct report_filter *f);
/* Calls @each for every live flow that matches, until it returns false. */
void report_each_flow(const struct report_source *s, const struct report_filter *f,
		      bool (*each)(void *arg, uint32_t slot, const struct flow *flow), void *arg);

/* ---- maps ----------------------------------------------------------------------- */

/* Descriptions and contents of the pinned maps under @pins. `map dump` names the
 * maps as contract.h does; an unknown name fails with the nearest one in *error. A dump
 * is a page (control.h): its cursor is the key of the last entry that was looked at. */
struct report_dump {
	const char *map, *after; /* NULL: from the first entry on */
	uint64_t limit;
};

json_t *report_map_list(const char *pins, char **error);
json_t *report_map_dump(const struct report_source *s, const char *pins, const struct report_dump *wanted,
			char **error);

#endif
