/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_PRINT_H
#define SLUICE_PRINT_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

/*
 * The gateway's answers (report.h) as people read them. A field that an older or newer
 * gateway leaves out is shown as "-" or not at all. Pure but for writing to @out.
 */
void print_status(const json_t *result, FILE *out);
/* @sort: "name", "user", "bytes", "received", "sent", "handshake"; NULL: name. */
void print_clients(const json_t *result, const char *sort, FILE *out);
void print_flows(const json_t *result, FILE *out);
void print_drops(const json_t *result, FILE *out); /* only reasons that ever occurred */
void print_routes(const json_t *result, FILE *out);
void print_map_list(const json_t *result, FILE *out);
void print_map_dump(const json_t *result, FILE *out);
void print_netmap(const json_t *result, FILE *out);
void print_reload(const json_t *result, FILE *out);
void print_down(const json_t *result, FILE *out);

/* Pure: is @key one that print_clients() sorts by? */
int print_sorts_by(const char *key);

/* ---- for those who show ------------------------------------------------------ */

/* Fields by name; "" and 0 when absent. */
const char *field_text(const json_t *j, const char *key);
uint64_t field_number(const json_t *j, const char *key);

#endif
