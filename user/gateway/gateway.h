/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_GATEWAY_H
#define SLUICE_GATEWAY_H

struct config;
struct control_verb;
struct origin_ops;
struct rules_running;

/*
 * The gateway: everything of `sluice run`, owned by the control thread. Each part has a header and a state of its own;
 * gateway.c alone has all of them.
 */
struct gateway_options {
	const char *file;	     /* gateway.yaml */
	struct config *config;	     /* read from it, taken over */
	struct rules_running *rules; /* prepared for it, taken over */
	const struct origin_ops *origin;
	const struct control_verb *verbs; /* their handlers get a struct parts */
};

/* `sluice run`. An exit status. */
int gateway_run(const struct gateway_options *options);

#endif
