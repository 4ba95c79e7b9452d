/* SPDX-License-Identifier: BSD-2-Clause */
#include "ipv6.h"

#include <errno.h>
#include <stdio.h>

bool ipv6_is_off(const char *interface)
{
	char path[128];
	FILE *file;
	int off;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", interface);
	file = fopen(path, "re");
	if (!file)
		return errno == ENOENT; /* what cannot be asked is not off */
	off = fgetc(file);
	fclose(file);
	return off == '1';
}

bool ipv6_refused(int err)
{
	return err == -EACCES || err == -EAFNOSUPPORT || err == -EOPNOTSUPP;
}
