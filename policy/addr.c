/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Addresses and prefixes of both families in one type, IPv4 mapped into
 * ::ffff:0:0/96 (RFC 4291, 2.5.5.2). Text follows RFC 4291 for reading and
 * RFC 5952 for writing; an address is a 128-bit number in network byte order.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "addr.h"
#include "digits.h"

static const struct addr v4_mapped = {.b = {[10] = 0xff, [11] = 0xff}};

bool addr_is_v4(const struct addr *a)
{
	return !memcmp(a->b, v4_mapped.b, ADDR_V4_BITS / 8);
}

bool prefix_is_v4(const struct prefix *p)
{
	return p->len >= ADDR_V4_BITS && addr_is_v4(&p->addr);
}

struct addr addr_from_v4(__be32 v4)
{
	struct addr a = v4_mapped;

	memcpy(a.b + 12, &v4, sizeof(v4));
	return a;
}

bool addr_is_zero(const struct addr *a)
{
	static const struct addr zero;

	return !memcmp(a, &zero, sizeof(zero));
}

bool addr_is_in(const struct addr *a, const struct addr *list, int n)
{
	for (int i = 0; i < n; i++)
		if (!addr_cmp(&list[i], a))
			return true;
	return false;
}

int addr_cmp(const struct addr *a, const struct addr *b)
{
	return memcmp(a->b, b->b, sizeof(a->b));
}

int prefix_cmp(const struct prefix *a, const struct prefix *b)
{
	int order = addr_cmp(&a->addr, &b->addr);

	return order ? order : (a->len > b->len) - (a->len < b->len);
}

/* One bit for each of the @len leading bits, in byte @i. */
static uint8_t mask_byte(unsigned len, unsigned i)
{
	unsigned bits = len <= i * 8 ? 0 : len - i * 8;

	return bits >= 8 ? 0xff : (uint8_t)(0xff00 >> bits);
}

static bool same_bits(const struct addr *a, const struct addr *b, unsigned len)
{
	unsigned whole = len / 8;

	if (memcmp(a->b, b->b, whole))
		return false;
	return whole == 16 || !((a->b[whole] ^ b->b[whole]) & mask_byte(len, whole));
}

/*
 * The families are apart: ::/0 is all of IPv6, not the mapped IPv4 addresses
 * that lie below it as numbers. From 96 bits on equal bits are one family.
 */
bool prefix_contains(const struct prefix *p, const struct addr *a)
{
	return same_bits(&p->addr, a, p->len) && (p->len >= ADDR_V4_BITS || !addr_is_v4(a));
}

bool prefix_covers(const struct prefix *outer, const struct prefix *inner)
{
	return outer->len <= inner->len && same_bits(&outer->addr, &inner->addr, outer->len) &&
	       (outer->len >= ADDR_V4_BITS || !prefix_is_v4(inner));
}

bool prefix_overlaps(const struct prefix *a, const struct prefix *b)
{
	return prefix_covers(a, b) || prefix_covers(b, a);
}

struct addr prefix_first(const struct prefix *p)
{
	struct addr a;

	for (unsigned i = 0; i < 16; i++)
		a.b[i] = p->addr.b[i] & mask_byte(p->len, i);
	return a;
}

struct addr prefix_host(const struct prefix *p)
{
	struct addr a = prefix_first(p);

	if (p->len < 128)
		a.b[15] |= 1;
	if (p->len < 3)
		a.b[0] |= 0x20;
	return a;
}

struct addr prefix_last(const struct prefix *p)
{
	struct addr a;

	for (unsigned i = 0; i < 16; i++)
		a.b[i] = p->addr.b[i] | (uint8_t)~mask_byte(p->len, i);
	return a;
}

bool addr_parse(const char *text, size_t len, struct addr *out)
{
	char copy[INET6_ADDRSTRLEN];
	struct addr a;
	__be32 v4;

	if (len >= sizeof(copy) || memchr(text, '\0', len))
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (inet_pton(AF_INET, copy, &v4) == 1)
		a = addr_from_v4(v4);
	else if (inet_pton(AF_INET6, copy, a.b) != 1)
		return false;
	*out = a;
	return true;
}

bool prefix_parse(const char *text, size_t len, struct prefix *out, struct addr *host)
{
	const char *slash = memchr(text, '/', len);
	size_t addr_len = slash ? (size_t)(slash - text) : len;
	struct prefix p = {.len = 128};
	bool dotted; /* whose bits the length counts: those of the notation used */
	uint64_t bits;

	if (!addr_parse(text, addr_len, &p.addr))
		return false;
	dotted = !memchr(text, ':', addr_len);
	if (slash) {
		size_t digits = len - addr_len - 1;

		if (digits_lead(slash + 1, digits) || !digits_parse(slash + 1, digits, dotted ? 32 : 128, &bits))
			return false;
		p.len = (unsigned)(dotted ? bits + ADDR_V4_BITS : bits);
	}
	if (host)
		*host = p.addr;
	p.addr = prefix_first(&p);
	*out = p;
	return true;
}

const char *addr_str(const struct addr *a, char *buf)
{
	bool v4 = addr_is_v4(a);

	return inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? a->b + 12 : a->b, buf, ADDR_STRLEN);
}

const char *prefix_str(const struct prefix *p, char *buf)
{
	bool v4 = prefix_is_v4(p);
	size_t n;

	if (!inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? p->addr.b + 12 : p->addr.b, buf, ADDR_STRLEN))
		return NULL;
	if (p->len >= 128)
		return buf;
	n = strlen(buf);
	snprintf(buf + n, ADDR_STRLEN - n, "/%u", v4 ? p->len - ADDR_V4_BITS : p->len);
	return buf;
}
