/* SPDX-License-Identifier: BSD-2-Clause */
/* The answers about policies: what they say (report_policy.h). How people read them is in print_policy.c. */
#include "report_policy.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

#define NO_CLIENTS_MAX 100 /* names of a diff */

static json_t *text_or_null(const char *s)
{
	json_t *j = s && *s ? json_string(s) : NULL;

	return j ? j : json_null();
}

static json_t *messages_json(const struct diags *d)
{
	json_t *list = json_array();

	for (size_t i = 0; i < d->n; i++) {
		const struct diag *m = &d->list[i];

		if (m->level == DIAG_SUM) /* "errors", "passed" and "failed" are it */
			continue;
		json_array_append_new(list, json_pack("{s:o, s:i, s:i, s:s, s:o}", "file", text_or_null(m->at.file),
						      "line", (int)m->at.line, "column", (int)m->at.column, "level",
						      m->level == DIAG_WARNING ? "warning" : "error", "text",
						      text_or_null(m->text)));
	}
	return list;
}

json_t *policy_mistakes_json(const struct diags *d, json_t *j)
{
	json_object_set_new(j, "schema", json_integer(REPORT_SCHEMA));
	json_object_set_new(j, "errors", json_integer((json_int_t)d->errors));
	json_object_set_new(j, "warnings", json_integer((json_int_t)d->warnings));
	json_object_set_new(j, "messages", messages_json(d));
	return j;
}

json_t *policy_lines_json(struct diags *d, enum diag_level level)
{
	json_t *list = json_array();
	char *text = NULL, *rest, *line;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return list;
	for (size_t i = 0; i < d->n; i++)
		if (d->list[i].level == level)
			diags_print(&(struct diags){.list = &d->list[i], .n = 1}, out, false);
	fclose(out);
	rest = text;
	while ((line = strsep(&rest, "\n")))
		if (*line)
			json_array_append_new(list, text_or_null(line));
	free(text);
	return list;
}

int policy_refuse(struct diags *d, int status, char **error)
{
	size_t size;
	FILE *out;

	*error = NULL;
	out = open_memstream(error, &size);
	if (out) {
		diags_print(d, out, true);
		fclose(out);
	}
	return status;
}

/* ---- what changes ------------------------------------------------------------------- */

static bool has_client(const struct policy_change *c, uint32_t client)
{
	size_t low = 0, high = c->n_clients; /* sorted */

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (c->clients[mid] < client)
			low = mid + 1;
		else
			high = mid;
	}
	return low < c->n_clients && c->clients[low] == client;
}

static bool policy_report_loses(const struct policy_change *c, const struct policy_live *live, const struct flow *f)
{
	return flow_is_live(flow_state(f)) && f->client < MAX_CLIENTS && has_client(c, live->client_of[f->client]) &&
	       policy_change_has(c, &f->out.dst) &&
	       ports_find(c->ports.v, c->ports.n, f->out.proto, ntohs(f->out.dport));
}

static json_t *flows_json(const struct policy_change *c, const struct policy_live *live)
{
	json_int_t n = 0;

	if (!live)
		return json_null();
	for (uint32_t i = 1; !c->gains && i < live->n_flows; i++)
		n += policy_report_loses(c, live, &live->flows[i]);
	return json_integer(n);
}

static json_t *change_json(const struct policy_change *c, const struct policy_live *live)
{
	char *ports = policy_change_ports(c), buf[ADDR_STRLEN];
	json_t *dst = json_array(), *except = json_array(), *j;

	for (size_t i = 0; i < c->dst.n; i++)
		json_array_append_new(dst, json_string(prefix_str(&c->dst.v[i], buf)));
	for (size_t i = 0; i < c->except.n; i++)
		json_array_append_new(except, json_string(prefix_str(&c->except.v[i], buf)));
	j = json_pack("{s:s, s:o, s:I, s:o, s:o, s:o, s:o, s:o}", "change", c->gains ? "gain" : "loss", "who",
		      text_or_null(c->who), "members", (json_int_t)c->members, "service", text_or_null(c->service),
		      "destinations", dst, "except", except, "ports", text_or_null(ports), "flows",
		      flows_json(c, live));
	free(ports);
	return j;
}

static json_t *line(char *text)
{
	json_t *j = json_string(text);

	free(text);
	return j ? j : json_null();
}

