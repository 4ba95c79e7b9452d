/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_POLICY_BOMBS_H
#define TESTS_POLICY_BOMBS_H

#include <stdio.h>
#include <stdlib.h>

/*
 * Small policies that cost much: each text has some n parts of one kind, and what they mean together grows with
 * the square of n or faster, or did so where the compiler was careless. For the test of the budget and its bench.
 */
struct bomb_text {
	FILE *f;
	char *text;
	size_t size;
};

static inline void put_addr(FILE *f, unsigned a)
{
	fprintf(f, "%u.%u.%u.%u", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255);
}

static inline void put_odd_ports(FILE *f, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		fprintf(f, "%s%u", i ? "," : "", 1 + 2 * i);
}

static inline void put_falling_ports(FILE *f, unsigned n)
{
	for (unsigned i = n; i--;)
		fprintf(f, "%s%u", i + 1 < n ? "," : "", 1 + 2 * i);
}

/* No bomb: n rules for groups of ten, as scale_policy.c has them. */
static inline void bomb_honest(FILE *f, unsigned n)
{
	fputs("{groups: {", f);
	for (unsigned g = 0; g < n / 10; g++) {
		fprintf(f, "%s'group:g%u': [", g ? ", " : "", g);
		for (unsigned i = 0; i < 10; i++)
			fprintf(f, "%su%u@example.com", i ? ", " : "", g * 10 + i);
		fputs("]", f);
	}
	fputs("}, acls: [", f);
	for (unsigned i = 0; i < n; i++) {
		fprintf(f, "%s{action: accept, src: ['group:g%u'], dst: ['", i ? ", " : "", i % (n / 10));
		put_addr(f, 0x0a000000 + 4 * i);
		fputs(":443,8000-8999']}", f);
	}
	for (unsigned i = 0; i < 10; i++)
		fprintf(f, ", {action: accept, src: ['*'], dst: ['10.%u.0.0/16:53']}", i);
	fputs("], deny: [{src: ['*'], dst: ['10.0.0.0/8:25']}]}", f);
}

/* n ports at a network, then n rules for one address of it each: each needs the list anew. */
static inline void bomb_copied_ports(FILE *f, unsigned n)
{
	fputs("{acls: [{action: accept, src: ['*'], dst: ['10.0.0.0/8:", f);
	put_odd_ports(f, n);
	fputs("']}", f);
	for (unsigned i = 0; i < n; i++) {
		fputs(", {action: accept, src: ['*'], dst: ['", f);
		put_addr(f, 0x0a000000 + i);
		fputs(":2']}", f);
	}
	fputs("]}", f);
}

/* The same by one rule: the list is needed once more, not n times. */
static inline void bomb_shared_ports(FILE *f, unsigned n)
{
	fputs("{acls: [{action: accept, src: ['*'], dst: ['10.0.0.0/8:", f);
	put_odd_ports(f, n);
	fputs("']}, {action: accept, src: ['*'], dst: [", f);
	for (unsigned i = 0; i < n; i++) {
		fputs(i ? ", '" : "'", f);
		put_addr(f, 0x0a000000 + i);
		fputs(":2'", f);
	}
	fputs("]}]}", f);
}

static inline void bomb_falling_ports(FILE *f, unsigned n)
{
	fputs("{acls: [{action: accept, src: ['*'], dst: ['10.0.0.0/8:", f);
	put_falling_ports(f, n < 32767 ? n : 32767);
	fputs("']}]}", f);
}

/* Accepts and denies of sets: which deny covers which accept? */
static inline void bomb_shadows(FILE *f, unsigned n)
{
	fputs("{ipsets: {'ipset:a': [", f);
	for (unsigned i = 0; i < n; i++) {
		fputs(i ? ", add " : "add ", f);
		put_addr(f, 0x0a000000 + 2 * i);
	}
	fputs("]}, acls: [", f);
	for (unsigned i = 0; i < n; i++)
		fprintf(f, "%s{action: accept, src: ['*'], dst: ['ipset:a:%u']}", i ? ", " : "", 1 + i % 60000);
	fputs("], deny: [", f);
	for (unsigned i = 0; i < n; i++)
		fprintf(f, "%s{src: ['*'], dst: ['ipset:a:%u']}", i ? ", " : "", 60001 + i % 5000);
	fputs("]}", f);
}

static inline void bomb_removals(FILE *f, unsigned n)
{
	fputs("{ipsets: {'ipset:a': [add 10.0.0.0/8", f);
	for (unsigned i = 0; i < n; i++) {
		fputs(", remove ", f);
		put_addr(f, 0x0a000000 + 2 * i);
	}
	fputs("]}, acls: [{action: accept, src: ['*'], dst: ['ipset:a:1']}]}", f);
}

static inline void bomb_turns(FILE *f, unsigned n)
{
	fputs("{ipsets: {'ipset:a': [add 10.0.0.0/8", f);
	for (unsigned i = 0; i < n; i++) {
		fputs(i % 2 ? ", add " : ", remove ", f);
		put_addr(f, 0x0a000000 + i * 7919 % 65536 * 4);
	}
	fputs("]}, acls: [{action: accept, src: ['*'], dst: ['ipset:a:1']}]}", f);
}

