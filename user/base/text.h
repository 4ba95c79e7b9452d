/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TEXT_H
#define SLUICE_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "policy/addr.h"

/*
 * Names and numbers as people read them. Names come from files, servers and
 * clients: what would move a terminal's cursor, colour it or turn its direction
 * is shown as \xNN instead. All write into @buf and return it, for use in a
 * printf argument.
 */
#define TEXT_SIZE	   48 /* enough for every number below */
#define TEXT_ENDPOINT_SIZE 72 /* "[address]:port" */

/* At most @size - 1 bytes, never half a character. NULL is taken for "". */
const char *text_escape(const char *s, char *buf, size_t size);
/* Characters of valid UTF-8, as a terminal's columns (wide ones are not told apart). */
size_t text_width(const char *s);

const char *text_number(uint64_t n, char buf[TEXT_SIZE]);	  /* 41,204 */
const char *text_bytes(uint64_t n, char buf[TEXT_SIZE]);	  /* 1.2 GiB */
const char *text_bits(uint64_t n, char buf[TEXT_SIZE]);		  /* 2.31 Gbit/s, from bits a second */
const char *text_packets(uint64_t n, char buf[TEXT_SIZE]);	  /* 212 kpps, from packets a second */
const char *text_duration(uint64_t seconds, char buf[TEXT_SIZE]); /* 3d 4h; the two largest units */

/* "198.51.100.1:443", "[2001:db8::1]:443"; @port in host order. */
const char *text_endpoint(const struct addr *a, uint16_t port, char buf[TEXT_ENDPOINT_SIZE]);

/*
 * The inverse, of a name too: "HOST:PORT", "[ADDRESS]:PORT". Where the host begins, without
 * brackets, and how long it is; NULL: neither, or no port from 1 to 65535.
 */
const char *text_host_port(const char *s, size_t *len, uint16_t *port);

/* "tcp", or the number. */
const char *text_proto(uint8_t proto, char buf[TEXT_SIZE]);
/* The inverse, case-insensitive; 0: unknown. */
uint8_t text_proto_parse(const char *s);

#endif
