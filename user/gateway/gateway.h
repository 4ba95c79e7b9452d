/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_GATEWAY_H
#define SLUICE_GATEWAY_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/kernel/attach.h"
#include "user/config/config.h"
#include "user/control/control.h"
#include "user/datapath/device.h"
#include "user/answers/history.h"
#include "user/kernel/maps.h"
#include "user/kernel/netlink.h"
#include "user/datapath/probe.h"
#include "user/ruleset/ruleset.h"
#include "user/kernel/locks.h"
#include "state.h"
#include "user/datapath/uapi_socket.h"
#include "xdp_choose.h"

/*
 * The gateway: everything of `sluice run`, owned by the control thread. Each part
 * below has a file of its own that alone writes its fields; the others read.
 */
struct gateway;

/* ---- clients.c: the configured clients as peers, addresses and routes ------------ */

struct client {
	uint32_t id; /* as maps and frames carry it; stays while its flows may live */
	struct peer *peer;
	uint32_t worker;
	const struct config_client *config; /* in the running configuration */
	uint64_t seen;			    /* its last handshake before this run, Unix seconds; 0: there was none */
	bool revoked; /* by a configuration that is not in force yet, or could not be put into force */
	bool refused; /* there was no memory for its peer, which is in the log */
	bool out;     /* it is revoked, its date has passed, or the netmap has it no more: it has no peer */
};

struct clients {
	struct client *list; /* in the order of the configuration */
	size_t n;
	struct client **by_id;		/* MAX_CLIENTS */
	size_t added, removed, changed; /* by the last clients_take() */
	bool orphans;			/* the flow table may hold flows of who, or what address, is gone */
};

bool clients_open(struct gateway *g);
void clients_close(struct gateway *g);

/*
 * Two steps to other clients, so that what can fail comes before what cannot: rules that
 * may be refused go between them.
 *
 * What @next needs. NULL with a logged reason: out of memory, or a preshared key file that
 * cannot be read. Nothing is changed.
 */
struct clients_plan *clients_plan(struct gateway *g, const struct config *next);
void clients_plan_free(struct clients_plan *p); /* NULL is fine */
/*
 * Makes peers, maps and routes what the plan says, and frees it; those that did not change
 * lose nothing, those that are gone pass nothing more when this returns. The plan's is the
 * running configuration then.
 */
void clients_take(struct gateway *g, struct clients_plan *p);

/*
 * revoke.c: cuts off, ahead of the change to @next and whatever becomes of it, who is not in it or has expired by it;
 * and lets in again who is. @strict: that change was not made, so that also those go whose rights or addresses are
 * others in it. Not in a tailnet, where the netmap says who is in.
 */
void clients_revoke(struct gateway *g, const struct config *next, bool strict);

/* Which id each client of @next has, or will have by clients_take(); 0: none is free. To be freed. Any thread
 * that may read the clients. */
uint32_t *clients_ids(const struct gateway *g, const struct config *next);

/* Once a second, and when a netmap has come: cuts off whose date has passed and whom the netmap has no more, ahead
 * of the change that says so; lets in again who is not out after all (clocks are set back, too). */
void clients_settle(struct gateway *g);
/* How many clients cannot connect, since there was no memory for them; clients_settle() tries again. */
size_t clients_without_peer(const struct gateway *g);
/* Ends a client's sessions and flows; it may come again at once. */
void clients_kick(struct gateway *g, struct client *c);
/* The same, and forgets its greatest timestamp, for a client whose clock has been set back. */
void clients_reset(struct gateway *g, struct client *c);
/* Routes to the clients' addresses again, for a TAP that was made anew, or when somebody removed some. */
void clients_route(struct gateway *g);

/* ---- routing.c: the host's routes to the clients' addresses -------------------------- */

struct routing {
	struct routing_again { /* what could not be done */
		struct prefix prefix;
		bool add; /* else it is to go */
	} *again;
	size_t n;
};

void routing_add(struct gateway *g, const struct prefix *p);
void routing_remove(struct gateway *g, const struct prefix *p);
void routing_retry(struct gateway *g); /* once a second */
void routing_close(struct gateway *g);

/* ---- egress.c: external addresses and pools ---------------------------------------- */

#define EGRESS_POOL_MAX (2 * POOL_ADDRESSES)

