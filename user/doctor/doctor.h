/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_DOCTOR_H
#define SLUICE_DOCTOR_H

#include <jansson.h>
#include <stdio.h>

#include "user/config/config.h"

/*
 * `sluice doctor`: a list of checks, each with a result, what was seen, and for
 * what is not well what to do. It reads and asks, and changes nothing.
 *
 *	{"schema": 1, "checks": [{"check": "kernel", "result": "ok" | "warn" | "fail",
 *		"text": "Linux 6.18.5", "advice": null}]}
 */
enum doctor_result { DOCTOR_OK, DOCTOR_WARN, DOCTOR_FAIL };

struct doctor {
	json_t *checks;
	unsigned failed, warned;
};

/* @advice NULL: none. */
void doctor_say(struct doctor *doctor, const char *check, enum doctor_result result, const char *advice,
		const char *fmt, ...) __attribute__((format(printf, 5, 6)));

void doctor_machine(struct doctor *doctor, const struct config *cfg); /* kernel, devices, file systems, privileges */
void doctor_network(struct doctor *doctor, const struct config *cfg); /* interfaces, addresses, offloads, programs */
/* nftables chains that refuse by default; @arrives: handshakes come all the same. */
void doctor_firewall(struct doctor *doctor, const struct config *cfg, bool arrives);
void doctor_outside(struct doctor *doctor, const struct config *cfg); /* our address as others see it, by STUN */
void doctor_cloud(struct doctor *doctor, const struct config *cfg);   /* and by the cloud's metadata */
/* The coordination server, of a node of a tailnet. @status: as below, NULL: no gateway runs. */
void doctor_tailnet(struct doctor *doctor, const struct config *cfg, const json_t *status);
/* @status: the answer of a running gateway. */
void doctor_gateway(struct doctor *doctor, const struct config *cfg, const json_t *status);
/* @clients: the answer of a running gateway; NULL: they are not its own. */
void doctor_clients(struct doctor *doctor, const json_t *clients);

void doctor_show(const json_t *result, FILE *out);

#endif
