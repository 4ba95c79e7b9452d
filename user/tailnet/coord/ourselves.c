/* SPDX-License-Identifier: BSD-2-Clause */
/* Who we are, as told by the gateway (ourselves.h). */
#include <stdlib.h>
#include <string.h>

#include "ourselves.h"
#include "register.h"
#include "user/wireguard/crypto.h"
#include "user/base/secret.h"
#include "user/base/url.h"

/* One for each machine, and nothing can be learnt from it. */
static void make_log_id(struct ourselves *o)
{
	static const char purpose[] = "sluice log id";
	uint8_t id[HASH_LEN], public[KEY_LEN];
	const struct span spans[] = {{purpose, sizeof(purpose)}, {public, KEY_LEN}};

	crypto_public_key(o->config.machine, public);
	crypto_blake2s(id, spans, 2);
	key_to_hex(id, o->log_id);
}

static bool ourselves_is_text(const char *s)
{
	for (; *s; s++)
		if (*s < ' ' || *s > '~')
			return false;
	return true;
}

static const char *mistake_in_key(const char *key)
{
	return ourselves_is_text(key) ? NULL : "the auth key has characters that no key has";
}

static const char *mistake_in(const struct wire_config *config, struct url *server)
{
	if (!url_parse(config->server, server))
		return "login_server: not a URL that starts with https://";
	if (!server->tls && !config->pinned)
		return "login_server: over plain HTTP anybody could answer: use https://, or set control_key";
	if (!*config->hostname || !ourselves_is_text(config->hostname) || !ourselves_is_text(config->version) ||
	    !ourselves_is_text(config->os_version))
		return "hostname: empty, or not plain text";
	return mistake_in_key(config->auth_key);
}

const char *ourselves_init(struct ourselves *o, struct wire_config *config)
{
	struct url server;
	const char *mistake = mistake_in(config, &server);

	if (mistake)
		return mistake;
	*o = (struct ourselves){.config = *config, .server = server};
	*config = (struct wire_config){0};
	make_log_id(o);
	return NULL;
}

void ourselves_free(struct ourselves *o)
{
	struct wire_message config = {.type = WIRE_CONFIG};

	config.config = o->config;
	wire_message_free(&config);
	free(o->routes.v);
	free(o->endpoints.v);
	crypto_wipe(o, sizeof(*o));
}

bool ourselves_take(struct ourselves *o, struct wire_message *m)
{
	if (m->type == WIRE_ROUTES) {
		free(o->routes.v);
		o->routes = m->routes;
		m->routes = (struct wire_routes){0};
	} else if (m->type == WIRE_ENDPOINTS) {
		free(o->endpoints.v);
		o->endpoints = m->endpoints;
		m->endpoints = (struct wire_endpoints){0};
	} else if (m->type == WIRE_NETINFO) {
		o->netinfo = m->netinfo;
	} else {
		return false;
	}
	return true;
}

static struct hostinfo host_of(const struct ourselves *o)
{
	return (struct hostinfo){
		.hostname = o->config.hostname,
		.version = o->config.version,
		.os_version = o->config.os_version,
		.log_id = o->log_id,
		.routes = o->routes.v,
		.n_routes = o->routes.n,
		.region = o->netinfo.region,
		.udp = o->netinfo.udp,
		.ipv6 = o->netinfo.ipv6,
	};
}

const char *ourselves_set_auth_key(struct ourselves *o, char **key)
{
	const char *mistake = *key ? mistake_in_key(*key) : NULL;

	if (mistake || !*key)
		return mistake;
	secret_memory_free(o->config.auth_key);
	o->config.auth_key = *key;
	*key = NULL;
	return NULL;
}

static char *register_json(const struct ourselves *o, struct register_request *r)
{
	r->host = host_of(o);
	memcpy(r->node_key, o->keys.node, KEY_LEN);
	memcpy(r->old_node_key, o->keys.old_node, KEY_LEN);
	return register_request_json(r);
}

char *ourselves_register_json(const struct ourselves *o, const char *followup, bool with_key)
{
	struct register_request r = {.followup = followup, .auth_key = with_key ? o->config.auth_key : NULL};

	return register_json(o, &r);
}

char *ourselves_logout_json(const struct ourselves *o)
{
	struct register_request r = {.logout = true};

	return register_json(o, &r);
}

char *ourselves_map_json(const struct ourselves *o, bool stream)
{
	struct map_request r = {.stream = stream, .host = host_of(o)};

	memcpy(r.node_key, o->keys.node, KEY_LEN);
	memcpy(r.disco_key, o->keys.disco, KEY_LEN);
	r.endpoints = o->endpoints.v;
	r.n_endpoints = o->endpoints.n;
	return map_request_json(&r);
}
