/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Classes of clients, and for each the destinations with their port ranges. The
 * prefixes of a class are walked in order with the ones around them on a stack,
 * so that every list is made once, from that of the next shorter prefix; what the
 * same rules make of the same list is made once for all prefixes of a class. All of
 * it ends where a limit is reached or the budget is spent: a list may be long, and an
 * author can have it copied for every address.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "classes.h"
#include "ports.h"

#define ACL_CLASS_BITS 32  /* of the key in front of the destination */
#define DEPTH_MAX      130 /* prefixes around one another: 0..128 */

struct item { /* a destination of a rule that names the class at hand */
	struct prefix prefix;
	const struct filter_rule *rule;
	const struct filter_dst *dst;
};

struct interned {			   /* a list that has been stored */
	uint32_t first, count, next, hash; /* next: in the bucket, index + 1 */
};

#define LIST_BUCKETS 65536

struct stored { /* a list, where it is stored */
	uint32_t first, count;
};

struct level {
	struct prefix prefix;
	struct stored list;
};

struct made { /* what the items of a prefix made of the list around it */
	struct stored around, list;
	size_t item, n; /* the items: index of the first, and how many */
	size_t next;	/* in the bucket, index + 1 */
};

#define ITEM_COST (sizeof(struct item) + sizeof(struct made) + sizeof(size_t)) /* while a class is built */

struct builder {
	const struct filter *f;
	struct classes classes;
	struct tables *t;
	const struct tables_limits *limits;
	struct item *items;
	size_t n_items, n_held; /* n_held: paid for */
	struct made *made;	/* of the class at hand */
	size_t n_made, *made_buckets, n_made_buckets;
	struct acl_rule *own; /* ranges of the items at hand */
	size_t n_own;
	struct interned *lists;
	size_t n_lists;
	uint32_t buckets[LIST_BUCKETS];
	struct level stack[DEPTH_MAX];
	size_t depth;
	uint32_t class;
	struct budget *budget;
	struct diags *d;
	bool full; /* a limit was reached, and that is reported */
};

static struct diag_at tables_place_of(const struct filter_rule *r)
{
	return r && r->file ? (struct diag_at){r->file, r->line, r->column} : (struct diag_at){0};
}

/* The first thing that does not fit ends it all, with the place of the rule that it was made for. */
static void too_many(struct builder *b, const struct filter_rule *r, const char *what, size_t room)
{
	if (!b->full)
		diag_error(b->d, tables_place_of(r),
			   "the policy does not fit: it needs more %s than there is room for (%zu)%s%s", what, room,
			   r && r->text ? "; the last rule that was looked at: " : "", r && r->text ? r->text : "");
	b->full = true;
}

static bool goes_on(const struct builder *b)
{
	return !b->full && !budget_is_spent(b->budget);
}

/* ---- lists ----------------------------------------------------------------------------- */

static uint32_t hash_bytes(uint32_t hash, const void *bytes, size_t n)
{
	const unsigned char *c = bytes;

	for (size_t i = 0; i < n; i++)
		hash = (hash ^ c[i]) * 16777619u; /* FNV-1a */
	return hash;
}

#define HASH_BEGIN 2166136261u

/* Where the list is stored; a new one is appended. */
static uint32_t intern(struct builder *b, const struct ports *l, const struct filter_rule *r)
{
	uint32_t hash = hash_bytes(HASH_BEGIN, l->v, l->n * sizeof(*l->v));
	uint32_t *bucket = &b->buckets[(hash ^ hash >> 16) % LIST_BUCKETS];
	struct tables *t = b->t;
	uint32_t first = (uint32_t)t->n_rules;

	if (!l->n)
		return 0;
	for (uint32_t i = *bucket; i && budget_pay(b->budget, 1); i = b->lists[i - 1].next) {
		const struct interned *in = &b->lists[i - 1];

		if (in->hash == hash && in->count == l->n && !memcmp(t->rules + in->first, l->v, l->n * sizeof(*l->v)))
			return in->first;
	}
	if (l->n > UINT16_MAX)
		too_many(b, r, "port ranges at one destination", UINT16_MAX);
	else if (b->limits->rules && t->n_rules + l->n > b->limits->rules)
		too_many(b, r, "port ranges", b->limits->rules);
	if (b->full || !budget_hold(b->budget, l->n, sizeof(*l->v)))
		return 0;
	for (size_t i = 0; i < l->n; i++) {
		t->rules = mem_grow(t->rules, t->n_rules, sizeof(*t->rules));
		t->rules[t->n_rules++] = l->v[i];
	}
	b->lists = mem_grow(b->lists, b->n_lists, sizeof(*b->lists));
	b->lists[b->n_lists++] = (struct interned){first, (uint32_t)l->n, *bucket, hash};
	*bucket = (uint32_t)b->n_lists;
	return first;
}

