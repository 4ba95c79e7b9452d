/* SPDX-License-Identifier: BSD-2-Clause */
/* The fields of messages between gateway and network process, and nodes, which are many of them (wire_fields.h). */
#include <stdlib.h>
#include <string.h>

#include "policy/alloc.h"
#include "wire_fields.h"
#include "user/base/url.h"
#include "user/base/secret.h"

void wire_put_bool(struct writer *w, bool v)
{
	write_u8(w, v);
}

bool wire_get_bool(struct reader *r)
{
	uint8_t v = read_u8(r);

	r->bad |= v > 1;
	return v == 1;
}

void wire_put_text(struct writer *w, const char *text, size_t max)
{
	size_t len = text ? strlen(text) : 0;

	w->bad |= len > max;
	write_be16(w, (uint16_t)len);
	write_bytes(w, text, len);
}

/* NULL: it is bad; else *@len bytes, which end with nothing. */
static const char *wire_take_text(struct reader *r, size_t max, size_t *len)
{
	const uint8_t *bytes;

	*len = read_be16(r);
	bytes = read_bytes(r, *len);
	r->bad |= *len > max || (bytes && memchr(bytes, 0, *len));
	return r->bad ? NULL : (const char *)bytes;
}

char *wire_get_text(struct reader *r, size_t max)
{
	size_t len;
	const char *text = wire_take_text(r, max, &len);

	return text ? mem_strndup(text, len) : NULL;
}

char *wire_get_secret(struct reader *r, size_t max)
{
	size_t len;
	const char *text = wire_take_text(r, max, &len);

	return text ? secret_strndup(text, len) : NULL;
}

void wire_put_prefix(struct writer *w, const struct prefix *p)
{
	write_addr(w, &p->addr);
	write_u8(w, (uint8_t)p->len);
}

struct prefix wire_get_prefix(struct reader *r)
{
	struct prefix p = {.addr = read_addr(r)};
	struct addr first;

	p.len = read_u8(r);
	r->bad |= p.len > 128;
	if (!r->bad) {
		first = prefix_first(&p);
		r->bad = addr_cmp(&first, &p.addr) != 0;
	}
	return p;
}

void wire_put_addr_port(struct writer *w, const struct addr_port *ap)
{
	write_addr(w, &ap->addr);
	write_be16(w, ap->port);
}

struct addr_port wire_get_addr_port(struct reader *r)
{
	struct addr_port ap = {.addr = read_addr(r)};

	ap.port = read_be16(r);
	r->bad |= !ap.port;
	return ap;
}

void wire_put_count(struct writer *w, size_t n, size_t max)
{
	w->bad |= n > max;
	write_be16(w, (uint16_t)n);
}

void *wire_get_list(struct reader *r, size_t max, size_t each, size_t size, size_t *n)
{
	*n = read_be16(r);
	if (r->bad || *n > max || *n > reader_left(r) / each) {
		r->bad = true;
		*n = 0;
	}
	return *n ? mem_alloc(*n, size) : NULL;
}

void wire_put_prefixes(struct writer *w, const struct prefix *v, size_t n, size_t max)
{
	wire_put_count(w, n, max);
	for (size_t i = 0; i < n && !w->bad; i++)
		wire_put_prefix(w, &v[i]);
}

struct prefix *wire_get_prefixes(struct reader *r, size_t max, size_t *n)
{
	struct prefix *v = wire_get_list(r, max, sizeof(struct addr) + 1, sizeof(*v), n);

	for (size_t i = 0; i < *n; i++)
		v[i] = wire_get_prefix(r);
	return v;
}

/* ---- nodes -------------------------------------------------------------------- */

void wire_put_node(struct writer *w, const struct tailnet_node *n)
{
	write_be64(w, n->id);
	wire_put_text(w, n->stable_id, NODE_TEXT_MAX);
	wire_put_text(w, n->name, NODE_TEXT_MAX);
	wire_put_text(w, n->user, NODE_TEXT_MAX);
	write_bytes(w, n->node_key, KEY_LEN);
	write_bytes(w, n->disco_key, KEY_LEN);
	wire_put_prefixes(w, n->addresses, n->n_addresses, NODE_ADDRESSES_MAX);
	wire_put_prefixes(w, n->allowed, n->n_allowed, NODE_ALLOWED_MAX);
	wire_put_prefixes(w, n->primary, n->n_primary, NODE_ALLOWED_MAX);
	wire_put_count(w, n->n_endpoints, NODE_ENDPOINTS_MAX);
	for (size_t i = 0; i < n->n_endpoints && !w->bad; i++)
		wire_put_addr_port(w, &n->endpoints[i]);
	wire_put_count(w, n->n_tags, NODE_TAGS_MAX);
	for (size_t i = 0; i < n->n_tags && !w->bad; i++)
		wire_put_text(w, n->tags[i], NODE_TEXT_MAX);
	write_be16(w, n->region);
	write_be64(w, (uint64_t)n->key_expiry);
	wire_put_bool(w, n->expired);
	wire_put_bool(w, n->online);
}

static struct tailnet_node *get_node(struct reader *r)
{
	struct tailnet_node *n = mem_alloc(1, sizeof(*n));

