/* SPDX-License-Identifier: BSD-2-Clause */
/* DERPMap (derpmap.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "derpmap.h"
#include "policy/alloc.h"
#include "user/base/text.h"
#include "user/base/url.h"

#define DERP_PORT 443
#define STUN_PORT 3478

/* "": look it up; an address; or "none", which is no address: leave the family alone. */
static void read_family(struct fields *f, const json_t *json, bool v4, struct addr *addr, bool *has, bool *no)
{
	const char *text = field_string(f, json, v4 ? "IPv4" : "IPv6");
	struct addr a;

	if (!text || !*text)
		return;
	*has = addr_parse(text, strlen(text), &a) && addr_is_v4(&a) == v4;
	*no = !*has;
	if (*has)
		*addr = a;
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

static bool derpmap_read_node(struct fields *f, const json_t *json, struct derp_node *out)
{
	const char *host, *cert;
	bool insecure;

	if (!element_object(f, json, "DERPMap.Nodes"))
		return false;
	*out = (struct derp_node){0};
	host = field_string(f, json, "HostName");
	cert = field_string(f, json, "CertName");
	read_family(f, json, true, &out->v4, &out->has_v4, &out->no_v4);
	read_family(f, json, false, &out->v6, &out->has_v6, &out->no_v6);
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

static enum derp_use read_use(struct fields *f, const json_t *json)
{
	bool never = field_bool(f, json, "NoMeasureNoHome"), avoid = field_bool(f, json, "Avoid");

	return never ? DERP_USE_NEVER : avoid ? DERP_USE_AVOID : DERP_USE_FREELY;
}

static void derpmap_note(struct fields *all, const struct fields *f)
{
	if (fields_bad(f) && !fields_bad(all))
		*all = *f;
}

static void read_nodes(struct fields *all, const json_t *array, struct derp_region *out)
{
	json_t *node;
	size_t i;

	out->nodes = mem_alloc(DERPMAP_NODES_MAX, sizeof(*out->nodes));
	json_array_foreach (array, i, node) {
		struct fields f = {0}; /* of this one alone */

		if (out->n_nodes < DERPMAP_NODES_MAX && derpmap_read_node(&f, node, &out->nodes[out->n_nodes]))
			out->n_nodes++;
		derpmap_note(all, &f);
	}
}

/* False: it is left out. */
static bool read_region(struct fields *all, const json_t *json, struct derp_region *out)
{
	struct fields f = {0};
	json_t *nodes = NULL;
	const char *name;

	*out = (struct derp_region){.score = DERP_SCORE};
	if (element_object(&f, json, "DERPMap.Regions")) {
		out->id = (uint16_t)field_int(&f, json, "RegionID", 1, UINT16_MAX);
		name = field_string(&f, json, "RegionCode");
		out->use = read_use(&f, json);
		nodes = field_array(&f, json, "Nodes");
		text_escape(name ? name : "", out->name, sizeof(out->name));
		if (!out->id)
			fields_mistake(&f, "DERPMap.RegionID", "absent");
	}
	derpmap_note(all, &f);
	if (fields_bad(&f))
		return false;
	read_nodes(all, nodes, out);
	return true;
}

static int derpmap_by_id(const void *a, const void *b)
{
	const struct derp_region *x = a, *y = b;

	return x->id - y->id;
}

/* Sorted; the first of those with one number counts. */
static void drop_twins(struct fields *f, struct derpmap *m)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n; i++) {
		if (n && m->regions[i].id == m->regions[n - 1].id) {
			fields_mistake(f, "DERPMap.RegionID", "%u is there twice", m->regions[i].id);
			derp_region_free(&m->regions[i]);
		} else {
			m->regions[n++] = m->regions[i];
		}
	}
	m->n = n;
}

static void read_regions(struct fields *f, json_t *json, struct derpmap *m)
{
	const char *key;
	json_t *region;

	m->regions = mem_alloc(DERPMAP_REGIONS_MAX, sizeof(*m->regions));
	json_object_foreach (json, key, region)
		if (m->n < DERPMAP_REGIONS_MAX && !json_is_null(region) && read_region(f, region, &m->regions[m->n]))
			m->n++;
	qsort(m->regions, m->n, sizeof(*m->regions), derpmap_by_id);
	drop_twins(f, m);
}