struct egress_pool {
	int ifindex; /* 0: the interface is not there */
	char interface[IFNAMSIZ];
	uint32_t mtu;
	unsigned answers[MAX_ANSWERS]; /* interfaces by which answers may come; the first 0 ends the list */
	bool answers_left_out;	       /* there are more of them */
	struct egress_address {
		struct addr addr, public;
		uint32_t id; /* egress id; 0: none yet */
		bool present;
	} address[EGRESS_POOL_MAX];
	size_t n;
};

struct egress_state {
	struct egress_pool pool[MAX_POOLS];
	size_t n;
	bool unsure;		       /* the kernel did not answer about some pool: asked again once a second */
	struct addr by_id[MAX_EGRESS]; /* all zero: unused */
};

/* At start: the interfaces must be there. False with one line in @error. */
bool egress_open(struct gateway *g, char *error, size_t size);
/* After any change of links or addresses: pools, ends of flows, notes. */
void egress_refresh(struct gateway *g);
/* Once a second: the programs give us fragments as long as we say that we live. */
void egress_keep_fragments(struct gateway *g);

/* ---- answers_by.c: the interfaces by which answers may come ---------------------------- */

/* Of a pool whose interface is known. 0, or -errno: the kernel did not tell. */
int answers_by(struct gateway *g, const struct config_pool *config, struct egress_pool *pool);
bool answers_come_by(const struct egress_pool *pool, unsigned ifindex);

/* ---- ways.c: does the host have a way to what is advertised? ------------------------ */

struct ways { /* those to which no pool leads */
	struct way_lost {
		struct prefix route;
		const char *why; /* a sentence, static */
	} *lost;
	size_t n;
};

/* After any change of pools, of the host's routes or ours; what became different is logged. */
void ways_refresh(struct gateway *g);
/* Why nothing gets to a route; NULL: it does. */
const char *ways_trouble(const struct ways *w, const struct prefix *route);
/* A line for each reason, of the routes for which it was not so in @was; NULL: of all. */
void ways_each(const struct ways *now, const struct ways *was, void (*each)(void *ctx, const char *line), void *ctx);
void ways_close(struct gateway *g);

/* ---- changes.c: policy and configuration, changed while packets flow -------------------- */

struct change;

struct change_kind {
	const char *name;
	/* On the control thread, when its turn has come. */
	void (*begin)(struct change *c);
	/* On a thread of its own: reads the gateway's configuration, rules and clients, which
	 * change in finish() alone, and changes nothing. */
	void (*work)(struct change *c);
	/* Then, on the control thread, in the form of a control verb. */
	int (*finish)(struct change *c, json_t **result, char **error);
	void (*free)(struct change *c);
};

struct change { /* the first member of what it is about */
	const struct change_kind *kind;
	struct gateway *g;
	uint64_t ticket; /* who awaits the answer (control.h); 0: a failure is logged */
	struct change *next;
};

struct changes {
	struct change *first; /* the one that is worked on */
	size_t n;
	struct loop_watch event;
	pthread_t thread;
	bool working;
	_Atomic bool done;   /* its thread is; what comes then is for the control thread */
	bool threaded;	     /* the thread is not joined yet */
	bool refreshing;     /* refresh.c: one of these waits or is worked on */
	uint64_t look_after; /* refresh.c: monotonic ns */
};

int changes_open(struct gateway *g); /* 0 or -errno */
/* Once a second, should a wake-up have been lost: whoever waits for a change waits for ever otherwise. */
void changes_go_on(struct gateway *g);
/* Those that wait are answered that nothing was changed. */
void changes_close(struct gateway *g);
/* Takes @c over. False: too many wait. */
bool changes_add(struct gateway *g, struct change *c);
/* Before those that wait, however many: what belongs to one that ends, or revokes something. */
void changes_add_first(struct gateway *g, struct change *c);
/* The same as changes_add() in the handler of a verb, whose status it returns. */
int changes_ask(struct gateway *g, struct change *c, char **error);

/*
 * reload.c: reads the configuration again, cuts off at once who is not in it any more, and applies all of it live in
 * its turn. @dry: only tells what that would change.
 */
struct change *gateway_reload(struct gateway *g, bool dry);
/* refresh.c, once a second: block lists whose files changed. */
void refresh_lists(struct gateway *g);

/* ---- hooks.c: programs on interfaces ------------------------------------------------- */

#define HOOKS_MAX 256