/* ---- a rule's contribution ---------------------------------------------------------------- */

static uint8_t icmp_of(const struct prefix *p)
{
	return prefix_is_v4(p) ? IPPROTO_ICMP : IPPROTO_ICMPV6;
}

static void tables_add_range(struct builder *b, const struct item *it, uint8_t proto)
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
	b->own = mem_grow(b->own, b->n_own, sizeof(*b->own));
	b->own[b->n_own++] = r;
}

/* Any accept lets the family's ICMP through, and the other family's does not exist. */
static bool item_has_proto(const struct item *it, uint8_t proto)
{
	bool icmp = proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6;

	if (icmp && proto != icmp_of(&it->prefix))
		return false;
	return (icmp && it->rule->verdict == FILTER_ACCEPT) || filter_rule_has_proto(it->rule, proto);
}

/* The ranges of the @n items of one prefix, in b->own. */
static void add_ranges(struct builder *b, const struct item *it, size_t n)
{
	free(b->own); /* mem_grow() counts from an empty list */
	b->own = NULL;
	b->n_own = 0;
	for (size_t i = 0; i < n; i++) {
		const struct filter_rule *r = it[i].rule;
		static const uint8_t usual[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_ICMPV6};
		const uint8_t *protos = r->n_proto ? r->proto : usual;
		size_t n_protos = r->n_proto ? r->n_proto : sizeof(usual);
		bool listed = false;

		for (size_t k = 0; k < n_protos; k++) {
			listed |= protos[k] == icmp_of(&it->prefix);
			if (item_has_proto(&it[i], protos[k]))
				tables_add_range(b, &it[i], protos[k]);
		}
		if (!listed && item_has_proto(&it[i], icmp_of(&it->prefix)))
			tables_add_range(b, &it[i], icmp_of(&it->prefix));
	}
}

static bool same_items(const struct item *a, const struct item *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (a[i].rule != b[i].rule || a[i].dst->first != b[i].dst->first || a[i].dst->last != b[i].dst->last)
			return false;
	return true;
}

static uint32_t hash_items(const struct item *it, size_t n, const struct stored *around)
{
	uint32_t hash = hash_bytes(HASH_BEGIN, around, sizeof(*around));

	for (size_t i = 0; i < n; i++) {
		uint32_t part[3] = {it[i].rule->id, it[i].dst->first, it[i].dst->last};

		hash = hash_bytes(hash, part, sizeof(part));
	}
	return hash ^ hash >> 16;
}

/* The @n items of one prefix over the list around it. */
static struct stored lay_items(struct builder *b, const struct item *it, size_t n, struct stored around)
{
	size_t *bucket = &b->made_buckets[hash_items(it, n, &around) & (b->n_made_buckets - 1)];
	struct made m = {.around = around, .item = (size_t)(it - b->items), .n = n, .next = *bucket};
	bool v4 = prefix_is_v4(&it->prefix);
	struct ports list = {0};

	for (size_t i = *bucket; i && budget_pay(b->budget, 1); i = b->made[i - 1].next) {
		const struct made *old = &b->made[i - 1];
		const struct item *first = &b->items[old->item];

		if (old->n == n && old->around.first == around.first && old->around.count == around.count &&
		    prefix_is_v4(&first->prefix) == v4 && budget_pay(b->budget, n) && same_items(first, it, n))
			return old->list;
	}
	budget_at(b->budget, tables_place_of(it->rule));
	if (!budget_pay_sort(b->budget, n) || !budget_pay(b->budget, around.count))
		return around;
	add_ranges(b, it, n);
	ports_lay(&list, around.count ? b->t->rules + around.first : NULL, around.count, b->own, b->n_own);
	m.list = (struct stored){intern(b, &list, it->rule), (uint32_t)list.n};
	ports_free(&list);
	b->made = mem_grow(b->made, b->n_made, sizeof(*b->made));
	b->made[b->n_made++] = m;
	*bucket = b->n_made;
	return m.list;
}

