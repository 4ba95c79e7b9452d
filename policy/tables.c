/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Classes of clients, and for each the destinations with their port ranges. The
 * prefixes of a class are walked in order with the ones around them on a stack,
 * so that every list is made once, from that of the next shorter prefix.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "classes.h"
#include "ports.h"

#define ACL_CLASS_BITS 32 /* of the key in front of the destination */
#define DEPTH_MAX 130	  /* prefixes around one another: 0..128 */
#define NO_PARENT UINT32_MAX

struct item { /* a destination of a rule that names the class at hand */
	struct prefix prefix;
	const struct filter_rule *rule;
	const struct filter_dst *dst;
};

struct interned { /* a list that has been stored */
	uint32_t first, count, next; /* next: in the bucket, index + 1 */
};

#define LIST_BUCKETS 65536

struct level {
	struct prefix prefix;
	struct ports ports;
	uint32_t first, count; /* where it is stored */
};

struct builder {
	const struct filter *f;
	struct classes classes;
	struct tables *t;
	const struct tables_limits *limits;
	struct item *items;
	size_t n_items;
	struct interned *lists;
	size_t n_lists;
	uint32_t buckets[LIST_BUCKETS];
	struct level stack[DEPTH_MAX];
	size_t depth;
	uint32_t class;
	size_t entries; /* counted also past the limit */
	bool long_list; /* one has more ranges than an entry can count */
};

/* ---- lists ----------------------------------------------------------------------------- */

static unsigned hash_list(const struct ports *l)
{
	const unsigned char *c = (const unsigned char *)l->v;
	uint32_t hash = 2166136261u; /* FNV-1a */

	for (size_t i = 0; i < l->n * sizeof(*l->v); i++)
		hash = (hash ^ c[i]) * 16777619u;
	return (hash ^ hash >> 16) % LIST_BUCKETS;
}

/* Where the list is stored; a new one is appended. */
static uint32_t intern(struct builder *b, const struct ports *l)
{
	uint32_t *bucket = &b->buckets[hash_list(l)];
	struct tables *t = b->t;
	uint32_t first = (uint32_t)t->n_rules;

	if (!l->n)
		return 0;
	for (uint32_t i = *bucket; i; i = b->lists[i - 1].next) {
		const struct interned *in = &b->lists[i - 1];

		if (in->count == l->n && !memcmp(t->rules + in->first, l->v, l->n * sizeof(*l->v)))
			return in->first;
	}
	for (size_t i = 0; i < l->n; i++) {
		t->rules = mem_grow(t->rules, t->n_rules, sizeof(*t->rules));
		t->rules[t->n_rules++] = l->v[i];
	}
	b->lists = mem_grow(b->lists, b->n_lists, sizeof(*b->lists));
	b->lists[b->n_lists++] = (struct interned){ first, (uint32_t)l->n, *bucket };
	*bucket = (uint32_t)b->n_lists;
	return first;
}

/* ---- a rule's contribution ---------------------------------------------------------------- */

static uint8_t icmp_of(const struct prefix *p)
{
	return prefix_is_v4(p) ? IPPROTO_ICMP : IPPROTO_ICMPV6;
}

static void overlay_proto(struct ports *l, const struct item *it, uint8_t proto)
{
	bool accept = it->rule->verdict == FILTER_ACCEPT;
	bool ported = proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP;
	struct acl_rule r = {
		.first = it->dst->first,
		.last = it->dst->last,
		.proto = proto,
		.verdict = accept ? VERDICT_ACCEPT : VERDICT_DENY,
		.id = it->rule->id,
	};

	if (!ported) {
		if (!(accept && proto == icmp_of(&it->prefix)) && (r.first != 0 || r.last != 65535))
			return; /* no port of it can be named, so only all of it */
		r.first = 0;
		r.last = 65535;
	}
	ports_overlay(l, &r);
}

