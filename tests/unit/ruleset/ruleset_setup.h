/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_RULESET_SETUP_H
#define TESTS_RULESET_SETUP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/answers/report_explain.h"
#include "user/answers/report_policy.h"
#include "user/base/file.h"
#include "user/ruleset/policy_store.h"
#include "user/ruleset/ruleset.h"

/* A gateway with a policy, in a folder of the test's own. */
#define N(list) (sizeof(list) / sizeof((list)[0]))
#define NOW	2000000000 /* Unix seconds */

static const char gateway[] =
	"version: 1\n"
	"name: gw\n"
	"tunnel: {addresses: [100.64.0.1/10, 'fd7a:115c:a1e0::1/48']}\n"
	"egress: {pools: {bank: {interface: eth1, addresses: [10.1.0.4]}}}\n"
	"routes: [203.0.113.0/24, 198.18.0.0/15, '2001:db8:3::/64']\n"
	"tags: ['tag:gw']\n"
	"clients:\n"
	"- {name: laptop, user: alice@example.com, public_key: zwRL3/KjvQoKf5skYdjEPd+vb0rbEcNFOVteKbGkjCs=,\n"
	"   addresses: [100.64.0.5, 'fd7a:115c:a1e0::5']}\n"
	"- {name: phone, user: bob@example.com, public_key: f+GfXmGYxHAEf6UfJkUmE0Hv+cSb5pVRqeyF3qDAFSo=,\n"
	"   addresses: [100.64.0.6]}\n"
	"- {name: lent, user: alice@example.com, public_key: WoU2vHVnU0W3WCJ3lvsRh1IX+OOeTbc8tlqUV5MhqXo=,\n"
	"   addresses: [100.64.0.7], expires: 2030-01-01}\n"; /* NOW is 2033 */

static const char policy[] = "hosts: {billing: 203.0.113.9, billing6: '2001:db8:3::9', meta: 169.254.169.254}\n"
			     "tagOwners: {'tag:gw': []}\n"
			     "autoApprovers: {routes: {203.0.113.0/24: ['tag:gw'], '2001:db8:3::/64': ['tag:gw']}}\n"
			     "acls:\n"
			     "- {action: accept, src: [alice@example.com], dst: ['billing:443', 'billing6:*', "
			     "'meta:80', '198.18.0.0/15:*']}\n"
			     "deny:\n"
			     "- {src: ['*'], dst: ['203.0.113.9:444']}\n"
			     "egress: {alice@example.com: bank}\n"
			     "quotas:\n"
			     "- {src: [bob@example.com], flows: 1}\n"
			     "- {src: [alice@example.com], flows: 2000, new_flows: 100/s, bytes: 20M/s}\n";

struct setup {
	char folder[64];
	struct config *config;
	struct diags d;
};

static inline int open_setup(void **state)
{
	struct setup *s = calloc(1, sizeof(*s));

	strcpy(s->folder, "/tmp/sluice-unit-XXXXXX");
	assert_non_null(mkdtemp(s->folder));
	s->config = config_parse(doc_parse("gateway.yaml", gateway, strlen(gateway), DOC_YAML, &s->d), "host", &s->d);
	diags_print(&s->d, stderr, false);
	assert_int_equal(s->d.errors, 0);
	*state = s;
	return 0;
}

static inline int close_setup(void **state)
{
	struct setup *s = *state;
	char *command = mem_printf("rm -r %s", s->folder);

	assert_int_equal(system(command), 0);
	free(command);
	config_free(s->config);
	diags_free(&s->d);
	free(s);
	return 0;
}

static inline struct ruleset *build(struct setup *s, const char *text, const char *kept)
{
	struct ruleset_place place = {.config = s->config};
	struct ruleset_source source = {"p.yaml", text, strlen(text), s->folder, kept, NOW, false, NULL};

	diags_free(&s->d);
	return ruleset_build(&place, &source, &s->d);
}

static inline bool said(const struct setup *s, enum diag_level level, const char *words)
{
	for (size_t i = 0; i < s->d.n; i++)
		if (s->d.list[i].level == level && strstr(s->d.list[i].text, words))
			return true;
	return false;
}

static inline void write_file(const struct setup *s, const char *name, const char *text)
{
	char *path = mem_printf("%s/%s", s->folder, name);
	struct timespec times[2] = {{.tv_sec = NOW}, {.tv_sec = NOW}};

	assert_int_equal(file_write(path, text, strlen(text)), 0);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	free(path);
}

static inline void age_file(const struct setup *s, const char *name, time_t seconds)
{
	char *path = mem_printf("%s/%s", s->folder, name);
	struct timespec times[2] = {{.tv_sec = NOW - seconds}, {.tv_sec = NOW - seconds}};

	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	free(path);
}

#define setup_test(f) cmocka_unit_test_setup_teardown(f, open_setup, close_setup)

#endif
