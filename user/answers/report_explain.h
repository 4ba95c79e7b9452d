/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_REPORT_EXPLAIN_H
#define SLUICE_REPORT_EXPLAIN_H

#include <jansson.h>

#include "user/ruleset/ruleset.h"

/*
 * Why somebody reaches something or not: the same decision as the programs make
 * (bpf/decide.h), in the same order, on the same tables, with the names put back.
 *
 * explain	{"schema", "allowed" (all of the answers; of expired clients only where there are no others),
 *		 "answers": [{"allowed", "source", "destination", "source_of", "destination_of" (the prefix that was
 *			asked for, of which it is the first address; null: the address alone), "proto", "port",
 *			"client", "class", "why", "reason" (of a refusal:
 *			as in `drops`; wg_handshake: the client has expired, which no rule can help),
 *			"rule": null | {"id", "file", "line", "text"},
 *			"route": null | {"prefix", "by"},
 *			"quota": null | {"file", "line", "flows", "new_flows", "packets", "bytes" (0: no limit)},
 *			"egress": null | {"pool", "interface", "address", "public", "next_hop"},
 *			"counters": null | {"flows" (begun), "live", "refused", "bytes_out", "bytes_in"}}],
 *		 "left_out"}   what only a running gateway knows is null without one
 *			args: {"source", "destination", "proto", "port"}
 */
#define EXPLAIN_ANSWERS_MAX 64

struct explain_question {		  /* borrowed */
	const char *source, *destination; /* names, users, groups or addresses */
	uint8_t proto;
	uint16_t port;
};

struct explain_egress {
	char interface[16];
	struct addr address, public, next_hop;
	bool has_address, has_next_hop;
};

struct explain_use {
	uint64_t flows, live, refused, bytes_out, bytes_in;
};

struct explain_source {
	const struct ruleset *rules;
	const struct config *config; /* NULL: an inventory; no routes and pools are known */
	void *ctx;
	int64_t now; /* UTC seconds since 1970: who has expired by then cannot connect */
	/* Of a running gateway; NULL without one. */
	bool (*is_own)(void *ctx, const struct addr *a); /* the host has this address */
	bool (*is_out)(void *ctx, size_t client);	 /* it cannot connect, whatever its entry says */
	bool (*use)(void *ctx, uint32_t rule, struct explain_use *out);
	bool (*egress)(void *ctx, uint32_t pool, size_t client, const struct addr *dst, struct explain_egress *out);
};

/* From words: [PROTO] PORT, or a protocol without ports alone. False with *error (from malloc). */
bool explain_parse(const char *proto, const char *port, struct explain_question *q, char **error);

/* NULL with *error (from malloc): nobody or nothing has that name. */
json_t *explain(const struct explain_source *s, const struct explain_question *q, char **error);

void print_explain(const json_t *result, FILE *out);

#endif