/* ---- entries -------------------------------------------------------------------------------- */

static void tables_add_entry(struct builder *b, const struct prefix *p, struct stored list, uint16_t flags,
			     const struct filter_rule *r)
{
	struct tables *t = b->t;
	struct tables_entry *e;

	if (b->limits->entries && t->n_entries == b->limits->entries)
		too_many(b, r, "destinations (each counted in every class of clients)", b->limits->entries);
	if (b->full || !budget_hold(b->budget, 1, sizeof(*e)))
		return;
	t->entries = mem_grow(t->entries, t->n_entries, sizeof(*t->entries));
	e = &t->entries[t->n_entries++];
	*e = (struct tables_entry){
		.key = {.prefixlen = ACL_CLASS_BITS + p->len, .class = htonl(b->class), .dst = p->addr},
		.value = {.first = list.first, .count = (uint16_t)list.count, .flags = flags},
		.parent = TABLES_NO_PARENT,
	};
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
		b->depth--;
	around = b->depth ? &b->stack[b->depth - 1] : NULL;
	l = &b->stack[b->depth++];
	l->prefix = it->prefix;
	l->list = lay_items(b, it, n, around ? around->list : (struct stored){0});
	if (!goes_on(b))
		return;
	icmp = l->list.count ? ports_find(b->t->rules + l->list.first, l->list.count, icmp_of(&l->prefix), 0) : NULL;
	if (icmp && icmp->verdict == VERDICT_ACCEPT)
		flags |= ACL_ACCEPTS;
	if (names_address(it, n))
		flags |= ACL_EXACT;
	if (around ? l->list.first == around->list.first && l->list.count == around->list.count && !(flags & ACL_EXACT)
		   : !l->list.count)
		return; /* the shorter match says the same */
	tables_add_entry(b, &l->prefix, l->list, flags, it->rule);
}

/* ---- classes --------------------------------------------------------------------------------- */

static void collect_rule(struct builder *b, const struct filter_rule *r, unsigned families)
{
	budget_at(b->budget, tables_place_of(r));
	if (!budget_pay(b->budget, 1 + r->n_dst) || !budget_hold(b->budget, r->n_dst, ITEM_COST))
		return;
	b->n_held += r->n_dst;
	for (size_t i = 0; i < r->n_dst; i++) {
		unsigned family = prefix_is_v4(&r->dst[i].prefix) ? CLASS_V4 : CLASS_V6;

		if (!(families & family))
			continue;
		b->items = mem_grow(b->items, b->n_items, sizeof(*b->items));
		b->items[b->n_items++] = (struct item){r->dst[i].prefix, r, &r->dst[i]};
	}
}

static void tables_collect(struct builder *b, uint32_t node)
{
	const struct classes *c = &b->classes;

	budget_release(b->budget, b->n_held, ITEM_COST);
	b->n_items = b->n_held = 0;
	free(b->items); /* mem_grow() counts from an empty list */
	b->items = NULL;
	for (; node != CLASS_ROOT && budget_pay(b->budget, 1); node = c->nodes[node].parent) {
		const struct source_set *set = &c->sets[c->nodes[node].set];

		for (size_t i = 0; i < set->n_rules; i++)
			collect_rule(b, &b->f->rules[set->rules[i]], c->nodes[node].families);
	}
}

static int tables_by_prefix(const void *pa, const void *pb)
{
	const struct item *a = pa, *b = pb;
	int family = prefix_is_v4(&a->prefix) - prefix_is_v4(&b->prefix);

	if (!family)
		family = prefix_cmp(&a->prefix, &b->prefix);
	if (!family)
		family = (a->rule->id > b->rule->id) - (a->rule->id < b->rule->id);
	if (!family)
		family = (a->rule > b->rule) - (a->rule < b->rule);
	if (!family)
		family = (a->dst->first > b->dst->first) - (a->dst->first < b->dst->first);
	return family ? family : (a->dst->last > b->dst->last) - (a->dst->last < b->dst->last);
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
	struct prefix p = {.addr = *a, .len = destination_bits(outer)};
	struct addr first = prefix_first(&p);

	return !addr_cmp(&first, &outer->key.dst);
}

