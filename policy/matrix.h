/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_POLICY_MATRIX_H
#define SLUICE_POLICY_MATRIX_H

#include "reach.h"

/*
 * Who reaches what, as a table: a row for each group, tag and user of the policy,
 * a column for each destination that a rule names. A cell says whether all of the row's
 * nodes reach all of its addresses and ports, some reach some, or none reaches any, and
 * which rule decides. It is read off the tables that the programs look up, and off the
 * block lists.
 */
enum matrix_cell {
	MATRIX_NONE,
	MATRIX_SOME,
	MATRIX_ALL,
	MATRIX_DENIED,	/* by a rule or a block list, not by default */
	MATRIX_UNKNOWN, /* the budget was spent before */
};

struct matrix_row {
	const char *name;
	size_t n_nodes;
};

struct matrix_column {
	char *name;			    /* "billing-api" */
	char *ports;			    /* "tcp 443" */
	struct prefixes dst;		    /* merged */
	const struct policy_portlist *list; /* the policy's */
	uint8_t protos[2];		    /* TCP and UDP where the rule names none */
	size_t n_protos;
};

struct matrix_entry {
	enum matrix_cell cell;
	const struct filter_rule *rule; /* NULL: the default deny, or a block list */
};

struct matrix {
	struct matrix_row *rows;
	size_t n_rows;
	struct matrix_column *columns;
	size_t n_columns;
	struct matrix_entry *cells;		/* row by row */
	size_t rows_left_out, columns_left_out; /* beyond MATRIX_MAX */
};

#define MATRIX_MAX 200 /* rows and columns: more is no picture */

/* @blocked: the block lists, merged; NULL: none. @budget: NULL: without end. */
void matrix_build(struct matrix *m, const struct reach *x, const struct prefixes *blocked, struct budget *budget);
void matrix_free(struct matrix *m);

void matrix_print(const struct matrix *m, FILE *out);
/* A page that needs nothing beside itself. @title is escaped. */
void matrix_html(const struct matrix *m, const char *title, FILE *out);

#endif
