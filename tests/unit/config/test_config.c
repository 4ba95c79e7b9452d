/* SPDX-License-Identifier: BSD-2-Clause */
/* gateway.yaml: what it means, and a table of mistakes with the exact lines that they give. Files are strings here. */
#include "config_setup.h"

/* ---- what it means --------------------------------------------------------------------- */

static void test_defaults(void **state)
{
	struct config *cfg = parse_well(TOP);

	assert_string_equal(cfg->name, "host-1");
	assert_string_equal(cfg->state, "/var/lib/sluice");
	assert_string_equal(cfg->socket, "/run/sluice/sluice.sock");
	assert_string_equal(cfg->pins, "/sys/fs/bpf/sluice");
	assert_string_equal(cfg->tunnel.interface, "sluice0");
	assert_int_equal(cfg->tunnel.listen, 51820);
	assert_string_equal(cfg->tunnel.private_key_file, "/var/lib/sluice/private.key");
	assert_int_equal(cfg->tunnel.mtu, 0);
	assert_int_equal(cfg->tunnel.workers, 0);
	assert_int_equal(cfg->tunnel.xdp, XDP_AUTO);
	assert_int_equal(cfg->tunnel.n_addresses, 2);
	assert_int_equal(cfg->n_pools, 1);
	assert_string_equal(cfg->pools[0].name, "default");
	assert_null(cfg->pools[0].interface);
	assert_int_equal(cfg->nat.client_share, 25);
	assert_int_equal(cfg->nat.udp, 300);
	assert_int_equal(cfg->nat.tcp_established, 7440);
	assert_int_equal(cfg->nat.tcp_transitory, 240);
	assert_int_equal(cfg->nat.icmp, 60);
	assert_int_equal(cfg->nat.filtering, FILTER_ADDRESS);
	assert_false(cfg->nat.tcp_endpoint_independent);
	assert_true(cfg->nat.resets);
	assert_false(cfg->nat.hide_routers);
	assert_null(cfg->policy);
	assert_int_equal(cfg->n_clients, 0);
	config_free(cfg);
}

static void test_every_key(void **state)
{
	struct config *cfg = parse_well(whole);
	char text[ADDR_STRLEN];

	assert_string_equal(cfg->name, "gw-1");
	assert_string_equal(cfg->state, "state");
	assert_string_equal(cfg->tunnel.interface, "tun7");
	assert_int_equal(cfg->tunnel.listen, 4500);
	assert_int_equal(cfg->tunnel.mtu, 1380);
	assert_int_equal(cfg->tunnel.underlay.n, 2);
	assert_string_equal(cfg->tunnel.underlay.v[1], "eth1");
	assert_int_equal(cfg->tunnel.xdp, XDP_NATIVE);
	assert_int_equal(cfg->tunnel.workers, 3);
	assert_string_equal(prefix_str(&cfg->tunnel.addresses[0].prefix, text), "100.64.0.0/10");
	assert_string_equal(addr_str(&cfg->tunnel.addresses[1].host, text), "fd7a:115c:a1e0::1");
	assert_int_equal(cfg->n_pools, 2);
	assert_true(cfg->pools[0].exclusive);
	assert_int_equal(cfg->pools[0].answers_by.n, 2);
	assert_string_equal(cfg->pools[0].answers_by.v[1], "eth3");
	assert_string_equal(addr_str(&cfg->pools[0].public.v[0], text), "198.51.100.1");
	assert_string_equal(cfg->pools[1].name, "bank");
	assert_string_equal(cfg->pools[1].interface, "eth1");
	assert_int_equal(cfg->nat.flows, 4096);
	assert_int_equal(cfg->nat.client_share, 50);
	assert_int_equal(cfg->nat.udp, 600);
	assert_int_equal(cfg->nat.filtering, FILTER_ENDPOINT_INDEPENDENT);
	assert_true(cfg->nat.tcp_endpoint_independent);
	assert_false(cfg->nat.resets);
	assert_true(cfg->nat.hide_routers);
	assert_int_equal(cfg->n_routes, 3);
	assert_string_equal(prefix_str(&cfg->routes[2].prefix, text), "192.0.2.7");
	assert_string_equal(cfg->users[0].roles.v[1], "auditor");
	config_free(cfg);
}

