/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of subcommands. Whoever adds one adds a line here and to sluice.8
 * (a test compares them).
 */
#include "command.h"

/*
 * Every option once: its letter, what follows it, and what it means, the same in each command that takes it. A test
 * holds that no letter and no name stands for two.
 */
/* clang-format off */
#define OPTION_ALL	   {"all", 0, NULL, "every flow there is"}
#define OPTION_ALLOW_EMPTY {"allow-empty", 0, NULL, "even a document without anything in it"}
#define OPTION_CLIENT	   {"client", 0, "CLIENT", "of this client, by name or tunnel address"}
#define OPTION_CLIENTS	   {"clients", 0, NULL, "each client's too"}
#define OPTION_CLOUD	   {"cloud", 0, NULL, "ask the cloud's metadata service for the public address"}
#define OPTION_CONFIG	   {"config", 'c', "FILE", "the gateway's configuration (/etc/sluice/gateway.yaml)"}
#define OPTION_COUNT	   {"count", 0, "N", "at most N pings (5)"}
#define OPTION_DRY_RUN	   {"dry-run", 'n', NULL, "tell what would change, and change nothing"}
#define OPTION_ENDPOINT	   {"endpoint", 'e', "HOST:PORT", "where clients find the gateway (default: its address)"}
#define OPTION_FOREGROUND  {"foreground", 'f', NULL, "do not go to the background"}
#define OPTION_HOST	   {"host", 0, NULL, "this machine too: interfaces, addresses, port, key files"}
#define OPTION_HTML	   {"html", 0, "FILE", "as a page for a browser"}
#define OPTION_IF_MATCH	   {"if-match", 0, "HASH", "only if this one is running now (its beginning will do)"}
#define OPTION_INVENTORY   {"inventory", 'i', "FILE", "users and nodes, or a netmap, instead of a configuration"}
#define OPTION_IPV4	   {"ipv4", '4', NULL, "its IPv4 address"}
#define OPTION_IPV6	   {"ipv6", '6', NULL, "its IPv6 address"}
#define OPTION_JSON	   {"json", 'j', NULL, "print JSON, for programs"}
#define OPTION_LIMIT	   {"limit", 'l', "N", "at most N of them (1000)"}
#define OPTION_LISTEN	   {"listen", 0, "ADDRESS:PORT", "serve them here, until SIGTERM"}
#define OPTION_MAPS	   {"maps", 'm', NULL, "in the maps too, by packets through the real programs (root)"}
#define OPTION_NEW_KEY	   {"new-key", 0, NULL, "with a new node key in any case"}
#define OPTION_NOT_KEPT	   {"not-kept", 0, NULL, "until the next start only"}
#define OPTION_POLICY	   {"policy", 0, "FILE", "by this policy instead of the running one"}
#define OPTION_PRIVATE_KEY {"private-key", 0, "FILE", "put the client's key into it, from a file of mode 0600"}
#define OPTION_PROTO	   {"proto", 'p', "PROTO", "tcp, udp, icmp, ... or a number"}
#define OPTION_PUBLIC_KEY  {"public-key", 'k', "KEY", "the gateway's, where its private key cannot be read"}
#define OPTION_QR	   {"qr", 'q', NULL, "as a QR code, for a phone"}
#define OPTION_SERVICE	   {"service", 'd', "DEST", "to an address, a prefix, a host of the policy; or with :PORT"}
#define OPTION_SOCKET	   {"socket", 's', "PATH", "the gateway's socket (default: as its configuration says)"}
#define OPTION_SORT	   {"sort", 'o', "KEY", "by name (default), user, bytes, received, sent or handshake"}
#define OPTION_TIMEOUT	   {"timeout", 't', "SECONDS", "how long to wait (probe: 5, up: 600)"}
#define OPTION_USER	   {"user", 'u', "USER", "of this user, or of clients with this tag"}
#define OPTION_WATCH	   {"watch", 'w', NULL, "stay, and apply the file whenever it changes"}

#define OPTIONS_GATEWAY OPTION_JSON, OPTION_SOCKET, OPTION_CONFIG, {0} /* of those that ask one */
#define OPTIONS_FLOWS	OPTION_USER, OPTION_CLIENT, OPTION_SERVICE, OPTION_PROTO
#define OPTIONS_PLACE	OPTION_CONFIG, OPTION_INVENTORY, OPTION_JSON, {0} /* of those that read who is who */
#define OPTIONS_APPLY	OPTION_DRY_RUN, OPTION_IF_MATCH, OPTION_ALLOW_EMPTY, OPTION_NOT_KEPT