static void add_pools(json_t *list, const struct ruleset *old, const struct ruleset *new, const struct config *config)
{
	for (size_t i = 0; config && i < config->n_clients; i++) {
		uint32_t was = ruleset_pool(old, config, i), is = ruleset_pool(new, config, i);

		if (was != is && json_array_size(list) < POLICY_CHANGES_MAX)
			json_array_append_new(
				list, line(mem_printf("%s leaves by pool %s instead of %s", config->clients[i].name,
						      config->pools[is].name, config->pools[was].name)));
	}
}

static void add_routes(json_t *list, const struct ruleset *old, const struct ruleset *new, const struct config *config)
{
	char buf[ADDR_STRLEN];

	for (size_t i = 0; config && i < config->n_routes; i++)
		if (!old->approved_by[i] != !new->approved_by[i])
			json_array_append_new(list, line(mem_printf("route %s is %s approved",
								    prefix_str(&config->routes[i].prefix, buf),
								    new->approved_by[i] ? "now" : "no longer")));
}

static bool same_quotas(const struct policy *a, const struct policy *b)
{
	if (a->n_quotas != b->n_quotas)
		return false;
	for (size_t i = 0; i < a->n_quotas; i++) {
		const struct policy_quota *x = &a->quotas[i], *y = &b->quotas[i];

		if (x->flows != y->flows || x->new_flows != y->new_flows || x->packets != y->packets ||
		    x->bytes != y->bytes || x->src.n != y->src.n)
			return false;
		for (size_t k = 0; k < x->src.n; k++)
			if (strcmp(x->src.v[k].text, y->src.v[k].text))
				return false;
	}
	return true;
}

/* Changes that are no question of rules. */
static json_t *other_json(const struct ruleset *old, const struct ruleset *new, const struct config *config)
{
	json_t *list = json_array();

	add_pools(list, old, new, config);
	add_routes(list, old, new, config);
	if (!same_quotas(old->reach.p, new->reach.p))
		json_array_append_new(list, json_string("the quotas are others"));
	if (!blocklists_same(&old->blocked, &new->blocked))
		json_array_append_new(list, line(mem_printf("the block lists have %zu prefixes instead of %zu",
							    new->blocked.all.n, old->blocked.all.n)));
	return list;
}

static bool names_login(const struct policy *p, const char *login)
{
	for (size_t i = 0; p && i < p->n_rules; i++)
		for (size_t k = 0; k < p->rules[i].src.n; k++)
			if (p->rules[i].src.v[k].kind == SEL_USER && !strcmp(p->rules[i].src.v[k].text, login))
				return true;
	return false;
}

/* Logins that @of names and @but does not, and who have no client: what a rule says of them changes nothing here. */
static void add_without_clients(const struct ruleset *of, const struct ruleset *but, json_t *out)
{
	size_t n = of->policy ? of->policy->n_rules : 0;

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < of->policy->rules[i].src.n; k++) {
			const struct policy_sel *s = &of->policy->rules[i].src.v[k];

			if (s->kind == SEL_USER && resolve_is_empty(of->reach.r, s) &&
			    !names_login(but->policy, s->text) && json_array_size(out) < NO_CLIENTS_MAX)
				json_array_append_new(out, json_string(s->text));
		}
}

static json_t *without_clients(const struct ruleset *old, const struct ruleset *new)
{
	json_t *list = json_array();

	add_without_clients(old, new, list);
	add_without_clients(new, old, list);
	return list;
}

json_t *policy_diff_json(const struct ruleset *old, const struct ruleset *new, const struct config *config,
			 const struct policy_live *live)
{
	json_t *changes = json_array(), *j;
	struct budget budget = budget_usual();
	struct policy_diff diff;
	size_t n;

	policy_diff(&diff, &old->reach, &new->reach, &budget);
	n = diff.n < POLICY_CHANGES_MAX ? diff.n : POLICY_CHANGES_MAX;
	for (size_t i = 0; i < n; i++)
		json_array_append_new(changes, change_json(&diff.v[i], live));
	j = json_pack("{s:i, s:o, s:I, s:o}", "schema", REPORT_SCHEMA, "changes", changes, "left_out",
		      (json_int_t)(diff.n - n), "other", other_json(old, new, config));
	if (diff.cut)
		json_array_append_new(json_object_get(j, "other"),
				      json_string("the policies differ too much to compare: there are more changes"));
	policy_diff_free(&diff);
	json_object_set_new(j, "no_clients", without_clients(old, new));
	return j;
}

bool policy_diff_is_empty(const json_t *diff)
{
	return !json_array_size(json_object_get(diff, "changes")) && !json_array_size(json_object_get(diff, "other"));
}