/* Any accept lets the family's ICMP through, and the other family's does not exist. */
static bool item_has_proto(const struct item *it, uint8_t proto)
{
	bool icmp = proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6;

	if (icmp && proto != icmp_of(&it->prefix))
		return false;
	return (icmp && it->rule->verdict == FILTER_ACCEPT) || filter_rule_has_proto(it->rule, proto);
}

static void mark_protos(bool *used, const struct item *it)
{
	used[IPPROTO_TCP] |= !it->rule->n_proto;
	used[IPPROTO_UDP] |= !it->rule->n_proto;
	used[icmp_of(&it->prefix)] = true;
	for (size_t i = 0; i < it->rule->n_proto; i++)
		used[it->rule->proto[i]] = true;
}

/* Protocol by protocol, in the order of the list, so that it grows at its end. */
static void overlay_items(struct ports *l, const struct item *it, size_t n)
{
	bool used[256] = { false };

	for (size_t i = 0; i < n; i++)
		mark_protos(used, &it[i]);
	for (unsigned proto = 0; proto < 256; proto++)
		for (size_t i = 0; used[proto] && i < n; i++)
			if (item_has_proto(&it[i], (uint8_t)proto))
				overlay_proto(l, &it[i], (uint8_t)proto);
}

/* ---- entries -------------------------------------------------------------------------------- */

static void add_entry(struct builder *b, const struct prefix *p, uint32_t first, size_t count, uint16_t flags)
{
	struct tables *t = b->t;
	struct tables_entry *e;

	b->long_list |= count > UINT16_MAX;
	b->entries++;
	if (b->limits->entries && b->entries > b->limits->entries)
		return;
	t->entries = mem_grow(t->entries, t->n_entries, sizeof(*t->entries));
	e = &t->entries[t->n_entries++];
	*e = (struct tables_entry){
		.key = { .prefixlen = ACL_CLASS_BITS + p->len, .class = htonl(b->class), .dst = p->addr },
		.value = { .first = first, .count = (uint16_t)count, .flags = flags },
		.parent = NO_PARENT,
	};
}

static void pop(struct builder *b)
{
	ports_free(&b->stack[--b->depth].ports);
}

static bool names_address(const struct item *it, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (it[i].prefix.len == 128 && it[i].rule->verdict == FILTER_ACCEPT)
			return true;
	return false;
}

/* One prefix with the @n items that stand right at it. */
static void add_prefix(struct builder *b, const struct item *it, size_t n)
{
	const struct acl_rule *icmp;
	struct level *l, *around;
	uint16_t flags = 0;

	while (b->depth && !prefix_covers(&b->stack[b->depth - 1].prefix, &it->prefix))
		pop(b);
	around = b->depth ? &b->stack[b->depth - 1] : NULL;
	l = &b->stack[b->depth++];
	*l = (struct level){ .prefix = it->prefix };
	if (around)
		ports_copy(&l->ports, &around->ports);
	overlay_items(&l->ports, it, n);
	ports_join(&l->ports);
	l->first = intern(b, &l->ports);
	l->count = (uint32_t)l->ports.n;
	icmp = ports_find(l->ports.v, l->ports.n, icmp_of(&l->prefix), 0);
	if (icmp && icmp->verdict == VERDICT_ACCEPT)
		flags |= ACL_ACCEPTS;
	if (names_address(it, n))
		flags |= ACL_EXACT;
	if (around ? l->first == around->first && l->count == around->count && !(flags & ACL_EXACT) : !l->count)
		return; /* the shorter match says the same */
	add_entry(b, &l->prefix, l->first, l->count, flags);
}

/* ---- classes --------------------------------------------------------------------------------- */

static void collect_rule(struct builder *b, const struct filter_rule *r, unsigned families)
{
	for (size_t i = 0; i < r->n_dst; i++) {
		unsigned family = prefix_is_v4(&r->dst[i].prefix) ? CLASS_V4 : CLASS_V6;

		if (!(families & family))
			continue;
		b->items = mem_grow(b->items, b->n_items, sizeof(*b->items));
		b->items[b->n_items++] = (struct item){ r->dst[i].prefix, r, &r->dst[i] };
	}
}

