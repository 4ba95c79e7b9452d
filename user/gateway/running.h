/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_RUNNING_H
#define SLUICE_RUNNING_H

#include "clients.h"
#include "rules.h"

/*
 * What runs: configuration, rules and clients, which belong together. Changes (changes.h) look at it while they work,
 * and replace it as a whole.
 */
enum running_why { RUNNING_RELOADED, RUNNING_NETMAP };

struct running {
	const struct site *site;
	struct config *config; /* for running.c alone; all others see it by the site */
	struct rules rules;
	struct clients clients;
	struct changes *changes;
	/* Other parts follow the configuration that has come into force. */
	void (*taken)(void *ctx, enum running_why why, const struct config *old);
	void *ctx;
};

/*
 * Rules and clients and the configuration @next, or none of them. True: @rules is taken over, and @next has become the
 * old configuration; running_taken() is to be called. False with the mistakes in @d or the log.
 */
bool running_take(struct running *now, enum running_why why, struct config *next, struct ruleset *rules,
		  struct diags *d);
void running_taken(struct running *now, enum running_why why, const struct config *old);
/* @other is in force, and what was becomes @other's. At start, when nothing is built of it yet. */
void running_exchange(struct running *now, struct config *other);

#endif
