/* SPDX-License-Identifier: BSD-2-Clause */
/* gateway.yaml: what differs between two of them, its files, and the shipped example, the one real file. */
#include "config_setup.h"
#include "tests/unit/write_file.h"

/* ---- differences ---------------------------------------------------------------------------- */

static const struct {
	const char *from, *to; /* in `whole` */
	unsigned live;
	const char *restart;
} changes[] = {
	{"name: gw-1", "name: gw-2", CONFIG_PART_NAME, NULL},
	{"state: state", "state: other", 0, "state"},
	{"socket: /tmp/s", "socket: /tmp/t", 0, "socket"},
	{"bpf/two", "bpf/too", 0, "pins"},
	{"tun7", "tun8", 0, "tunnel.interface"},
	{"listen: 4500", "listen: 4501", 0, "tunnel.listen"},
	{"keys/private", "keys/privatf", 0, "tunnel.private_key_file"},
	{"100.64.0.1/10", "100.64.0.2/10", 0, "tunnel.addresses"},
	{"100.64.0.1/10", "100.64.0.1/11", 0, "tunnel.addresses"},
	{"mtu: 1380", "mtu: 1381", 0, "tunnel.mtu"},
	{"[eth0, eth1]", "[eth0, eth2]", 0, "tunnel.underlay"},
	{"xdp: native", "xdp:    off", 0, "tunnel.xdp"},
	{"workers: 3", "workers: 4", 0, "tunnel.workers"},
	{"10.0.0.4", "10.0.0.5", 0, "egress"},
	{"198.51.100.1", "198.51.100.2", 0, "egress"},
	{"10.1.0.4", "10.1.0.5", 0, "egress.pools"},
	{"flows: 4096", "flows: 8192", 0, "nat.flows"},
	{"udp: 10m", "udp: 11m", CONFIG_PART_NAT, NULL},
	{"203.0.113.0/24", "203.0.114.0/24", CONFIG_PART_ROUTES, NULL},
	{"tag:gateway", "tag:gatewaz", CONFIG_PART_TAGS, NULL},
	{"policy/example", "policy/exampel", CONFIG_PART_POLICY, NULL},
	{"100.64.0.5", "100.64.0.7", CONFIG_PART_CLIENTS, NULL},
	{"keepalive: 25", "keepalive: 26", CONFIG_PART_CLIENTS, NULL},
	{"192.0.2.7:51820", "192.0.2.7:51821", CONFIG_PART_CLIENTS, NULL},
	{"keys/psk", "keys/psl", CONFIG_PART_CLIENTS, NULL},
	{"[\"tag:ci\"]", "[\"tag:cj\"]", CONFIG_PART_CLIENTS, NULL},
	{"2027-01-01}", "2027-01-02}", CONFIG_PART_CLIENTS, NULL},
	{"auditor", "  owner", CONFIG_PART_USERS, NULL},
	{"version: 1", "version: 1", 0, NULL},
};

static void test_diff(void **state)
{
	for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
		struct config *old = parse_well(whole), *new;
		struct config_changes out;
		char text[sizeof(whole)];
		char *at;

		memcpy(text, whole, sizeof(whole));
		at = strstr(text, changes[i].from);
		assert_non_null(at);
		memcpy(at, changes[i].to, strlen(changes[i].to));
		new = parse_well(text);
		config_diff(old, new, &out);
		assert_int_equal(out.live, changes[i].live);
		assert_int_equal(out.n_restart, changes[i].restart ? 1 : 0);
		if (changes[i].restart)
			assert_string_equal(out.restart[0], changes[i].restart);
		config_free(old);
		config_free(new);
	}
}

/* ---- files ------------------------------------------------------------------------------------ */

static char *load(const char *folder, struct config **cfg)
{
	char path[512], *out = NULL;
	struct diags d = {0};
	size_t size;
	FILE *f = open_memstream(&out, &size);

	snprintf(path, sizeof(path), "%s/g.yaml", folder);
	*cfg = config_load(path, &d);
	diags_print(&d, f, false);
	fclose(f);
	diags_free(&d);
	return out;
}