/* Each of n sets has all that the first one has. */
static inline void bomb_sets_of_sets(FILE *f, unsigned n)
{
	fputs("{ipsets: {'ipset:a': [add 10.0.0.0/8", f);
	for (unsigned i = 0; i < n; i++) {
		fputs(", remove ", f);
		put_addr(f, 0x0a000000 + 2 * i);
	}
	fputs("]", f);
	for (unsigned i = 0; i < n; i++)
		fprintf(f, ", 'ipset:b%u': ['add ipset:a']", i);
	fputs("}, acls: []}", f);
}

/* A rule of n addresses, each with n ports. */
static inline void bomb_product(FILE *f, unsigned n)
{
	fputs("{grants: [{src: ['*'], dst: [", f);
	for (unsigned i = 0; i < n; i++) {
		fputs(i ? ", " : "", f);
		put_addr(f, 0x0a000000 + 2 * i);
	}
	fputs("], ip: [", f);
	for (unsigned i = 0; i < n; i++)
		fprintf(f, "%s'%u'", i ? ", " : "", 1 + i * 2 % 65535);
	fputs("]}]}", f);
}

/* Everybody has a class of his own, and n rules are everybody's. */
static inline void bomb_classes(FILE *f, unsigned n)
{
	fputs("{acls: [", f);
	for (unsigned i = 0; i < n; i++)
		fprintf(f, "{action: accept, src: [u%u@example.com], dst: ['10.0.0.0/8:%u']}, ", i, 1 + i % 65535);
	for (unsigned i = 0; i < n; i++) {
		fprintf(f, "%s{action: accept, src: ['*'], dst: ['", i ? ", " : "");
		put_addr(f, 0x0a000000 + 2 * i);
		fputs(":65535']}", f);
	}
	fputs("]}", f);
}

/* n rules, each with n/50 sources and a destination of its own. */
static inline void bomb_sources(FILE *f, unsigned n)
{
	fputs("{groups: {'group:g': [", f);
	for (unsigned i = 0; i < n; i++)
		fprintf(f, "%su%u@example.com", i ? ", " : "", i);
	fputs("]}, acls: [", f);
	for (unsigned i = 0; i < n; i++)
		fprintf(f, "%s{action: accept, src: ['group:g', u%u@example.com, 192.0.2.%u], dst: ['10.0.0.0/8:%u']}",
			i ? ", " : "", i, i % 250, 1 + i % 65535);
	fputs("]}", f);
}

static inline void bomb_own(FILE *f, unsigned n)
{
	fputs("{acls: [", f);
	for (unsigned i = 0; i < n; i++)
		fprintf(f, "%s{action: accept, src: ['*'], dst: ['autogroup:self:%u']}", i ? ", " : "", 1 + i % 65535);
	fputs("]}", f);
}

static inline void bomb_quotas(FILE *f, unsigned n)
{
	fputs("{acls: [], quotas: [", f);
	for (unsigned i = 0; i < n; i++)
		fprintf(f, "%s{src: ['user:*@nowhere%u.example', 192.0.2.1], flows: 1}", i ? ", " : "", i);
	fputs("]}", f);
}

static inline void bomb_tests(FILE *f, unsigned n)
{
	fputs("{groups: {'group:g': [", f);
	for (unsigned i = 0; i < n; i++)
		fprintf(f, "%su%u@example.com", i ? ", " : "", i);
	fputs("]}, acls: [{action: accept, src: ['group:g'], dst: ['group:g:1-1000']}], tests: [", f);
	for (unsigned i = 0; i < n; i++)
		fprintf(f, "%s{src: 'group:g', accept: ['group:g:%u']}", i ? ", " : "", 1 + i % 1000);
	fputs("]}", f);
}

static const struct bomb {
	const char *name;
	void (*put)(FILE *f, unsigned n);
	unsigned large; /* n that makes a text of some hundred KB */
	bool linear;	/* what it means does not grow faster than what is written */
} bombs[] = {
	{"10,000 rules for 10,000 clients: no bomb", bomb_honest, 10000, true},
	{"ports at a network, copied for each address", bomb_copied_ports, 20000, false},
	{"ports at a network, copied once", bomb_shared_ports, 20000, true},
	{"ports from the last to the first", bomb_falling_ports, 32000, true},
	{"accepts and denies of a set", bomb_shadows, 1000, false},
	{"removals from a set", bomb_removals, 15000, true},
	{"removals and additions by turns", bomb_turns, 15000, true},
	{"sets of one set", bomb_sets_of_sets, 10000, false},
	{"addresses by ports", bomb_product, 10000, false},
	{"classes by rules", bomb_classes, 5000, false},
	{"rules by sources", bomb_sources, 5000, false},
	{"everybody's own nodes by rules", bomb_own, 5000, false},
	{"quotas of nobody", bomb_quotas, 5000, false},
	{"tests of everybody", bomb_tests, 5000, false},
};

#define N_BOMBS (sizeof(bombs) / sizeof(bombs[0]))

/* To be freed. */
static inline char *bomb_text(const struct bomb *b, unsigned n)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	b->put(f, n);
	fclose(f);
	return text;
}

/* @n users of one node each behind a gateway. To be freed. */
static inline char *bomb_inventory(unsigned n)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	fputs("{nodes: [{name: gw, tags: ['tag:gw'], addresses: [100.64.0.1], routes: [10.0.0.0/8], "
	      "approved: [10.0.0.0/8]}",
	      f);
	for (unsigned i = 0; i < n; i++) {
		fprintf(f, ", {name: n%u, user: u%u@example.com, addresses: [", i, i);
		put_addr(f, 0x64400100 + i);
		fputs("]}", f);
	}
	fputs("]}", f);
	fclose(f);
	return text;
}

#endif
