/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_MAP_TEXT_H
#define SLUICE_MAP_TEXT_H

#include "report.h"

/*
 * Keys and values of the BPF maps as text, for `sluice map dump`: names resolved,
 * times as what is left of them. Pure.
 */
#define MAP_TEXT_SIZE 512

struct map_printer {
	const struct report_source *s; /* who and now */
	char *buf;		       /* MAP_TEXT_SIZE bytes, empty at first; what is longer is cut */
	size_t len;
};

struct map_layout {
	const char *map;
	size_t key_size, value_size;
	void (*key)(struct map_printer *p, const void *data);
	void (*value)(struct map_printer *p, const void *data);
	bool sparse; /* an array, where an element that is all zero says nothing */
};

/* NULL: not known, or of other sizes than contract.h's. */
const struct map_layout *map_layout(const char *name, size_t key_size, size_t value_size);
/* For maps that are not known: hexadecimal, the first 64 bytes. */
void map_text_bytes(struct map_printer *p, const void *data, size_t n);

#endif
