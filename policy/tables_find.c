/* SPDX-License-Identifier: BSD-2-Clause */
/* Looking tables up: one packet as a program does it, and a prefix as people ask about it. */
#include <arpa/inet.h>
#include <netinet/in.h>

#include "ports.h"
#include "tables.h"

#define CLASS_BITS 32 /* of the key in front of the destination */

struct prefix tables_prefix(const struct tables_entry *e)
{
	return (struct prefix){.addr = e->key.dst, .len = e->key.prefixlen - CLASS_BITS};
}

/* As the kernel's trie sees it: numbers, whatever their family. */
static bool covers_number(const struct tables_entry *outer, const struct addr *a)
{
	struct prefix p = {.addr = *a, .len = tables_prefix(outer).len};
	struct addr first = prefix_first(&p);

	return !addr_cmp(&first, &outer->key.dst);
}

/* Index behind the last entry of the class that does not sort behind the address. */
static size_t behind(const struct tables *t, uint32_t class, const struct addr *dst)
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
	size_t end = behind(t, class, dst);
	uint32_t i = end ? (uint32_t)end - 1 : TABLES_NO_PARENT;

	if (i == TABLES_NO_PARENT || ntohl(t->entries[i].key.class) != class)
		return NULL;
	while (i != TABLES_NO_PARENT && !covers_number(&t->entries[i], dst))
		i = t->entries[i].parent;
	return i == TABLES_NO_PARENT ? NULL : &t->entries[i];
}

const struct tables_entry *tables_around(const struct tables *t, uint32_t class, const struct prefix *p)
{
	const struct tables_entry *e = tables_match(t, class, &p->addr);

	while (e && tables_prefix(e).len > p->len)
		e = e->parent == TABLES_NO_PARENT ? NULL : &t->entries[e->parent];
	return e;
}

size_t tables_inside(const struct tables *t, uint32_t class, const struct prefix *p, size_t *from)
{
	struct addr last = prefix_last(p);

	*from = behind(t, class, &p->addr);
	while (*from && ntohl(t->entries[*from - 1].key.class) == class &&
	       !addr_cmp(&t->entries[*from - 1].key.dst, &p->addr))
		--*from;
	return behind(t, class, &last);
}

const struct acl_rule *tables_find(const struct tables *t, uint32_t class, const struct addr *dst, uint8_t proto,
				   uint16_t port)
{
	const struct tables_entry *e = tables_match(t, class, dst);
	bool ported = proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP;

	return e ? ports_find(t->rules + e->value.first, e->value.count, proto, ported ? port : 0) : NULL;
}

struct tables_decision tables_decide(const struct tables *t, uint32_t class, const struct addr *dst, uint8_t proto,
				     uint16_t port)
{
	const struct tables_entry *e = tables_match(t, class, dst);
	const struct acl_rule *r = tables_find(t, class, dst, proto, port);
	bool icmp = proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6;

	if (r)
		return (struct tables_decision){r->verdict == VERDICT_ACCEPT, r};
	return (struct tables_decision){icmp && e && e->value.flags & ACL_ACCEPTS, NULL};
}
