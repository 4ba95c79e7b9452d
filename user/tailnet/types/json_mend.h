/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_JSON_MEND_H
#define SLUICE_TAILNET_JSON_MEND_H

#include <stddef.h>

/*
 * JSON that a server may send and jansson refuses as a whole: a NUL or half a surrogate pair escaped in a
 * string, which a node can put into what it tells of itself, and numbers beyond 64 bits or a double's range
 * (some machines' firmware has such a version). They become, in place, the replacement character U+FFFD and
 * 0e0, which is no whole number. What is wrong with a text otherwise is for the parser. text[len] is 0. Pure.
 */
void json_mend(char *text, size_t len);

#endif