static void test_folder_of_clients(void **state)
{
	char folder[] = "/tmp/sluice-config-XXXXXX", path[512], *lines;
	struct config *cfg;

	if (lacks_openat2())
		skip();
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/clients.d", folder);
	mkdir(path, 0700);
	write_file(folder, "g.yaml", TOP "clients: clients.d/\n");
	write_file(folder, "clients.d/b.yaml",
		   "- {name: b, user: b@x, public_key: " BOB ", addresses: [100.64.0.6]}\n");
	write_file(folder, "clients.d/a.yaml",
		   "{name: a, user: a@x, public_key: " ALICE ", addresses: [100.64.0.5], preshared_key_file: a.psk}\n");
	write_file(folder, "clients.d/empty.yaml", "# nobody\n");
	write_file(folder, "clients.d/notes.txt", "not: [a client\n");
	lines = load(folder, &cfg);
	assert_string_equal(lines, "");
	free(lines);
	assert_non_null(cfg);
	assert_int_equal(cfg->n_clients, 2);
	assert_string_equal(cfg->clients[0].name, "a");
	snprintf(path, sizeof(path), "%s/clients.d/a.psk", folder);
	assert_string_equal(cfg->clients[0].preshared_key_file, path);
	config_free(cfg);

	write_file(folder, "clients.d/b.yaml",
		   "- {name: a, user: b@x, public_key: " BOB ", addresses: [100.64.0.6]}\n");
	lines = load(folder, &cfg);
	assert_null(cfg);
	assert_non_null(strstr(lines, "/clients.d/b.yaml:1:10: client.name: found \"a\" twice"));
	free(lines);
	snprintf(path, sizeof(path), "rm -r %s", folder);
	assert_int_equal(system(path), 0);
}

static void test_absent_files(void **state)
{
	struct diags d = {0};
	char *socket = config_socket("/nonexistent/g.yaml");

	assert_null(config_load("/nonexistent/g.yaml", &d));
	assert_int_equal(d.errors, 1);
	assert_string_equal(d.list[0].text, "cannot be read: No such file or directory");
	assert_string_equal(socket, CONFIG_SOCKET);
	free(socket);
	diags_free(&d);
}

/* Faults 1: keys of which everybody has the other half, as they are printed and as X25519 takes them, too. */
static void test_fault_1_no_key_of_everybody(void **state)
{
	static const char *const keys[] = {
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", /* nothing */
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAIA=", /* with the bit that X25519 does not look at */
		"X5yVvKNQjCSx0LFVnIPvWwREXMRYHI6G2CJO3dCfEVc=", /* of order 8 */
		"7f///////////////////////////////////////38=", /* p */
		"CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", /* the base point */
		"hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=", /* RFC 7748, 6.1 */
		"hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTuo=", /* the same point */
		"3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=",
		"xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=", /* wg(8) */
		"HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=",
		"e+GfXmGYxHAEf6UfJkUmE0Hv+cSb5pVRqeyF3qDAFSo=", /* our own earlier example */
	};

	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		char text[512], *lines;

		snprintf(text, sizeof(text),
			 TOP "clients:\n- {name: a, user: a@x, addresses: [100.64.0.5], public_key: %s}\n", keys[i]);
		lines = mistakes(text);
		if (!strstr(lines, "g.yaml:4:61: client.public_key: found ") ||
		    !strstr(lines, "anybody could connect with it"))
			fail_msg("%s: %s", keys[i], lines);
		free(lines);
	}
	assert_string_equal(known_private_key((const uint8_t[32]){0}), "the public key of a private key that "
								       "everybody can guess");
	assert_null(known_private_key((const uint8_t *)"a key that I made for this test."));
}

/* What the project ships is what people start from. */
static void test_shipped_example(void **state)
{
	struct diags d = {0};
	struct config *cfg = config_load("gateway.yaml", &d);

	diags_print(&d, stderr, false);
	assert_non_null(cfg);
	assert_int_equal(d.errors, 0);
	assert_int_equal(d.warnings, 0);
	assert_int_equal(cfg->n_clients, 0); /* it opens nothing to anybody */
	assert_int_equal(cfg->n_users, 0);
	for (size_t i = 0; i < cfg->tunnel.n_addresses; i++) /* there are machines without IPv6 */
		assert_true(addr_is_v4(&cfg->tunnel.addresses[i].host));
	for (size_t i = 0; i < cfg->n_routes; i++)
		assert_true(prefix_is_v4(&cfg->routes[i].prefix));
	assert_string_equal(cfg->policy, "policy/example.yaml");
	assert_int_equal(access(cfg->policy, R_OK), 0);
	diags_free(&d);
	config_free(cfg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_diff),
		cmocka_unit_test(test_folder_of_clients),
		cmocka_unit_test(test_absent_files),
		cmocka_unit_test(test_shipped_example),
		cmocka_unit_test(test_fault_1_no_key_of_everybody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
