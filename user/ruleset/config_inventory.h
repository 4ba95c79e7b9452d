/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_CONFIG_INVENTORY_H
#define SLUICE_CONFIG_INVENTORY_H

#include "policy/budget.h"
#include "policy/inventory.h"
#include "policy/resolve.h"
#include "user/config/config.h"

/*
 * Who is who as gateway.yaml has it: its users, its clients as nodes in their
 * order, and the gateway itself as the last node, with the routes it advertises.
 * What is approved of them is not filled in; config_approve() does, once there is
 * a policy. Strings are copied.
 */
void config_inventory(const struct config *config, struct inventory *out);
struct inventory_node *config_inventory_gateway(const struct inventory *inv);

/*
 * Approves routes of the gateway's node: what autoApprovers say, or, without any,
 * all of them: then the configuration is the operator's word. In a tailnet, what the
 * coordination server has us serve. @by (n_routes
 * entries, may be NULL) gets the selector's text, or NULL where not approved. @budget: what it
 * may cost; NULL: without end.
 */
void config_approve(const struct config *config, const struct policy *policy, struct inventory *inv, const char **by,
		    struct budget *budget);

#endif
