/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages out of the body of /machine/map (netmap.h). The length is little
 * endian, alone among all lengths of these protocols.
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "netmap.h"
#include "policy/alloc.h"

#define KEEP_CAP 65536 /* memory of a larger message is given back */

static void end_message(struct netmap_stream *s)
{
	s->header_len = s->len = s->wants = 0;
	if (s->cap > KEEP_CAP)
		netmap_stream_free(s);
}

static size_t take_header(struct netmap_stream *s, const uint8_t *bytes, size_t len)
{
	size_t part = sizeof(s->header) - s->header_len;
	uint32_t wants;

	part = part < len ? part : len;
	memcpy(s->header + s->header_len, bytes, part);
	s->header_len += part;
	if (s->header_len == sizeof(s->header)) {
		memcpy(&wants, s->header, sizeof(wants));
		s->wants = le32toh(wants);
	}
	return part;
}

bool netmap_stream_receive(struct netmap_stream *s, const uint8_t *bytes, size_t len, const struct sink *message)
{
	while (len) {
		size_t part;

		if (s->header_len < sizeof(s->header)) {
			part = take_header(s, bytes, len);
			if (s->wants > NETMAP_MESSAGE_MAX)
				return false;
		} else {
			part = s->wants - s->len < len ? s->wants - s->len : len;
			mem_append(&s->message, &s->len, &s->cap, bytes, part);
		}
		bytes += part;
		len -= part;
		if (s->header_len == sizeof(s->header) && s->len == s->wants) {
			if (s->wants && !sink_put(message, s->message, s->len))
				return false;
			end_message(s);
		}
	}
	return true;
}

void netmap_stream_free(struct netmap_stream *s)
{
	free(s->message);
	*s = (struct netmap_stream){0};
}
