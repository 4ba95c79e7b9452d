/* SPDX-License-Identifier: BSD-2-Clause */
#include "config_inventory.h"

#define BY_CONFIGURATION "configuration"

static void config_inventory_add_client(struct inventory *inv, const struct config_client *c)
{
	struct inventory_node *node = inventory_add_node(inv, c->name);

	if (c->user)
		inventory_set_user(inv, node, c->user);
	for (size_t i = 0; i < c->tags.n; i++)
		inventory_add_tag(inv, node, c->tags.v[i]);
	for (size_t i = 0; i < c->addresses.n; i++)
		prefixes_add(&node->addrs, &(struct prefix){c->addresses.v[i], 128});
}

void config_inventory(const struct config *config, struct inventory *out)
{
	struct inventory_node *self;

	*out = (struct inventory){.tailnet = config->tailnet.node};
	for (size_t i = 0; i < config->n_users; i++) {
		struct inventory_user *u = inventory_add_user(out, config->users[i].name);

		for (size_t k = 0; k < config->users[i].roles.n; k++)
			inventory_add_role(out, u, config->users[i].roles.v[k]);
	}
	for (size_t i = 0; i < config->n_clients; i++)
		config_inventory_add_client(out, &config->clients[i]);
	self = inventory_add_node(out, config->name);
	for (size_t i = 0; i < config->tags.n; i++)
		inventory_add_tag(out, self, config->tags.v[i]);
	for (size_t i = 0; i < config->tunnel.n_addresses; i++)
		prefixes_add(&self->addrs, &(struct prefix){config->tunnel.addresses[i].host, 128});
	for (size_t i = 0; i < config->n_routes; i++)
		prefixes_add(&self->routable, &config->routes[i].prefix);
}

struct inventory_node *config_inventory_gateway(const struct inventory *inv)
{
	return &inv->nodes[inv->n_nodes - 1];
}

/* In a tailnet the server approves; its word is all there is. */
static void approve_served(const struct config *config, struct inventory_node *self, const char **by)
{
	for (size_t i = 0; i < config->n_routes; i++) {
		const struct prefix *route = &config->routes[i].prefix;
		const char *who = config_netmap_serves(config, route);

		if (who)
			prefixes_add(&self->approved, route);
		if (by)
			by[i] = who;
	}
}

void config_approve(const struct config *config, const struct policy *policy, struct inventory *inv, const char **by,
		    struct budget *budget)
{
	struct inventory_node *self = config_inventory_gateway(inv);
	bool automatic = policy && (policy->n_approvers || policy->exit_approvers.n);
	struct resolver *r;

	if (config->netmap) {
		approve_served(config, self, by);
		return;
	}
	r = automatic ? resolver_new(policy, inv, budget) : NULL;

	for (size_t i = 0; i < config->n_routes; i++) {
		const struct prefix *route = &config->routes[i].prefix;
		const struct policy_sel *who = r ? resolve_approval(r, self, route) : NULL;

		if (!automatic || who)
			prefixes_add(&self->approved, route);
		if (by)
			by[i] = who ? who->text : automatic ? NULL : BY_CONFIGURATION;
	}
	resolver_free(r);
}
