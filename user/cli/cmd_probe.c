/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * probe: looks the name up, has the gateway connect from its egress address, and
 * tells what happened at each stage.
 */
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "command_ask.h"
#include "user/control/control.h"
#include "user/print/print.h"
#include "user/base/text.h"
#include "user/base/exit.h"
#include "user/base/clock.h"

#define POLL_MS	 10
#define HOST_MAX 256

struct target {
	char host[HOST_MAX];
	uint16_t port;
};

static bool read_target(const char *text, struct target *t)
{
	size_t len;
	const char *host = text_host_port(text, &len, &t->port);

	if (!host || len >= sizeof(t->host))
		return false;
	memcpy(t->host, host, len);
	t->host[len] = '\0';
	return true;
}

/*
 * A host of the running policy, which is what `explain` and rules mean by the word; nobody's else. False after a
 * message: it is a network.
 */
static bool cmd_probe_ask_policy(const struct command_args *a, const struct target *t, json_t **addresses)
{
	char *path = ask_socket(a), *error = NULL;
	json_t *result = NULL, *args = json_pack("{s:s}", "name", t->host);
	const char *address = NULL;
	bool ok = true;

	if (args && control_call(path, "policy host", args, &result, &error) == EXIT_YES)
		address = json_string_value(json_object_get(result, "address"));
	if (address && strchr(address, '/')) {
		fprintf(stderr, "sluice probe: %s is a network of the policy, %s: name an address of it\n", t->host,
			address);
		ok = false;
	} else if (address) {
		*addresses = json_pack("[s]", address);
	}
	json_decref(result);
	free(error);
	free(path);
	return ok;
}

/* Into a new array of texts, in the order of preference. Returns getaddrinfo()'s error. */
static int cmd_probe_look_up(const struct target *t, int family, json_t **addresses)
{
	struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM}, *list = NULL;
	int err = getaddrinfo(t->host, NULL, &hints, &list);
	char text[NI_MAXHOST];

	*addresses = json_array();
	for (const struct addrinfo *a = list; a; a = a->ai_next)
		if (!getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof(text), NULL, 0, NI_NUMERICHOST))
			json_array_append_new(*addresses, json_string(text));
	if (list)
		freeaddrinfo(list);
	return err;
}

/* ---- as people read it -------------------------------------------------------------- */

static void cmd_probe_show_egress(const json_t *e, FILE *out)
{
	if (!json_is_object(e))
		return;
	fprintf(out, "egress    %s on %s", field_text(e, "address"), field_text(e, "interface"));
	if (*field_text(e, "next_hop"))
		fprintf(out, ", next hop %s", field_text(e, "next_hop"));
	if (strcmp(field_text(e, "public"), field_text(e, "address")))
		fprintf(out, "; the service sees %s", field_text(e, "public"));
	fprintf(out, " (pool %s)\n", field_text(e, "pool"));
}

static void cmd_probe_show_answer(const json_t *r, FILE *out)
{
	const json_t *a = json_object_get(r, "answer");
	const char *outcome = field_text(r, "outcome");
	double ms = json_real_value(json_object_get(a, "ms"));

	if (!strcmp(outcome, "connected"))
		fprintf(out, "answer    SYN, ACK after %.3f ms\nconnected\n", ms);
	else if (!strcmp(outcome, "reset"))
		fprintf(out, "answer    reset after %.3f ms\nrefused: nothing listens, or a firewall says so\n", ms);
	else if (!strcmp(outcome, "unreachable"))
		fprintf(out, "answer    ICMP %s (type %llu, code %llu) from %s after %.3f ms\nunreachable\n",
			field_text(a, "icmp"), (unsigned long long)field_number(a, "icmp_type"),
			(unsigned long long)field_number(a, "icmp_code"), field_text(a, "from"), ms);
	else if (!strcmp(outcome, "dropped"))
		fprintf(out, "dropped by the gateway: %s (%s)\n", field_text(r, "meaning"), field_text(r, "reason"));
	else
		fprintf(out,
			"answer    none in %llu s\n"
			"silent: does the service admit the egress address? does the next hop answer?\n",
			(unsigned long long)field_number(r, "timeout"));
}

