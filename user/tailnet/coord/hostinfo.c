/* SPDX-License-Identifier: BSD-2-Clause */
/* Hostinfo and NetInfo as JSON (hostinfo.h). */
#include <string.h>

#include "hostinfo.h"

const char *prefix_cidr(const struct prefix *p, char buf[ADDR_STRLEN])
{
	prefix_str(p, buf); /* leaves the length out where it is the full one */
	if (!strchr(buf, '/'))
		strcat(buf, prefix_is_v4(p) ? "/32" : "/128");
	return buf;
}

static json_t *routes_json(const struct hostinfo *h)
{
	json_t *list = json_array();
	char text[ADDR_STRLEN];

	for (size_t i = 0; i < h->n_routes; i++)
		json_array_append_new(list, json_string(prefix_cidr(&h->routes[i], text)));
	return list;
}

json_t *hostinfo_json(const struct hostinfo *h)
{
	json_t *info = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:o}", "OS", "linux", "App", "sluice", "IPNVersion",
				 h->version, "OSVersion", h->os_version, "Hostname", h->hostname, "BackendLogID",
				 h->log_id, "RoutableIPs", routes_json(h));

	if (h->region)
		json_object_set_new(info, "NetInfo",
				    json_pack("{s:i, s:b, s:b}", "PreferredDERP", h->region, "WorkingUDP", h->udp,
					      "WorkingIPv6", h->ipv6));
	return info;
}