static void collect(struct builder *b, uint32_t node)
{
	const struct classes *c = &b->classes;

	b->n_items = 0;
	free(b->items); /* mem_grow() counts from an empty list */
	b->items = NULL;
	for (; node != CLASS_ROOT; node = c->nodes[node].parent) {
		const struct source_set *set = &c->sets[c->nodes[node].set];

		for (size_t i = 0; i < set->n_rules; i++)
			collect_rule(b, &b->f->rules[set->rules[i]], c->nodes[node].families);
	}
}

static int by_prefix(const void *pa, const void *pb)
{
	const struct item *a = pa, *b = pb;
	int family = prefix_is_v4(&a->prefix) - prefix_is_v4(&b->prefix);

	if (!family)
		family = prefix_cmp(&a->prefix, &b->prefix);
	return family ? family : (a->rule->id > b->rule->id) - (a->rule->id < b->rule->id);
}

static int by_destination(const void *pa, const void *pb)
{
	const struct tables_entry *a = pa, *b = pb;
	int order = addr_cmp(&a->key.dst, &b->key.dst);

	return order ? order : (a->key.prefixlen > b->key.prefixlen) - (a->key.prefixlen < b->key.prefixlen);
}

static unsigned destination_bits(const struct tables_entry *e)
{
	return e->key.prefixlen - ACL_CLASS_BITS;
}

/* As the kernel's trie sees it: numbers, whatever their family. */
static bool entry_covers(const struct tables_entry *outer, const struct addr *a)
{
	struct prefix p = { .addr = *a, .len = destination_bits(outer) };
	struct addr first = prefix_first(&p);

	return !addr_cmp(&first, &outer->key.dst);
}

/*
 * ::/0 and other prefixes of zeros lie around the mapped IPv4 addresses. Where
 * nothing stands between, an entry for all of IPv4 that allows nothing does.
 */
static void shield_v4(struct builder *b, size_t from)
{
	static const struct prefix all_v4 = { .addr = { .b = { [10] = 0xff, [11] = 0xff } }, .len = ADDR_V4_BITS };
	bool needed = false;

	for (size_t i = from; i < b->t->n_entries; i++) {
		const struct tables_entry *e = &b->t->entries[i];

		if (destination_bits(e) == ADDR_V4_BITS && !addr_cmp(&e->key.dst, &all_v4.addr))
			return;
		needed |= destination_bits(e) < ADDR_V4_BITS && entry_covers(e, &all_v4.addr);
	}
	if (needed)
		add_entry(b, &all_v4, 0, 0, 0);
}

static void link_parents(struct tables *t, size_t from)
{
	for (size_t i = from + 1; i < t->n_entries; i++) {
		uint32_t parent = (uint32_t)i - 1;

		while (parent != NO_PARENT &&
		       !(destination_bits(&t->entries[parent]) < destination_bits(&t->entries[i]) &&
			 entry_covers(&t->entries[parent], &t->entries[i].key.dst)))
			parent = t->entries[parent].parent;
		t->entries[i].parent = parent;
	}
}

static void build_class(struct builder *b, uint32_t node)
{
	size_t from = b->t->n_entries;

	b->class = (uint32_t)++b->t->n_classes;
	collect(b, node);
	if (b->n_items)
		qsort(b->items, b->n_items, sizeof(*b->items), by_prefix);
	for (size_t i = 0, n; i < b->n_items; i += n) {
		for (n = 1; i + n < b->n_items && !prefix_cmp(&b->items[i].prefix, &b->items[i + n].prefix);)
			n++;
		add_prefix(b, &b->items[i], n);
	}
	while (b->depth)
		pop(b);
	shield_v4(b, from);
	if (b->t->n_entries > from)
		qsort(b->t->entries + from, b->t->n_entries - from, sizeof(*b->t->entries), by_destination);
	link_parents(b->t, from);
}

