/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commands of a node of a tailnet: up, logout, netmap, ping. A login, which takes time, goes on
 * in the gateway; the command waits for news and looks then.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "command_ask.h"
#include "user/control/control.h"
#include "user/print/print.h"
#include "user/base/text.h"
#include "user/base/exit.h"

#define STEP_MS	      50
#define PING_WAIT_MS  1000
#define PINGS_DEFAULT 5
#define COUNT_MAX     1000000
#define LOGOUT_WAIT_S 30 /* the server has 20 to answer */

static void wait_step(void)
{
	const struct timespec step = {.tv_nsec = STEP_MS * 1000000l};

	nanosleep(&step, NULL);
}

/* ---- up, logout -------------------------------------------------------------------------- */

struct progress {
	char *path;	  /* the socket */
	char login[1024]; /* told already */
	json_int_t news;  /* seen so far */
	json_t *tailnet;  /* of the last look */
};

static int complain(const char *command, int status, char *error)
{
	if (status != EXIT_YES)
		fprintf(stderr, "sluice %s: %s\n", command, error ? error : "failed");
	free(error);
	return status;
}

static long now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (long)t.tv_sec;
}

/* Until there is news, or @seconds are over. */
static int wait_for_news(struct progress *p, const char *command, long seconds)
{
	json_t *result = NULL, *args = json_pack("{s:I, s:I}", "seen", p->news, "wait", (json_int_t)seconds);
	char *error = NULL;
	int status = control_call(p->path, "news", args, &result, &error);

	p->news = json_integer_value(json_object_get(result, "news"));
	json_decref(result);
	return complain(command, status, error);
}

/* EXIT_YES: there is news in tailnet; else an exit status after a message. */
static int cmd_tailnet_look(struct progress *p, const char *command)
{
	json_t *status = NULL;
	char *error = NULL;
	int result = control_call(p->path, "status", NULL, &status, &error);

	json_decref(p->tailnet);
	p->tailnet = json_incref(json_object_get(status, "tailnet"));
	json_decref(status);
	return complain(command, result, error);
}

static void tell_login(struct progress *p)
{
	const char *url = field_text(p->tailnet, "login");
	char escaped[1024];

	if (!*url || !strcmp(url, p->login))
		return;
	snprintf(p->login, sizeof(p->login), "%s", url);
	fprintf(stderr, "To log in, open:\n\n\t%s\n\n", text_escape(url, escaped, sizeof(escaped)));
}

/* Until the gateway is in, or somebody has to do something; the exit status. */
static int cmd_tailnet_follow(struct progress *p, long seconds)
{
	long end = now_s() + seconds;
	char text[600];
	int status;

	for (long left = seconds; left > 0; left = end - now_s()) {
		const char *state;

		status = wait_for_news(p, "up", left) ?: cmd_tailnet_look(p, "up");
		if (status != EXIT_YES)
			return status;
		state = field_text(p->tailnet, "state");
		tell_login(p);
		if (!strcmp(state, "connected"))
			return EXIT_YES;
		if (!strcmp(state, "refused")) {
			fprintf(stderr, "sluice up: %s\n",
				text_escape(field_text(p->tailnet, "text"), text, sizeof(text)));
			return EXIT_NO;
		}
	}
	fprintf(stderr, "sluice up: not within %ld s: %s; it goes on, and `sluice status` tells how\n", seconds,
		text_escape(field_text(p->tailnet, "text"), text, sizeof(text)));
	return EXIT_NO;
}

static void show_up(const json_t *t, FILE *out)
{
	unsigned long long peers = field_number(t, "peers");
	char node[256], server[512];

	fprintf(out, "connected to %s as %s, %llu peer%s\n",
		text_escape(field_text(t, "server"), server, sizeof(server)),
		text_escape(field_text(t, "node"), node, sizeof(node)), peers, peers == 1 ? "" : "s");
}

int cmd_up(int argc, char **argv)
{
	struct progress p = {0};
	struct command_args a;
	char note[600];
	long seconds = 600;
	json_t *result;
	int status;

	if (!command_parse(argc, argv, &a))
		return EXIT_USAGE;
	if (!ask_count(&a, "timeout", COUNT_MAX, &seconds))
		return EXIT_USAGE;
	status = ask(&a, json_pack("{s:b}", "new_key", command_option(&a, "new-key") != NULL), &result);
	if (status != EXIT_YES)
		return status;
	if (*field_text(result, "note"))
		fprintf(stderr, "sluice up: %s\n", text_escape(field_text(result, "note"), note, sizeof(note)));
	json_decref(result);
	p.path = ask_socket(&a);
	status = cmd_tailnet_follow(&p, seconds);
	if (status == EXIT_YES)
		ask_show(&a, json_incref(p.tailnet), show_up);
	json_decref(p.tailnet);
	free(p.path);
	return status;
}

/* Until the server has answered, or cannot be told now. */
static int await_out(struct progress *p)
{
	long end = now_s() + LOGOUT_WAIT_S;
	int status = EXIT_YES;

	for (long left = LOGOUT_WAIT_S; status == EXIT_YES && left > 0; left = end - now_s()) {
		status = wait_for_news(p, "logout", left) ?: cmd_tailnet_look(p, "logout");
		if (strncmp(field_text(p->tailnet, "state"), "connect", strlen("connect")))
			break;
	}
	return status;
}

