/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_CONFIG_H
#define SLUICE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/contract.h"
#include "policy/addr.h"
#include "policy/alloc.h"
#include "policy/diag.h"
#include "policy/doc.h"

/*
 * gateway.yaml: what this gateway is. Every mistake is a diag with its place;
 * a struct config that exists has none. It holds names of secret files, never a
 * secret. Strings point into the documents that the configuration owns, so they
 * live as long as it does.
 */
#define CONFIG_FILE   "/etc/sluice/gateway.yaml"
#define CONFIG_STATE  "/var/lib/sluice"
#define CONFIG_SOCKET "/run/sluice/sluice.sock"
#define CONFIG_PINS   "/sys/fs/bpf/sluice"

enum xdp_wanted { XDP_AUTO, XDP_NATIVE, XDP_GENERIC, XDP_OFF };

/* Around a packet in the tunnel, at most: IPv6, UDP, and of WireGuard the header of a data message and its tag. */
#define TUNNEL_OVERHEAD (40 + 8 + 16 + 16)

struct config_names { /* a list of words: tags, roles, interfaces */
	const char **v;
	size_t n;
};

struct config_addrs {
	struct addr *v;
	size_t n;
};

struct config_route {
	struct prefix prefix;
	struct diag_at at;
};

struct config_address { /* 100.64.0.1/10: our address and the tunnel's prefix */
	struct addr host;
	struct prefix prefix;
	struct diag_at at;
};

struct config_tunnel {
	const char *interface;		  /* default "sluice0" */
	uint16_t listen;		  /* default 51820; in a tailnet 41641 */
	const char *private_key_file;	  /* default STATE/private.key; not for a tailnet */
	struct config_address *addresses; /* at least one, at most 4; at most 2 of a family; in a
					   * tailnet the netmap's, none until there is one */
	size_t n_addresses;
	uint16_t mtu;		      /* 0: min(1420, underlay - TUNNEL_OVERHEAD); in a tailnet 1280 */
	struct config_names underlay; /* empty: the default route's */
	enum xdp_wanted xdp;
	uint16_t workers; /* 0: one a core, at most MAX_WORKERS */
};

struct config_pool {
	const char *name;		/* pools[0] is "default", from the flat keys of egress */
	const char *interface;		/* NULL: the default route's */
	struct config_addrs addresses;	/* empty: the kernel's choice of the interface's */
	struct config_addrs public;	/* what the world sees; empty, or one for each address; with
					 * empty addresses at most one of a family */
	struct config_names answers_by; /* interfaces by which answers may come, besides its own */
	bool exclusive;			/* the host does not answer on these addresses */
	const struct doc_node *node;	/* where it stands; NULL: nowhere, all defaults */
};

struct config_nat { /* times in seconds */
	uint32_t flows;
	uint8_t client_share; /* percent of the flows that one client may have; 100: no limit */
	uint32_t udp, tcp_established, tcp_transitory, icmp;
	enum filtering filtering;
	bool tcp_endpoint_independent;
	bool hide_routers; /* a time exceeded comes as from the service, where no route holds the router */
	bool resets;	   /* who has lost a TCP connection hears of it */
	bool unsafe;	   /* times below the floors of the RFCs were asked for */
};

struct config_client {
	const char *name;
	const char *user;	  /* NULL: tagged */
	struct config_names tags; /* empty: has a user */
	uint8_t public_key[32];
	struct config_addrs addresses;	/* at least one */
	const char *preshared_key_file; /* absolute or from the working folder; NULL: none */
	struct addr endpoint;
	uint16_t endpoint_port;	     /* 0: not configured */
	uint16_t keepalive;	     /* seconds, 0: off */
	uint64_t tailnet_id;	     /* of the node, which may change its key; 0: it is its key */
	int64_t expires;	     /* UTC seconds since 1970, the first at which it is out; 0: never */
	bool mistaken;		     /* there are mistakes in it: its configuration is never in force */
	const struct doc_node *node; /* where it stands */
};

struct config_user {
	const char *name;
	struct config_names roles; /* admin, owner, it-admin, network-admin, billing-admin, auditor */
	struct diag_at at;
};

struct config_tailnet {		     /* a node of a tailnet: clients and rules are its coordination server's */
	const char *login_server;    /* URL */
	const char *auth_key_file;   /* NULL: somebody opens a URL */
	const char *hostname;	     /* default: name */
	const char *ca_file;	     /* PEM, roots besides the system's; NULL: none */
	uint8_t control_key[32];     /* the server's, instead of a certificate; all zero: not given */
	bool derp;		     /* reach and be reached by relays; default true */
	const struct doc_node *node; /* where it stands; NULL: no tailnet */
};

struct filter;

/* The part of a tailnet's netmap that is the policy's (netmap_config.h); NULL in a configuration: nothing yet. */
struct config_netmap {
	struct arena mem;      /* strings of the clients made of it */
	struct filter *rules;  /* the server's */
	uint8_t digest[32];    /* of all that the server says of rules */
	size_t n_left_out;     /* rules that could not be understood */
	const char *left_out;  /* why, of the first; NULL: there are none */
	struct prefix *serves; /* what the server says this node serves */
	size_t n_serves;
};

