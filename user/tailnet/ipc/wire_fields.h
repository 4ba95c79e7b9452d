/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_WIRE_FIELDS_H
#define SLUICE_TAILNET_WIRE_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/base/bytes.h"
#include "user/tailnet/types/derpmap.h"
#include "user/tailnet/types/node.h"

/*
 * What the messages between gateway and network process are made of, for wire.c. What is
 * written beyond a bound, or read and malformed, makes the writer or reader bad; a value
 * that was read may be used (and is to be freed) all the same.
 */
void wire_put_bool(struct writer *w, bool v);
bool wire_get_bool(struct reader *r);

/* @max: bytes, without a terminator. Read: a copy without NULs in it; NULL only when bad. */
void wire_put_text(struct writer *w, const char *text, size_t max);
char *wire_get_text(struct reader *r, size_t max);
char *wire_get_secret(struct reader *r, size_t max); /* the same in secret_memory() */

/* Canonical: nothing is set behind its length. */
void wire_put_prefix(struct writer *w, const struct prefix *p);
struct prefix wire_get_prefix(struct reader *r);

/* The port is not 0. */
void wire_put_addr_port(struct writer *w, const struct addr_port *ap);
struct addr_port wire_get_addr_port(struct reader *r);

/* A list's length, and room for it, freed by the caller. @each: least bytes of one element, so
 * that the memory taken is never far from the bytes received. */
void wire_put_count(struct writer *w, size_t n, size_t max);
void *wire_get_list(struct reader *r, size_t max, size_t each, size_t size, size_t *n);

void wire_put_prefixes(struct writer *w, const struct prefix *v, size_t n, size_t max);
struct prefix *wire_get_prefixes(struct reader *r, size_t max, size_t *n);

/* Its addresses are of one host each. */
void wire_put_node(struct writer *w, const struct tailnet_node *n);
struct tailnet_node *wire_get_node(struct reader *r);

/* Read: freed by derp_region_free(). */
void wire_put_region(struct writer *w, const struct derp_region *region);
struct derp_region wire_get_region(struct reader *r);

#endif
