/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Policy tree -> YAML, by libyaml's emitter: the inverse of parse*.c. Sections
 * with rules come in the order in which their rules are numbered.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

#include "print.h"

#define LINE_WIDTH 110

struct printer {
	yaml_emitter_t yaml;
	bool failed;
};

static void print_put(struct printer *pr, yaml_event_t *event, int made)
{
	/* an event that was made belongs to the emitter, whatever becomes of it */
	if (!made || !yaml_emitter_emit(&pr->yaml, event))
		pr->failed = true;
}

static void begin_map(struct printer *pr, yaml_mapping_style_t style)
{
	yaml_event_t e;

	print_put(pr, &e, yaml_mapping_start_event_initialize(&e, NULL, NULL, 1, style));
}

static void print_end_map(struct printer *pr)
{
	yaml_event_t e;

	print_put(pr, &e, yaml_mapping_end_event_initialize(&e));
}

static void begin_list(struct printer *pr, yaml_sequence_style_t style)
{
	yaml_event_t e;

	print_put(pr, &e, yaml_sequence_start_event_initialize(&e, NULL, NULL, 1, style));
}

static void end_list(struct printer *pr)
{
	yaml_event_t e;

	print_put(pr, &e, yaml_sequence_end_event_initialize(&e));
}

/* Plain where that reads back as the same text. */
static void print_text(struct printer *pr, const char *s)
{
	bool null = !*s || !strcmp(s, "~") || !strcasecmp(s, "null") || !strcmp(s, "<<");
	yaml_event_t e;

	print_put(pr, &e,
		  yaml_scalar_event_initialize(&e, NULL, NULL, (const yaml_char_t *)s, (int)strlen(s), 1, 1,
					       null ? YAML_DOUBLE_QUOTED_SCALAR_STYLE : YAML_ANY_SCALAR_STYLE));
}

static void pair(struct printer *pr, const char *key, const char *value)
{
	print_text(pr, key);
	print_text(pr, value);
}

const char *policy_ports_str(const struct policy_portlist *ports, char *buf, size_t size)
{
	size_t at = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < ports->n && at < size; i++) {
		const struct policy_ports *p = &ports->v[i];

		if (p->first == 0 && p->last == 65535)
			at += (size_t)snprintf(buf + at, size - at, "%s*", i ? "," : "");
		else if (p->first == p->last)
			at += (size_t)snprintf(buf + at, size - at, "%s%u", i ? "," : "", p->first);
		else
			at += (size_t)snprintf(buf + at, size - at, "%s%u-%u", i ? "," : "", p->first, p->last);
	}
	return buf;
}

/* The longest list of ports that a policy can hold in one string. */
static char *ports_text(const struct policy_portlist *ports)
{
	size_t size = ports->n * sizeof("65535-65535,") + 1;
	char *buf = mem_alloc(size, 1);

	policy_ports_str(ports, buf, size);
	return buf;
}

static const char *sel_str(const struct policy_sel *sel, char *buf)
{
	return sel->kind == SEL_PREFIX ? prefix_str(&sel->prefix, buf) : sel->text;
}

/* The selector in front of ":ports". */
static char *target_text(const struct policy_sel *sel)
{
	char buf[ADDR_STRLEN], *slash;

	if (sel->kind != SEL_PREFIX || prefix_is_v4(&sel->prefix))
		return mem_strdup(sel_str(sel, buf));
	prefix_str(&sel->prefix, buf);
	slash = strchr(buf, '/');
	if (!slash)
		return mem_printf("[%s]", buf);
	*slash = '\0';
	return mem_printf("[%s]/%s", buf, slash + 1);
}

/* ---- lists -------------------------------------------------------------------------- */

static void selectors(struct printer *pr, const char *key, const struct policy_sels *list)
{
	char buf[ADDR_STRLEN];

	print_text(pr, key);
	begin_list(pr, YAML_FLOW_SEQUENCE_STYLE);
	for (size_t i = 0; i < list->n; i++)
		print_text(pr, sel_str(&list->v[i], buf));
	end_list(pr);
}