static const struct command_option
	run_options[] = {OPTION_CONFIG, {0}},
	wireguard_options[] = {OPTION_FOREGROUND, {0}},
	plain_options[] = {OPTIONS_GATEWAY},
	doctor_options[] = {OPTION_CLOUD, OPTIONS_GATEWAY},
	reload_options[] = {OPTION_DRY_RUN, OPTIONS_GATEWAY},
	clients_options[] = {OPTION_SORT, OPTIONS_GATEWAY},
	flows_options[] = {OPTIONS_FLOWS, OPTION_LIMIT, OPTIONS_GATEWAY},
	kill_options[] = {OPTIONS_FLOWS, OPTION_ALL, OPTIONS_GATEWAY},
	probe_options[] = {OPTION_TIMEOUT, OPTION_IPV4, OPTION_IPV6, OPTIONS_GATEWAY},
	metrics_options[] = {OPTION_LISTEN, OPTION_CLIENTS, OPTION_SOCKET, OPTION_CONFIG, {0}},
	dump_options[] = {OPTION_LIMIT, OPTIONS_GATEWAY},
	up_options[] = {OPTION_NEW_KEY, OPTION_TIMEOUT, OPTIONS_GATEWAY},
	ping_options[] = {OPTION_COUNT, OPTIONS_GATEWAY},
	check_options[] = {OPTION_HOST, OPTION_JSON, OPTION_CONFIG, {0}},
	client_options[] = {OPTION_ENDPOINT, OPTION_PUBLIC_KEY, OPTION_PRIVATE_KEY, OPTION_QR, OPTION_CONFIG, {0}},
	place_options[] = {OPTIONS_PLACE},
	test_options[] = {OPTION_MAPS, OPTIONS_PLACE},
	matrix_options[] = {OPTION_HTML, OPTIONS_PLACE},
	apply_options[] = {OPTIONS_APPLY, OPTION_WATCH, OPTIONS_GATEWAY},
	rollback_options[] = {OPTIONS_APPLY, OPTIONS_GATEWAY},
	explain_options[] = {OPTION_POLICY, OPTION_INVENTORY, OPTIONS_GATEWAY};
/* clang-format on */

