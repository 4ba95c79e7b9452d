/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The command line: the table of commands, what it takes and refuses, and that
 * help, completion and manual say the same. Commands run in a child, with files in
 * the place of its standard streams.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "user/cli/command.h"
#include "user/base/exit.h"

#define WORDS_MAX 16

/* ---- running ------------------------------------------------------------------------------- */

struct ran {
	int status;
	char out[65536], err[8192];
};

static void slurp(int fd, char *buf, size_t size)
{
	ssize_t n = pread(fd, buf, size - 1, 0);

	buf[n > 0 ? n : 0] = 0;
	close(fd);
}

static int temporary(const char *text)
{
	char name[] = "/tmp/sluice-cli-XXXXXX";
	int fd = mkstemp(name);

	assert_true(fd >= 0);
	unlink(name);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	lseek(fd, 0, SEEK_SET);
	return fd;
}

/* @line: the words, parted by spaces. */
static int split(char *line, char **argv)
{
	int n = 0;

	for (char *word = strtok(line, " "); word && n < WORDS_MAX; word = strtok(NULL, " "))
		argv[n++] = word;
	argv[n] = NULL;
	return n;
}

/* As main() does it. */
static int run_words(int argc, char **argv)
{
	const struct command *c;
	int words;

	c = command_find(argc, argv, &words);
	if (!c)
		return 99;
	argv[words - 1] = (char *)c->name;
	return c->run(argc - words + 1, argv + words - 1);
}

