/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TEST_CONFIG_SETUP_H
#define SLUICE_TEST_CONFIG_SETUP_H

/* gateway.yaml as a string: parsed well, or with its mistakes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/emulated.h"
#include "user/config/config.h"
#include "user/config/known_keys.h"

#define ALICE  "zwRL3/KjvQoKf5skYdjEPd+vb0rbEcNFOVteKbGkjCs="
#define BOB    "lQePM08Z1nVnG8CfUxIH3KuSDX8rV9YldSAcaXBOImw="
#define TUNNEL "tunnel: {addresses: [100.64.0.1/10, \"fd7a:115c:a1e0::1/48\"]}\n"
#define TOP    "version: 1\n" TUNNEL
#define MEMBER "version: 1\ntailnet: {login_server: \"https://hs.test\", auth_key_file: authkey}\n"
#define MKEY   "\"mkey:00000000000000000000000000000000000000000000000000000000000000ff\""

static inline struct config *parse(const char *text, struct diags *d)
{
	struct doc *doc = doc_parse("g.yaml", text, strlen(text), DOC_YAML, d);
	struct config *cfg = doc ? config_parse(doc, "host-1", d) : NULL;

	if (cfg)
		config_check(cfg, d);
	return cfg;
}

static inline struct config *parse_well(const char *text)
{
	struct diags d = {0};
	struct config *cfg = parse(text, &d);

	diags_print(&d, stderr, false);
	assert_int_equal(d.errors, 0);
	assert_int_equal(d.warnings, 0);
	diags_free(&d);
	return cfg;
}

static inline char *mistakes(const char *text)
{
	struct diags d = {0};
	char *out = NULL;
	size_t size;
	FILE *f = open_memstream(&out, &size);

	config_free(parse(text, &d));
	diags_print(&d, f, false);
	fclose(f);
	diags_free(&d);
	return out;
}

static const char whole[] =
	"version: 1\n"
	"name: gw-1\n"
	"state: state\n"
	"socket: /tmp/s.sock\n"
	"pins: /sys/fs/bpf/two\n"
	"tunnel:\n"
	"  interface: tun7\n"
	"  listen: 4500\n"
	"  private_key_file: keys/private\n"
	"  addresses: [100.64.0.1/10, \"fd7a:115c:a1e0::1/48\"]\n"
	"  mtu: 1380\n"
	"  underlay: [eth0, eth1]\n"
	"  xdp: native\n"
	"  workers: 3\n"
	"egress:\n"
	"  interface: eth0\n"
	"  addresses: [10.0.0.4, \"2001:db8:1::1\"]\n"
	"  public: [198.51.100.1, \"2001:db8:1::1\"]\n"
	"  answers_by: [eth2, eth3]\n"
	"  exclusive: true\n"
	"  pools: {bank: {interface: eth1, addresses: [10.1.0.4]}}\n"
	"nat: {flows: 4096, client_share: 50%, udp: 10m, tcp_established: 3h, tcp_transitory: 240s, icmp: 61s,\n"
	"      filtering: endpoint-independent, tcp: endpoint-independent, resets: false, hide_routers: true}\n"
	"routes: [203.0.113.0/24, \"2001:db8:9::/48\", 192.0.2.7]\n"
	"tags: [\"tag:gateway\"]\n"
	"policy: policy/example.yaml\n"
	"stun: stun.example.com:3478\n"
	"users: [{name: alice@example.com, roles: [admin, auditor]}]\n"
	"clients:\n"
	"- {name: alice-laptop, user: alice@example.com, public_key: " ALICE ", addresses: [100.64.0.5],\n"
	"   preshared_key_file: keys/psk, endpoint: \"192.0.2.7:51820\", keepalive: 25, expires: 2027-01-01}\n"
	"- {name: ci, tags: [\"tag:ci\"], public_key: " BOB ", addresses: [100.64.0.6, \"fd7a:115c:a1e0::6\"],\n"
	"   endpoint: \"[2001:db8::7]:1\", expires: 2027-01-01T08:30:00Z}\n";

#endif