struct config {
	const char *name; /* default: the host's name, "gateway" if it has none */
	const char *state, *socket, *pins;
	struct config_tunnel tunnel;
	struct config_tailnet tailnet;
	struct config_netmap *netmap;
	struct config_pool *pools; /* at least one */
	size_t n_pools;
	struct config_nat nat;
	struct config_route *routes;
	size_t n_routes;
	struct config_names tags;	       /* the gateway's own */
	const char *policy;		       /* NULL: none, so nothing is allowed */
	struct config_names blocklist_folders; /* where a policy may name files, besides its own folder */
	const char *clients_dir;	       /* NULL: clients stand in the file */
	struct config_client *clients;
	size_t n_clients;
	struct config_user *users;
	size_t n_users;
	const char *stun; /* host:port of a STUN server for `doctor`, or NULL */

	struct doc **docs; /* own all strings but those of `made` */
	size_t n_docs;
	char **made; /* joined paths */
	size_t n_made;
};

/*
 * Pure: the configuration of one document, clients of a folder not included.
 * Takes @doc over. @hostname is the default of `name`. Cross checks (config_check)
 * are the caller's, once all clients are there. Never NULL; with errors in @d the
 * result is only fit for more mistakes to be found in it: for the functions down
 * to config_free().
 */
struct config *config_parse(struct doc *doc, const char *hostname, struct diags *d);
/* The defaults of a file that says nothing. Never NULL. */
struct config *config_blank(const char *hostname);

/* Pure: adds the clients of one file of the folder (a list, or one client). Takes
 * @doc over. False when there were errors. */
bool config_parse_clients(struct config *cfg, struct doc *doc, struct diags *d);

/* Pure: what single keys cannot see: names, keys and addresses that occur twice,
 * clients outside tunnel.addresses. Passes over what was not read for a mistake
 * of its own. False when there were errors. */
bool config_check(const struct config *cfg, struct diags *d);

/* Reads @file and the clients' folder, all of the above. NULL when there were
 * errors (they are in @d, files that cannot be read too). */
struct config *config_load(const char *file, struct diags *d);

/*
 * The same for a gateway that runs: where there were errors, *named tells which clients the files still name
 * (config_named.h). @folder: that of the running configuration's clients or NULL, which counts where @file does not
 * tell another. config_named_free() in any case.
 */
struct config_named;
struct config *config_load_again(const char *file, const char *folder, struct config_named *named, struct diags *d);

void config_free(struct config *cfg);		  /* NULL is fine */
void config_netmap_free(struct config_netmap *m); /* NULL is fine */
/* Names who has us serve a configured route, for people; NULL: nobody does. */
const char *config_netmap_serves(const struct config *cfg, const struct prefix *route);
void config_clients_free(struct config_client *clients, size_t n);

/* The client with this name; NULL: there is none. */
const struct config_client *config_client(const struct config *cfg, const char *name);
/* Is it one of the gateway's own addresses inside the tunnel? */
bool config_is_own(const struct config *cfg, const struct addr *a);
/* The same client, with whatever other properties. */
int config_client_cmp(const struct config_client *a, const struct config_client *b);
/* Everything equal, the place in the file aside. A changed preshared key is not
 * seen here (the configuration does not hold it). */
bool config_client_same(const struct config_client *a, const struct config_client *b);

/* The same user, tags and preshared key's file. */
bool config_client_same_rights(const struct config_client *a, const struct config_client *b);

/* Reads and parses any such file; NULL after a report in @d. */
struct doc *config_read_doc(const char *file, struct diags *d);

/*
 * An address of each family, IPv4's first, that clients reach by this gateway: of the first
 * route that is not the whole family, else somewhere in the internet. Nothing is sent there:
 * the kernel is asked what it would do.
 */
void config_destinations(const struct config *cfg, struct addr out[2]);

/* The place of a key of a map, and of its @item-th item when it is a list of that
 * many; of the map when the key is absent; nowhere when @map is NULL. */
#define CONFIG_NO_ITEM ((size_t)-1)
struct diag_at config_at(const struct doc_node *map, const char *key, size_t item);

/* The socket that @file names, for commands that need nothing else; CONFIG_SOCKET
 * when the file is absent or has no such key. Freed by the caller. */
char *config_socket(const char *file);
/* The same for the folder of the state. */
char *config_state(const char *file);

/* ---- what a reload changes -------------------------------------------------- */

enum config_part { /* changed live */
		   CONFIG_PART_CLIENTS = 1 << 0,
		   CONFIG_PART_POLICY = 1 << 1, /* the name of the file; its content is not looked at */
		   CONFIG_PART_ROUTES = 1 << 2,
		   CONFIG_PART_USERS = 1 << 3,
		   CONFIG_PART_TAGS = 1 << 4,
		   CONFIG_PART_NAT = 1 << 5, /* times, filtering, mapping of TCP, client_share */
		   CONFIG_PART_NAME = 1 << 6,
};

#define CONFIG_RESTART_MAX 32

struct config_changes {
	unsigned live;				 /* enum config_part */
	const char *restart[CONFIG_RESTART_MAX]; /* keys that need a restart: "tunnel.listen"; static */
	size_t n_restart;
	const char *changed[CONFIG_RESTART_MAX]; /* the others: "clients" */
	size_t n_changed;
};

void config_diff(const struct config *old, const struct config *new, struct config_changes *out);

#endif