static void texts(struct printer *pr, const char *key, const struct policy_texts *list)
{
	if (!list->n)
		return;
	print_text(pr, key);
	begin_list(pr, YAML_FLOW_SEQUENCE_STYLE);
	for (size_t i = 0; i < list->n; i++)
		print_text(pr, list->v[i].text);
	end_list(pr);
}

/* ---- rules ---------------------------------------------------------------------------- */

static void acl(struct printer *pr, const struct policy_rule *r)
{
	char buf[4];

	if (r->kind == POLICY_ACL)
		pair(pr, "action", "accept");
	if (r->ip->proto != POLICY_PROTO_DEFAULT)
		pair(pr, "proto", policy_proto_name(r->ip->proto, buf));
	selectors(pr, "src", &r->src);
	print_text(pr, "dst");
	begin_list(pr, YAML_FLOW_SEQUENCE_STYLE);
	for (size_t i = 0; i < r->n_dst; i++) {
		char *target = target_text(&r->dst[i].sel), *ports = ports_text(&r->dst[i].ports);
		char *whole = mem_printf("%s:%s", target, ports);

		print_text(pr, whole);
		free(whole);
		free(target);
		free(ports);
	}
	end_list(pr);
	texts(pr, "srcPosture", &r->posture);
}

static void ips(struct printer *pr, const struct policy_rule *r)
{
	char buf[4];

	if (!r->n_ip)
		return;
	print_text(pr, "ip");
	begin_list(pr, YAML_FLOW_SEQUENCE_STYLE);
	for (size_t i = 0; i < r->n_ip; i++) {
		char *ports = ports_text(&r->ip[i].ports);
		char *whole = r->ip[i].proto == POLICY_PROTO_DEFAULT
				      ? mem_strdup(ports)
				      : mem_printf("%s:%s", policy_proto_name(r->ip[i].proto, buf), ports);

		print_text(pr, whole);
		free(whole);
		free(ports);
	}
	end_list(pr);
}

static void grant(struct printer *pr, const struct policy_rule *r)
{
	char buf[ADDR_STRLEN];

	selectors(pr, "src", &r->src);
	print_text(pr, "dst");
	begin_list(pr, YAML_FLOW_SEQUENCE_STYLE);
	for (size_t i = 0; i < r->n_dst; i++)
		print_text(pr, sel_str(&r->dst[i].sel, buf));
	end_list(pr);
	ips(pr, r);
	if (r->via.n)
		selectors(pr, "via", &r->via);
	texts(pr, "srcPosture", &r->posture);
	if (!r->app.n)
		return;
	print_text(pr, "app");
	begin_map(pr, YAML_FLOW_MAPPING_STYLE);
	for (size_t i = 0; i < r->app.n; i++) {
		print_text(pr, r->app.v[i].text);
		begin_list(pr, YAML_FLOW_SEQUENCE_STYLE);
		end_list(pr);
	}
	print_end_map(pr);
}

static void rules_of(struct printer *pr, const struct policy *p, enum policy_rule_kind kind)
{
	static const char *const names[] = {[POLICY_ACL] = "acls", [POLICY_GRANT] = "grants", [POLICY_DENY] = "deny"};

	print_text(pr, names[kind]);
	begin_list(pr, YAML_BLOCK_SEQUENCE_STYLE);
	for (size_t i = 0; i < p->n_rules; i++) {
		if (p->rules[i].kind != kind)
			continue;
		begin_map(pr, YAML_BLOCK_MAPPING_STYLE);
		if (kind == POLICY_GRANT)
			grant(pr, &p->rules[i]);
		else
			acl(pr, &p->rules[i]);
		print_end_map(pr);
	}
	end_list(pr);
}

static void all_rules(struct printer *pr, const struct policy *p)
{
	bool seen[3] = {false};

	for (size_t i = 0; i < p->n_rules; i++)
		if (!seen[p->rules[i].kind]) {
			seen[p->rules[i].kind] = true;
			rules_of(pr, p, p->rules[i].kind);
		}
	if (p->has_rules && !seen[POLICY_ACL] && !seen[POLICY_GRANT])
		rules_of(pr, p, POLICY_ACL); /* "[]" says more than nothing */
}

