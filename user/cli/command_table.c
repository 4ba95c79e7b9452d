/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of subcommands. Whoever adds one adds a line here and to sluice.8
 * (a test compares them).
 */
#include "command.h"

/* clang-format off */
#define CONFIG_OPTION {"config", 'c', "FILE", "the gateway's configuration (/etc/sluice/gateway.yaml)"}
#define JSON_OPTION {"json", 'j', NULL, "print JSON, for programs"}
#define SOCKET_OPTIONS                                                                               \
	{"socket", 's', "PATH", "the gateway's socket (default: as its configuration says)"},        \
	CONFIG_OPTION
#define FLOW_OPTIONS                                                                                 \
	{"user", 'u', "USER", "of this user, or of clients with this tag"},                          \
	{"client", 'n', "CLIENT", "of this client, by name or tunnel address"},                      \
	{"service", 'd', "DEST", "to an address, a prefix, ADDRESS:PORT or :PORT"},                  \
	{"proto", 'p', "PROTO", "tcp, udp, icmp, ... or a number"}
/* clang-format on */

static const struct command_option run_options[] = {CONFIG_OPTION, {0}};
static const struct command_option wireguard_options[] = {{"foreground", 'f', NULL, "do not go to the background"},
							  {0}};
static const struct command_option plain_options[] = {JSON_OPTION, SOCKET_OPTIONS, {0}};
static const struct command_option doctor_options[] = {
	{"cloud", 0, NULL, "ask the cloud's metadata service for the public address"},
	JSON_OPTION,
	SOCKET_OPTIONS,
	{0}};
static const struct command_option reload_options[] = {
	{"dry-run", 'n', NULL, "tell what would change, and change nothing"}, JSON_OPTION, SOCKET_OPTIONS, {0}};
static const struct command_option clients_options[] = {
	{"sort", 'o', "KEY", "by name (default), user, bytes, received, sent or handshake"},
	JSON_OPTION,
	SOCKET_OPTIONS,
	{0}};
static const struct command_option flows_options[] = {
	FLOW_OPTIONS, {"limit", 'l', "N", "at most N of them (1000)"}, JSON_OPTION, SOCKET_OPTIONS, {0}};
static const struct command_option kill_options[] = {
	FLOW_OPTIONS, {"all", 0, NULL, "every flow there is"}, JSON_OPTION, SOCKET_OPTIONS, {0}};
static const struct command_option probe_options[] = {{"timeout", 't', "SECONDS", "how long to wait for an answer (5)"},
						      {"ipv4", '4', NULL, "its IPv4 address"},
						      {"ipv6", '6', NULL, "its IPv6 address"},
						      JSON_OPTION,
						      SOCKET_OPTIONS,
						      {0}};
static const struct command_option metrics_options[] = {
	{"listen", 'l', "ADDRESS:PORT", "serve them here, until SIGTERM"},
	{"clients", 'n', NULL, "each client's too"},
	SOCKET_OPTIONS,
	{0}};
static const struct command_option dump_options[] = {
	{"limit", 'l', "N", "at most N entries (1000)"}, JSON_OPTION, SOCKET_OPTIONS, {0}};
static const struct command_option up_options[] = {{"new-key", 'k', NULL, "with a new node key in any case"},
						   {"timeout", 't', "SECONDS", "wait so long (600)"},
						   JSON_OPTION,
						   SOCKET_OPTIONS,
						   {0}};
static const struct command_option ping_options[] = {
	{"count", 'n', "N", "at most N pings (5)"}, JSON_OPTION, SOCKET_OPTIONS, {0}};
static const struct command_option check_options[] = {
	{"host", 0, NULL, "this machine too: interfaces, addresses, port, key files"}, JSON_OPTION, {0}};
static const struct command_option client_options[] = {
	{"endpoint", 'e', "HOST:PORT", "where clients find the gateway (default: its public address)"},
	{"public-key", 'k', "KEY", "the gateway's, where its private key cannot be read"},
	{"private-key", 'p', "FILE", "put the client's key into it, from a file of mode 0600"},
	{"qr", 'q', NULL, "as a QR code, for a phone"},
	CONFIG_OPTION,
	{0}};

/* clang-format off */
#define PLACE_OPTIONS                                                                                \
	{"config", 'c', "FILE", "whose clients and routes: a gateway's configuration"},               \
	{"inventory", 'i', "FILE", "or a list of users and nodes, or a netmap"}
/* clang-format on */
static const struct command_option place_options[] = {PLACE_OPTIONS, JSON_OPTION, {0}};
static const struct command_option test_options[] = {
	{"maps", 'm', NULL, "in the compiled tables too, by packets through the real programs (root)"},
	PLACE_OPTIONS,
	JSON_OPTION,
	{0}};