static void run(const char *line, const char *input, struct ran *r)
{
	int in = temporary(input), out = temporary(""), err = temporary(""), status;
	char *argv[WORDS_MAX + 1], copy[512];
	pid_t pid;

	snprintf(copy, sizeof(copy), "%s", line);
	fflush(NULL);
	pid = fork();
	if (!pid) {
		dup2(in, STDIN_FILENO);
		dup2(out, STDOUT_FILENO);
		dup2(err, STDERR_FILENO);
		status = run_words(split(copy, argv), argv);
		fflush(NULL);
		_exit(status);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	r->status = WEXITSTATUS(status);
	slurp(out, r->out, sizeof(r->out));
	slurp(err, r->err, sizeof(r->err));
	close(in);
}

/* ---- the table --------------------------------------------------------------------------------- */

static void test_two_words_before_one(void **state)
{
	static const struct {
		const char *line, *name;
		int words;
	} cases[] = {
		{"clients", "clients", 1},
		{"clients kick bob", "clients kick", 2},
		{"clients --json", "clients", 1},
		{"map dump flows", "map dump", 2},
		{"map", NULL, 1},
		{"flows kill", "flows kill", 2},
		{"boom", NULL, 1},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char copy[64], *argv[WORDS_MAX + 1];
		const struct command *c;
		int n, words;

		strcpy(copy, cases[i].line);
		n = split(copy, argv);
		c = command_find(n, argv, &words);
		if (cases[i].name)
			assert_string_equal(c->name, cases[i].name);
		else
			assert_null(c);
		assert_int_equal(words, cases[i].words);
	}
}

static void test_table_is_sound(void **state)
{
	for (const struct command *c = commands; c->name; c++) {
		int n = 0;

		assert_ptr_equal(command_by_name(c->name), c); /* each name once */
		assert_non_null(c->run);
		assert_true(c->least <= c->most);
		assert_true((c->most > 0) == (*c->synopsis != 0));
		for (const struct command_option *o = c->options; o && o->name; o++, n++)
			for (const struct command_option *p = c->options; p < o; p++) {
				assert_string_not_equal(o->name, p->name);
				assert_true(!o->letter || o->letter != p->letter);
			}
		assert_true(n <= COMMAND_OPTIONS_MAX);
	}
}

static char *read_file(const char *path)
{
	char *text = calloc(1, 1 << 18);
	FILE *in = fopen(path, "r");

	assert_non_null(in);
	assert_true(fread(text, 1, (1 << 18) - 1, in) > 0);
	fclose(in);
	return text;
}

/* The manual names every command and every option. */
static void test_manual_is_complete(void **state)
{
	char *manual = read_file("user/system/sluice.8"), want[128];

	for (const struct command *c = commands; c->name; c++) {
		snprintf(want, sizeof(want), ".It Cm %s", c->name);
		if (!strstr(manual, want))
			fail_msg("user/system/sluice.8 lacks the command: %s", c->name);
		for (const struct command_option *o = c->options; o && o->name; o++) {
			snprintf(want, sizeof(want), "Fl -%s", o->name);
			if (!strstr(manual, want))
				fail_msg("user/system/sluice.8 lacks the option: --%s of %s", o->name, c->name);
		}
	}
	free(manual);
}

/* Fault 11: -n, -p, -k, -w and -m meant different things. A letter is one option's and an option is one thing,
 * everywhere. */
static void test_fault_11_options_mean_the_same_everywhere(void **state)
{
	for (const struct command *c = commands; c->name; c++)
		for (const struct command_option *o = c->options; o && o->name; o++)
			for (const struct command *d = commands; d->name; d++)
				for (const struct command_option *p = d->options; p && p->name; p++) {
					bool same = !strcmp(o->name, p->name);

					if (same && (o->letter != p->letter || !o->value != !p->value ||
						     strcmp(o->help, p->help)))
						fail_msg("--%s of %s and of %s differ", o->name, c->name, d->name);
					if (!same && o->letter && o->letter == p->letter)
						fail_msg("-%c is --%s of %s and --%s of %s", o->letter, o->name,
							 c->name, p->name, d->name);
				}
}

/* ".Fl u , Fl -user" of the manual is what the table has. */
static void test_fault_11_letters_of_the_manual(void **state)
{
	char *manual = read_file("user/system/sluice.8");
	size_t seen = 0;

	for (char *at = manual; (at = strstr(at, ".Fl ")); at++) {
		char letter, name[32];

		if (sscanf(at, ".Fl %c , Fl -%31[a-z-]", &letter, name) != 2)
			continue;
		seen++;
		for (const struct command *c = commands; c->name; c++)
			for (const struct command_option *o = c->options; o && o->name; o++)
				if (!strcmp(o->name, name) && o->letter != letter)
					fail_msg("the manual has -%c for --%s", letter, name);
	}
	assert_true(seen > 10);
	free(manual);
}

/* Fault 11: "log" hinted at "logout". */
static void test_fault_11_no_hint_destroys(void **state)
{
	static const struct {
		const char *word, *hint;
	} cases[] = {
		{"log", NULL},	      {"logot", NULL},	 {"logou", NULL},	    {"dwn", NULL},
		{"kick", NULL},	      {"kill", NULL},	 {"rollback", NULL},	    {"reset", NULL},
		{"statsu", "status"}, {"flow", "flows"}, {"apply", "policy apply"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *hint = command_hint(cases[i].word);

		if (!hint != !cases[i].hint || (hint && strcmp(hint, cases[i].hint)))
			fail_msg("%s: hints at %s", cases[i].word, hint ? hint : "nothing");
	}
	for (const struct command *c = commands; c->name; c++)
		if (c->destroys)
			assert_true(!command_hint(c->name) || strcmp(command_hint(c->name), c->name) != 0);
}

static void test_help_of_each(void **state)
{
	for (const struct command *c = commands; c->name; c++) {
		char *out = NULL;
		size_t size;
		FILE *f = open_memstream(&out, &size);

		command_help(c, f);
		fclose(f);
		assert_non_null(strstr(out, c->name));
		assert_non_null(strstr(out, c->summary));
		for (const struct command_option *o = c->options; o && o->name; o++)
			assert_non_null(strstr(out, o->help));
		free(out);
	}
}

static void test_help_of_a_first_word(void **state)
{
	char *out = NULL;
	size_t size;
	FILE *f = open_memstream(&out, &size);

	assert_true(commands_below("map", f));
	assert_false(commands_below("ma", f));
	assert_false(commands_below("status", f));
	fclose(f);
	assert_non_null(strstr(out, "usage: sluice map COMMAND"));
	assert_non_null(strstr(out, "map list"));
	assert_non_null(strstr(out, "map dump"));
	assert_null(strstr(out, "status"));
	free(out);
}

static void test_completion_is_bash(void **state)
{
	char path[] = "/tmp/sluice-completion-XXXXXX", command[128];
	struct ran r;
	FILE *out;

	run("completion", "", &r);
	assert_int_equal(r.status, EXIT_YES);
	assert_non_null(strstr(r.out, "\"clients kick\") options=\"--help --json --socket --config\""));
	assert_int_equal(close(mkstemp(path)), 0);
	out = fopen(path, "w");
	fputs(r.out, out);
	fprintf(out,
		"COMP_WORDS=(sluice map d) COMP_CWORD=2; _sluice; [[ ${COMPREPLY[*]} == dump ]] || exit 1\n"
		"COMP_WORDS=(sluice sta) COMP_CWORD=1; _sluice; [[ ${COMPREPLY[*]} == status ]] || exit 2\n"
		"COMP_WORDS=(sluice flows kill --a) COMP_CWORD=3; _sluice; [[ ${COMPREPLY[*]} == --all ]] || exit 3\n");
	fclose(out);
	snprintf(command, sizeof(command), "bash %s", path);
	assert_int_equal(system(command), 0);
	unlink(path);
}

/* ---- arguments ------------------------------------------------------------------------------------- */

#define GONE   "-s /nonexistent/s.sock"
#define OFFICE "tests/unit/cli/files/office.yaml"

static const struct {
	const char *line;
	int status;
	const char *message; /* in standard error */
} calls[] = {
	{"status extra", EXIT_USAGE, "one word too many: extra"},
	{"status --boom", EXIT_USAGE, "sluice status: unknown option: --boom\nusage: sluice status [options]"},
	{"status -jx", EXIT_USAGE, "sluice status: unknown option: -x"},
	{"status -s", EXIT_USAGE, "sluice status: needs a value: -s"},
	{"status --socket", EXIT_USAGE, "sluice status: needs a value: "},
	{"clients kick", EXIT_USAGE, "missing: NAME"},
	{"clients reset", EXIT_USAGE, "missing: NAME"},
	{"explain alice billing", EXIT_USAGE, "words are missing after: billing\nusage: sluice explain [options] SRC"},
	{"clients --sort size " GONE, EXIT_USAGE, "--sort: found \"size\", expected name, user, bytes"},
	{"flows --limit 0 " GONE, EXIT_USAGE, "--limit: found \"0\", expected a number from 1"},
	{"flows --limit 1x " GONE, EXIT_USAGE, "--limit: found \"1x\", expected a number from 1"},
	{"metrics --listen foo " GONE, EXIT_USAGE, "--listen: found \"foo\", expected ADDRESS:PORT"},
	{"client-config alice-laptop -c " OFFICE " -e gw", EXIT_USAGE, "--endpoint: found \"gw\", expected HOST:PORT"},
	{"client-config alice-laptop -c " OFFICE " -k xxx -e gw:1", EXIT_USAGE,
	 "--public-key: found \"xxx\", expected a public key: 44 characters of base64"},
	{"flows --user \xff " GONE, EXIT_USAGE, "--user: not valid UTF-8"},
	{"flows kill " GONE, EXIT_USAGE, "expected --all, or what to end"},
	{"flows kill --all --user a@x " GONE, EXIT_USAGE, "expected --all, or what to end"},
	{"map dump " GONE, EXIT_USAGE, "missing: NAME"},
	{"genkey x", EXIT_USAGE, "one word too many"},
	{"status " GONE, EXIT_NOT_RUNNING, "no gateway runs: nobody answers on /nonexistent/s.sock"},
	{"clients " GONE, EXIT_NOT_RUNNING, "no gateway runs"},
	{"clients kick bob " GONE, EXIT_NOT_RUNNING, "no gateway runs"},
	{"clients reset bob " GONE, EXIT_NOT_RUNNING, "no gateway runs"},
	{"flows --user a@x -p tcp --limit 5 " GONE, EXIT_NOT_RUNNING, "no gateway runs"},
	{"flows kill --all " GONE, EXIT_NOT_RUNNING, "no gateway runs"},
	{"drops " GONE, EXIT_NOT_RUNNING, "no gateway runs"},
	{"routes " GONE, EXIT_NOT_RUNNING, "no gateway runs"},
	{"map list " GONE, EXIT_NOT_RUNNING, "no gateway runs"},
	{"map dump flows -l 3 " GONE, EXIT_NOT_RUNNING, "no gateway runs"},
	{"reload " GONE, EXIT_NOT_RUNNING, "no gateway runs"},
	{"down -c /nonexistent/g.yaml " GONE, EXIT_USAGE, "/nonexistent/g.yaml: cannot be read"},
	{"check -c /nonexistent/g.yaml", EXIT_USAGE, "/nonexistent/g.yaml: cannot be read: No such file or directory"},
	{"check -c gateway.yaml", EXIT_YES, "0 errors"},
	{"check -c gateway.yaml gateway.yaml", EXIT_USAGE, "the file is named twice"},
	{"check /nonexistent/g.yaml", EXIT_USAGE, "/nonexistent/g.yaml: cannot be read: No such file or directory"},
	{"check " OFFICE, EXIT_YES, "has no pool \"bank\": its clients leave by the default one\n0 errors, 1 warning"},
	{"check gateway.yaml", EXIT_YES, "0 errors"},
	{"client-config nobody -c " OFFICE "", EXIT_NO, "no such client: \"nobody\""},
	{"client-config alice-latpop -c " OFFICE "", EXIT_NO, "did you mean \"alice-laptop\"?"},
};

static void test_calls(void **state)
{
	struct ran r;

	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		run(calls[i].line, "", &r);
		if (r.status != calls[i].status || !strstr(r.err, calls[i].message))
			fail_msg("%s: exit %d, stderr: %s", calls[i].line, r.status, r.err);
		assert_string_equal(r.out, "");
	}
}

static void test_check_as_json(void **state)
{
	struct ran r;

	run("check --json " OFFICE, "", &r);
	assert_int_equal(r.status, EXIT_YES);
	assert_string_equal(r.err, "");
	assert_non_null(strstr(r.out, "\"errors\": 0"));
	run("check --json /nonexistent/g.yaml", "", &r);
	assert_int_equal(r.status, EXIT_USAGE);
	assert_non_null(strstr(r.out, "\"schema\": 1"));
	assert_non_null(strstr(r.out, "\"errors\": 1"));
	assert_non_null(strstr(r.out, "\"text\": \"cannot be read: No such file or directory\""));
}

/* As many errors as it counts: the line that sums them up is for people. */
static void test_policy_test_as_json(void **state)
{
	struct ran r;

	run("policy test --json -c " OFFICE " -", "tests: [{src: alice@example.com, accept: ['203.0.113.9:443']}]\n",
	    &r);
	assert_int_equal(r.status, EXIT_USAGE); /* fault 11: as check and apply */
	assert_non_null(strstr(r.out, "\"failed\": 1"));
	assert_non_null(strstr(r.out, "does not reach 203.0.113.9:443"));
	assert_non_null(strstr(r.out, "\"errors\": 1"));
	assert_null(strstr(r.out, "test(s) failed"));
}

/* What is printed is read back as the same, from a configuration and from a netmap. */
static void test_fault_13_an_inventory_of_a_configuration(void **state)
{
	static struct ran yaml, json, again;
	char name[] = "/tmp/sluice-inventory-XXXXXX", line[128];
	int fd = mkstemp(name);

	run("policy inventory -c " OFFICE, "", &yaml);
	assert_int_equal(yaml.status, EXIT_YES);
	assert_non_null(strstr(yaml.out, "tailnet: false\n"));
	assert_non_null(strstr(yaml.out, "\"addresses\":["));
	assert_int_equal(write(fd, yaml.out, strlen(yaml.out)), strlen(yaml.out));
	run("policy inventory --json -c " OFFICE, "", &json);
	snprintf(line, sizeof(line), "policy inventory --json -i %s", name);
	run(line, "", &again);
	assert_string_equal(again.out, json.out);
	snprintf(line, sizeof(line), "policy inventory -i %s", name);
	run(line, "", &again);
	assert_string_equal(again.out, yaml.out);
	close(fd);
	unlink(name);
}

static void test_fault_13_an_inventory_of_a_netmap(void **state)
{
	static const char netmap[] =
		"{\"SelfNode\": {\"ID\": 1, \"Name\": \"gw.ts.net.\", \"Tags\": [\"tag:gw\"], \"Addresses\": "
		"[\"100.64.0.1/32\"], \"AllowedIPs\": [\"100.64.0.1/32\", \"203.0.113.0/24\"]},\n"
		"\"Peers\": [{\"ID\": 2, \"Name\": \"lap.ts.net.\", \"User\": 7, \"Addresses\": "
		"[\"100.64.0.5/32\"]}],\n"
		"\"UserProfiles\": {\"7\": {\"ID\": 7, \"LoginName\": \"a@b.c\"}}}\n";
	char name[] = "/tmp/sluice-netmap-XXXXXX", line[128];
	int fd = mkstemp(name);
	static struct ran r;

	assert_int_equal(write(fd, netmap, strlen(netmap)), strlen(netmap));
	snprintf(line, sizeof(line), "policy inventory -i %s", name);
	run(line, "", &r);
	assert_int_equal(r.status, EXIT_YES);
	assert_non_null(strstr(r.out, "tailnet: true\nusers:\n- {\"name\":\"a@b.c\"}\nnodes:\n"
				      "- {\"name\":\"gw\",\"tags\":[\"tag:gw\"],\"addresses\":[\"100.64.0.1\"],"
				      "\"approved\":[\"203.0.113.0/24\"]}\n"
				      "- {\"name\":\"lap\",\"user\":\"a@b.c\",\"addresses\":[\"100.64.0.5\"]}\n"));
	close(fd);
	unlink(name);
}

/*
 * Fault 10: every command tells what happened in text, JSON and exit status alike. The text is the same with --json,
 * and the JSON has its messages. (A gateway's commands are in tests/lab/test_outcomes.py, with the log.)
 */
static const struct {
	const char *line, *input;
	int status;
	const char *text, *json;
} outcomes[] = {
	{"policy check -c " OFFICE " -", "acls: []\n", EXIT_YES, "0 errors", "\"errors\": 0"},
	{"policy check -c " OFFICE " -", "acl: []\n", EXIT_USAGE, "unknown field \"acl\"", "unknown field \\\"acl\\\""},
	{"policy test -c " OFFICE " -", "acls: []\n", EXIT_YES, "", "\"passed\": 0"},
	{"policy test -c " OFFICE " -", "tests: [{src: alice@example.com, accept: ['203.0.113.9:443']}]\n", EXIT_USAGE,
	 "does not reach 203.0.113.9:443", "does not reach 203.0.113.9:443"},
	{"policy diff -c " OFFICE " - /nonexistent/p.yaml", "acls: []\n", EXIT_USAGE, "the policy cannot be read",
	 "the policy cannot be read"},
	{"policy matrix -c " OFFICE " -", "acl: []\n", EXIT_USAGE, "unknown field \"acl\"",
	 "unknown field \\\"acl\\\""},
	{"check /nonexistent/g.yaml", "", EXIT_USAGE, "cannot be read", "cannot be read"},
	{"explain a@b.c 203.0.113.9 443 -c " OFFICE " --policy - " GONE, "acl: []\n", EXIT_USAGE,
	 "unknown field \"acl\"", "unknown field \\\"acl\\\""},
	{"policy apply /nonexistent/p.yaml " GONE, "", EXIT_USAGE, "the policy cannot be read",
	 "the policy cannot be read"},
	{"policy apply - " GONE, "acls: []\n", EXIT_NOT_RUNNING, "no gateway runs", "no gateway runs"},
	{"reload " GONE, "", EXIT_NOT_RUNNING, "no gateway runs", "\"status\": 3"},
	{"status " GONE, "", EXIT_NOT_RUNNING, "no gateway runs", "no gateway runs"},
	{"flows " GONE, "", EXIT_NOT_RUNNING, "no gateway runs", "no gateway runs"},
	{"clients kick x " GONE, "", EXIT_NOT_RUNNING, "no gateway runs", "no gateway runs"},
};

static void test_fault_10_outcomes(void **state)
{
	static struct ran text, json;

	for (size_t i = 0; i < sizeof(outcomes) / sizeof(*outcomes); i++) {
		char line[256];

		run(outcomes[i].line, outcomes[i].input, &text);
		snprintf(line, sizeof(line), "%s --json", outcomes[i].line);
		run(line, outcomes[i].input, &json);
		if (text.status != outcomes[i].status || json.status != outcomes[i].status)
			fail_msg("%s: exit %d, and %d with --json", outcomes[i].line, text.status, json.status);
		if (!strstr(text.err, outcomes[i].text))
			fail_msg("%s: said %s", outcomes[i].line, text.err);
		if (!strstr(json.out, outcomes[i].json) || !strstr(json.out, "\"schema\": "))
			fail_msg("%s --json: %s", outcomes[i].line, json.out);
	}
}

/* ---- keys --------------------------------------------------------------------------------------------- */

static void test_genkey_gives_other_keys(void **state)
{
	static struct ran a, b;

	run("genkey", "", &a);
	run("genkey", "", &b);
	assert_int_equal(a.status, EXIT_YES);
	assert_int_equal(strlen(a.out), 45);
	assert_string_not_equal(a.out, b.out);
}

static void test_pubkey(void **state)
{
	/* RFC 7748, 6.1: Alice's and Bob's keys */
	static const char alice[] = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=\n";
	static const char *const bad[] = {"",
					  "\n",
					  "x\n",
					  "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LC=\n",
					  "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=x\n",
					  "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=                          x"};
	struct ran r;

	run("pubkey", alice, &r);
	assert_int_equal(r.status, EXIT_YES);
	assert_string_equal(r.out, "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=\n");
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		run("pubkey", bad[i], &r);
		assert_int_equal(r.status, EXIT_NO);
		assert_string_equal(r.out, "");
	}
}