/* ---- names ------------------------------------------------------------------------------ */

static void groups(struct printer *pr, const struct policy *p)
{
	if (!p->n_groups)
		return;
	print_text(pr, "groups");
	begin_map(pr, YAML_BLOCK_MAPPING_STYLE);
	for (size_t i = 0; i < p->n_groups; i++)
		selectors(pr, p->groups[i].name, &p->groups[i].users);
	print_end_map(pr);
}

static void hosts(struct printer *pr, const struct policy *p)
{
	char buf[ADDR_STRLEN];

	if (!p->n_hosts)
		return;
	print_text(pr, "hosts");
	begin_map(pr, YAML_BLOCK_MAPPING_STYLE);
	for (size_t i = 0; i < p->n_hosts; i++)
		pair(pr, p->hosts[i].name, prefix_str(&p->hosts[i].prefix, buf));
	print_end_map(pr);
}

static void tags(struct printer *pr, const struct policy *p)
{
	if (!p->n_tags)
		return;
	print_text(pr, "tagOwners");
	begin_map(pr, YAML_BLOCK_MAPPING_STYLE);
	for (size_t i = 0; i < p->n_tags; i++)
		selectors(pr, p->tags[i].name, &p->tags[i].owners);
	print_end_map(pr);
}

static void approvers(struct printer *pr, const struct policy *p)
{
	char buf[ADDR_STRLEN];

	if (!p->n_approvers && !p->exit_approvers.n)
		return;
	print_text(pr, "autoApprovers");
	begin_map(pr, YAML_BLOCK_MAPPING_STYLE);
	if (p->n_approvers) {
		print_text(pr, "routes");
		begin_map(pr, YAML_BLOCK_MAPPING_STYLE);
		for (size_t i = 0; i < p->n_approvers; i++)
			selectors(pr, prefix_str(&p->approvers[i].prefix, buf), &p->approvers[i].who);
		print_end_map(pr);
	}
	if (p->exit_approvers.n)
		selectors(pr, "exitNode", &p->exit_approvers);
	print_end_map(pr);
}

static void ipset(struct printer *pr, const struct policy_ipset *set)
{
	char buf[ADDR_STRLEN];

	print_text(pr, set->name);
	begin_list(pr, YAML_FLOW_SEQUENCE_STYLE);
	for (size_t i = 0; i < set->n; i++) {
		char *op =
			mem_printf("%s %s", set->ops[i].remove ? "remove" : "add", sel_str(&set->ops[i].target, buf));

		print_text(pr, op);
		free(op);
	}
	end_list(pr);
}

static void ipsets(struct printer *pr, const struct policy *p)
{
	if (!p->n_ipsets)
		return;
	print_text(pr, "ipsets");
	begin_map(pr, YAML_BLOCK_MAPPING_STYLE);
	for (size_t i = 0; i < p->n_ipsets; i++)
		ipset(pr, &p->ipsets[i]);
	print_end_map(pr);
}

/* ---- our own ------------------------------------------------------------------------------ */

static void duration(struct printer *pr, const char *key, uint64_t seconds)
{
	static const struct {
		uint64_t seconds;
		char unit;
	} units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
	size_t i = 0;
	char *s;

	if (!seconds)
		return;
	while (seconds % units[i].seconds)
		i++;
	s = mem_printf("%" PRIu64 "%c", seconds / units[i].seconds, units[i].unit);
	pair(pr, key, s);
	free(s);
}

static void blocklists(struct printer *pr, const struct policy *p)
{
	if (!p->n_blocklists)
		return;
	print_text(pr, "blocklists");
	begin_list(pr, YAML_BLOCK_SEQUENCE_STYLE);
	for (size_t i = 0; i < p->n_blocklists; i++) {
		begin_map(pr, YAML_BLOCK_MAPPING_STYLE);
		pair(pr, "name", p->blocklists[i].name);
		pair(pr, "file", p->blocklists[i].file);
		duration(pr, "max_age", p->blocklists[i].max_age);
		print_end_map(pr);
	}
	end_list(pr);
}

