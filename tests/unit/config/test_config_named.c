/* SPDX-License-Identifier: BSD-2-Clause */
/* Fault 2: which clients the files of a configuration still name that is not taken, for it has mistakes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/unit/emulated.h"
#include "tests/unit/write_file.h"
#include "user/config/config_named.h"

#define ALICE "3H3Xl7JIpTlwFX+Fiw9PL6GMVgngMlEX8ZwxDToP+zQ="
#define BOB   "xvZrJs0zzx790bUctygc5IB9SeXp2qMKd55mkfvJ/2Q="

#define ENTRY_A	 "- {name: a, user: a@x, public_key: " ALICE ", addresses: [100.64.0.5]}\n"
#define ENTRY_B	 "- {name: b, user: b@x, public_key: " BOB ", addresses: [100.64.0.6]}\n"
#define TOP	 "version: 1\ntunnel: {addresses: [100.64.0.1/10]}\n"
#define MISTAKE	 "routes: [10.0.0.256/8]\n"
#define INSIDE	 TOP MISTAKE "clients:\n"
#define FOLDERED TOP MISTAKE "clients: clients.d\n"

/* A gateway with alice and bob, whose files are changed. */
static const struct {
	const char *name, *file,
		*folder; /* texts; clients.d has one file; "": it is not there, NULL: nor is the folder */
	bool had_folder;
	bool alice, bob, whole;
	const char *unsure; /* part of it; NULL: it is told who was removed */
} rows[] = {
	{"both in the file", INSIDE ENTRY_A ENTRY_B, NULL, false, true, true, true, NULL},
	{"one removed", INSIDE ENTRY_A, NULL, false, true, false, true, NULL},
	{"all removed", TOP MISTAKE "clients: []\n", NULL, false, false, false, true, NULL},
	{"one commented out", INSIDE ENTRY_A "# " ENTRY_B, NULL, false, true, false, true, NULL},
	{"one commented out, and no YAML", INSIDE ENTRY_A "# " ENTRY_B "nat: {\n", NULL, false, true, false, false,
	 NULL},
	{"behind a remark, and no YAML", INSIDE ENTRY_A "x: y # " ENTRY_B "nat: {\n", NULL, false, true, false, false,
	 NULL},
	{"no YAML", INSIDE ENTRY_A ENTRY_B "nat: {\n", NULL, false, true, true, false, NULL},
	{"a list by another name", TOP "cleints:\n" ENTRY_A ENTRY_B, NULL, false, true, true, false, NULL},
	{"no list", TOP MISTAKE, NULL, false, false, false, false, NULL},
	{"an entry with a mistake", INSIDE ENTRY_A "- {nam: b, public_key: " BOB "}\n", NULL, false, true, true, false,
	 NULL},
	{"a key by another name", INSIDE ENTRY_A "- {name: b, pubic_key: " BOB "}\n", NULL, false, true, true, false,
	 NULL},
	{"another key, mistyped", INSIDE ENTRY_A "- {name: b, public_key: A" BOB "}\n", NULL, false, true, false, false,
	 NULL},
	{"cut in a key", INSIDE ENTRY_A "- {name: b, user: b@x, public_key: xvZr", NULL, false, true, false, false,
	 "gateway.yaml ends in the middle of a line"},
	{"empty", "", NULL, false, false, false, false, "gateway.yaml is empty"},
	{"not there", NULL, NULL, false, false, false, false, "gateway.yaml cannot be read"},
	{"in the folder", FOLDERED, ENTRY_A ENTRY_B, true, true, true, true, NULL},
	{"one removed from the folder", FOLDERED, ENTRY_A, true, true, false, true, NULL},
	{"the folder's file has mistakes", FOLDERED, ENTRY_A "- {name: b}\n", true, true, false, false, NULL},
	{"the folder's file is no YAML", FOLDERED, ENTRY_A "- {name: b\n", true, true, false, false, NULL},
	{"the folder's file was cut", FOLDERED, ENTRY_A "- {nam", true, true, false, false, "ends in the middle"},
	{"the folder's file was removed", FOLDERED, "", true, false, false, true, NULL},
	{"the folder is gone", FOLDERED, NULL, true, false, false, false, "clients.d cannot be read"},
	{"a folder whose file is no YAML", "nat: {\n", ENTRY_A, true, true, false, false, NULL},
	{"an empty folder whose file is no YAML", "nat: {\n", "", true, false, false, false, NULL},
	{"a folder whose file is empty", "", ENTRY_A, true, true, false, false, NULL},
	{"a folder that the file does not name", TOP "cleints: clients.d\n", ENTRY_A ENTRY_B, true, true, true, false,
	 NULL},
	{"from the folder into the file", INSIDE ENTRY_A, ENTRY_A ENTRY_B, true, true, false, true, NULL},
	{"HuJSON, commented out",
	 "{\"clients\": [\n{\"public_key\": \"" ALICE "\"},\n// {\"public_key\": \"" BOB "\"},\n", NULL, false, true,
	 false, false, NULL},
	{"HuJSON, a key with two slashes", "{\"x\": \"https://x\", \"clients\": [{\"public_key\": \"" ALICE "\"},\n",
	 NULL, false, true, false, false, NULL},
};

