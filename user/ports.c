/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/ports.h"

#include <stdio.h>
#include <string.h>

static bool is_prime(uint32_t n)
{
	for (uint32_t d = 2; d * d <= n; d++)
		if (n % d == 0)
			return false;
	return n > 1;
}

static uint32_t prime_from(uint32_t n)
{
	while (!is_prime(n))
		n++;
	return n;
}

/* The first kept range that ends at or after @port; NULL: none. */
static const struct ports_kept *next_kept(const struct ports_kept *kept, unsigned n, uint32_t port)
{
	const struct ports_kept *best = NULL;

	for (unsigned i = 0; i < n; i++)
		if (kept[i].last >= port && kept[i].first <= kept[i].last && (!best || kept[i].first < best->first))
			best = &kept[i];
	return best;
}

bool ports_choose(const struct ports_kept *kept, unsigned n, struct egress *e)
{
	struct port_range range[MAX_PORT_RANGES] = {0};
	uint32_t port = PORTS_FIRST, total = 0;
	unsigned used = 0;

	while (port <= UINT16_MAX) {
		const struct ports_kept *k = next_kept(kept, n, port);
		uint32_t end = k ? k->first : UINT16_MAX + 1u;

		if (end > port) {
			if (used == MAX_PORT_RANGES)
				return false;
			range[used++] = (struct port_range){(uint16_t)port, (uint16_t)(end - port)};
			total += end - port;
		}
		port = k ? k->last + 1u : end;
	}
	if (!total)
		return false;
	memcpy(e->range, range, sizeof(e->range));
	e->ports = total;
	e->prime = prime_from(total);
	return true;
}

/* "8080,9148-9150": net.ipv4.ip_local_reserved_ports. What does not fit is merged
 * into the last range, so nothing kept is ever given away. */
static unsigned read_reserved(struct ports_kept *kept, unsigned n)
{
	FILE *f = fopen("/proc/sys/net/ipv4/ip_local_reserved_ports", "re");
	unsigned first, last;
	int c;

	while (f && fscanf(f, "%u", &first) == 1) {
		c = fgetc(f);
		last = first;
		if (c == '-') {
			if (fscanf(f, "%u", &last) != 1)
				break;
			c = fgetc(f);
		}
		if (last > UINT16_MAX || first > last)
			break;
		if (n < PORTS_KEPT_MAX)
			kept[n++] = (struct ports_kept){(uint16_t)first, (uint16_t)last};
		else if (kept[n - 1].last < last)
			kept[n - 1].last = (uint16_t)last;
		if (c != ',')
			break;
	}
	if (f)
		fclose(f);
	return n;
}

unsigned ports_of_host(struct ports_kept kept[PORTS_KEPT_MAX])
{
	FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
	unsigned first = 32768, last = 60999, n = 0;

	if (f && (fscanf(f, "%u %u", &first, &last) != 2 || first > last || last > UINT16_MAX)) {
		first = 32768;
		last = 60999;
	}
	if (f)
		fclose(f);
	kept[n++] = (struct ports_kept){(uint16_t)first, (uint16_t)last};
	return read_reserved(kept, n);
}