struct hook {
	enum program program;
	enum attach_point point;
	unsigned ifindex;
	enum attach_way way; /* ATTACH_NONE: could not be attached; tried again */
	int link;	     /* descriptor, ours; -1: a clsact filter, or not attached */
	bool refused;	     /* the last attempt failed, which is in the log: not once more */
};

struct hooks {
	struct hook list[HOOKS_MAX];
	size_t n;
	bool unsure; /* the kernel did not answer: asked again once a second */
	bool full;   /* not all that are wanted have room */
	struct xdp_choice front;
};

bool hooks_open(struct gateway *g, char *error, size_t size);
/* After any change of the host: the programs where its interfaces are now. */
void hooks_follow(struct gateway *g);
/* Puts back what somebody removed, which nobody tells us: for once a second. */
void hooks_verify(struct gateway *g);
int hooks_tap(struct gateway *g); /* who gets in by the TAP, and to which worker: before it is up; 0 or -errno */
void hooks_close(struct gateway *g);

/* ---- tunnel.c: the tunnel interface ------------------------------------------------------ */

/* As configured, or what the underlay leaves. */
uint32_t tunnel_mtu(struct gateway *g);
/* Up, fenced, with its addresses. False with one line in @error. */
bool tunnel_open(struct gateway *g, char *error, size_t size);
/* What the programs are told of interface and configuration. 0 or -errno. */
int tunnel_tell(struct gateway *g);
/* The tunnel's addresses are others than those of @old: on the TAP, in the maps. */
void tunnel_readdress(struct gateway *g, const struct config *old);
/* Our address of this family inside it; NULL: it has none. */
const struct addr *tunnel_address(const struct gateway *g, bool v4);
/* After any change of the host: there and up again. */
void tunnel_keep(struct gateway *g);

/* ---- rules.c: the policy, from file to maps -------------------------------------------- */

struct rules {
	struct rules_running *running; /* NULL: none, nothing is allowed */
	struct report_policy *report;  /* what `status` says of it; NULL: none */
};

struct policy_store;

/* Whether the configured policy can be read and compiled for @config's clients, and
 * passes its tests. Far from any gateway. */
bool rules_check(const struct config *config, struct diags *d);

/* For a start (rules_build.h tells which). NULL: mistakes, and no policy ran here before. */
struct rules_running *rules_prepare(const struct config *config, struct diags *d);
void rules_free(struct rules_running *r); /* NULL is fine */
/* Puts what is prepared in @g into force. */
bool rules_start(struct gateway *g, struct diags *d);
/*
 * The running policy once more, for clients or a server's rules that have changed, with the block lists in
 * force: built on a change's thread, laid out there by rules_lay(), put into force. Where it does not fit
 * them any more, rules under which nothing passes. NULL: out of memory.
 */
struct ruleset *rules_build_again(const struct gateway *g, const struct config *config, struct diags *d);
bool rules_replace(struct gateway *g, struct ruleset *r, struct diags *d);
void rules_close(struct gateway *g);

/*
 * Three steps to another policy: build and test it, lay out what takes long, swap it in.
 * The first two change nothing that is in force, and are for a change's thread
 * (changes.c). Each is false or NULL with the mistakes in @d.
 *
 * From the text that a request brings; from the configured file, for @config's clients.
 */
struct ruleset *rules_build(const struct gateway *g, const char *file, const char *text, size_t len, size_t *passed,
			    struct diags *d);
/* *stays: the policy that runs does, for it was applied by hand; @d says so. */
struct ruleset *rules_build_configured(const struct gateway *g, const struct config *config, bool *stays,
				       struct diags *d);
bool rules_lay(const struct gateway *g, const struct config *config, struct ruleset *r, struct diags *d);
/* Logs @d's warnings. Takes @r over, but not on failure. */
bool rules_swap(struct gateway *g, struct ruleset *r, struct diags *d);
/* What was swapped in is the configured file's: kept for the next start, or degraded. */
void rules_took_file(struct gateway *g);
/* Or it was applied by hand; @number: that policy of the history again, 0: another one. @keep: for the next start, too.
 * 0, or -errno: it runs, but cannot be kept, and a start will let nothing pass. */
