/* SPDX-License-Identifier: BSD-2-Clause */
/* DERPMap (derpmap.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "derpmap.h"
#include "policy/alloc.h"
#include "user/text.h"

#define DERP_PORT 443
#define STUN_PORT 3478

/* "": look it up; an address; or "none", which is no address: leave the family alone. */
static void read_family(struct fields *f, const json_t *json, const char *key, struct addr *addr, bool *has, bool *no)
{
	const char *text = field_string(f, json, key);

	if (!text || !*text)
		return;
	*has = addr_parse(text, strlen(text), addr);
	*no = !*has;
}

/* 0: the default, -1: does not offer it. */
static uint16_t read_port(struct fields *f, const json_t *json, const char *key, uint16_t standard)
{
	int64_t port = field_int(f, json, key, -1, UINT16_MAX);

	return port < 0 ? 0 : port ? (uint16_t)port : standard;
}

bool derpmap_is_host(const char *s)
{
	size_t len = strlen(s);

	return len && len <= URL_HOST_MAX &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:_") == len;
}

static bool read_node(struct fields *f, const json_t *json, struct derp_node *out)
{
	const char *host, *cert;
	bool insecure;

	if (!element_object(f, json, "DERPMap.Nodes"))
		return false;
	*out = (struct derp_node){0};
	host = field_string(f, json, "HostName");
	cert = field_string(f, json, "CertName");
	read_family(f, json, "IPv4", &out->v4, &out->has_v4, &out->no_v4);
	read_family(f, json, "IPv6", &out->v6, &out->has_v6, &out->no_v6);
	out->stun_port = read_port(f, json, "STUNPort", STUN_PORT);
	out->derp_port = field_bool(f, json, "STUNOnly") ? 0 : read_port(f, json, "DERPPort", DERP_PORT);
	insecure = field_bool(f, json, "InsecureForTests");
	if (fields_bad(f))
		return false;
	if (!host || !derpmap_is_host(host)) {
		fields_mistake(f, "DERPMap.HostName", "not a host name");
		return false;
	}
	if (cert && *cert && !derpmap_is_host(cert)) {
		fields_mistake(f, "DERPMap.CertName", "neither a name nor a hash");
		return false;
	}
	strcpy(out->host, host);
	strcpy(out->cert, cert ? cert : "");
	out->unverified = insecure && !*out->cert; /* as in Tailscale's client: who is named is looked at */
	return true;
}

static bool read_region(struct fields *f, const json_t *json, struct derp_region *out)
{
	json_t *nodes, *node;
	const char *name;
	size_t i;

	if (!element_object(f, json, "DERPMap.Regions"))
		return false;
	*out = (struct derp_region){.id = (uint16_t)field_int(f, json, "RegionID", 1, UINT16_MAX)};
	name = field_string(f, json, "RegionCode");
	out->no_home = field_bool(f, json, "NoMeasureNoHome") || field_bool(f, json, "Avoid");
	nodes = field_array(f, json, "Nodes");
	text_escape(name ? name : "", out->name, sizeof(out->name));
	out->nodes = mem_alloc(DERPMAP_NODES_MAX, sizeof(*out->nodes));
	json_array_foreach (nodes, i, node)
		if (out->n_nodes < DERPMAP_NODES_MAX && read_node(f, node, &out->nodes[out->n_nodes]))
			out->n_nodes++;
	if (!out->id)
		fields_mistake(f, "DERPMap.RegionID", "absent");
	return !fields_bad(f);
}

static int by_id(const void *a, const void *b)
{
	const struct derp_region *x = a, *y = b;

	return x->id - y->id;
}

struct derpmap *derpmap_read(struct fields *f, const json_t *json)
{
	struct derpmap *m = mem_alloc(1, sizeof(*m));
	json_t *regions = field_object(f, json, "Regions"), *region;
	const char *key;

	m->regions = mem_alloc(DERPMAP_REGIONS_MAX, sizeof(*m->regions));
	json_object_foreach (regions, key, region) {
		if (m->n == DERPMAP_REGIONS_MAX || fields_bad(f))
			break;
		if (json_is_null(region))
			continue;
		read_region(f, region, &m->regions[m->n++]);
	}
	if (fields_bad(f)) {
		derpmap_free(m);
		return NULL;
	}
	qsort(m->regions, m->n, sizeof(*m->regions), by_id);
	return m;
}

void derpmap_free(struct derpmap *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n; i++)
		free(m->regions[i].nodes);
	free(m->regions);
	free(m);
}

const struct derp_region *derpmap_region(const struct derpmap *m, uint16_t id)
{
	struct derp_region key = {.id = id};

	return m ? bsearch(&key, m->regions, m->n, sizeof(key), by_id) : NULL;
}
