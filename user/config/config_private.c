/* SPDX-License-Identifier: BSD-2-Clause */
/* Egress addresses behind a 1:1 NAT (config_private.h). */
#include "config_private.h"

#include <stdio.h>
#include <string.h>

bool config_is_private(const struct addr *a)
{
	static const char *const nets[] = {"10.0.0.0/8",    "172.16.0.0/12", "192.168.0.0/16",
					   "100.64.0.0/10", "127.0.0.0/8",   "169.254.0.0/16",
					   "::1/128",	    "fc00::/7",	     "fe80::/10"};
	struct prefix own = {*a, 128};

	for (size_t i = 0; i < sizeof(nets) / sizeof(*nets); i++) {
		struct prefix net;

		if (prefix_parse(nets[i], strlen(nets[i]), &net, NULL) && prefix_covers(&net, &own))
			return true;
	}
	return false;
}

const char *config_pool_key(const struct config_pool *pool, const char *key, char buf[128])
{
	if (pool->node && strcmp(pool->name, "default"))
		snprintf(buf, 128, "egress.pools.%s.%s", pool->name, key);
	else
		snprintf(buf, 128, "egress.%s", key);
	return buf;
}

void config_warn_private(const struct config *cfg, struct diags *d)
{
	char text[ADDR_STRLEN], key[128], public[128];

	for (size_t i = 0; i < cfg->n_pools; i++) {
		const struct config_pool *p = &cfg->pools[i];

		for (size_t k = 0; !p->public.n && k < p->addresses.n; k++)
			if (config_is_private(&p->addresses.v[k]))
				diag_warning(d, config_at(p->node, "addresses", k), CONFIG_PRIVATE,
					     config_pool_key(p, "addresses", key), addr_str(&p->addresses.v[k], text),
					     config_pool_key(p, "public", public), text);
	}
}