	n->id = read_be64(r);
	n->stable_id = wire_get_text(r, NODE_TEXT_MAX);
	n->name = wire_get_text(r, NODE_TEXT_MAX);
	n->user = wire_get_text(r, NODE_TEXT_MAX);
	read_copy(r, n->node_key, KEY_LEN);
	read_copy(r, n->disco_key, KEY_LEN);
	n->addresses = wire_get_prefixes(r, NODE_ADDRESSES_MAX, &n->n_addresses);
	n->allowed = wire_get_prefixes(r, NODE_ALLOWED_MAX, &n->n_allowed);
	n->primary = wire_get_prefixes(r, NODE_ALLOWED_MAX, &n->n_primary);
	n->endpoints =
		wire_get_list(r, NODE_ENDPOINTS_MAX, sizeof(struct addr) + 2, sizeof(*n->endpoints), &n->n_endpoints);
	for (size_t i = 0; i < n->n_endpoints; i++)
		n->endpoints[i] = wire_get_addr_port(r);
	n->tags = wire_get_list(r, NODE_TAGS_MAX, 2, sizeof(*n->tags), &n->n_tags);
	for (size_t i = 0; i < n->n_tags; i++)
		n->tags[i] = wire_get_text(r, NODE_TEXT_MAX);
	n->region = read_be16(r);
	n->key_expiry = (int64_t)read_be64(r);
	n->expired = wire_get_bool(r);
	n->online = wire_get_bool(r);
	r->bad |= !n->id || n->key_expiry < 0 || key_is_zero(n->node_key);
	return n;
}

struct tailnet_node *wire_get_node(struct reader *r)
{
	struct tailnet_node *n = get_node(r);

	for (size_t i = 0; i < n->n_addresses; i++)
		r->bad |= n->addresses[i].len != 128;
	return n;
}

static void put_address(struct writer *w, bool has, const struct addr *a)
{
	wire_put_bool(w, has);
	if (has)
		write_addr(w, a);
}

static void get_address(struct reader *r, bool *has, struct addr *a)
{
	*has = wire_get_bool(r);
	if (*has)
		*a = read_addr(r);
}

static void wire_fields_put_relay(struct writer *w, const struct derp_node *n)
{
	wire_put_text(w, n->host, URL_HOST_MAX);
	wire_put_text(w, n->cert, URL_HOST_MAX);
	wire_put_bool(w, n->unverified);
	wire_put_bool(w, n->looked_up);
	put_address(w, n->has_v4, &n->v4);
	put_address(w, n->has_v6, &n->v6);
	wire_put_bool(w, n->no_v4);
	wire_put_bool(w, n->no_v6);
	write_be16(w, n->derp_port);
	write_be16(w, n->stun_port);
}

/* Into room for URL_HOST_MAX bytes and a terminator. */
static void get_host(struct reader *r, char *out, bool may_be_none)
{
	char *text = wire_get_text(r, URL_HOST_MAX);

	r->bad |= text && !derpmap_is_host(text) && !(may_be_none && !*text);
	if (!r->bad)
		strcpy(out, text);
	free(text);
}

static void wire_fields_get_relay(struct reader *r, struct derp_node *n)
{
	get_host(r, n->host, false);
	get_host(r, n->cert, true);
	n->unverified = wire_get_bool(r);
	n->looked_up = wire_get_bool(r);
	get_address(r, &n->has_v4, &n->v4);
	get_address(r, &n->has_v6, &n->v6);
	n->no_v4 = wire_get_bool(r);
	n->no_v6 = wire_get_bool(r);
	n->derp_port = read_be16(r);
	n->stun_port = read_be16(r);
	r->bad |= (n->has_v4 && !addr_is_v4(&n->v4)) || (n->has_v6 && addr_is_v4(&n->v6));
}

void wire_put_region(struct writer *w, const struct derp_region *region)
{
	write_be16(w, region->id);
	wire_put_text(w, region->name, sizeof(region->name) - 1);
	write_u8(w, (uint8_t)region->use);
	write_be32(w, region->score);
	wire_put_count(w, region->n_nodes, DERPMAP_NODES_MAX);
	for (size_t i = 0; i < region->n_nodes && !w->bad; i++)
		wire_fields_put_relay(w, &region->nodes[i]);
}

#define RELAY_LEAST (2 + 2 + 6 + 4) /* bytes of the shortest */

struct derp_region wire_get_region(struct reader *r)
{
	struct derp_region region = {.id = read_be16(r)};
	char *name = wire_get_text(r, sizeof(region.name) - 1);
	uint8_t use = read_u8(r);

	if (name)
		strcpy(region.name, name);
	free(name);
	region.use = (enum derp_use)use;
	region.score = read_be32(r);
	region.nodes = wire_get_list(r, DERPMAP_NODES_MAX, RELAY_LEAST, sizeof(*region.nodes), &region.n_nodes);
	for (size_t i = 0; i < region.n_nodes; i++)
		wire_fields_get_relay(r, &region.nodes[i]);
	r->bad |= !region.id || use >= DERP_USES || !region.score || region.score > DERP_SCORE_MAX;
	return region;
}
