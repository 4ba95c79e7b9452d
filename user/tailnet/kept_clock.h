/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_KEPT_CLOCK_H
#define SLUICE_TAILNET_KEPT_CLOCK_H

#include "user/tailnet/types/server_clock.h"

/*
 * The server's clock as the gateway goes by it: by this machine's clocks, kept on disk over
 * restarts of ours, and said when it is another than ours. Until the machine boots again what
 * was heard is as good as when it was, so that a restart while the server is away judges keys
 * as before. For this server and this boot only.
 */
struct kept_clock {
	const char *folder, *server; /* borrowed */
	struct server_clock clock, on_disk;
	uint64_t keep_at; /* not before; monotonic ns */
	bool off;	  /* the two do not agree; said */
};

void kept_clock_open(struct kept_clock *k, const char *folder, const char *server);
/* @server: Unix seconds; @now: monotonic ns. */
void kept_clock_heard(struct kept_clock *k, int64_t server, uint64_t now);
void kept_clock_close(struct kept_clock *k);	    /* writes what has waited */
int64_t kept_clock_now(const struct kept_clock *k); /* Unix seconds, there */
/* Seconds that our clock is ahead of it; 0: they agree, or it is not known. */
int64_t kept_clock_ahead(const struct kept_clock *k);
void kept_clock_check(struct kept_clock *k); /* now and then: logs what has changed */

/* ---- the file's text, pure ---- */

/* Freed by the caller. */
char *kept_clock_text(const char *server, const char *boot, const struct server_clock *c);
/* False: it is not one, or of another server or boot; @out is as it was. */
bool kept_clock_parse(const char *text, const char *server, const char *boot, struct server_clock *out);

#endif
