/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_CLASSES_H
#define SLUICE_CLASSES_H

#include "prefixes.h"
#include "tables.h"

/*
 * Clients by the rules that name them. Private to tables.c.
 *
 * All clients begin in one class; each set of sources splits the classes it cuts
 * through. A class is a node in a tree of these steps: the way from it to the root
 * names the source sets that its clients are in.
 */
#define CLASS_V4   1 /* the client's IPv4 addresses are in the set */
#define CLASS_V6   2
#define CLASS_ROOT 0

struct source_set {	     /* rules with the same sources and verdict */
	struct prefixes src; /* merged */
	enum filter_verdict verdict;
	uint32_t *rules; /* indices into the filter */
	size_t n_rules;
};

struct class_node {
	uint32_t parent;  /* of the root: itself */
	uint32_t set;	  /* source set that split it off */
	uint8_t families; /* CLASS_V4, CLASS_V6: which of the clients' addresses are in it */
	/* while splitting: */
	uint32_t stamp;	   /* set + 1 that child belongs to */
	uint32_t child[4]; /* by families */
};

struct classes {
	struct source_set *sets;
	size_t n_sets;
	struct class_node *nodes;
	size_t n_nodes;
	uint32_t *node_of; /* by client */
	size_t n_divided, first_divided;
};

/* Once @budget is spent, clients are missing from their classes. */
void classes_build(struct classes *c, const struct filter *f, const struct tables_client *clients, size_t n,
		   struct budget *budget);
void classes_free(struct classes *c);

#endif