/* Item 28 of the second faults: for whom the kernel is asked which source it takes. */
static void test_fault_28_destinations(void **state)
{
	static const struct {
		const char *routes, *v4, *v6;
	} cases[] = {
		{"[]", "1.1.1.1", "2606:4700:4700::1111"},
		{"[0.0.0.0/0, \"::/0\"]", "1.1.1.1", "2606:4700:4700::1111"},
		{"[0.0.0.0/0, 203.0.113.0/24, 192.0.2.7, \"fd00:1::/32\"]", "203.0.113.1", "fd00:1::1"},
		{"[\"::/0\", \"2001:db8:9::7\"]", "1.1.1.1", "2001:db8:9::7"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct addr to[2];
		char text[512], a[ADDR_STRLEN];
		struct config *cfg;

		snprintf(text, sizeof(text), TOP "routes: %s\n", cases[i].routes);
		cfg = parse_well(text);
		config_destinations(cfg, to);
		assert_string_equal(addr_str(&to[0], a), cases[i].v4);
		assert_string_equal(addr_str(&to[1], a), cases[i].v6);
		config_free(cfg);
	}
}

static void test_tailnet(void **state)
{
	struct config *cfg = parse_well(MEMBER "name: gw-1\n");

	assert_string_equal(cfg->tailnet.login_server, "https://hs.test");
	assert_string_equal(cfg->tailnet.auth_key_file, "authkey");
	assert_string_equal(cfg->tailnet.hostname, "gw-1");
	assert_true(cfg->tailnet.derp);
	assert_int_equal(cfg->tunnel.listen, 41641);
	assert_int_equal(cfg->tunnel.mtu, 1280);
	config_free(cfg);
	cfg = parse_well("version: 1\ntunnel: {listen: 4500, mtu: 1300}\n"
			 "tailnet: {login_server: \"http://hs.test\", control_key: " MKEY ",\n"
			 " derp: false, hostname: x}\n");
	assert_int_equal(cfg->tailnet.control_key[31], 0xff);
	assert_string_equal(cfg->tailnet.hostname, "x");
	assert_false(cfg->tailnet.derp);
	assert_int_equal(cfg->tunnel.listen, 4500);
	assert_int_equal(cfg->tunnel.mtu, 1300);
	config_free(cfg);
}

static void test_clients(void **state)
{
	struct config *cfg = parse_well(whole);
	const struct config_client *alice = config_client(cfg, "alice-laptop"), *ci = config_client(cfg, "ci");
	char text[ADDR_STRLEN];

	assert_int_equal(cfg->n_clients, 2);
	assert_string_equal(alice->user, "alice@example.com");
	assert_int_equal(alice->keepalive, 25);
	assert_int_equal(alice->endpoint_port, 51820);
	assert_string_equal(addr_str(&alice->endpoint, text), "192.0.2.7");
	assert_int_equal(alice->expires, 1798761600);
	assert_int_equal(ci->expires, 1798792200);
	assert_string_equal(addr_str(&ci->endpoint, text), "2001:db8::7");
	assert_null(ci->user);
	assert_string_equal(ci->tags.v[0], "tag:ci");
	assert_null(config_client(cfg, "carol"));
	config_free(cfg);
}

static void test_relative_paths_start_at_the_file(void **state)
{
	static const char text[] = TOP "policy: p.yaml\nclients: clients.d/\nstate: /abs\n";
	struct diags d = {0};
	struct doc *doc = doc_parse("etc/gw/g.yaml", text, strlen(text), DOC_YAML, &d);
	struct config *cfg = config_parse(doc, "h", &d);

	assert_string_equal(cfg->policy, "etc/gw/p.yaml");
	assert_string_equal(cfg->clients_dir, "etc/gw/clients.d/");
	assert_string_equal(cfg->state, "/abs");
	config_free(cfg);
}

/* ---- mistakes ----------------------------------------------------------------------------- */

#define CLIENT(rest) TOP "clients:\n- {name: a, user: a@x, public_key: " ALICE ", addresses: [100.64.0.5]" rest "}\n"

static const struct {
	const char *text, *lines;
} cases[] = {
	{"", "g.yaml:1:1: gateway: found nothing, expected a map\n"},
	{"[]", "g.yaml:1:1: gateway: found a list, expected a map\n"},
	{TUNNEL, "g.yaml:1:1: version: missing, expected version: 1\n"},
	{"version: 1\n", "g.yaml:1:1: tunnel: missing, expected at least tunnel: {addresses: [100.64.0.1/10]}, or "
			 "tailnet\n"},
	{"version: 2\n" TUNNEL, "g.yaml:1:10: version: found \"2\", expected 1, the only version there is\n"},
	{TOP "rutes: []\n", "g.yaml:3:1: gateway: unknown field \"rutes\"; did you mean \"routes\"?\n"},
	{TOP "name: [a]\n",
	 "g.yaml:3:7: name: found a list, expected a name of letters, digits, \".\", \"_\" and \"-\", at most 63\n"},
	{TOP "name: \"a\\e[31mb\"\n",
	 "g.yaml:3:7: name: found \"a\\x1b[31mb\", expected a name of letters, digits, \".\", \"_\" and \"-\", at "
	 "most 63\n"},
	{TOP "socket:\n", "g.yaml:3:8: socket: found nothing, expected a path\n"},
	{TOP "policy: \"\"\n", "g.yaml:3:9: policy: found \"\", expected a path\n"},
	/* tunnel */
	{"version: 1\ntunnel: {}\n",
	 "g.yaml:2:9: tunnel.addresses: missing, expected our addresses inside the tunnel, such as [100.64.0.1/10]\n"},
	{"version: 1\ntunnel: {addresses: [100.64.0.1]}\n",
	 "g.yaml:2:22: tunnel.addresses: found \"100.64.0.1\", expected our address with the tunnel's prefix length, "
	 "such as 100.64.0.1/10\n"},
	/* whether clients lie inside it is not known, and not said */
	{"version: 1\ntunnel: {addresses: [100.64.0.1/33]}\n"
	 "clients: [{name: a, user: a@x, public_key: " ALICE ", addresses: [100.64.0.5]}]\n",
	 "g.yaml:2:22: tunnel.addresses: found \"100.64.0.1/33\", expected our address with the tunnel's prefix "
	 "length, such as 100.64.0.1/10\n"},
	{"version: 1\ntunnel: {addresses: [100.64.0.0/10]}\n",
	 "g.yaml:2:22: tunnel.addresses: found \"100.64.0.0/10\", the first address of its prefix names the network, "
	 "expected an address in it\n"},
	{"version: 1\ntunnel: {addresses: [1.0.0.1/8, 2.0.0.1/8, 3.0.0.1/8, 4.0.0.1/8, 5.0.0.1/8]}\n",
	 "g.yaml:2:66: tunnel.addresses: found 5 entries, expected at most 4\n"},
	{"version: 1\ntunnel: {addresses: [100.64.0.1/10], mtu: 1279}\n",
	 "g.yaml:2:43: tunnel.mtu: found \"1279\", expected a number from 1280 to 65455\n"},
	{"version: 1\ntunnel: {addresses: [100.64.0.1/10], mtu: 65456}\n",
	 "g.yaml:2:43: tunnel.mtu: found \"65456\", expected a number from 1280 to 65455\n"},
	{"version: 1\ntunnel: {addresses: [100.64.0.1/10], listen: 0}\n",
	 "g.yaml:2:46: tunnel.listen: found \"0\", expected a number from 1 to 65535\n"},
	{"version: 1\ntunnel: {addresses: [100.64.0.1/10], interface: abcdefghijklmnop}\n",
	 "g.yaml:2:49: tunnel.interface: found \"abcdefghijklmnop\", expected the name of an interface, at most 15 "
	 "characters\n"},
	{"version: 1\ntunnel: {addresses: [100.64.0.1/10], underlay: eth0}\n",
	 "g.yaml:2:48: tunnel.underlay: found \"eth0\", expected a list of interfaces such as [eth0]\n"},
	{"version: 1\ntunnel: {addresses: [100.64.0.1/10], xdp: natve}\n",
	 "g.yaml:2:43: tunnel.xdp: found \"natve\", expected auto, native, generic or off; did you mean \"native\"?\n"},
	{"version: 1\ntunnel: {addresses: [100.64.0.1/10], workers: 65}\n",
	 "g.yaml:2:47: tunnel.workers: found \"65\", expected a number from 1 to 64\n"},
	/* egress */
	{TOP "egress: {addresses: [198.51.100.1/24]}\n",
	 "g.yaml:3:22: egress.addresses: found \"198.51.100.1/24\", expected an address such as 192.0.2.1 or "
	 "2001:db8::1, without a prefix length\n"},
	{TOP "egress: {addresses: [127.0.0.1]}\n",
	 "g.yaml:3:22: egress.addresses: found 127.0.0.1, expected an address that services can answer to\n"},
	{TOP "egress: {addresses: [100.64.0.9]}\n",
	 "g.yaml:3:22: egress.addresses: found 100.64.0.9, expected an address that services can answer to, outside "
	 "the tunnel\n"},
	{TOP "egress: {addresses: [10.0.0.1], pools: {bank: {addresses: [10.0.0.1]}}}\n",
	 "g.yaml:3:60: egress.addresses: found 10.0.0.1 twice, expected once: first for default, g.yaml:3\n"},
	{TOP "egress: {public: [1.1.1.1, 2.2.2.2]}\n",
	 "g.yaml:3:18: egress.public: found 2 IPv4 and 0 IPv6 addresses, expected at most one of a family where no "
	 "addresses are given\n"},
	{TOP "egress: {addresses: [10.0.0.1, 10.0.0.2], public: [1.1.1.1]}\n",
	 "g.yaml:3:51: egress.public: found 1 addresses, expected one for each of the 2 addresses\n"},
	{TOP "egress: {addresses: [10.0.0.1], public: [\"2001:db8::1\"]}\n",
	 "g.yaml:3:42: egress.public: found an address of another family than entry 1 of addresses, expected pairs\n"},
	{TOP "egress: {pools: {default: {interface: eth1}}}\n",
	 "g.yaml:3:18: egress.pools: the pool \"default\" is made of egress.interface and egress.addresses, expected "
	 "another name\n"},
	{TOP "egress: {pools: {bank: {exclusive: true}}}\n",
	 "g.yaml:3:24: egress.pools.bank.addresses: missing, expected addresses, an interface or both\n"},
	/* nat */
	{TOP "nat: {udp: 60s}\n",
	 "g.yaml:3:12: nat.udp: found 60s, expected at least 120s (RFC 4787, REQ-5), or nat.unsafe: true\n"},
	{TOP "nat: {tcp_established: 2h, tcp_transitory: 239s, icmp: 59s}\n",
	 "g.yaml:3:24: nat.tcp_established: found 7200s, expected at least 7440s (RFC 5382, REQ-5), or nat.unsafe: "
	 "true\n"
	 "g.yaml:3:44: nat.tcp_transitory: found 239s, expected at least 240s (RFC 5382, REQ-5), or nat.unsafe: true\n"
	 "g.yaml:3:56: nat.icmp: found 59s, expected at least 60s (RFC 5508, REQ-2), or nat.unsafe: true\n"},
	{TOP "nat: {udp: 60s, unsafe: true}\n", ""},
	{TOP "nat: {udp: 300}\n",
	 "g.yaml:3:12: nat.udp: found \"300\", expected a unit with it: 300s, 300m, 300h or 300d\n"},
	{TOP "nat: {udp: 31d}\n", "g.yaml:3:12: nat.udp: found \"31d\", expected a time from 1s to 30d\n"},
	{TOP "nat: {filtering: open}\n",
	 "g.yaml:3:18: nat.filtering: found \"open\", expected address-dependent, endpoint-independent or "
	 "address-and-port-dependent\n"},
	{TOP "nat: {client_share: 25}\n", "g.yaml:3:21: nat.client_share: found \"25\", expected 1% to 100%\n"},
	{TOP "nat: {client_share: 0%}\n", "g.yaml:3:21: nat.client_share: found \"0%\", expected 1% to 100%\n"},
	{TOP "nat: {client_share: 101%}\n", "g.yaml:3:21: nat.client_share: found \"101%\", expected 1% to 100%\n"},
	{TOP "nat: {flows: 1}\n", "g.yaml:3:14: nat.flows: found \"1\", expected a number from 1024 to 16777216\n"},
	/* routes */
	{TOP "routes: [203.0.113.7/24]\n",
	 "g.yaml:3:10: routes: found \"203.0.113.7/24\" with host bits set, expected 203.0.113.0/24\n"},
	{TOP "routes: [203.0.113.0/24, 203.0.113.0/24]\n",
	 "g.yaml:3:26: routes: found 203.0.113.0/24 twice, expected once: first for another entry, g.yaml:3\n"},
	{TOP "routes: [100.64.9.0/24]\n",
	 "g.yaml:3:10: routes: found 100.64.9.0/24, expected a prefix outside tunnel.addresses: clients are reached "
	 "without a route\n"},
	{TOP "routes: [0.0.0.0/0, \"::/0\", 169.254.169.254/32]\n", ""},
	{TOP "routes: [127.0.0.0/8, \"ff02::/16\"]\n",
	 "g.yaml:3:10: routes: found 127.0.0.0/8, expected a prefix that services can be in\n"
	 "g.yaml:3:23: routes: found ff02::/16, expected a prefix that services can be in\n"},
	{MEMBER "routes: [100.64.9.0/24, 100.0.0.0/8]\n",
	 "g.yaml:3:10: routes: found 100.64.9.0/24, expected a prefix outside the tailnet's own addresses: nodes are "
	 "reached without a route\n"},
	{TOP "tags: [ci]\n", "g.yaml:3:8: tags: found \"ci\", expected a tag such as \"tag:ci\" (a letter first; "
			     "letters, digits and \"-\")\n"},
	/* users */
	{TOP "users: [{roles: [admin]}]\n",
	 "g.yaml:3:9: user.name: missing, expected a user such as alice@example.com\n"},
	{TOP "users: [{name: a@x, roles: [amdin]}]\n",
	 "g.yaml:3:29: user.roles: found \"amdin\", expected admin, owner, it-admin, network-admin, billing-admin or "
	 "auditor; did you mean \"admin\"?\n"},
	{TOP "users: [{name: a@x}, {name: a@x}]\n",
	 "g.yaml:3:22: user.name: found \"a@x\" twice, expected once: first for another entry, g.yaml:3\n"},
	/* clients */
	{TOP "clients: {}\n",
	 "g.yaml:3:10: clients: found a map, expected a list of clients, or a folder of files with them\n"},
	{TOP "clients: [{}]\n",
	 "g.yaml:3:11: client.addresses: missing, expected the client's addresses inside the tunnel\n"
	 "g.yaml:3:11: client.name: missing, expected a name that no other client has\n"
	 "g.yaml:3:11: client.public_key: missing, expected the client's public key\n"
	 "g.yaml:3:11: client: found neither user nor tags, expected exactly one of them\n"},
	{CLIENT(", tags: [\"tag:ci\"]"),
	 "g.yaml:4:113: client: found both user and tags, expected exactly one of them\n"},
	{CLIENT(", keepalive: 65536"),
	 "g.yaml:4:118: client.keepalive: found \"65536\", expected a number from 0 to 65535\n"},
	{CLIENT(", expires: 2027-02-29"),
	 "g.yaml:4:116: client.expires: found \"2027-02-29\", expected a day such as 2027-01-01 or a time such as "
	 "2027-01-01T08:00:00Z\n"},
	{CLIENT(", expires: 2027-01-01T24:00:00Z"),
	 "g.yaml:4:116: client.expires: found \"2027-01-01T24:00:00Z\", expected a day such as 2027-01-01 or a time "
	 "such as 2027-01-01T08:00:00Z\n"},
	{CLIENT(", endpoint: \"2001:db8::7:51820\""),
	 "g.yaml:4:117: client.endpoint: found \"2001:db8::7:51820\", expected an address and a port such as "
	 "192.0.2.7:51820 or [2001:db8::7]:51820\n"},
	{CLIENT(", endpoint: \"192.0.2.7:0\""),
	 "g.yaml:4:117: client.endpoint: found \"192.0.2.7:0\", expected an address and a port such as 192.0.2.7:51820 "
	 "or [2001:db8::7]:51820\n"},
	{CLIENT("") "- {name: a, user: b@x, public_key: " BOB ", addresses: [100.64.0.6]}\n",
	 "g.yaml:5:10: client.name: found \"a\" twice, expected once: first for a, g.yaml:4\n"},
	{CLIENT("") "- {name: b, user: b@x, public_key: " ALICE ", addresses: [100.64.0.6]}\n",
	 "g.yaml:5:36: client.public_key: found the same key twice, expected once: first for a, g.yaml:4\n"},
	{CLIENT("") "- {name: b, user: b@x, public_key: " BOB ", addresses: [100.64.0.6, 100.64.0.5, 100.64.0.1]}\n",
	 "g.yaml:5:106: client.addresses: found 100.64.0.5 twice, expected once: first for a, g.yaml:4\n"
	 "g.yaml:5:118: client.addresses: found 100.64.0.1 twice, expected once: first for the gateway, g.yaml:2\n"},
	/* endpoints inside the tunnel would send round for ever (faults 45) */
	{CLIENT(", endpoint: \"100.64.0.5:51820\""),
	 "g.yaml:4:117: client.endpoint: found 100.64.0.5, an address of a (g.yaml:4), "
	 "expected where the client is outside the tunnel\n"},
	{CLIENT(", endpoint: \"100.64.0.1:51820\""),
	 "g.yaml:4:117: client.endpoint: found 100.64.0.1, an address of the gateway (g.yaml:2), "
	 "expected where the client is outside the tunnel\n"},
	{CLIENT(", endpoint: \"127.0.0.1:51820\""),
	 "g.yaml:4:117: client.endpoint: found 127.0.0.1, expected an address where a client can be\n"},
	{CLIENT(", endpoint: \"[ff02::1]:51820\""),
	 "g.yaml:4:117: client.endpoint: found ff02::1, expected an address where a client can be\n"},
	{CLIENT(", endpoint: \"100.64.0.9:51820\""), ""},
	{TOP "clients: [{name: b, user: b@x, public_key: " BOB ", addresses: [10.0.0.1]}]\n",
	 "g.yaml:3:102: client.addresses: found 10.0.0.1, expected an address inside tunnel.addresses (100.64.0.0/10, "
	 "fd7a:115c:a1e0::/48)\n"},
	{TOP "clients: [{name: b, user: bob, public_key: " BOB ", addresses: []}]\n",
	 "g.yaml:3:27: client.user: found \"bob\", expected a user such as alice@example.com\n"
	 "g.yaml:3:101: client.addresses: found 0, expected 1 to 16\n"},
	{TOP "clients: [{name: b, user: b@x, public_key: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=, "
	     "addresses: [100.64.0.6]}]\n",
	 "g.yaml:3:44: client.public_key: found AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=, a point of small order: "
	 "anybody could connect with it; expected the client's own: "
	 "`sluice genkey | tee client.key | sluice pubkey`\n"},
	/* tailnet */
	{MEMBER, ""},
	{MEMBER "tunnel: {mtu: 1400}\nusers: [{name: alice@, roles: [admin]}]\n", ""},
	{"version: 1\ntailnet: {}\n", "g.yaml:2:10: tailnet.login_server: missing, expected the coordination server's "
				      "URL, such as https://headscale.example.com\n"},
	{"version: 1\ntailnet: hs\n", "g.yaml:2:10: tailnet: found \"hs\", expected a map\n"},
	{"version: 1\ntailnet: {login_server: headscale.test}\n",
	 "g.yaml:2:25: tailnet.login_server: found \"headscale.test\", expected the coordination server's URL, such as "
	 "https://headscale.example.com\n"},
	{"version: 1\ntailnet: {login_server: \"http://hs.test\"}\n",
	 "g.yaml:2:25: tailnet.login_server: found \"http://hs.test\", expected https://, or control_key beside it: "
	 "over plain HTTP anybody could answer\n"},
	{"version: 1\ntailnet: {login_server: \"http://hs.test\", control_key: " MKEY "}\n", ""},
	{"version: 1\ntailnet: {login_server: \"https://hs.test\", control_key: nodekey:00, drp: false}\n",
	 "g.yaml:2:57: tailnet.control_key: found \"nodekey:00\", expected the server's public key: \"mkey:\" and 64 "
	 "hexadecimal digits, as its /key?v=131 tells\n"
	 "g.yaml:2:69: tailnet: unknown field \"drp\"; did you mean \"derp\"?\n"},
	{MEMBER "clients: clients.d\ntags: [\"tag:gw\"]\n",
	 "g.yaml:3:10: clients: found beside tailnet, expected none: they are the nodes of the tailnet\n"
	 "g.yaml:4:7: tags: found beside tailnet, expected none: the coordination server gives them\n"},
	{MEMBER "tunnel: {addresses: [100.64.0.1/10], private_key_file: key}\n",
	 "g.yaml:3:21: tunnel.addresses: found beside tailnet, expected none: the coordination server gives them\n"
	 "g.yaml:3:56: tunnel.private_key_file: found beside tailnet, expected none: the node's keys are made and kept "
	 "in state\n"},
	/* mistakes that only cross checks see are reported beside the others */
	{"version: 1\ntunnel: {addresses: [100.64.0.1/10], mtu: 1}\nroutes: [100.64.9.0/24]\n",
	 "g.yaml:2:43: tunnel.mtu: found \"1\", expected a number from 1280 to 65455\n"
	 "g.yaml:3:10: routes: found 100.64.9.0/24, expected a prefix outside tunnel.addresses: clients are reached "
	 "without a route\n"},
};

static void test_mistakes(void **state)
{
	int wrong = 0;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *lines = mistakes(cases[i].text);

		if (strcmp(lines, cases[i].lines)) {
			print_message("%s--- expected\n%s--- found\n%s===\n", cases[i].text, cases[i].lines, lines);
			wrong++;
		}
		free(lines);
	}
	assert_int_equal(wrong, 0);
}

/* 65,534 clients are the most, and no work; one more is refused. */
static void test_many_clients(void **state)
{
	size_t size = (MAX_CLIENTS + 1) * 128;
	char *text = malloc(size), *p = text;
	struct diags d = {0};
	struct config *cfg;

	p += sprintf(p, TOP "clients:\n");
	for (int i = 1; i <= CLIENT_GATEWAY; i++)
		p += sprintf(p,
			     "- {name: c%d, user: a@x, public_key: AAAA%04x%04xAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=, "
			     "addresses: [100.%d.%d.%d]}\n",
			     i, i & 0xffff, i >> 16, 65 + (i >> 16), i >> 8 & 255, i & 255);
	cfg = parse(text, &d);
	assert_int_equal(cfg->n_clients, CLIENT_GATEWAY - 1);
	assert_int_equal(d.errors, 1);
	assert_string_equal(d.list[0].text, "clients: found more than 65534, the most there can be");
	diags_free(&d);
	config_free(cfg);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_every_key),
		cmocka_unit_test(test_fault_28_destinations),
		cmocka_unit_test(test_tailnet),
		cmocka_unit_test(test_clients),
		cmocka_unit_test(test_relative_paths_start_at_the_file),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_many_clients),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
