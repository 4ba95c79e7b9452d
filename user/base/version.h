/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_VERSION_H
#define SLUICE_VERSION_H

const char *version_commit(void); /* of git describe */

#endif
