/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * client-config: what a client needs to connect, as a file for wg-quick(8) or as a
 * QR code for a phone. The file is made in memory and wiped, for it may hold keys.
 */
#include <qrencode.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/compile.h"
#include "client_routes.h"
#include "command.h"
#include "user/ruleset/config_inventory.h"
#include "user/config/config_private.h"
#include "user/doctor/outside.h"
#include "user/base/key.h"
#include "user/kernel/netlink.h"
#include "user/base/secret.h"
#include "user/base/text.h"
#include "user/base/exit.h"

#define FILE_SIZE 65536 /* thousands of routes; a QR code holds 2,953 bytes */
#define KEEPALIVE 25	/* holds the mappings of the NATs that clients sit behind */

struct draft {
	char text[FILE_SIZE];
	size_t len;
	bool full;
};

static void cmd_client_config_put(struct draft *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void cmd_client_config_put(struct draft *f, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(f->text + f->len, sizeof(f->text) - f->len, fmt, ap);
	va_end(ap);
	f->full = f->full || n < 0 || (size_t)n >= sizeof(f->text) - f->len;
	if (!f->full)
		f->len += (size_t)n;
}

static void put_secret(struct draft *f, const char *name, const uint8_t key[KEY_LEN])
{
	char text[KEY_LEN_BASE64 + 1];

	cmd_client_config_put(f, "%s = %s\n", name, key_to_base64(key, text));
	sodium_memzero(text, sizeof(text));
}

/* Reads a key file and puts it; false after a message. */
static bool put_key_file(struct draft *f, const char *name, const char *path)
{
	uint8_t key[KEY_LEN];
	char error[512];
	bool good = secret_read(path, key, error, sizeof(error)) == SECRET_OK;

	if (good)
		put_secret(f, name, key);
	else
		fprintf(stderr, "sluice client-config: %s\n", error);
	sodium_memzero(key, sizeof(key));
	return good;
}

/* ---- the gateway's side ------------------------------------------------------------------ */

static bool put_public_key(struct draft *f, const struct command_args *a, const struct config *cfg)
{
	const char *given = command_option(a, "public-key");
	uint8_t key[KEY_LEN], public[KEY_LEN];
	char error[512];
	bool good;

	if (given) {
		good = key_from_base64(given, strlen(given), public); /* as options_are_good() has seen */
	} else {
		good = secret_read(cfg->tunnel.private_key_file, key, error, sizeof(error)) == SECRET_OK &&
		       !crypto_scalarmult_base(public, key);
		sodium_memzero(key, sizeof(key));
	}
	if (good)
		put_secret(f, "PublicKey", public);
	else
		fprintf(stderr, "sluice client-config: %s (elsewhere than on the gateway, give --public-key)\n", error);
	return good;
}

/* The address under which the gateway is likely to be found; false: not known here. */
static bool own_address(const struct config *cfg, struct addr *out)
{
	const struct config_pool *pool = &cfg->pools[0];
	struct addr own[2], far[2];
	struct netlink n;
	int ifindex, count = 0;

	if (pool->public.n || pool->addresses.n) {
		*out = pool->public.n ? pool->public.v[0] : pool->addresses.v[0];
		return true;
	}
	if (netlink_open(&n))
		return false;
	ifindex = netlink_default_interface(&n);
	config_destinations(cfg, far);
	if (ifindex > 0)
		count = netlink_sources(&n, ifindex, far, own);
	if (count > 0)
		*out = own[0];
	netlink_close(&n);
	return count > 0;
}

/* Behind a 1:1 NAT clients know another one: by STUN, if a server is configured. */
static void find_public(const struct config *cfg, struct addr *addr)
{
	char text[ADDR_STRLEN], seen_text[ADDR_STRLEN];
	struct addr seen;
	const char *why;

	if (cfg->pools[0].public.n || !config_is_private(addr))
		return;
	addr_str(addr, text);
	if (cfg->stun && outside_stun(cfg->stun, &seen, &why) == OUTSIDE_SEEN) {
		fprintf(stderr,
			"sluice client-config: warning: %s is a private address; %s sees %s, which is taken: put it "
			"into egress.public\n",
			text, cfg->stun, addr_str(&seen, seen_text));
		*addr = seen;
		return;
	}
	fprintf(stderr,
		"sluice client-config: warning: the endpoint %s is a private address, to which clients elsewhere "
		"cannot connect: put what the world sees into egress.public, or give --endpoint\n",
		text);
}

static bool cmd_client_config_put_endpoint(struct draft *f, const struct command_args *a, const struct config *cfg)
{
	const char *given = command_option(a, "endpoint");
	char text[TEXT_ENDPOINT_SIZE];
	struct addr addr;

	if (!given && !own_address(cfg, &addr)) {
		fputs("sluice client-config: the gateway's address is not known here: give --endpoint\n", stderr);
		return false;
	}
	if (!given)
		find_public(cfg, &addr);
	cmd_client_config_put(f, "Endpoint = %s\n", given ? given : text_endpoint(&addr, cfg->tunnel.listen, text));
	return true;
}

/* ---- the file ------------------------------------------------------------------------------ */

static void put_addresses(struct draft *f, const struct config_client *c)
{
	char text[ADDR_STRLEN];

	cmd_client_config_put(f, "Address = ");
	for (size_t i = 0; i < c->addresses.n; i++)
		cmd_client_config_put(f, "%s%s/%d", i ? ", " : "", addr_str(&c->addresses.v[i], text),
				      addr_is_v4(&c->addresses.v[i]) ? 32 : 128);
	cmd_client_config_put(f, "\n");
}

static void put_prefix(struct draft *f, const struct prefix *p)
{
	char text[ADDR_STRLEN];

	cmd_client_config_put(f, "%s", prefix_str(p, text));
	if (p->len == 128)
		cmd_client_config_put(f, "/%d", prefix_is_v4(p) ? 32 : 128);
}

/* The destinations that it may reach, and the gateway itself, which answers pings. */
static void cmd_client_config_put_allowed(struct draft *f, const struct config *cfg, const struct config_client *c,
					  const struct filter *filter)
{
	struct client_routes routes;

	client_routes_of(cfg, c, filter, &routes);
	if (filter && !routes.n)
		fprintf(stderr,
			"sluice client-config: warning: the policy lets %s reach nothing through this gateway\n",
			c->name);
	cmd_client_config_put(f, "AllowedIPs = ");
	for (size_t i = 0; i < cfg->tunnel.n_addresses; i++) {
		struct prefix own = {cfg->tunnel.addresses[i].host, 128};

		cmd_client_config_put(f, "%s", i ? ", " : "");
		put_prefix(f, &own);
	}
	for (size_t i = 0; i < routes.n; i++) {
		cmd_client_config_put(f, ", ");
		put_prefix(f, &routes.v[i]);
	}
	cmd_client_config_put(f, "\n");
	client_routes_free(&routes);
}

static bool write_file(struct draft *f, const struct command_args *a, const struct config *cfg,
		       const struct config_client *c, const struct filter *filter)
{
	const char *private = command_option(a, "private-key");

	cmd_client_config_put(f, "# %s (%s) on %s\n[Interface]\n", c->name, c->user ? c->user : c->tags.v[0],
			      cfg->name);
	if (!private)
		cmd_client_config_put(f, "PrivateKey = PUT-THE-CLIENT'S-PRIVATE-KEY-HERE\n");
	else if (!put_key_file(f, "PrivateKey", private))
		return false;
	put_addresses(f, c);
	if (cfg->tunnel.mtu)
		cmd_client_config_put(f, "MTU = %u\n", cfg->tunnel.mtu);
	cmd_client_config_put(f, "\n[Peer]\n");
	if (!put_public_key(f, a, cfg))
		return false;
	if (c->preshared_key_file && !put_key_file(f, "PresharedKey", c->preshared_key_file))
		return false;
	cmd_client_config_put_allowed(f, cfg, c, filter);
	if (!cmd_client_config_put_endpoint(f, a, cfg))
		return false;
	cmd_client_config_put(f, "PersistentKeepalive = %d\n", KEEPALIVE);
	if (f->full)
		fputs("sluice client-config: the file is too large\n", stderr);
	return !f->full;
}

/* Two modules in a character, dark on light with a quiet zone, as scanners want it. */
static bool print_qr(const char *text)
{
	static const char *const blocks[] = {"█", "▄", "▀", " "}; /* upper dark: 2, lower dark: 1 */
	QRcode *qr = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_L);

	if (!qr) {
		fputs("sluice client-config: too large for a QR code: take the file, or fewer routes\n", stderr);
		return false;
	}
	for (int y = -2; y < qr->width + 2; y += 2) {
		for (int x = -2; x < qr->width + 2; x++) {
			bool in_x = x >= 0 && x < qr->width;
			bool top = in_x && y >= 0 && y < qr->width && qr->data[y * qr->width + x] & 1;
			bool low = in_x && y + 1 >= 0 && y + 1 < qr->width && qr->data[(y + 1) * qr->width + x] & 1;

			fputs(blocks[top * 2 + low], stdout);
		}
		putchar('\n');
	}
	sodium_memzero(qr->data, (size_t)(qr->width * qr->width));
	QRcode_free(qr);
	return true;
}