static void show_probe(const json_t *r, FILE *out)
{
	const json_t *addresses = json_object_get(r, "addresses");
	const char *route = field_text(r, "route");
	size_t n = json_array_size(addresses);

	fprintf(out, "name      %s is %s", field_text(r, "name"), json_string_value(json_array_get(addresses, 0)));
	if (n > 1)
		fprintf(out, ", the first of %zu addresses", n);
	fprintf(out, "\nroute     %s\n", *route ? route : "none of the configuration's: clients would be refused");
	cmd_probe_show_egress(json_object_get(r, "egress"), out);
	if (*field_text(r, "as"))
		fprintf(out, "flow      %s -> %s\nsent      SYN, %llu time%s\n", field_text(r, "as"),
			field_text(r, "service"), (unsigned long long)field_number(r, "sent"),
			field_number(r, "sent") == 1 ? "" : "s");
	cmd_probe_show_answer(r, out);
}

/* ---- the command ------------------------------------------------------------------------ */

static int cmd_probe_fail(int status, char *error)
{
	fprintf(stderr, "sluice probe: %s\n", error ? error : "out of memory");
	free(error);
	return status;
}

static bool cmd_probe_is_over(const json_t *r)
{
	return strcmp(field_text(r, "outcome"), "waiting") != 0;
}

/* Asks until it is over; the gateway knows the time. */
static int cmd_probe_follow(const char *path, json_t **r)
{
	const struct timespec pause = {.tv_nsec = POLL_MS * NS_PER_MS};
	char *error = NULL;
	int status = EXIT_YES;

	while (status == EXIT_YES && !cmd_probe_is_over(*r)) {
		json_t *args = json_pack("{s:I}", "id", (json_int_t)field_number(*r, "id"));

		nanosleep(&pause, NULL);
		json_decref(*r);
		*r = NULL;
		status = control_call(path, "probe result", args, r, &error);
	}
	return status == EXIT_YES ? status : cmd_probe_fail(status, error);
}

static int probe(const struct command_args *a, const struct target *t, json_t *addresses)
{
	char *path = ask_socket(a), *error = NULL;
	json_t *args =
		json_pack("{s:s, s:i}", "address", json_string_value(json_array_get(addresses, 0)), "port", t->port);
	json_t *result = NULL;
	int status = EXIT_USAGE;

	if (ask_number(a, args, "timeout")) {
		status = control_call(path, "probe", json_incref(args), &result, &error);
		status = status == EXIT_YES ? cmd_probe_follow(path, &result) : cmd_probe_fail(status, error);
	}
	json_decref(args);
	free(path);
	if (status != EXIT_YES)
		return status;
	json_object_set_new(result, "name", json_string(t->host));
	json_object_set(result, "addresses", addresses);
	status = strcmp(field_text(result, "outcome"), "connected") ? EXIT_NO : EXIT_YES;
	ask_show(a, result, show_probe);
	return status;
}

int cmd_probe(int argc, char **argv)
{
	struct command_args a;
	json_t *addresses = NULL;
	struct target t;
	int family, err = 0, status;

	if (!command_parse(argc, argv, &a))
		return EXIT_USAGE;
	if (!read_target(a.words[0], &t)) {
		fputs("sluice probe: expected HOST:PORT, an IPv6 address in brackets, a port from 1 to 65535\n",
		      stderr);
		return EXIT_USAGE;
	}
	if (command_option(&a, "ipv4") && command_option(&a, "ipv6")) {
		fputs("sluice probe: --ipv4 or --ipv6, not both\n", stderr);
		return EXIT_USAGE;
	}
	if (!ask_config(&a))
		return EXIT_USAGE;
	family = command_option(&a, "ipv4") ? AF_INET : command_option(&a, "ipv6") ? AF_INET6 : AF_UNSPEC;
	if (!cmd_probe_ask_policy(&a, &t, &addresses))
		return EXIT_USAGE;
	if (!addresses)
		err = cmd_probe_look_up(&t, family, &addresses);
	if (err) {
		fprintf(stderr, "sluice probe: %s: %s\n", t.host, gai_strerror(err));
		json_decref(addresses);
		return EXIT_NO;
	}
	status = probe(&a, &t, addresses);
	json_decref(addresses);
	return status;
}