static void print_egress(struct printer *pr, const struct policy *p)
{
	if (!p->n_egress)
		return;
	print_text(pr, "egress");
	begin_map(pr, YAML_BLOCK_MAPPING_STYLE);
	for (size_t i = 0; i < p->n_egress; i++)
		pair(pr, p->egress[i].who.text, p->egress[i].pool);
	print_end_map(pr);
}

static void limit(struct printer *pr, const char *key, uint64_t value, const char *unit)
{
	char s[32];

	if (!value)
		return;
	snprintf(s, sizeof(s), "%" PRIu64 "%s", value, unit);
	pair(pr, key, s);
}

static void quotas(struct printer *pr, const struct policy *p)
{
	if (!p->n_quotas)
		return;
	print_text(pr, "quotas");
	begin_list(pr, YAML_BLOCK_SEQUENCE_STYLE);
	for (size_t i = 0; i < p->n_quotas; i++) {
		const struct policy_quota *q = &p->quotas[i];

		begin_map(pr, YAML_BLOCK_MAPPING_STYLE);
		selectors(pr, "src", &q->src);
		limit(pr, "flows", q->flows, "");
		limit(pr, "new_flows", q->new_flows, "/s");
		limit(pr, "packets", q->packets, "/s");
		limit(pr, "bytes", q->bytes, "/s");
		print_end_map(pr);
	}
	end_list(pr);
}

/* Which conditions the device fulfils is of no use here, only that there are any. */
static void posture_attrs(struct printer *pr)
{
	print_text(pr, "srcPostureAttrs");
	begin_map(pr, YAML_FLOW_MAPPING_STYLE);
	pair(pr, "node:any", "true");
	print_end_map(pr);
}

static void tests(struct printer *pr, const struct policy *p)
{
	if (!p->n_tests)
		return;
	print_text(pr, "tests");
	begin_list(pr, YAML_BLOCK_SEQUENCE_STYLE);
	for (size_t i = 0; i < p->n_tests; i++) {
		const struct policy_assertion *a = &p->tests[i];

		begin_map(pr, YAML_BLOCK_MAPPING_STYLE);
		if (a->src.text)
			pair(pr, "src", a->src.text);
		if (a->posture)
			posture_attrs(pr);
		if (a->proto.text)
			pair(pr, "proto", a->proto.text);
		texts(pr, "accept", &a->accept);
		texts(pr, "deny", &a->deny);
		print_end_map(pr);
	}
	end_list(pr);
}

static void everything(struct printer *pr, const struct policy *p)
{
	begin_map(pr, YAML_BLOCK_MAPPING_STYLE);
	groups(pr, p);
	hosts(pr, p);
	ipsets(pr, p);
	tags(pr, p);
	approvers(pr, p);
	all_rules(pr, p);
	blocklists(pr, p);
	print_egress(pr, p);
	quotas(pr, p);
	tests(pr, p);
	print_end_map(pr);
}

static int write_text(void *file, unsigned char *bytes, size_t n)
{
	return fwrite(bytes, 1, n, file) == n;
}

static void document(struct printer *pr, const struct policy *p)
{
	yaml_event_t e;

	print_put(pr, &e, yaml_stream_start_event_initialize(&e, YAML_UTF8_ENCODING));
	print_put(pr, &e, yaml_document_start_event_initialize(&e, NULL, NULL, NULL, 1));
	everything(pr, p);
	print_put(pr, &e, yaml_document_end_event_initialize(&e, 1));
	print_put(pr, &e, yaml_stream_end_event_initialize(&e));
}

char *policy_print(const struct policy *p)
{
	struct printer pr = {.failed = false};
	char *out = NULL;
	size_t size;
	FILE *f = open_memstream(&out, &size);

	if (!f || !yaml_emitter_initialize(&pr.yaml))
		abort(); /* no memory */
	yaml_emitter_set_output(&pr.yaml, write_text, f);
	yaml_emitter_set_unicode(&pr.yaml, 1);
	yaml_emitter_set_width(&pr.yaml, LINE_WIDTH);
	document(&pr, p);
	if (pr.failed)
		abort(); /* every text in a policy can be emitted: it came through the parser */
	yaml_emitter_delete(&pr.yaml);
	fclose(f);
	return out;
}
