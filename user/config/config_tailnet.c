/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Section tailnet of gateway.yaml: the gateway is a node of a tailnet. Clients, the
 * addresses inside the tunnel and the gateway's tags are then the coordination
 * server's to say, so the configuration must not say them too.
 */
#include <string.h>

#include "config_value.h"
#include "user/base/key.h"
#include "user/base/keys.h"
#include "user/base/url.h"

#define TAILNET_LISTEN 41641 /* where firewalls expect a node of a tailnet */
#define TAILNET_MTU    1280

static void read_server(struct config_reader *r, const char *what, const struct doc_node *n, void *out)
{
	struct url url;

	if (n->kind == DOC_SCALAR && url_parse(n->text, &url))
		*(const char **)out = n->text;
	else
		config_mismatch(r, what, n, "the coordination server's URL, such as https://headscale.example.com");
}

static void read_control_key(struct config_reader *r, const char *what, const struct doc_node *n, void *out)
{
	uint8_t key[KEY_LEN];

	if (n->kind == DOC_SCALAR && tailkey_parse(TAILKEY_MACHINE, n->text, key) && !key_is_zero(key))
		memcpy(out, key, sizeof(key));
	else
		config_mismatch(
			r, what, n,
			"the server's public key: \"mkey:\" and 64 hexadecimal digits, as its /key?v=131 tells");
}

static const struct config_field fields[] = {
	CONFIG_FIELD(config_tailnet, login_server, "login_server", read_server),
	CONFIG_FIELD(config_tailnet, auth_key_file, "auth_key_file", config_read_path),
	CONFIG_FIELD(config_tailnet, hostname, "hostname", config_read_name),
	CONFIG_FIELD(config_tailnet, ca_file, "ca_file", config_read_path),
	CONFIG_FIELD(config_tailnet, control_key, "control_key", read_control_key),
	CONFIG_FIELD(config_tailnet, derp, "derp", config_read_bool),
	{0},
};

void config_read_tailnet(struct config_reader *r, const char *what, const struct doc_node *n, void *out)
{
	const struct doc_node *server = doc_get(n, "login_server");
	struct config_tailnet *t = out;
	struct url url;

	t->node = n;
	if (!config_read_map(r, what, "tailnet.", n, fields, t))
		return;
	if (!server)
		diag_error(r->d, n->at,
			   "tailnet.login_server: missing, expected the coordination server's URL, such as "
			   "https://headscale.example.com");
	else if (t->login_server && url_parse(t->login_server, &url) && !url.tls && !doc_get(n, "control_key"))
		diag_error(r->d, server->at,
			   "tailnet.login_server: found \"%s\", expected https://, or control_key beside it: over "
			   "plain HTTP anybody could answer",
			   t->login_server);
}

static void config_tailnet_refuse(struct config_reader *r, const struct doc_node *map, const char *key,
				  const char *name, const char *why)
{
	const struct doc_node *n = doc_get(map, key);

	if (n)
		diag_error(r->d, n->at, "%s: found beside tailnet, expected none: %s", name, why);
}

void config_settle_tailnet(struct config_reader *r, const struct doc_node *root)
{
	const struct doc_node *tunnel = doc_get(root, "tunnel");
	struct config *cfg = r->cfg;

	if (!cfg->tailnet.node)
		return;
	config_tailnet_refuse(r, root, "clients", "clients", "they are the nodes of the tailnet");
	config_tailnet_refuse(r, root, "tags", "tags", "the coordination server gives them");
	config_tailnet_refuse(r, tunnel, "addresses", "tunnel.addresses", "the coordination server gives them");
	config_tailnet_refuse(r, tunnel, "private_key_file", "tunnel.private_key_file",
			      "the node's keys are made and kept in state");
	cfg->clients_dir = NULL; /* refused: its files need not be read */
	if (!cfg->tailnet.hostname)
		cfg->tailnet.hostname = cfg->name;
	if (!cfg->tunnel.listen)
		cfg->tunnel.listen = TAILNET_LISTEN;
	if (!cfg->tunnel.mtu)
		cfg->tunnel.mtu = TAILNET_MTU;
}
