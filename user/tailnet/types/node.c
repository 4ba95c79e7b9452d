/* SPDX-License-Identifier: BSD-2-Clause */
/* A node as a value: made, copied, compared (node.h). */
#include <stdlib.h>
#include <string.h>

#include "node.h"
#include "policy/alloc.h"

struct tailnet_node *node_new(void)
{
	struct tailnet_node *n = mem_alloc(1, sizeof(*n));

	n->stable_id = mem_strdup("");
	n->name = mem_strdup("");
	n->user = mem_strdup("");
	return n;
}

void node_set_text(char **field, const char *text)
{
	free(*field);
	*field = mem_strndup(text ? text : "", text ? strnlen(text, NODE_TEXT_MAX) : 0);
}

void node_free(struct tailnet_node *n)
{
	if (!n)
		return;
	for (size_t i = 0; i < n->n_tags; i++)
		free(n->tags[i]);
	free(n->tags);
	free(n->endpoints);
	free(n->allowed);
	free(n->primary);
	free(n->addresses);
	free(n->user);
	free(n->name);
	free(n->stable_id);
	free(n);
}

static bool same_prefixes(const struct prefix *a, size_t n_a, const struct prefix *b, size_t n_b)
{
	if (n_a != n_b)
		return false;
	for (size_t i = 0; i < n_a; i++)
		if (prefix_cmp(&a[i], &b[i]))
			return false;
	return true;
}

static bool same_endpoints(const struct tailnet_node *a, const struct tailnet_node *b)
{
	if (a->n_endpoints != b->n_endpoints)
		return false;
	for (size_t i = 0; i < a->n_endpoints; i++)
		if (!addr_port_equal(&a->endpoints[i], &b->endpoints[i]))
			return false;
	return true;
}

static bool node_same_tags(const struct tailnet_node *a, const struct tailnet_node *b)
{
	if (a->n_tags != b->n_tags)
		return false;
	for (size_t i = 0; i < a->n_tags; i++)
		if (strcmp(a->tags[i], b->tags[i]) != 0)
			return false;
	return true;
}

bool node_equal(const struct tailnet_node *a, const struct tailnet_node *b)
{
	return a->id == b->id && a->region == b->region && a->key_expiry == b->key_expiry && a->expired == b->expired &&
	       a->online == b->online && strcmp(a->stable_id, b->stable_id) == 0 && strcmp(a->name, b->name) == 0 &&
	       strcmp(a->user, b->user) == 0 && memcmp(a->node_key, b->node_key, KEY_LEN) == 0 &&
	       memcmp(a->disco_key, b->disco_key, KEY_LEN) == 0 &&
	       same_prefixes(a->addresses, a->n_addresses, b->addresses, b->n_addresses) &&
	       same_prefixes(a->allowed, a->n_allowed, b->allowed, b->n_allowed) &&
	       same_prefixes(a->primary, a->n_primary, b->primary, b->n_primary) && same_endpoints(a, b) &&
	       node_same_tags(a, b);
}

bool node_is_expired(const struct tailnet_node *n, int64_t wall)
{
	return n->expired || (n->key_expiry && n->key_expiry <= wall);
}
