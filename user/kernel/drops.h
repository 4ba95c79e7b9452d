/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_DROPS_H
#define SLUICE_DROPS_H

#include <stdint.h>

/* The drop reasons of contract.h in words. Any number is fine. */
const char *drop_name(uint32_t reason);	   /* "policy"; of DROP_NONE "none" */
const char *drop_meaning(uint32_t reason); /* what it means, and what to do about it */

#endif