static int print(struct draft *f, const struct command_args *a, const struct config *cfg, const struct config_client *c,
		 const struct filter *filter)
{
	if (!write_file(f, a, cfg, c, filter))
		return EXIT_NO;
	if (command_option(a, "qr"))
		return print_qr(f->text) ? EXIT_YES : EXIT_NO;
	fputs(f->text, stdout);
	return EXIT_YES;
}

static const struct config_client *cmd_client_config_find(const struct config *cfg, const char *name)
{
	const struct config_client *c = config_client(cfg, name);
	const char **names, *nearest;
	char text[128];

	if (c)
		return c;
	if (cfg->tailnet.node) {
		fputs("sluice client-config: this gateway is a node of a tailnet: clients join it by `tailscale up "
		      "--accept-routes`, and `sluice netmap` lists them\n",
		      stderr);
		return NULL;
	}
	names = calloc(cfg->n_clients + 1, sizeof(*names));
	for (size_t i = 0; names && i < cfg->n_clients; i++)
		names[i] = cfg->clients[i].name;
	nearest = names ? diag_nearest(name, names) : NULL;
	fprintf(stderr, "sluice client-config: no such client: \"%s\"", text_escape(name, text, sizeof(text)));
	if (nearest)
		fprintf(stderr, "; did you mean \"%s\"?", nearest);
	fputc('\n', stderr);
	free(names);
	return NULL;
}