/* ---- client-config --------------------------------------------------------------------------------------- */

static void test_client_config(void **state)
{
	struct ran r;

	run("client-config alice-laptop -c " OFFICE " -k hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo= "
	    "-e gw.example.com:51820",
	    "", &r);
	assert_int_equal(r.status, EXIT_YES);
	assert_string_equal(r.out,
			    "# alice-laptop (alice@example.com) on gw-1\n"
			    "[Interface]\n"
			    "PrivateKey = PUT-THE-CLIENT'S-PRIVATE-KEY-HERE\n"
			    "Address = 100.64.0.5/32, fd7a:115c:a1e0::5/128\n"
			    "\n"
			    "[Peer]\n"
			    "PublicKey = hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=\n"
			    "AllowedIPs = 100.64.0.1/32, fd7a:115c:a1e0::1/128, 203.0.113.9/32, 203.0.113.64/30, "
			    "203.0.113.68/31, 203.0.113.71/32, 203.0.113.72/29, 203.0.113.80/28, 203.0.113.96/27, "
			    "2001:db8:cafe::/64\n"
			    "Endpoint = gw.example.com:51820\n"
			    "PersistentKeepalive = 25\n");
	run("client-config alice-laptop -c " OFFICE " -k hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo= -e gw:1 --qr", "",
	    &r);
	assert_int_equal(r.status, EXIT_YES);
	assert_non_null(strstr(r.out, "▀"));
	assert_non_null(strstr(r.err, "without --private-key the code has no key in it"));
}