static const struct command_option matrix_options[] = {
	{"html", 'w', "FILE", "as a page for a browser"}, PLACE_OPTIONS, JSON_OPTION, {0}};
/* clang-format off */
#define CHANGE_OPTIONS                                                                               \
	{"dry-run", 'n', NULL, "tell what would change, and change nothing"},                         \
	{"if-match", 'm', "HASH", "only if this one is running now (its beginning will do)"}
/* clang-format on */
/* clang-format off */
#define APPLY_OPTIONS                                                                                \
	CHANGE_OPTIONS,                                                                               \
	{"allow-empty", 0, NULL, "even a document without anything in it"},                           \
	{"not-kept", 0, NULL, "until the next start only"}
/* clang-format on */
static const struct command_option apply_options[] = {
	APPLY_OPTIONS,
	{"watch", 'w', NULL, "stay, and apply the file whenever it changes"},
	JSON_OPTION,
	SOCKET_OPTIONS,
	{0}};
static const struct command_option rollback_options[] = {APPLY_OPTIONS, JSON_OPTION, SOCKET_OPTIONS, {0}};
static const struct command_option explain_options[] = {
	{"policy", 'p', "FILE", "by this policy instead of the running one"},
	{"inventory", 'i', "FILE", "and this list of users and nodes, or netmap"},
	JSON_OPTION,
	SOCKET_OPTIONS,
	{0}};