static void show_logout(const json_t *t, FILE *out)
{
	bool told = !strcmp(field_text(t, "state"), "logged out");
	char text[600];

	text_escape(field_text(t, "text"), text, sizeof(text));
	fprintf(out, "%s: the gateway serves nobody until `sluice up`\n", told ? text : "logged out here");
	if (!told)
		fprintf(out, "the server hears of it when it can be reached: %s\n", text);
}

int cmd_logout(int argc, char **argv)
{
	struct progress p = {0};
	struct command_args a;
	json_t *result;
	int status;

	if (!command_parse(argc, argv, &a))
		return EXIT_USAGE;
	status = ask(&a, NULL, &result);
	if (status != EXIT_YES)
		return status;
	json_decref(result);
	p.path = ask_socket(&a);
	status = await_out(&p);
	if (status == EXIT_YES)
		ask_show(&a, json_incref(p.tailnet), show_logout);
	json_decref(p.tailnet);
	free(p.path);
	return status;
}

/* ---- netmap ---------------------------------------------------------------------------------- */

int cmd_netmap(int argc, char **argv)
{
	return ask_and_show(argc, argv, NULL, print_netmap);
}

/* ---- ping ---------------------------------------------------------------------------------------- */

struct pinger {
	const struct command_args *a;
	char *path;
	json_t *pongs;	 /* all of them */
	json_t *trouble; /* as said last: why the node's relay cannot be reached, or null */
	uint64_t seen;	 /* number of the last one */
};

/* Asks with {"node", more}; an exit status, after a message. */
static int cmd_tailnet_call(const struct pinger *p, const char *verb, json_t *args, json_t **result)
{
	char *error = NULL;
	int status;

	json_object_set_new(args, "node", json_string(p->a->words[0]));
	status = control_call(p->path, verb, args, result, &error);
	if (status != EXIT_YES)
		fprintf(stderr, "sluice ping: %s\n", error ? error : "failed");
	free(error);
	return status;
}

static void print_pong(const char *name, const json_t *pong)
{
	bool direct = !strcmp(field_text(pong, "path"), "direct");
	double ms = (double)field_number(pong, "microseconds") / 1000;
	char escaped[128];

	printf("pong from %s by %s%s in %.1f ms\n", name, direct ? "" : "relay ",
	       text_escape(field_text(pong, direct ? "endpoint" : "relay"), escaped, sizeof(escaped)), ms);
	fflush(stdout);
}

/* Pongs that have come since; *@direct: one of them straight. */
static int cmd_tailnet_collect(struct pinger *p, const char *name, bool *direct)
{
	json_t *result = NULL, *pong;
	int status = cmd_tailnet_call(p, "pong", json_pack("{s:I}", "number", (json_int_t)p->seen), &result);
	size_t i;

	if (status != EXIT_YES)
		return status;
	json_array_foreach (json_object_get(result, "pongs"), i, pong) {
		p->seen = field_number(pong, "number");
		*direct |= !strcmp(field_text(pong, "path"), "direct");
		json_array_append(p->pongs, pong);
		if (!command_option(p->a, "json"))
			print_pong(name, pong);
	}
	json_decref(p->trouble);
	p->trouble = json_incref(json_object_get(result, "trouble"));
	json_decref(result);
	return EXIT_YES;
}

static void print_silence(const struct pinger *p, const char *name)
{
	const char *trouble = json_string_value(p->trouble);
	char escaped[512];

	printf("no pong from %s%s%s\n", name, trouble ? ": " : "",
	       trouble ? text_escape(trouble, escaped, sizeof(escaped)) : "");
}

static int ping_once(struct pinger *p, bool *direct)
{
	size_t before = json_array_size(p->pongs);
	json_t *started = NULL;
	char name[128];
	int status = cmd_tailnet_call(p, "ping", json_object(), &started);

	if (status != EXIT_YES)
		return status;
	p->seen = field_number(started, "number");
	text_escape(field_text(started, "name"), name, sizeof(name));
	json_decref(started);
	for (int ms = 0; ms < PING_WAIT_MS && !*direct && status == EXIT_YES; ms += STEP_MS) {
		wait_step();
		status = cmd_tailnet_collect(p, name, direct);
	}
	if (status == EXIT_YES && before == json_array_size(p->pongs) && !command_option(p->a, "json"))
		print_silence(p, name);
	return status;
}

int cmd_ping(int argc, char **argv)
{
	struct command_args a;
	struct pinger p = {.a = &a};
	long count = PINGS_DEFAULT;
	bool direct = false;
	int status = EXIT_YES;

	if (!command_parse(argc, argv, &a))
		return EXIT_USAGE;
	if (!ask_count(&a, "count", COUNT_MAX, &count))
		return EXIT_USAGE;
	if (!ask_config(&a))
		return EXIT_USAGE;
	p.path = ask_socket(&a);
	p.pongs = json_array();
	while (count-- && status == EXIT_YES && !direct)
		status = ping_once(&p, &direct);
	if (status == EXIT_YES && !json_array_size(p.pongs))
		status = EXIT_NO;
	if (command_option(&a, "json") && (status == EXIT_YES || status == EXIT_NO)) {
		json_t *result =
			json_pack("{s:i, s:O, s:O?}", "schema", CONTROL_SCHEMA, "pongs", p.pongs, "trouble", p.trouble);

		ask_show(&a, result, NULL);
	}
	json_decref(p.pongs);
	json_decref(p.trouble);
	free(p.path);
	return status;
}