static bool names(const struct config_named *named, const char *text)
{
	uint8_t key[KEY_LEN];

	assert_true(key_from_base64(text, strlen(text), key));
	return config_named_has(named, key);
}

static void try_row(size_t i)
{
	char folder[] = "/tmp/sluice-named-XXXXXX", file[512], clients[512], command[512];
	const char *main = strstr(rows[i].name, "HuJSON") ? "gateway.hujson" : "gateway.yaml";
	struct config_named named = {0};
	struct diags d = {0};

	assert_non_null(mkdtemp(folder));
	snprintf(file, sizeof(file), "%s/%s", folder, main);
	snprintf(clients, sizeof(clients), "%s/clients.d", folder);
	if (rows[i].file)
		write_file(folder, main, rows[i].file);
	if (rows[i].folder)
		mkdir(clients, 0700);
	if (rows[i].folder && *rows[i].folder)
		write_file(folder, "clients.d/all.yaml", rows[i].folder);
	if (config_load_again(file, rows[i].had_folder ? clients : NULL, &named, &d))
		fail_msg("%s: taken", rows[i].name);
	if (names(&named, ALICE) != rows[i].alice || names(&named, BOB) != rows[i].bob || named.whole != rows[i].whole)
		fail_msg("%s: alice %d, bob %d, whole %d", rows[i].name, names(&named, ALICE), names(&named, BOB),
			 named.whole);
	if (!named.unsure != !rows[i].unsure || (named.unsure && !strstr(named.unsure, rows[i].unsure)))
		fail_msg("%s: unsure: %s", rows[i].name, named.unsure ? named.unsure : "no");
	config_named_free(&named);
	diags_free(&d);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	assert_int_equal(system(command), 0);
}

static void test_fault_2_whom_files_with_mistakes_name(void **state)
{
	if (lacks_openat2())
		skip();
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		try_row(i);
}

/* Where a configuration is taken, nothing is named. */
static void test_a_good_one(void **state)
{
	char folder[] = "/tmp/sluice-named-XXXXXX", file[512], command[512];
	struct config_named named = {0};
	struct diags d = {0};
	struct config *cfg;

	assert_non_null(mkdtemp(folder));
	write_file(folder, "gateway.yaml", TOP "clients:\n" ENTRY_A ENTRY_B);
	snprintf(file, sizeof(file), "%s/gateway.yaml", folder);
	cfg = config_load_again(file, NULL, &named, &d);
	assert_non_null(cfg);
	assert_int_equal(cfg->n_clients, 2);
	assert_null(named.read);
	assert_false(cfg->clients[0].mistaken);
	config_named_free(&named);
	config_free(cfg);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fault_2_whom_files_with_mistakes_name),
		cmocka_unit_test(test_a_good_one),
	};

	return cmocka_run_group_tests_name("config_named", tests, NULL, NULL);
}