/* ---- the policy ------------------------------------------------------------------------------ */

struct compiled {
	struct policy *policy;
	struct inventory inventory;
	struct resolver *resolver;
	struct filter *filter;
};

/* Reads the rules that the gateway would apply. False after reports. */
static bool cmd_client_config_compile(const struct config *cfg, struct compiled *c, struct diags *d)
{
	struct doc *doc = cfg->policy ? config_read_doc(cfg->policy, d) : NULL;
	struct budget budget = budget_usual();

	*c = (struct compiled){.policy = doc ? policy_parse(doc, d) : NULL};
	if (!cfg->policy)
		diag_warning(d, (struct diag_at){0}, "no policy is configured: the client will reach nothing");
	if (!c->policy)
		return !cfg->policy;
	config_inventory(cfg, &c->inventory);
	config_approve(cfg, c->policy, &c->inventory, NULL, &budget);
	c->resolver = resolver_new(c->policy, &c->inventory, &budget);
	c->filter = policy_compile(c->resolver, c->policy, config_inventory_gateway(&c->inventory), POLICY_DENY_ALL);
	resolver_set_budget(c->resolver, NULL);
	return !budget_report(&budget, d);
}

static void cmd_client_config_release(struct compiled *c)
{
	if (!c->policy)
		return;
	filter_free(c->filter);
	resolver_free(c->resolver);
	inventory_free(&c->inventory);
	policy_free(c->policy);
}

static int cmd_client_config_configure(const struct command_args *a, const struct config *cfg, struct diags *d)
{
	const struct config_client *client = cmd_client_config_find(cfg, a->words[0]);
	struct draft *f = client ? calloc(1, sizeof(*f)) : NULL;
	struct compiled c = {0};
	int status = EXIT_NO;

	if (f && !cmd_client_config_compile(cfg, &c, d))
		status = EXIT_USAGE;
	else if (f)
		status = print(f, a, cfg, client, c.filter);
	if (f)
		sodium_memzero(f, sizeof(*f));
	free(f);
	cmd_client_config_release(&c);
	return status;
}

static bool options_are_good(const struct command_args *a)
{
	const char *key = command_option(a, "public-key"), *endpoint = command_option(a, "endpoint");
	uint8_t public[KEY_LEN];
	uint16_t port;
	size_t len;

	if (key && !key_from_base64(key, strlen(key), public))
		return command_refuse_value(a, "public-key", "a public key: 44 characters of base64");
	/* wg-quick takes nothing else */
	if (endpoint && (strpbrk(endpoint, " \t\r\n") || !text_host_port(endpoint, &len, &port)))
		return command_refuse_value(a, "endpoint", "HOST:PORT");
	if (command_option(a, "qr") && !command_option(a, "private-key"))
		fputs("sluice client-config: warning: without --private-key the code has no key in it, and no app "
		      "takes it\n",
		      stderr);
	return true;
}

int cmd_client_config(int argc, char **argv)
{
	struct command_args a;
	struct diags d = {0};
	struct config *cfg;
	const char *file;
	int status;

	if (!command_parse(argc, argv, &a) || !options_are_good(&a))
		return EXIT_USAGE;
	if (sodium_init() < 0)
		return EXIT_NO;
	file = command_option(&a, "config");
	cfg = config_load(file ? file : CONFIG_FILE, &d);
	status = cfg ? cmd_client_config_configure(&a, cfg, &d) : EXIT_USAGE;
	diags_print(&d, stderr, false);
	diags_free(&d);
	config_free(cfg);
	return status;
}
