/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_NETMAP_H
#define SLUICE_TAILNET_NETMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/base/bytes.h"
#include "user/base/url.h"
#include "user/tailnet/types/capability.h"
#include "user/tailnet/types/derpmap.h"
#include "user/tailnet/types/dial_plan.h"
#include "user/tailnet/types/node.h"
#include "user/tailnet/types/health.h"
#include "policy/filter.h"

/*
 * The netmap: who we are, who the peers are, what may pass, where the relays
 * are. The server sends it once and then what changes. A message is read into a
 * struct netmap_update before anything of it takes effect. What one node says of itself can
 * cost that node its place, and nobody else anything. What can be read of the rest takes
 * effect; what cannot is damage, and then all has to be asked for again. Pure.
 */

/* ---- the stream: LE32 length and JSON, again and again ---------------------- */

#define NETMAP_MESSAGE_MAX (64u << 20)

struct netmap_stream {
	uint8_t header[4];
	size_t header_len;
	uint8_t *message; /* grows with what has come, not with what was announced */
	size_t len, cap, wants;
};

/* Takes bytes and puts each whole message into @message. False: too long, or refused. */
bool netmap_stream_receive(struct netmap_stream *s, const uint8_t *bytes, size_t len, const struct sink *message);
void netmap_stream_free(struct netmap_stream *s);

/* ---- one message ------------------------------------------------------------ */

#define NETMAP_PEERS_MAX  65536	     /* and their users */
#define NETMAP_RULES_MAX  65536	     /* of one filter; and in the gateway, pieces of rules of all filters */
#define NETMAP_BY_CAP_MAX (4u << 20) /* sources that follow from peers' capabilities, in all rules */

struct netmap_patch { /* of a known peer; flags say which fields are there */
	uint64_t id;
	bool has_key, has_disco, has_endpoints, has_region, has_online, has_expiry, has_caps;
	uint8_t key[KEY_LEN], disco[KEY_LEN];
	struct addr_port *endpoints;
	size_t n_endpoints;
	uint16_t region;
	bool online;
	int64_t expiry;
	struct capabilities caps;
};

struct netmap_user {
	int64_t id;
	char *login;
};

/*
 * Rules of the server that cannot be understood, and peers of whom something that matters cannot
 * be read, or is more than we keep, are left out and the others count: a server's rules only
 * allow, and who is no peer is no client, so that less passes; to refuse the message as a whole would
 * keep in force what it revokes. (A peer without some of its tags could get past a rule that denies.)
 */
struct netmap_unfit {
	uint64_t id; /* 0: not even that can be read */
	char *why;
};

struct netmap_left_out {
	size_t n;
	char *why; /* of the first; NULL: there are none */
};

/* A rule that has capabilities among its sources: peers that hold one of them come behind its own. */
struct netmap_by_cap {
	size_t rule;	/* of the filter */
	size_t n_fixed; /* its own sources */
	struct capabilities caps;
};

struct netmap_filter { /* rules with a name; they add up */
	char *name;
	bool gone;
	struct filter rules; /* may be without sources, when nobody holds what one of by_cap names */
	struct netmap_by_cap *by_cap;
	size_t n_by_cap;
	struct netmap_left_out left_out;
};

struct netmap_peer {
	struct tailnet_node *node;
	int64_t user_id; /* the node's user is filled in from the profiles */
	struct capabilities caps;
	bool changed; /* since netmap_settle() */
};

struct netmap_update {
	int64_t server_time; /* Unix seconds; 0: not said */
	bool alive;	     /* says only that the server is there: nothing of the map follows */
	bool full;	     /* peers are all there are */
	struct netmap_peer self;
	bool authorized; /* with self: an administrator has let it in */
	struct netmap_peer *peers;
	size_t n_peers;
	struct netmap_unfit *unfit; /* may be among peers, too; are none from now on */
	size_t n_unfit;
	char *damage; /* NULL: none. Somebody's removal or change may be in what could not be read */
	uint64_t *removed;
	size_t n_removed;
	struct netmap_patch *patches;
	size_t n_patches;
	struct netmap_user *users;
	size_t n_users;
	bool clear_filters; /* before those below */
	struct netmap_filter *filters;
	size_t n_filters;
	struct derpmap *derpmap; /* NULL: unchanged */
	bool locked;		 /* the tailnet uses tailnet lock */
	bool exit;		 /* the server wants this node to end (Debug.Exit) */
	struct health_change health;
	bool has_dial_plan;
	struct dial_plan dial_plan;
	bool ping, ping_noise; /* answer with HEAD to ping_url, inside the Noise stream or outside */
	struct url ping_url;
};

#define NETMAP_ERROR 200

/* NULL: it is no JSON; @error says why. */
struct netmap_update *netmap_update_read(const char *json, size_t len, char error[NETMAP_ERROR]);
void netmap_update_free(struct netmap_update *u); /* NULL is fine */

/* ---- all of them ------------------------------------------------------------ */

struct netmap {
	struct netmap_peer self; /* node NULL: not known yet */
	bool authorized;
	struct netmap_peer *peers; /* by id */
	size_t n_peers;
	uint64_t *removed; /* since netmap_settle() */
	size_t n_removed;
	struct netmap_unfit *unfit; /* by id; no peers; at most NETMAP_PEERS_MAX of them are remembered */
	size_t n_unfit;
	struct netmap_user *users; /* sorted by id */
	size_t n_users;
	struct netmap_filter *filters; /* by name */
	size_t n_filters;
	size_t n_unplaced;	 /* peers that their capabilities give no rule: too many sources */
	uint8_t digest[32];	 /* of all rules: servers send them again unchanged */
	struct derpmap *derpmap; /* NULL: not known yet */
	struct health health;
	struct dial_plan dial_plan;
	bool health_changed;			   /* since netmap_settle() */
	bool full, rules_changed, derpmap_changed; /* since netmap_settle() */
};

/* Moves everything out of @u; cannot fail. The caller frees @u. */
void netmap_apply(struct netmap *m, struct netmap_update *u);
/* Clears the marks of changes: all who want to know were told. */
void netmap_settle(struct netmap *m);
void netmap_free(struct netmap *m);

struct netmap_peer *netmap_peer(const struct netmap *m, uint64_t id); /* NULL: unknown */
/* All rules of all filters that have sources, ids from 1 in order. The rules' memory stays the
 * netmap's; free only the list. */
struct filter netmap_rules(const struct netmap *m);
/* Of all filters; the text stays the netmap's. */
struct netmap_left_out netmap_left_out(const struct netmap *m);

/* ---- parts ------------------------------------------------------------------ */

/* Gives the rules the sources that follow from the peers' capabilities. False: there is no such rule. */
bool netmap_expand(struct netmap *m);

/* One filter rule of the server: false when it has no destinations (then it grants
 * something that is not about packets) or no sources, or a mistake is in @f. @left_out: the
 * first of its sources and destinations that do not count, if any. @by: what it has of
 * capabilities; without any it is an ordinary one. */
bool netmap_rule_read(struct fields *f, struct fields *left_out, const json_t *json, struct filter_rule *out,
		      struct netmap_by_cap *by);
void netmap_rule_free(struct filter_rule *r);
void netmap_filter_free(struct netmap_filter *f); /* what is in it */
void netmap_peer_free(struct netmap_peer *p);	  /* what is in it */

#endif
