/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_REVOKE_H
#define SLUICE_REVOKE_H

#include "clients.h"

struct config_named;

/*
 * Disconnects, ahead of the change to @next and whatever becomes of it, those clients that are not in it or have
 * expired by it. @strict: that change was not made, so that also those go whose rights or addresses are others in it,
 * and those whose time ends earlier by it are out by then. Returns how many were disconnected. Where clients are a
 * netmap's, it does nothing: the netmap alone says who is in.
 */
size_t clients_revoke(struct clients *all, const struct site *s, const struct config *next, bool strict);
/* The same for files with mistakes, @file and what it names, as far as these are understood. Where that is not enough
 * to tell who was taken out, named->unsure says why. */
size_t clients_revoke_unnamed(struct clients *all, const struct site *s, const char *file, struct config_named *named);

#endif