static void build_classes(struct builder *b, size_t n_clients)
{
	uint32_t *class_of_node = mem_alloc(b->classes.n_nodes, sizeof(*class_of_node));

	for (size_t i = 0; i < n_clients; i++) {
		uint32_t node = b->classes.node_of[i];

		if (!class_of_node[node]) {
			build_class(b, node);
			class_of_node[node] = b->class;
		}
		b->t->class_of[i] = class_of_node[node];
	}
	free(class_of_node);
}

static bool fits(size_t need, size_t limit, const char *what, struct diags *d)
{
	if (!limit || need <= limit)
		return true;
	diag_error(d, (struct diag_at){ 0 }, "the policy does not fit: it needs %zu %s, there is room for %zu", need,
		   what, limit);
	return false;
}

static uint32_t largest_id(const struct filter *f)
{
	uint32_t id = 0;

	for (size_t i = 0; i < f->n; i++)
		if (f->rules[i].id > id)
			id = f->rules[i].id;
	return id;
}

static bool check_size(const struct builder *b, struct diags *d)
{
	const struct tables_limits *l = b->limits;
	bool well = fits(largest_id(b->f), l->ids, "rules", d);

	well &= fits(b->t->n_classes, l->classes, "classes of clients", d);
	well &= fits(b->entries, l->entries, "destinations (each counted in every class)", d);
	well &= fits(b->t->n_rules, l->rules, "port ranges", d);
	if (b->long_list)
		diag_error(d, (struct diag_at){ 0 },
			   "the policy does not fit: one destination has more than %u port ranges", UINT16_MAX);
	return well && !b->long_list;
}

struct tables *tables_build(const struct filter *f, const struct tables_client *clients, size_t n_clients,
			    const struct tables_limits *limits, struct diags *d)
{
	static const struct tables_limits none;
	struct builder *b = mem_alloc(1, sizeof(*b));
	struct tables *t = mem_alloc(1, sizeof(*t));
	bool well;

	t->n_clients = n_clients;
	t->class_of = mem_alloc(n_clients, sizeof(*t->class_of));
	b->f = f;
	b->t = t;
	b->limits = limits ? limits : &none;
	classes_build(&b->classes, f, clients, n_clients);
	t->n_divided = b->classes.n_divided;
	t->first_divided = b->classes.first_divided;
	build_classes(b, n_clients);
	well = check_size(b, d);
	classes_free(&b->classes);
	free(b->items);
	free(b->lists);
	free(b);
	if (well)
		return t;
	tables_free(t);
	return NULL;
}

void tables_free(struct tables *t)
{
	if (!t)
		return;
	free(t->class_of);
	free(t->entries);
	free(t->rules);
	free(t);
}

/* ---- lookup ------------------------------------------------------------------------------------ */

/* Index behind the last entry of the class that does not sort behind the address. */
static size_t upper_bound(const struct tables *t, uint32_t class, const struct addr *dst)
{
	size_t low = 0, high = t->n_entries;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct tables_entry *e = &t->entries[mid];
		uint32_t at = ntohl(e->key.class);

		if (at < class || (at == class && addr_cmp(&e->key.dst, dst) <= 0))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

const struct tables_entry *tables_match(const struct tables *t, uint32_t class, const struct addr *dst)
{
	size_t end = upper_bound(t, class, dst);
	uint32_t i = end ? (uint32_t)end - 1 : NO_PARENT;

	if (i == NO_PARENT || ntohl(t->entries[i].key.class) != class)
		return NULL;
	while (i != NO_PARENT && !entry_covers(&t->entries[i], dst))
		i = t->entries[i].parent;
	return i == NO_PARENT ? NULL : &t->entries[i];
}

const struct acl_rule *tables_find(const struct tables *t, uint32_t class, const struct addr *dst, uint8_t proto,
				   uint16_t port)
{
	const struct tables_entry *e = tables_match(t, class, dst);
	bool ported = proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP;

	return e ? ports_find(t->rules + e->value.first, e->value.count, proto, ported ? port : 0) : NULL;
}