const struct command commands[] = {
	{"run", "", "run the gateway, in the foreground", NULL, COMMAND_DAEMON, run_options, 0, 0, cmd_run},
	{"wireguard", "IFNAME", "a plain WireGuard device, without policy or NAT, configured by wg(8)", NULL,
	 COMMAND_DAEMON, wireguard_options, 1, 1, cmd_wireguard},

	{"status", "", "how the gateway is", NULL, COMMAND_GATEWAY, plain_options, 0, 0, cmd_status},
	{"clients", "", "who is connected, from where, and how much", NULL, COMMAND_GATEWAY, clients_options, 0, 0,
	 cmd_clients},
	{"clients kick", "NAME", "end a client's session and flows",
	 "It may connect again, as WireGuard notices after 15 s without an answer: take it out of the\n"
	 "configuration and reload to keep it out.",
	 COMMAND_GATEWAY, plain_options, 1, 1, cmd_clients_kick},
	{"clients reset", "NAME", "forget a client's clock, and end its session",
	 "WireGuard refuses a client whose clock has been set back, for else an old message could be said again.\n"
	 "It is for one that does not get in since then; a restart of the gateway mends that, too.",
	 COMMAND_GATEWAY, plain_options, 1, 1, cmd_clients_reset},
	{"flows", "", "what passes now: user, service, translation, age, bytes", NULL, COMMAND_GATEWAY, flows_options,
	 0, 0, cmd_flows},
	{"flows kill", "", "end the flows that match",
	 "At least one option says which. The policy may allow them anew.", COMMAND_GATEWAY, kill_options, 0, 0,
	 cmd_flows_kill},
	{"drops", "", "what died, by reason", NULL, COMMAND_GATEWAY, plain_options, 0, 0, cmd_drops},
	{"routes", "", "what the gateway advertises, and what of it is active", NULL, COMMAND_GATEWAY, plain_options, 0,
	 0, cmd_routes},
	{"metrics", "", "its numbers for a monitoring system, in Prometheus' text format",
	 "Printed once, or served at http://ADDRESS:PORT/metrics. Without a gateway there is sluice_up 0.",
	 COMMAND_GATEWAY, metrics_options, 0, 0, cmd_metrics},
	{"map list", "", "the BPF maps", NULL, COMMAND_GATEWAY, plain_options, 0, 0, cmd_map_list},
	{"map dump", "NAME", "what is in a BPF map, names resolved", NULL, COMMAND_GATEWAY, dump_options, 1, 1,
	 cmd_map_dump},
	{"probe", "HOST:PORT", "connect to a service from the egress address, and tell what happened",
	 "A TCP connection through the real programs, which no rule refuses; it is reset as soon as it stands.\n"
	 "Exit status 0 connected, 1 not.",
	 COMMAND_GATEWAY, probe_options, 1, 1, cmd_probe},
	{"up", "", "log in to the tailnet, or try again at once",
	 "With a new node key where the old one has expired or was logged out. Without an auth key it tells the\n"
	 "URL that somebody has to open, and waits. It reads the auth key's file again, and connects anew where\n"
	 "it is connected; traffic goes on meanwhile.",
	 COMMAND_GATEWAY, up_options, 0, 0, cmd_up},
	{"logout", "", "give the node up: its key expires now", NULL, COMMAND_GATEWAY, plain_options, 0, 0, cmd_logout},
	{"netmap", "", "what the coordination server says: nodes, keys, relays, rules", NULL, COMMAND_GATEWAY,
	 plain_options, 0, 0, cmd_netmap},
	{"ping", "NODE", "how a node of the tailnet is reached: straight or by a relay, and how fast",
	 "By name or address; ends with the first answer that came straight. Exit status 1 when none came.",
	 COMMAND_GATEWAY, ping_options, 1, 1, cmd_ping},
	{"reload", "", "read the configuration and the policy again, and apply them live",
	 "Returns when it is done. A client that is not in it any more is cut off at once, whatever becomes of the "
	 "rest.\n"
	 "A policy with mistakes is not taken, nor the file where one was applied by hand; a key that needs a\n"
	 "restart is named.",
	 COMMAND_GATEWAY, reload_options, 0, 0, cmd_reload},
	{"policy show", "[FILE]", "the running policy, or a file's, in canonical form", NULL, COMMAND_GATEWAY,
	 plain_options, 0, 1, cmd_policy_show},
	{"policy apply", "FILE|-", "check and test a policy, and make it the running one",
	 "A policy with mistakes changes nothing. It runs until the next one is applied, over reloads and\n"
	 "restarts too; applying what the configured file holds returns to the file.",
	 COMMAND_GATEWAY, apply_options, 1, 1, cmd_policy_apply},
	{"policy rollback", "[NUMBER]", "return to the policy before the running one, or to one of the history",
	 "`sluice policy history` has the numbers.", COMMAND_GATEWAY, rollback_options, 0, 1, cmd_policy_rollback},
	{"policy history", "", "the policies that ran here", NULL, COMMAND_GATEWAY, plain_options, 0, 0,
	 cmd_policy_history},
	{"down", "", "stop the gateway and remove all of it: interface, programs, maps, rules",
	 "Works without a running gateway too, for what one has left behind.", COMMAND_GATEWAY, plain_options, 0, 0,
	 cmd_down},
	{"doctor", "", "what is wrong here, and what to do about it",
	 "Exit status 1 when something fails. Run it as root to see everything.", COMMAND_GATEWAY, doctor_options, 0, 0,
	 cmd_doctor},

	{"check", "[FILE]", "find the mistakes in a configuration",
	 "Checks files only, so it runs far from the gateway (in CI); --host adds the machine.", COMMAND_OFFLINE,
	 check_options, 0, 1, cmd_check},
	{"explain", "SRC DST [PROTO] PORT", "who may reach what, and why or why not",
	 "Names, users, groups or addresses; of a prefix its first address. Asks the running gateway; with\n"
	 "--policy or without a gateway, the files.\n"
	 "Exit status 0 allowed, 1 refused.",
	 COMMAND_OFFLINE, explain_options, 3, 4, cmd_explain},
	{"policy check", "FILE", "find the mistakes in a policy, and rules that never match", NULL, COMMAND_OFFLINE,
	 place_options, 1, 1, cmd_policy_check},
	{"policy test", "FILE", "run a policy's own tests", "Exit status 1 when one fails.", COMMAND_OFFLINE,
	 test_options, 1, 1, cmd_policy_test},
	{"policy explain", "SRC DST [PROTO] PORT", "the same as explain", NULL, COMMAND_OFFLINE, explain_options, 3, 4,
	 cmd_explain},
	{"policy diff", "OLD NEW", "who gains and who loses what", "Exit status 0 nothing, 1 something, 2 mistakes.",
	 COMMAND_OFFLINE, place_options, 2, 2, cmd_policy_diff},
	{"policy matrix", "[FILE]", "who reaches what, as a table or a page", NULL, COMMAND_OFFLINE, matrix_options, 0,
	 1, cmd_policy_matrix},
	{"policy inventory", "", "who is who, in the form that --inventory reads",
	 "From a gateway's configuration, or from a netmap: `tailscale debug netmap > netmap.json`, then\n"
	 "`sluice policy inventory -i netmap.json`. A policy can then be tested elsewhere, without keys.",
	 COMMAND_OFFLINE, place_options, 0, 0, cmd_policy_inventory},
	{"genkey", "", "make a private key", NULL, COMMAND_OFFLINE, NULL, 0, 0, cmd_genkey},
	{"pubkey", "", "read a private key from standard input, print its public key", NULL, COMMAND_OFFLINE, NULL, 0,
	 0, cmd_pubkey},
	{"client-config", "NAME", "a wg-quick file for a client, with what it may reach",
	 "Without --private-key the file has a place for the key, which only the client need know.", COMMAND_OFFLINE,
	 client_options, 1, 1, cmd_client_config},
	{"completion", "", "completion for bash, to be sourced", NULL, COMMAND_OFFLINE, NULL, 0, 0, cmd_completion},
	{"version", "", "commit, libraries and features", NULL, COMMAND_OFFLINE, NULL, 0, 0, cmd_version},
	{0},
};
