/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_METRICS_H
#define SLUICE_METRICS_H

#include <jansson.h>
#include <stdio.h>

/*
 * A gateway's answers (report.h) in Prometheus' text format, version 0.0.4. Pure but for
 * writing to @out.
 *
 * @answers: {"status": ..., "drops": ..., "routes": ..., "clients": ...}, each the answer
 * to the command of that name; what is absent or null has no samples. NULL: no gateway
 * answers, and that is all there is to say (sluice_up 0).
 */
void metrics_print(const json_t *answers, FILE *out);

#endif
