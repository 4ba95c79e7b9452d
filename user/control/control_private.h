/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_CONTROL_PRIVATE_H
#define SLUICE_CONTROL_PRIVATE_H

#include "control.h"

/* control_answer.c, for control_server.c: answers as objects and as lines. New references. */

json_t *control_refusal(int status, const char *error); /* NULL: no reason is known */

/* Makes an answer of a handler's result or error, and takes both over. */
json_t *control_answer_of(int status, json_t *result, char *error);

/* With its newline, from malloc; NULL: more than @max bytes, or no memory. */
char *control_dump(const json_t *answer, size_t max, size_t *len);

#endif
