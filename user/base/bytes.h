/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_BYTES_H
#define SLUICE_TAILNET_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/addr.h"

/*
 * Reading and writing fields of messages without a chance to run over their end.
 * A cursor that was asked for more than there is becomes bad, gives zeros from
 * then on and takes nothing more: so a message is read or written field by field
 * and judged once, at its end.
 */
struct reader {
	const uint8_t *at, *end;
	bool bad;
};

struct reader reader_of(const void *bytes, size_t len);
size_t reader_left(const struct reader *r);
const uint8_t *read_bytes(struct reader *r, size_t len); /* NULL: not there */
void read_copy(struct reader *r, void *out, size_t len); /* zeros when not there */
uint8_t read_u8(struct reader *r);
uint16_t read_be16(struct reader *r);
uint32_t read_be32(struct reader *r);
uint64_t read_be64(struct reader *r);
struct addr read_addr(struct reader *r);

struct writer {
	uint8_t *start, *at, *end;
	bool bad;
};

struct writer writer_to(void *bytes, size_t size);
size_t writer_len(const struct writer *w);	   /* 0 when bad */
uint8_t *write_room(struct writer *w, size_t len); /* NULL: no room */
void write_bytes(struct writer *w, const void *bytes, size_t len);
void write_u8(struct writer *w, uint8_t v);
void write_be16(struct writer *w, uint16_t v);
void write_be32(struct writer *w, uint32_t v);
void write_be64(struct writer *w, uint64_t v);
void write_addr(struct writer *w, const struct addr *a);

/* Where a protocol layer puts what it has made of its input. False: it cannot go on, stop. */
struct sink {
	bool (*take)(void *ctx, const uint8_t *bytes, size_t len);
	void *ctx;
};

static inline bool sink_put(const struct sink *s, const uint8_t *bytes, size_t len)
{
	return s->take(s->ctx, bytes, len);
}

/* An address and a port as nodes tell each other. */
struct addr_port {
	struct addr addr;
	uint16_t port; /* host order */
};

bool addr_port_equal(const struct addr_port *a, const struct addr_port *b);
/* "192.0.2.1:41641", "[2001:db8::1]:41641"; the whole of @text. False: it is not one. */
bool addr_port_parse(const char *text, struct addr_port *out);

#endif
