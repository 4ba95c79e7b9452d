/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_HANDLERS_H
#define SLUICE_HANDLERS_H

#include "user/control/control.h"

/* What commands may ask of the running gateway. The first argument of every handler is its struct parts. */
extern const struct control_verb gateway_verbs[];

/* verbs_policy.c */
int verb_explain(void *parts, const json_t *args, json_t **result, char **error);
int verb_policy_host(void *parts, const json_t *args, json_t **result, char **error);
int verb_policy_show(void *parts, const json_t *args, json_t **result, char **error);
int verb_policy_history(void *parts, const json_t *args, json_t **result, char **error);
int verb_policy_apply(void *parts, const json_t *args, json_t **result, char **error);
int verb_policy_rollback(void *parts, const json_t *args, json_t **result, char **error);

/* verbs_probe.c */
int verb_probe(void *parts, const json_t *args, json_t **result, char **error);
int verb_probe_result(void *parts, const json_t *args, json_t **result, char **error);

/* verbs_tailnet.c */
int verb_up(void *parts, const json_t *args, json_t **result, char **error);
int verb_logout(void *parts, const json_t *args, json_t **result, char **error);
int verb_netmap(void *parts, const json_t *args, json_t **result, char **error);
int verb_news(void *parts, const json_t *args, json_t **result, char **error);
int verb_ping(void *parts, const json_t *args, json_t **result, char **error);
int verb_pong(void *parts, const json_t *args, json_t **result, char **error);

#endif
