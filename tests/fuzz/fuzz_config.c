/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gateway.yaml from anybody. The first byte chooses: a configuration, or a whole one
 * with the input as a file of its clients' folder. What is accepted must differ from
 * itself in nothing, and have what everybody relies on.
 */
#include <stdlib.h>
#include <string.h>

#include "user/config/config.h"

static const char base[] = "version: 1\ntunnel: {addresses: [100.64.0.1/10, \"fd7a:115c:a1e0::1/48\"]}\n";

static struct config *parse(const char *text, size_t len, struct diags *d)
{
	struct doc *doc = doc_parse("g.yaml", text, len, DOC_YAML, d);

	return doc ? config_parse(doc, "host", d) : NULL;
}

static void need(bool truth)
{
	if (!truth)
		abort();
}

static void check_clients(const struct config *cfg)
{
	for (size_t i = 0; i < cfg->n_clients; i++) {
		const struct config_client *c = &cfg->clients[i];

		need(c->name && c->addresses.n);
		need(!c->user == (c->tags.n > 0));
		need(config_client(cfg, c->name) == c);
	}
}

static void check_accepted(const struct config *cfg)
{
	struct config_changes changes;

	need(cfg->name && cfg->state && cfg->socket && cfg->pins && cfg->tunnel.interface &&
	     cfg->tunnel.private_key_file);
	need(cfg->tunnel.n_addresses && cfg->n_pools && cfg->n_pools <= MAX_POOLS);
	need(!cfg->tunnel.mtu || cfg->tunnel.mtu >= 1280);
	check_clients(cfg);
	config_diff(cfg, cfg, &changes);
	need(!changes.live && !changes.n_restart);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct diags d = {0};
	struct config *cfg;
	struct doc *doc;

	if (!size)
		return 0;
	if (data[0] & 1) {
		cfg = parse((const char *)data + 1, size - 1, &d);
	} else {
		cfg = parse(base, sizeof(base) - 1, &d);
		doc = doc_parse("c.yaml", (const char *)data + 1, size - 1, DOC_YAML, &d);
		if (doc)
			config_parse_clients(cfg, doc, &d);
	}
	if (cfg && config_check(cfg, &d) && !d.errors)
		check_accepted(cfg);
	config_free(cfg);
	diags_free(&d);
	return 0;
}