const struct command commands[] = {
	{"run", "", "run the gateway, in the foreground", NULL, COMMAND_DAEMON, run_options, 0, 0, cmd_run, false},
	{"wireguard", "IFNAME", "a plain WireGuard device, without policy or NAT, configured by wg(8)", NULL,
	 COMMAND_DAEMON, wireguard_options, 1, 1, cmd_wireguard, false},

	{"status", "", "how the gateway is", NULL, COMMAND_GATEWAY, plain_options, 0, 0, cmd_status, false},
	{"clients", "", "who is connected, from where, and how much", NULL, COMMAND_GATEWAY, clients_options, 0, 0,
	 cmd_clients, false},
	{"clients kick", "NAME", "end a client's session and flows",
	 "It may connect again, as WireGuard notices after 15 s without an answer: take it out of the\n"
	 "configuration and reload to keep it out.",
	 COMMAND_GATEWAY, plain_options, 1, 1, cmd_clients_kick, true},
	{"clients reset", "NAME", "forget a client's clock, and end its session",
	 "WireGuard refuses a client whose clock has been set back, for else an old message could be said again.\n"
	 "It is for one that does not get in since then; a restart of the gateway mends that, too.",
	 COMMAND_GATEWAY, plain_options, 1, 1, cmd_clients_reset, true},
	{"flows", "", "what passes now: user, service, translation, age, bytes", NULL, COMMAND_GATEWAY, flows_options,
	 0, 0, cmd_flows, false},
	{"flows kill", "", "end the flows that match",
	 "At least one option says which. The policy may allow them anew.", COMMAND_GATEWAY, kill_options, 0, 0,
	 cmd_flows_kill, true},
	{"drops", "", "what died, by reason", NULL, COMMAND_GATEWAY, plain_options, 0, 0, cmd_drops, false},
	{"routes", "", "what the gateway advertises, and what of it is active", NULL, COMMAND_GATEWAY, plain_options, 0,
	 0, cmd_routes, false},
	{"metrics", "", "its numbers for a monitoring system, in Prometheus' text format",
	 "Printed once, or served at http://ADDRESS:PORT/metrics. Without a gateway there is sluice_up 0.",
	 COMMAND_GATEWAY, metrics_options, 0, 0, cmd_metrics, false},
	{"map list", "", "the BPF maps", NULL, COMMAND_GATEWAY, plain_options, 0, 0, cmd_map_list, false},
	{"map dump", "NAME", "what is in a BPF map, names resolved", NULL, COMMAND_GATEWAY, dump_options, 1, 1,
	 cmd_map_dump, false},
	{"probe", "HOST:PORT", "connect to a service from the egress address, and tell what happened",
	 "A TCP connection through the real programs, which no rule refuses; it is reset as soon as it stands.\n"
	 "Exit status 0 connected, 1 not.",
	 COMMAND_GATEWAY, probe_options, 1, 1, cmd_probe, false},
	{"up", "", "log in to the tailnet, or try again at once",
	 "With a new node key where the old one has expired or was logged out. Without an auth key it tells the\n"
	 "URL that somebody has to open, and waits. It reads the auth key's file again, and connects anew where\n"
	 "it is connected; traffic goes on meanwhile.",
	 COMMAND_GATEWAY, up_options, 0, 0, cmd_up, false},
	{"logout", "", "give the node up: its key expires now", NULL, COMMAND_GATEWAY, plain_options, 0, 0, cmd_logout,
	 true},
	{"netmap", "", "what the coordination server says: nodes, keys, relays, rules", NULL, COMMAND_GATEWAY,
	 plain_options, 0, 0, cmd_netmap, false},
	{"ping", "NODE", "how a node of the tailnet is reached: straight or by a relay, and how fast",
	 "By name or address; ends with the first answer that came straight. Exit status 1 when none came.",
	 COMMAND_GATEWAY, ping_options, 1, 1, cmd_ping, false},
	{"reload", "", "read the configuration and the policy again, and apply them live",
	 "Returns when it is done. A client that is not in it any more is cut off at once, whatever becomes of the "
	 "rest.\n"
	 "A policy with mistakes is not taken, nor the file where one was applied by hand; a key that needs a\n"
	 "restart is named.",
	 COMMAND_GATEWAY, reload_options, 0, 0, cmd_reload, false},
	{"policy show", "[FILE]", "the running policy, or a file's, in canonical form", NULL, COMMAND_GATEWAY,
	 plain_options, 0, 1, cmd_policy_show, false},
	{"policy apply", "FILE|-", "check and test a policy, and make it the running one",
	 "A policy with mistakes changes nothing. It runs until the next one is applied, over reloads and\n"
	 "restarts too; applying what the configured file holds returns to the file.",
	 COMMAND_GATEWAY, apply_options, 1, 1, cmd_policy_apply, false},
	{"policy rollback", "[NUMBER]", "return to the policy before the running one, or to one of the history",
	 "`sluice policy history` has the numbers.", COMMAND_GATEWAY, rollback_options, 0, 1, cmd_policy_rollback,
	 true},
	{"policy history", "", "the policies that ran here", NULL, COMMAND_GATEWAY, plain_options, 0, 0,
	 cmd_policy_history, false},
	{"down", "", "stop the gateway and remove all of it: interface, programs, maps, rules",
	 "Works without a running gateway too, for what one has left behind.", COMMAND_GATEWAY, plain_options, 0, 0,
	 cmd_down, true},
	{"doctor", "", "what is wrong here, and what to do about it",
	 "Exit status 1 when something fails. Run it as root to see everything.", COMMAND_GATEWAY, doctor_options, 0, 0,
	 cmd_doctor, false},

	{"check", "[FILE]", "find the mistakes in a configuration",
	 "Checks files only, so it runs far from the gateway (in CI); --host adds the machine.", COMMAND_OFFLINE,
	 check_options, 0, 1, cmd_check, false},
	{"explain", "SRC DST [PROTO] PORT", "who may reach what, and why or why not",
	 "Names, users, groups or addresses; of a prefix its first address. Asks the running gateway; with\n"
	 "--policy or without a gateway, the files.\n"
	 "Exit status 0 allowed, 1 refused.",
	 COMMAND_OFFLINE, explain_options, 3, 4, cmd_explain, false},
	{"policy check", "FILE", "find the mistakes in a policy, and rules that never match", NULL, COMMAND_OFFLINE,
	 place_options, 1, 1, cmd_policy_check, false},
	{"policy test", "FILE", "run a policy's own tests",
	 "Exit status 0 when all pass, 2 when one fails, as every command that runs them.", COMMAND_OFFLINE,
	 test_options, 1, 1, cmd_policy_test, false},
	{"policy explain", "SRC DST [PROTO] PORT", "the same as explain", NULL, COMMAND_OFFLINE, explain_options, 3, 4,
	 cmd_explain, false},
	{"policy diff", "OLD NEW", "who gains and who loses what", "Exit status 0 nothing, 1 something, 2 mistakes.",
	 COMMAND_OFFLINE, place_options, 2, 2, cmd_policy_diff, false},
	{"policy matrix", "[FILE]", "who reaches what, as a table or a page", NULL, COMMAND_OFFLINE, matrix_options, 0,
	 1, cmd_policy_matrix, false},
	{"policy inventory", "", "who is who, in the form that --inventory reads",
	 "From a gateway's configuration, or from a netmap: `tailscale debug netmap > netmap.json`, then\n"
	 "`sluice policy inventory -i netmap.json`. A policy can then be tested elsewhere, without keys.",
	 COMMAND_OFFLINE, place_options, 0, 0, cmd_policy_inventory, false},
	{"genkey", "", "make a private key", NULL, COMMAND_OFFLINE, NULL, 0, 0, cmd_genkey, false},
	{"pubkey", "", "read a private key from standard input, print its public key", NULL, COMMAND_OFFLINE, NULL, 0,
	 0, cmd_pubkey, false},
	{"client-config", "NAME", "a wg-quick file for a client, with what it may reach",
	 "Without --private-key the file has a place for the key, which only the client need know.", COMMAND_OFFLINE,
	 client_options, 1, 1, cmd_client_config, false},
	{"completion", "", "completion for bash, to be sourced", NULL, COMMAND_OFFLINE, NULL, 0, 0, cmd_completion,
	 false},
	{"version", "", "commit, libraries and features", NULL, COMMAND_OFFLINE, NULL, 0, 0, cmd_version, false},
	{0},
};
