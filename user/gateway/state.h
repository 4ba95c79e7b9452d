/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_STATE_H
#define SLUICE_STATE_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/wireguard/endpoint.h"
#include "user/wireguard/messages.h"

/*
 * What the gateway remembers over a restart, in the folder `state`, mode 0700:
 * state.json, written anew as a whole and renamed into place. Losing it costs a
 * slower start, never access: keys and clients are in the configuration.
 */
#define STATE_FILE     "state.json"
#define STATE_OFFLOADS 64

struct state_peer {
	uint8_t public[KEY_LEN];
	uint8_t timestamp[TIMESTAMP_LEN]; /* greatest received (W8); all zero: none */
	struct endpoint endpoint;	  /* port 0: none; the local address is not kept */
	uint64_t handshake;		  /* the last one, Unix seconds; 0: never */
};

struct state {
	bool has_identity;
	uint8_t identity[KEY_LEN]; /* public key of the last run */
	struct state_peer *peers;  /* sorted by key: state_sort() */
	size_t n_peers;
	bool unsaved;				/* the file is an older one: it could not be written */
	char offload[STATE_OFFLOADS][IFNAMSIZ]; /* interfaces whose UDP GRO we switched on: `down` restores it */
	size_t n_offload;
};

/* An absent file is an empty state. One that cannot be read or understood is one too, with -errno, -EBADMSG for the
 * latter, and one line in @error: the caller warns and goes on. */
int state_load(const char *folder, struct state *s, char *error, size_t size);

/* 0 or -errno; the old file stays whole on failure. */
int state_save(const char *folder, const struct state *s);
void state_free(struct state *s);

/* What is remembered of a peer; NULL: nothing. */
const struct state_peer *state_peer_find(const struct state *s, const uint8_t public[KEY_LEN]);
/* After the list of peers has changed. */
void state_sort(struct state *s);

#endif