static void test_version(void **state)
{
	struct ran r;

	run("version", "", &r);
	assert_int_equal(r.status, EXIT_YES);
	assert_non_null(strstr(r.out, "sluice "));
	assert_non_null(strstr(r.out, "libsodium "));
	assert_non_null(strstr(r.out, "aead "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_words_before_one),
		cmocka_unit_test(test_table_is_sound),
		cmocka_unit_test(test_manual_is_complete),
		cmocka_unit_test(test_fault_11_options_mean_the_same_everywhere),
		cmocka_unit_test(test_fault_11_letters_of_the_manual),
		cmocka_unit_test(test_fault_11_no_hint_destroys),
		cmocka_unit_test(test_help_of_each),
		cmocka_unit_test(test_help_of_a_first_word),
		cmocka_unit_test(test_completion_is_bash),
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_check_as_json),
		cmocka_unit_test(test_policy_test_as_json),
		cmocka_unit_test(test_fault_13_an_inventory_of_a_configuration),
		cmocka_unit_test(test_fault_13_an_inventory_of_a_netmap),
		cmocka_unit_test(test_fault_10_outcomes),
		cmocka_unit_test(test_genkey_gives_other_keys),
		cmocka_unit_test(test_pubkey),
		cmocka_unit_test(test_client_config),
		cmocka_unit_test(test_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
