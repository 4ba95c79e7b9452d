/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The early payload (noise_control.h). Its magic, ff ff ff 'T' 'S', can not be
 * the start of an HTTP/2 frame: as a length it would be over every limit.
 */
#include <string.h>

#include "noise_control.h"

static const uint8_t magic[] = {0xff, 0xff, 0xff, 'T', 'S'};

/* The header is whole, or cannot be the magic any more. */
static bool header_decided(const struct early *e)
{
	size_t compare = e->header_len < sizeof(magic) ? e->header_len : sizeof(magic);

	return e->header_len == EARLY_HEADER || memcmp(e->header, magic, compare) != 0;
}

static bool end_header(struct early *e, const struct sink *rest)
{
	struct reader r = reader_of(e->header, e->header_len);

	if (e->header_len < EARLY_HEADER || memcmp(e->header, magic, sizeof(magic)) != 0) {
		e->over = true;
		return sink_put(rest, e->header, e->header_len);
	}
	read_bytes(&r, sizeof(magic));
	e->skip = read_be32(&r);
	e->over = !e->skip;
	return e->skip <= EARLY_MAX;
}

bool early_receive(struct early *e, const uint8_t *bytes, size_t len, const struct sink *rest)
{
	while (len && !e->over && !e->skip) {
		e->header[e->header_len++] = *bytes++;
		len--;
		if (header_decided(e) && !end_header(e, rest))
			return false;
	}
	if (len && !e->over) {
		uint32_t part = len < e->skip ? (uint32_t)len : e->skip;

		e->skip -= part;
		e->over = !e->skip;
		bytes += part;
		len -= part;
	}
	return !len || sink_put(rest, bytes, len);
}