int rules_took_by_hand(struct gateway *g, uint32_t number, bool keep, bool *earlier);
void rules_second(struct gateway *g); /* once a second */
/* Nothing passes, for the policy could not be compiled for the clients; it is tried again. */
bool rules_shut(const struct gateway *g);
/* rules_again.c: compiles the running policy once more, for the clients there are. */
void rules_compile_again(struct gateway *g);
/* What is not as it should be. */
void rules_each_note(const struct gateway *g, void (*each)(void *ctx, const char *line), void *ctx);

/* Have the files of the running policy's block lists changed since they were read? */
bool rules_lists_changed(const struct gateway *g);
/* Reads them again, from any thread. False with the mistakes in @d; *out is to be freed in any case. */
bool rules_lists_read(const struct gateway *g, struct blocklists *out, struct diags *d);
/* Until their next change, rules_lists_changed() is false: what they hold now cannot be put into force. */
void rules_lists_seen(struct gateway *g);
/* @lists, taken over, are in force now, in the maps as @generation (0: nothing changed there). */
void rules_lists_swap(struct gateway *g, struct blocklists *lists, uint32_t generation);

void rules_log(const struct diags *d);
const struct ruleset *rules_running(const struct gateway *g); /* NULL: not started */
const struct policy_store *rules_history(const struct gateway *g);
uint32_t rules_number(const struct gateway *g); /* of the running policy in it; 0: it is not there */

/* Who approved a configured route (its index); false: nobody. */
bool rules_approved(const struct gateway *g, size_t route, const char **by);
/* Looks whether the file still is what runs. */
void rules_compare(struct gateway *g);

/* ---- host.c: what the host is asked for besides ------------------------------------------ */

/* Privileges and kernel. False with one line in @error. */
bool host_able(char *error, size_t size);
/* Did an earlier run of this configuration leave anything on the host? */
bool host_has_gateway(const struct config *config);
/* Every advertised route leads somewhere. False with one line in @error. */
bool host_routes(struct gateway *g, char *error, size_t size);
/* Every interface that the configuration names for the tunnel is there. False with one line in @error. */
bool host_underlay(struct gateway *g, char *error, size_t size);
uint32_t host_underlay_mtu(struct gateway *g); /* the smallest; 0: not known */
/* What comes in by the TAP is never forwarded by the kernel; cheap when it is so already. */
bool host_guard(struct gateway *g);
/* Destinations that only a rule naming them opens: the clouds' metadata, loopback, our own. */
bool host_reserve(struct gateway *g);
bool host_owns(const struct gateway *g, const struct addr *a); /* as host_reserve() saw it last */

/* ---- membership.c: a node of a tailnet (membership.h); without the section, all of it is nothing ---- */

struct membership;

/* Keys and configuration of the node. False with one line in @error. */
bool membership_open(struct gateway *g, char *error, size_t size);
/* With a device: who we are, the netmap that was kept into the configuration, and the network process. */
void membership_begin(struct gateway *g);
/* All is there: from now on netmaps are applied as they come. */
void membership_forward(struct gateway *g);
/* There is no netmap yet, so nobody is served. */
bool membership_waits(const struct gateway *g);
uint64_t membership_tick(struct gateway *g); /* when to call again */
void membership_second(struct gateway *g);
/* Tells the engine how a new peer is reached. */
void membership_place(struct gateway *g, const struct client *c);
/* Unix time as clients' keys expire: the coordination server's. */
int64_t membership_time(const struct gateway *g);
/* Is a client of the running configuration no node of the newest netmap? */
bool membership_revokes(const struct gateway *g, const struct config_client *c);
/* A configuration that was read again gets what the netmap says. */
void membership_configure(struct gateway *g, struct config *next);
void membership_reloaded(struct gateway *g);
/* A client has sent to @dst, which no route of ours that is in force has. */
void membership_unrouted(struct gateway *g, const struct addr *dst);
struct report_tailnet;
/* How we stand with the server; strings live until the next event. Only in a tailnet. */
void membership_report(const struct gateway *g, struct report_tailnet *out);
struct report_route;
/* To whom clients send, of all that serve it; strings live until the next event. Only in a tailnet. */
void membership_primary(const struct gateway *g, struct report_route *route);
/* A relay's name, into @buf. */
const char *membership_region(const struct gateway *g, uint16_t region, char *buf, size_t size);
bool membership_relay_away(const struct gateway *g, uint16_t region); /* it cannot be reached now */
void membership_close(struct gateway *g);

