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
	struct prefixes src; /* every one of these ... */
	struct prefixes dst; /* ... reaches one of these; autogroup:self: empty, see below */
	bool self;	     /* destinations are the source's owner's own nodes */
	uint8_t proto[4];    /* any of them will do; ICMP is among them where none was written: it has
			      * no port, so a packet can only try the others */
	size_t n_proto;
	uint16_t port;
	bool accept;	  /* what is expected */
	const char *from; /* as written */
	struct policy_text to;
};

/*
 * Reads all cases and gives the sound ones to @each, which may be NULL; a case that
 * is none (a range, a list) is reported. One about somebody or something that is not
 * there is a warning: a policy must not stand in the way of a client's removal. True:
 * all were sound.
 */
bool policy_each_case(const struct policy *p, const struct resolver *r,
		      void (*each)(const struct policy_case *c, void *arg), void *arg, struct diags *d);

/*
 * Checks every case against @f, the rules of the whole tailnet. What fails is
 * reported with its place, and "N of M test(s) failed" at the end. True: all passed.
 */
bool policy_run_tests(const struct policy *p, const struct resolver *r, const struct filter *f, size_t *passed,
		      struct diags *d);

#endif
