/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_CHANGE_COMPILE_H
#define SLUICE_CHANGE_COMPILE_H

#include "changes.h"

/* Compiles the running policy once more, for the clients there are. */
void change_compile(struct changes *q);

#endif
