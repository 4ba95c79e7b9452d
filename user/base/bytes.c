/* SPDX-License-Identifier: BSD-2-Clause */
/* Fields of messages, bounds checked (bytes.h). Numbers are big endian on every wire here but one. */
#include <endian.h>
#include <string.h>

#include "bytes.h"

struct reader reader_of(const void *bytes, size_t len)
{
	return (struct reader){.at = bytes, .end = (const uint8_t *)bytes + len};
}

size_t reader_left(const struct reader *r)
{
	return r->bad ? 0 : (size_t)(r->end - r->at);
}

const uint8_t *read_bytes(struct reader *r, size_t len)
{
	const uint8_t *p = r->at;

	if (reader_left(r) < len || r->bad) {
		r->bad = true;
		return NULL;
	}
	r->at += len;
	return p;
}

void read_copy(struct reader *r, void *out, size_t len)
{
	const uint8_t *p = read_bytes(r, len);

	if (p && len)
		memcpy(out, p, len);
	else if (len)
		memset(out, 0, len);
}

uint8_t read_u8(struct reader *r)
{
	uint8_t v;

	read_copy(r, &v, sizeof(v));
	return v;
}

uint16_t read_be16(struct reader *r)
{
	uint16_t v;

	read_copy(r, &v, sizeof(v));
	return be16toh(v);
}

uint32_t read_be32(struct reader *r)
{
	uint32_t v;

	read_copy(r, &v, sizeof(v));
	return be32toh(v);
}

uint64_t read_be64(struct reader *r)
{
	uint64_t v;

	read_copy(r, &v, sizeof(v));
	return be64toh(v);
}

struct addr read_addr(struct reader *r)
{
	struct addr a;

	read_copy(r, a.b, sizeof(a.b));
	return a;
}

struct writer writer_to(void *bytes, size_t size)
{
	return (struct writer){.start = bytes, .at = bytes, .end = (uint8_t *)bytes + size};
}

size_t writer_len(const struct writer *w)
{
	return w->bad ? 0 : (size_t)(w->at - w->start);
}

uint8_t *write_room(struct writer *w, size_t len)
{
	uint8_t *p = w->at;

	if (w->bad || (size_t)(w->end - w->at) < len) {
		w->bad = true;
		return NULL;
	}
	w->at += len;
	return p;
}

void write_bytes(struct writer *w, const void *bytes, size_t len)
{
	uint8_t *p = write_room(w, len);

	if (p && len)
		memcpy(p, bytes, len);
}

void write_u8(struct writer *w, uint8_t v)
{
	write_bytes(w, &v, sizeof(v));
}

void write_be16(struct writer *w, uint16_t v)
{
	v = htobe16(v);
	write_bytes(w, &v, sizeof(v));
}

void write_be32(struct writer *w, uint32_t v)
{
	v = htobe32(v);
	write_bytes(w, &v, sizeof(v));
}

void write_be64(struct writer *w, uint64_t v)
{
	v = htobe64(v);
	write_bytes(w, &v, sizeof(v));
}

void write_addr(struct writer *w, const struct addr *a)
{
	write_bytes(w, a->b, sizeof(a->b));
}

bool addr_port_equal(const struct addr_port *a, const struct addr_port *b)
{
	return a->port == b->port && !addr_cmp(&a->addr, &b->addr);
}

/* 1..65535 in decimal, the whole of @text. */
static bool bytes_parse_port(const char *text, uint16_t *out)
{
	unsigned long v = 0;

	for (const char *p = text; *p; p++) {
		if (*p < '0' || *p > '9' || p - text > 4)
			return false;
		v = v * 10 + (unsigned long)(*p - '0');
	}
	if (!v || v > UINT16_MAX)
		return false;
	*out = (uint16_t)v;
	return true;
}

bool addr_port_parse(const char *text, struct addr_port *out)
{
	const char *colon = strrchr(text, ':'), *first = text, *last = colon;
	struct addr_port ap;

	if (!colon)
		return false;
	if (*first == '[') {
		if (last == first || last[-1] != ']')
			return false;
		first++;
		last--;
	} else if (memchr(first, ':', (size_t)(last - first))) {
		return false; /* IPv6 needs its brackets, or the port is a guess */
	}
	if (!bytes_parse_port(colon + 1, &ap.port) || !addr_parse(first, (size_t)(last - first), &ap.addr))
		return false;
	*out = ap;
	return true;
}
