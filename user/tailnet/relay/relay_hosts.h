/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_RELAY_HOSTS_H
#define SLUICE_TAILNET_RELAY_HOSTS_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/tailnet/types/derpmap.h"
#include "user/tailnet/transport/lookup.h"
#include "user/base/url.h"

/*
 * Addresses of relays that the DERP map knows only by name: the gateway sends STUN
 * to addresses. Looked up once in a while, answers are kept over new maps.
 */
#define RELAY_HOSTS_MAX 16

struct relay_hosts {
	struct relay_host {
		char host[URL_HOST_MAX + 1];
		int fd;			     /* of the look-up under way; -1: none */
		struct lookup_answer answer; /* n 0: none yet */
		uint64_t again_at;
		bool in_map;
	} v[RELAY_HOSTS_MAX];
	size_t n;
};

void relay_hosts_free(struct relay_hosts *h);
/* Notes what of @map has to be looked up, and forgets what no longer has to. */
void relay_hosts_note(struct relay_hosts *h, const struct derpmap *map);
/* Starts look-ups that are due, takes answers that are there. True: there is a new one.
 * *deadline becomes the time to call again at the latest. */
bool relay_hosts_tick(struct relay_hosts *h, uint64_t now, uint64_t *deadline);
/* Fills in what was found of those that @map has by name. True: something is another now. */
bool relay_hosts_fill(struct relay_hosts *h, struct derpmap *map);
/* At most RELAY_HOSTS_MAX descriptors to wait for; returns how many. */
size_t relay_hosts_prepare(const struct relay_hosts *h, struct pollfd *fds);

#endif