/*
 * ::/0 and other prefixes of zeros lie around the mapped IPv4 addresses. Where
 * nothing stands between, an entry for all of IPv4 that allows nothing does.
 */
static void shield_v4(struct builder *b, size_t from)
{
	static const struct prefix all_v4 = {.addr = {.b = {[10] = 0xff, [11] = 0xff}}, .len = ADDR_V4_BITS};
	bool needed = false;

	for (size_t i = from; i < b->t->n_entries; i++) {
		const struct tables_entry *e = &b->t->entries[i];

		if (destination_bits(e) == ADDR_V4_BITS && !addr_cmp(&e->key.dst, &all_v4.addr))
			return;
		needed |= destination_bits(e) < ADDR_V4_BITS && entry_covers(e, &all_v4.addr);
	}
	if (needed)
		tables_add_entry(b, &all_v4, (struct stored){0}, 0, NULL);
}

static void link_parents(struct tables *t, size_t from)
{
	for (size_t i = from + 1; i < t->n_entries; i++) {
		uint32_t parent = (uint32_t)i - 1;

		while (parent != TABLES_NO_PARENT &&
		       !(destination_bits(&t->entries[parent]) < destination_bits(&t->entries[i]) &&
			 entry_covers(&t->entries[parent], &t->entries[i].key.dst)))
			parent = t->entries[parent].parent;
		t->entries[i].parent = parent;
	}
}

/* The items are others now. */
static void forget_made(struct builder *b)
{
	free(b->made);
	free(b->made_buckets);
	b->made = NULL;
	b->n_made = 0;
	b->n_made_buckets = 16;
	while (b->n_made_buckets < b->n_items)
		b->n_made_buckets *= 2;
	b->made_buckets = mem_alloc(b->n_made_buckets, sizeof(*b->made_buckets));
}

static void build_class(struct builder *b, uint32_t node)
{
	size_t from = b->t->n_entries;

	b->class = (uint32_t)++b->t->n_classes;
	if (b->limits->classes && b->t->n_classes > b->limits->classes)
		too_many(b, NULL, "classes of clients", b->limits->classes);
	if (!goes_on(b))
		return;
	tables_collect(b, node);
	if (!budget_pay_sort(b->budget, b->n_items))
		return;
	if (b->n_items)
		qsort(b->items, b->n_items, sizeof(*b->items), tables_by_prefix);
	forget_made(b);
	for (size_t i = 0, n; i < b->n_items && goes_on(b); i += n) {
		for (n = 1; i + n < b->n_items && !prefix_cmp(&b->items[i].prefix, &b->items[i + n].prefix);)
			n++;
		add_prefix(b, &b->items[i], n);
	}
	b->depth = 0;
	shield_v4(b, from);
	if (b->t->n_entries > from)
		qsort(b->t->entries + from, b->t->n_entries - from, sizeof(*b->t->entries), by_destination);
	link_parents(b->t, from);
}

static void build_classes(struct builder *b, size_t n_clients)
{
	uint32_t *class_of_node = mem_alloc(b->classes.n_nodes, sizeof(*class_of_node));

	for (size_t i = 0; i < n_clients && goes_on(b); i++) {
		uint32_t node = b->classes.node_of[i];

		if (!class_of_node[node]) {
			build_class(b, node);
			class_of_node[node] = b->class;
		}
		b->t->class_of[i] = class_of_node[node];
	}
	free(class_of_node);
}

static void check_ids(struct builder *b)
{
	for (size_t i = 0; b->limits->ids && i < b->f->n; i++)
		if (b->f->rules[i].id > b->limits->ids)
			too_many(b, &b->f->rules[i], "rules", b->limits->ids);
}

static void free_builder(struct builder *b)
{
	classes_free(&b->classes);
	free(b->items);
	free(b->made);
	free(b->made_buckets);
	free(b->own);
	free(b->lists);
	free(b);
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
	b->budget = b->limits->budget;
	b->d = d;
	check_ids(b);
	if (goes_on(b))
		classes_build(&b->classes, f, clients, n_clients, b->budget);
	t->n_divided = b->classes.n_divided;
	t->first_divided = b->classes.first_divided;
	if (goes_on(b))
		build_classes(b, n_clients);
	well = !budget_report(b->budget, d) && !b->full;
	budget_release(b->budget, b->n_held, ITEM_COST);
	free_builder(b);
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
