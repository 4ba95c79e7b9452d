/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_POLICY_TEST_H
#define SLUICE_POLICY_TEST_H

#include "filter.h"
#include "resolve.h"

/*
 * The section "tests" of a policy: assertions that CI and every apply check before
 * a policy goes live. One entry of accept or deny is one case.
 */
struct policy_case {
	struct prefixes src;
	struct prefixes dst; /* autogroup:self: empty, see below */
	bool self;	     /* destinations are the source's owner's own nodes */
	uint8_t proto[2];    /* TCP and UDP where none was written: either will do; of ICMP both families' */
	size_t n_proto;
	uint16_t port;
	bool accept;	  /* what is expected: all of src reach all of dst, or none of them any */
	const char *from; /* as written */
	struct policy_text to;
};

/*
 * Reads all cases and gives the sound ones to @each, which may be NULL; a case that
 * is none (a range, a list) is reported. One about somebody or something that is not
 * there is a warning: a policy must not stand in the way of a client's removal. True:
 * all were sound.
 */
bool policy_case_asks(const struct policy_case *c, size_t k, bool v4); /* proto[k] is one of the family's */
bool policy_each_case(const struct policy *p, const struct resolver *r,
		      void (*each)(const struct policy_case *c, void *arg), void *arg, struct diags *d);

/*
 * Checks every case against @f, the rules of the whole tailnet: laid out as tables for the
 * nodes of @inv, as a gateway has them, and behind the block lists. What a gateway carries is
 * asked of it. An accept holds for every
 * address that a source and a destination have, pairs of one family; a deny for every one, too.
 * A case without such a pair is not asked, and counts neither way. A failure is reported with its place, and "N of M
 * test(s) failed" at the end. True: all passed. Paid from the resolver's budget.
 */
struct policy_test_place {
	const struct inventory *inv;
	const struct filter *f;
	const struct prefixes *blocked; /* merged; NULL: none are known */
	/* Who carries what goes to a destination, and so decides about it; NULL: the rules alone do. */
	const struct policy_test_gateway *gateway;
};

struct policy_test_gateway {
	const struct tables *t; /* its classes, by index of the node */
	void *ctx;
	bool (*carries)(void *ctx, const struct addr *dst);
	bool (*passes)(void *ctx, uint32_t class, const struct addr *dst, uint8_t proto, uint16_t port);
};

bool policy_run_tests(const struct policy *p, const struct resolver *r, const struct policy_test_place *place,
		      size_t *passed, struct diags *d);

#endif
