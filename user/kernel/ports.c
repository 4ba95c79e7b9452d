/* SPDX-License-Identifier: BSD-2-Clause */
#include "ports.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define EPHEMERAL_FIRST 32768 /* the kernel's own defaults, where /proc cannot be read */
#define EPHEMERAL_LAST	60999

static size_t ports_keep(struct maps_ports *kept, size_t n, size_t max, unsigned first, unsigned last)
{
	if (n < max)
		kept[n++] = (struct maps_ports){(uint16_t)first, (uint16_t)last};
	else if (kept[n - 1].last < last)
		kept[n - 1].last = (uint16_t)last;
	return n;
}

static bool read_range(FILE *f, unsigned *first, unsigned *last, int *behind)
{
	if (fscanf(f, "%u", first) != 1)
		return false;
	*last = *first;
	*behind = fgetc(f);
	if (*behind == '-') {
		if (fscanf(f, "%u", last) != 1)
			return false;
		*behind = fgetc(f);
	}
	return *first <= *last && *last <= UINT16_MAX;
}

size_t ports_of_host(struct maps_ports *kept, size_t max)
{
	FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
	unsigned first, last;
	int behind = ',';
	size_t n = 0;

	if (f && fscanf(f, "%u %u", &first, &last) == 2 && first <= last && last <= UINT16_MAX)
		n = ports_keep(kept, n, max, first, last);
	else
		n = ports_keep(kept, n, max, EPHEMERAL_FIRST, EPHEMERAL_LAST);
	if (f)
		fclose(f);

	f = fopen("/proc/sys/net/ipv4/ip_local_reserved_ports", "re"); /* "8080,9148-9150" */
	while (f && behind == ',' && read_range(f, &first, &last, &behind))
		n = ports_keep(kept, n, max, first, last);
	if (f)
		fclose(f);
	return n;
}
