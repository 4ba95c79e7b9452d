/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_DERPMAP_H
#define SLUICE_TAILNET_DERPMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "json_fields.h"
#include "policy/addr.h"
#include "user/base/url.h"

/* The relays of a tailnet by region, as the coordination server tells them. */
#define DERPMAP_REGIONS_MAX 256
#define DERPMAP_NODES_MAX   16 /* a region */

struct derp_node {
	char host[URL_HOST_MAX + 1];
	char cert[URL_HOST_MAX + 1]; /* whom its certificate is for, or CONN_CERT_HASH and its hash; "": the host */
	bool unverified;	     /* its certificate is not to be looked at: packets are sealed in any case */
	bool has_v4, has_v6;	     /* addresses that need no name server; else the host is looked up */
	bool looked_up;		     /* they are what was found then (relay_hosts.h), and may be others tomorrow */
	bool no_v4, no_v6;	     /* not to be tried by this family at all */
	struct addr v4, v6;
	uint16_t derp_port, stun_port; /* 0: does not offer it */
};

/* As a home, in the order of preference. */
enum derp_use {
	DERP_USE_FREELY,
	DERP_USE_AVOID, /* only where no other answers */
	DERP_USE_NEVER, /* and not to be measured either; peers may have their homes there */
	DERP_USES
};

#define DERP_SCORE     1000 /* by what a latency is multiplied, in thousandths: this is the measured one */
#define DERP_SCORE_MAX 1000000

struct derp_region {
	uint16_t id;
	char name[64]; /* for people, escaped */
	enum derp_use use;
	uint32_t score;		 /* 1 to DERP_SCORE_MAX */
	struct derp_node *nodes; /* in the order in which they are to be tried */
	size_t n_nodes;
};

struct derp_score {
	uint16_t region;
	uint32_t score;
};

struct derpmap {
	struct derp_region *regions; /* by id; NULL in a change: as they were */
	size_t n;
	struct derp_score *scores; /* that the server told; NULL in a change: as they were */
	size_t n_scores;
};

/* Letters, digits and -.:_ only, and not too long: a name of a host, or an address. */
bool derpmap_is_host(const char *s);
/*
 * NULL: it changes nothing. Regions and relays that cannot be understood are left out, and the first of these is a
 * mistake in @f. OmitDefaultRegions is for servers: we know no relay but theirs.
 */
struct derpmap *derpmap_read(struct fields *f, const json_t *json);
struct derpmap *derpmap_new(void);    /* without regions */
void derpmap_free(struct derpmap *m); /* NULL is fine */

/* Takes @change over; what it does not say stays as it was in *@m (NULL: nothing was known). */
void derpmap_update(struct derpmap **m, struct derpmap *change);

/* Moves @r in, behind those that are there. False: not by id, or too many; @r is as it was. */
bool derpmap_add(struct derpmap *m, struct derp_region *r);
void derp_region_free(struct derp_region *r); /* what it owns */

bool derpmap_equal(const struct derpmap *a, const struct derpmap *b); /* NULL is fine, and equals itself only */
const struct derp_region *derpmap_region(const struct derpmap *m, uint16_t id); /* NULL: there is none */

#endif
