/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_OURSELVES_H
#define SLUICE_TAILNET_OURSELVES_H

#include "user/tailnet/ipc/wire.h"
#include "user/base/url.h"

/* What the gateway has told the network process about us, and what of it the server is told. Pure. */
struct ourselves {
	struct wire_config config;
	struct url server;
	char log_id[KEY_LEN_HEX + 1];
	struct wire_keys keys; /* all zero: not told yet */
	struct wire_routes routes;
	struct wire_endpoints endpoints;
	struct wire_netinfo netinfo;
};

/* Takes @config over. NULL: done; else what is wrong with it, and @config is as before. */
const char *ourselves_init(struct ourselves *o, struct wire_config *config);
void ourselves_free(struct ourselves *o); /* wipes */

/* WIRE_ROUTES, WIRE_ENDPOINTS, WIRE_NETINFO: true, and what it needs of @m is moved out. */
bool ourselves_take(struct ourselves *o, struct wire_message *m);

/* Takes *@key over, which may be NULL: it stays as it is. NULL: done; else what is wrong with it. */
const char *ourselves_set_auth_key(struct ourselves *o, char **key);

/* Bodies of requests, to be freed (one @with_key has the auth key in it: wiped) by the caller. */
char *ourselves_register_json(const struct ourselves *o, const char *followup, bool with_key);
char *ourselves_logout_json(const struct ourselves *o);
char *ourselves_map_json(const struct ourselves *o, bool stream);

#endif
