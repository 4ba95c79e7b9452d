/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names and numbers as people read them (text.h).
 */
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "text.h"

/* Length of the valid UTF-8 sequence at @s, its character in *c; 0: not one. */
static size_t utf8_next(const unsigned char *s, uint32_t *c)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t len = s[0] < 0x80 ? 1 : s[0] >> 5 == 6 ? 2 : s[0] >> 4 == 14 ? 3 : s[0] >> 3 == 30 ? 4 : 0;

	if (!len)
		return 0;
	*c = len == 1 ? s[0] : s[0] & (0x7f >> len);
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		*c = *c << 6 | (s[i] & 0x3f);
	}
	return *c < least[len] || *c > 0x10ffff || (*c >= 0xd800 && *c <= 0xdfff) ? 0 : len;
}

/* Controls (C0, DEL, C1), line and paragraph separators, and what turns the direction of text. */
static bool is_harmful(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x061c || (c >= 0x200e && c <= 0x200f) ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

const char *text_escape(const char *s, char *buf, size_t size)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t n = 0;

	while (p && *p) {
		uint32_t c = 0;
		size_t len = utf8_next(p, &c);
		bool plain = len && !is_harmful(c);
		size_t take = plain ? len : 1;
		char hex[5];

		if (n + (plain ? take : 4) >= size)
			break;
		if (!plain)
			snprintf(hex, sizeof(hex), "\\x%02x", *p);
		memcpy(buf + n, plain ? (const char *)p : hex, plain ? take : 4);
		n += plain ? take : 4;
		p += take;
	}
	if (size)
		buf[n] = 0;
	return buf;
}

size_t text_width(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += (*s & 0xc0) != 0x80;
	return n;
}

const char *text_number(uint64_t n, char buf[TEXT_SIZE])
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n);
	char *p = buf;

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			*p++ = ',';
		*p++ = digits[i];
	}
	*p = 0;
	return buf;
}

/* @n in the largest unit that leaves 1 or more, with @digits significant digits. */
static const char *scaled(uint64_t n, uint64_t step, const char *const *units, size_t n_units, int digits,
			  char buf[TEXT_SIZE])
{
	double v = (double)n;
	size_t u = 0;

	while (u + 1 < n_units && v >= (double)step - 0.5) {
		v /= (double)step;
		u++;
	}
	int whole = v < 9.95 ? 1 : v < 99.5 ? 2 : 3;

	snprintf(buf, TEXT_SIZE, "%.*f %s", u && digits > whole ? digits - whole : 0, v, units[u]);
	return buf;
}

const char *text_bytes(uint64_t n, char buf[TEXT_SIZE])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};

	return scaled(n, 1024, units, 7, 2, buf);
}

const char *text_bits(uint64_t n, char buf[TEXT_SIZE])
{
	static const char *const units[] = {"bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"};

	return scaled(n, 1000, units, 5, 3, buf);
}

const char *text_packets(uint64_t n, char buf[TEXT_SIZE])
{
	static const char *const units[] = {"pps", "kpps", "Mpps", "Gpps"};

	return scaled(n, 1000, units, 4, 2, buf);
}

const char *text_duration(uint64_t s, char buf[TEXT_SIZE])
{
	unsigned long long t = s;

	if (t < 60)
		snprintf(buf, TEXT_SIZE, "%llus", t);
	else if (t < 3600)
		snprintf(buf, TEXT_SIZE, "%llum %llus", t / 60, t % 60);
	else if (t < 86400)
		snprintf(buf, TEXT_SIZE, "%lluh %llum", t / 3600, t / 60 % 60);
	else
		snprintf(buf, TEXT_SIZE, "%llud %lluh", t / 86400, t / 3600 % 24);
	return buf;
}

const char *text_endpoint(const struct addr *a, uint16_t port, char buf[TEXT_ENDPOINT_SIZE])
{
	char text[ADDR_STRLEN];

	snprintf(buf, TEXT_ENDPOINT_SIZE, addr_is_v4(a) ? "%s:%u" : "[%s]:%u", addr_str(a, text), port);
	return buf;
}

static const struct proto_name {
	const char *name;
	uint8_t proto;
} protos[] = {
	{"tcp", IPPROTO_TCP},	{"udp", IPPROTO_UDP},	{"icmp", IPPROTO_ICMP}, {"icmpv6", IPPROTO_ICMPV6},
	{"sctp", IPPROTO_SCTP}, {"gre", IPPROTO_GRE},	{"esp", IPPROTO_ESP},	{"ah", IPPROTO_AH},
	{"igmp", IPPROTO_IGMP}, {"ipv4", IPPROTO_IPIP},
};

const char *text_host_port(const char *s, size_t *len, uint16_t *port)
{
	const char *colon = strrchr(s, ':');
	char *end;
	long n;

	if (!colon || colon[1] < '0' || colon[1] > '9')
		return NULL;
	n = strtol(colon + 1, &end, 10);
	if (*end || n < 1 || n > 65535)
		return NULL;
	*port = (uint16_t)n;
	*len = (size_t)(colon - s);
	if (*len > 1 && s[0] == '[' && colon[-1] == ']') {
		s++;
		*len -= 2;
	} else if (memchr(s, ':', *len)) {
		return NULL; /* an IPv6 address without brackets: where does it end? */
	}
	return *len ? s : NULL;
}

const char *text_proto(uint8_t proto, char buf[TEXT_SIZE])
{
	for (size_t i = 0; i < sizeof(protos) / sizeof(*protos); i++)
		if (protos[i].proto == proto)
			return protos[i].name;
	snprintf(buf, TEXT_SIZE, "%u", proto);
	return buf;
}

uint8_t text_proto_parse(const char *s)
{
	char *end;

	for (size_t i = 0; i < sizeof(protos) / sizeof(*protos); i++)
		if (!strcasecmp(protos[i].name, s))
			return protos[i].proto;
	if (!strcasecmp(s, "ipv6-icmp"))
		return IPPROTO_ICMPV6;
	if (*s < '1' || *s > '9')
		return 0;
	unsigned long n = strtoul(s, &end, 10);

	return *end || n > 255 ? 0 : (uint8_t)n;
}
