/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_DERPMAP_H
#define SLUICE_TAILNET_DERPMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "json_fields.h"
#include "http1.h"
#include "policy/addr.h"

/* The relays of a tailnet by region, as the coordination server tells them. */
#define DERPMAP_REGIONS_MAX 256
#define DERPMAP_NODES_MAX   16 /* a region */

struct derp_node {
	char host[URL_HOST_MAX + 1];
	char cert[URL_HOST_MAX + 1]; /* whom its certificate is for, or CONN_CERT_HASH and its hash; "": the host */
	bool unverified;	     /* its certificate is not to be looked at: packets are sealed in any case */
	bool has_v4, has_v6; /* addresses that need no name server; else the host is looked up */
	bool looked_up;	     /* they are what was found then (relay_hosts.h), and may be others tomorrow */
	bool no_v4, no_v6;   /* not to be tried by this family at all */
	struct addr v4, v6;
	uint16_t derp_port, stun_port; /* 0: does not offer it */
};

struct derp_region {
	uint16_t id;
	char name[64];
	bool no_home; /* not to be measured, not to be made home */
	struct derp_node *nodes;
	size_t n_nodes;
};

struct derpmap {
	struct derp_region *regions; /* by id */
	size_t n;
};

/* Letters, digits and -.:_ only, and not too long: a name of a host, or an address. */
bool derpmap_is_host(const char *s);
/* NULL: a mistake is in @f. */
struct derpmap *derpmap_read(struct fields *f, const json_t *json);
void derpmap_free(struct derpmap *m);						/* NULL is fine */
const struct derp_region *derpmap_region(const struct derpmap *m, uint16_t id); /* NULL: there is none */

#endif