/* verbs_tailnet.c */
int verb_up(void *gateway, const json_t *args, json_t **result, char **error);
int verb_logout(void *gateway, const json_t *args, json_t **result, char **error);
int verb_netmap(void *gateway, const json_t *args, json_t **result, char **error);
int verb_news(void *gateway, const json_t *args, json_t **result, char **error);
int verb_ping(void *gateway, const json_t *args, json_t **result, char **error);
int verb_pong(void *gateway, const json_t *args, json_t **result, char **error);

/* ---- notices.c: what the programs want said --------------------------------------------- */

bool notices_open(struct gateway *g, char *error, size_t size);
/* Sends the ICMP error that @n describes; @ctx: the gateway. */
void notices_send(void *ctx, const struct notice *n);
void notices_close(struct gateway *g);

/* ---- verbs.c: what commands may ask ------------------------------------------------------- */

extern const struct control_verb gateway_verbs[];
void verbs_sample(struct gateway *g); /* once a second: the history of counters */

/* verbs_policy.c: those about the policy; in the form of struct control_verb. */
int verb_explain(void *gateway, const json_t *args, json_t **result, char **error);
int verb_policy_show(void *gateway, const json_t *args, json_t **result, char **error);
int verb_policy_history(void *gateway, const json_t *args, json_t **result, char **error);
int verb_policy_apply(void *gateway, const json_t *args, json_t **result, char **error);
int verb_policy_rollback(void *gateway, const json_t *args, json_t **result, char **error);

/* ---- verbs_probe.c: `sluice probe` ---------------------------------------------------------- */

struct probing {
	uint32_t id;  /* 0: there was none yet */
	uint32_t seq; /* of the SYN */
	struct probe_ends ends;
	uint64_t started, sent_at, until; /* ns */
	unsigned sent;
	bool has_flow;
	uint32_t slot;
	struct flow flow; /* as it began */
	enum drop_reason reason;
	struct probe_answer answer;
	uint64_t rtt;
};

int verb_probe(void *gateway, const json_t *args, json_t **result, char **error);
int verb_probe_result(void *gateway, const json_t *args, json_t **result, char **error);
void probe_refused(struct gateway *g, enum drop_reason reason); /* the programs refused its flow */
void probe_tick(struct gateway *g);				/* once a second */

/* ---- gateway.c: life ------------------------------------------------------------------------ */

struct gateway {
	const char *file; /* gateway.yaml */
	struct config *config;
	struct loop loop;
	struct netlink netlink;
	struct device device;
	struct maps *maps;
	struct control *control;
	struct uapi_socket *uapi;
	struct state state; /* as it was at start, then as it was last saved */
	size_t greeted;	    /* clients, by gateway_greet() */
	struct loop_watch monitor, signals, commands;
	uint64_t started, second, save_after; /* monotonic ns */
	uint32_t mtu;
	struct locks locks;
	bool fresh;	  /* nothing was there when the locks were taken: a failed start leaves nothing */
	bool remove;	  /* `down`: leave nothing behind */
	unsigned changes; /* enum netlink_change, not looked at yet */

	struct clients clients;
	struct routing routing;
	struct egress_state egress;
	struct ways ways;
	struct hooks hooks;
	struct rules rules;
	struct membership *membership; /* NULL: clients are the configuration's */
	struct changes changing;
	struct notices *notices;
	struct probing probe;
	struct history history;
	struct addr own[256]; /* the host's addresses, as the programs know them */
	size_t n_own;
};

/* `sluice run`, with a configuration and the rules prepared for it, both taken over. An exit status. */
int gateway_run(const char *file, struct config *config, struct rules_running *rules);

/* What the gateway of a configuration has for itself alone. */
struct locks_of gateway_locks(const struct config *config);

/* remember.c: writes what the next start wants to know, if it has changed. */
void gateway_remember(struct gateway *g);
/* After a start: begins a handshake with those who were there a moment ago, wherever they were then, so that their
 * connections go on. Some at a time, for their answers must be heard between. True: there are more. */
bool gateway_greet(struct gateway *g);

/* Removes all that a gateway of this configuration left on the host. For the process that holds its locks (locks.h).
 * @each (may be NULL) is told of everything removed. 0 or -errno of the first failure. */
int gateway_remove(const struct config *config, void (*each)(void *ctx, const char *what), void *ctx);

#endif
