/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * policy inventory: who is who, in the form that --inventory reads, so that CI can test a policy without the
 * gateway's configuration or the tailnet's netmap.
 */
#include "command_ask.h"
#include "policy_files.h"
#include "user/answers/report_policy.h"
#include "user/control/control.h"

static json_t *inventory_texts_json(const char **v, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_string(v[i]));
	return list;
}

static void set_prefixes(json_t *node, const char *key, const struct prefixes *set)
{
	json_t *list = json_array();
	char buf[ADDR_STRLEN];

	for (size_t i = 0; i < set->n; i++)
		json_array_append_new(list, json_string(prefix_str(&set->v[i], buf)));
	if (set->n)
		json_object_set(node, key, list);
	json_decref(list);
}

static json_t *inventory_user_json(const struct inventory_user *u)
{
	json_t *j = json_pack("{s:s}", "name", u->name);

	if (u->n_roles)
		json_object_set_new(j, "roles", inventory_texts_json(u->roles, u->n_roles));
	return j;
}

static json_t *inventory_node_json(const struct inventory_node *node)
{
	json_t *j = json_pack("{s:s}", "name", node->name);

	if (node->n_tags)
		json_object_set_new(j, "tags", inventory_texts_json(node->tags, node->n_tags));
	else if (node->user)
		json_object_set_new(j, "user", json_string(node->user));
	set_prefixes(j, "addresses", &node->addrs);
	set_prefixes(j, "routes", &node->routable);
	set_prefixes(j, "approved", &node->approved);
	return j;
}

json_t *policy_inventory_json(const struct inventory *inv)
{
	json_t *users = json_array(), *nodes = json_array();

	for (size_t i = 0; i < inv->n_users; i++)
		json_array_append_new(users, inventory_user_json(&inv->users[i]));
	for (size_t i = 0; i < inv->n_nodes; i++)
		json_array_append_new(nodes, inventory_node_json(&inv->nodes[i]));
	return json_pack("{s:b, s:o, s:o}", "tailnet", inv->tailnet, "users", users, "nodes", nodes);
}

static void show_list(const char *name, const json_t *list, FILE *out)
{
	const json_t *item;
	size_t i;

	fprintf(out, "%s:\n", name);
	json_array_foreach (list, i, item) {
		fputs("- ", out);
		json_dumpf(item, out, JSON_COMPACT | JSON_PRESERVE_ORDER);
		fputc('\n', out);
	}
}

/* YAML, a line for each; what is in a line is JSON, so that no name can be read as something else. */
void print_policy_inventory(const json_t *inventory, FILE *out)
{
	fputs("# Who is who, for `sluice policy check|test|diff|matrix --inventory FILE` (sluice.8, INVENTORY).\n",
	      out);
	fprintf(out, "tailnet: %s\n", json_is_true(json_object_get(inventory, "tailnet")) ? "true" : "false");
	show_list("users", json_object_get(inventory, "users"), out);
	show_list("nodes", json_object_get(inventory, "nodes"), out);
}

int cmd_policy_inventory(int argc, char **argv)
{
	struct policy_files f;
	struct command_args a;
	struct ruleset *r = NULL;

	if (!command_parse(argc, argv, &a))
		return EXIT_USAGE;
	/* the policy says which routes are approved */
	if (policy_files_open(&f, &a, true))
		r = f.config && f.config->policy ? policy_files_build(&f, f.config->policy)
						 : ruleset_build(&f.place, NULL, &f.d);
	if (!r) {
		diags_print(&f.d, stderr, true);
		policy_files_close(&f);
		return EXIT_USAGE;
	}
	ask_show(&a, policy_inventory_json(&r->inventory), print_policy_inventory);
	ruleset_free(r);
	policy_files_close(&f);
	return EXIT_YES;
}