/* A factor of 0 or less means nothing. */
static void read_scores(struct fields *f, json_t *json, struct derpmap *m)
{
	const char *key;
	json_t *value;

	m->scores = mem_alloc(DERPMAP_REGIONS_MAX, sizeof(*m->scores));
	json_object_foreach (json, key, value) {
		unsigned long id = strtoul(key, NULL, 10);
		double score = json_number_value(value) * DERP_SCORE;

		if (!json_is_number(value) && !json_is_null(value)) {
			fields_mistake(f, "DERPMap.HomeParams.RegionScore", "not a number");
			continue;
		}
		if (m->n_scores == DERPMAP_REGIONS_MAX || !id || id > UINT16_MAX || score <= 0)
			continue;
		score = score < 1 ? 1 : score > DERP_SCORE_MAX ? DERP_SCORE_MAX : score;
		m->scores[m->n_scores++] = (struct derp_score){(uint16_t)id, (uint32_t)score};
	}
}

struct derpmap *derpmap_read(struct fields *f, const json_t *json)
{
	struct fields home = {0};
	json_t *regions = field_object(f, json, "Regions");
	json_t *scores = field_object(&home, field_object(&home, json, "HomeParams"), "RegionScore");
	struct derpmap *m;

	derpmap_note(f, &home);
	if (!regions && !scores)
		return NULL;
	m = mem_alloc(1, sizeof(*m));
	if (regions)
		read_regions(f, regions, m);
	if (scores)
		read_scores(f, scores, m);
	return m;
}

/* ---- as a value --------------------------------------------------------------------- */

struct derpmap *derpmap_new(void)
{
	struct derpmap *m = mem_alloc(1, sizeof(*m));

	m->regions = mem_alloc(DERPMAP_REGIONS_MAX, sizeof(*m->regions));
	return m;
}

void derp_region_free(struct derp_region *r)
{
	free(r->nodes);
	r->nodes = NULL;
	r->n_nodes = 0;
}

void derpmap_free(struct derpmap *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n; i++)
		derp_region_free(&m->regions[i]);
	free(m->regions);
	free(m->scores);
	free(m);
}

bool derpmap_add(struct derpmap *m, struct derp_region *r)
{
	if (m->n == DERPMAP_REGIONS_MAX || (m->n && m->regions[m->n - 1].id >= r->id))
		return false;
	m->regions[m->n++] = *r;
	*r = (struct derp_region){0};
	return true;
}

static void set_scores(struct derpmap *m)
{
	for (size_t i = 0; i < m->n; i++)
		m->regions[i].score = DERP_SCORE;
	for (size_t i = 0; i < m->n_scores; i++) {
		struct derp_region *r = (struct derp_region *)derpmap_region(m, m->scores[i].region);

		if (r)
			r->score = m->scores[i].score;
	}
}

void derpmap_update(struct derpmap **m, struct derpmap *change)
{
	struct derpmap *old = *m ? *m : derpmap_new();

	if (!change->regions) {
		change->regions = old->regions;
		change->n = old->n;
		old->regions = NULL;
		old->n = 0;
	}
	if (!change->scores) {
		change->scores = old->scores;
		change->n_scores = old->n_scores;
		old->scores = NULL;
	}
	if (change->scores) /* else they are in the regions, if anywhere */
		set_scores(change);
	derpmap_free(old);
	*m = change;
}

static bool same_node(const struct derp_node *a, const struct derp_node *b)
{
	return !strcmp(a->host, b->host) && !strcmp(a->cert, b->cert) && a->unverified == b->unverified &&
	       a->has_v4 == b->has_v4 && a->has_v6 == b->has_v6 && a->looked_up == b->looked_up &&
	       a->no_v4 == b->no_v4 && a->no_v6 == b->no_v6 && a->derp_port == b->derp_port &&
	       a->stun_port == b->stun_port && !addr_cmp(&a->v4, &b->v4) && !addr_cmp(&a->v6, &b->v6);
}

static bool same_region(const struct derp_region *a, const struct derp_region *b)
{
	if (a->id != b->id || strcmp(a->name, b->name) || a->use != b->use || a->score != b->score ||
	    a->n_nodes != b->n_nodes)
		return false;
	for (size_t i = 0; i < a->n_nodes; i++)
		if (!same_node(&a->nodes[i], &b->nodes[i]))
			return false;
	return true;
}

bool derpmap_equal(const struct derpmap *a, const struct derpmap *b)
{
	if (!a || !b || a->n != b->n)
		return a == b;
	for (size_t i = 0; i < a->n; i++)
		if (!same_region(&a->regions[i], &b->regions[i]))
			return false;
	return true;
}

const struct derp_region *derpmap_region(const struct derpmap *m, uint16_t id)
{
	struct derp_region key = {.id = id};

	return m ? bsearch(&key, m->regions, m->n, sizeof(key), derpmap_by_id) : NULL;
}
