/* SPDX-License-Identifier: BSD-2-Clause */
/* SLUICE_VERSION comes from the Makefile. */
#include "version.h"

#ifndef SLUICE_VERSION
#define SLUICE_VERSION "unknown"
#endif

const char *version_commit(void)
{
	return SLUICE_VERSION;
}
