/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The maps library: pins that a later daemon takes over or refuses, policies that are
 * swapped, frozen, and gone when they should be; what does not fit is refused.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "slots.h"

static void pins_path(char *path, size_t size)
{
	snprintf(path, size, MAPS_PINS "-test-%d", getpid());
}

static struct maps *open_pinned(const char *pins, uint32_t flows, char **error)
{
	struct maps_options o = {.pins = pins, .flows = flows, .no_sweep = true};

	return maps_open(&o, error);
}

static int remove_pins(void **state)
{
	char path[128];

	pins_path(path, sizeof(path));
	maps_unpin(path);
	return 0;
}

/* Everything is still there: settings, policy, flows, to the packet. */
static void test_taken_over(void **state)
{
	struct scratch s = {};
	struct family f = family_of(false);
	struct shape shape = shape_of(&f, IPPROTO_TCP, 777, 443), back;
	char path[128], *error = NULL;
	uint32_t generation;
	struct ran r;

	pins_path(path, sizeof(path));
	s.m = open_pinned(path, 2048, &error);
	assert_non_null(s.m);
	assert_false(maps_reused(s.m));
	assert_int_equal(maps_flows_max(s.m), 2048);
	scratch_settings(&s);
	scratch_addresses(&s);
	scratch_policy(&s, false);
	generation = s.generation;
	r = out_of(&s, &shape, 1);
	assert_sent(r);
	back = answer_to(&shape, &r);
	maps_drops_add(s.m, DROP_WG_MAC1, 5);
	maps_close(s.m);

	s.m = open_pinned(path, 0, &error); /* as many flows as there are */
	assert_non_null(s.m);
	assert_true(maps_reused(s.m));
	assert_int_equal(maps_flows_max(s.m), 2048);
	assert_int_equal(maps_generation(s.m), generation);
	assert_int_equal(maps_flows_used(s.m), 1);
	assert_sent(into(&s, &back));
	shape.flags = TH_ACK;
	assert_sent(out_of(&s, &shape, 1));
	scratch_policy(&s, true); /* the next policy fits into the old maps of maps */
	assert_int_equal(s.generation, generation + 1);
	assert_dropped(out_of(&s, &shape, 1), DROP_POLICY);
	maps_close(s.m);
	must(maps_unpin(path));
	assert_int_equal(access(path, F_OK), -1);
}

static void write_layout(const char *pins, uint32_t layout)
{
	char path[256];
	uint32_t zero = 0;
	int fd;

	snprintf(path, sizeof(path), "%s/layout", pins);
	fd = bpf_obj_get(path);
	assert_true(fd >= 0);
	must(bpf_map_update_elem(fd, &zero, &layout, BPF_ANY));
	close(fd);
}

/* A start that was killed before it was done leaves pins that nobody relies on. */
static void test_cut_off(void **state)
{
	char path[128], pin[256], *error = NULL;
	struct maps *m;

	pins_path(path, sizeof(path));
	m = open_pinned(path, 2048, &error);
	assert_non_null(m);
	maps_close(m);
	write_layout(path, 0);
	m = open_pinned(path, 4096, &error);
	assert_non_null(m);
	assert_false(maps_reused(m));
	assert_int_equal(maps_flows_max(m), 4096);
	maps_close(m);
	snprintf(pin, sizeof(pin), "%s/layout", path);
	assert_int_equal(unlink(pin), 0);
	m = open_pinned(path, 2048, &error);
	assert_non_null(m);
	assert_false(maps_reused(m));
	maps_close(m);
}

static void test_bad_pins(void **state)
{
	char *error = NULL;

	assert_null(open_pinned("/tmp", 2048, &error));
	assert_non_null(strstr(error, "not on a bpf file system"));
	free(error);
	error = NULL;
	assert_null(open_pinned("/proc/nowhere/sluice", 2048, &error));
	assert_non_null(error);
	free(error);
	must(maps_unpin("/sys/fs/bpf/there-is-no-such-folder"));
}

/* ---- policies -------------------------------------------------------------------------- */

/* id of the one inner map there is. */
static uint32_t inner_id(struct scratch *s, enum maps_table table)
{
	uint32_t ids[2] = {};

	for (uint32_t slot = 0; slot < 2; slot++)
		if (bpf_map_lookup_elem(bpf_map__fd(s->m->tables[table].outer), &slot, &ids[slot]))
			ids[slot] = 0;
	assert_true(!ids[0] != !ids[1]);
	return ids[0] | ids[1];
}

static bool is_gone(uint32_t id)
{
	for (int i = 0; i < 100; i++) { /* the kernel frees a little later */
		int fd = bpf_map_get_fd_by_id(id);

		if (fd < 0)
			return true;
		close(fd);
		usleep(10000);
	}
	return false;
}

/* However often a policy is applied, one set of tables is there, and the ids of the others are gone. */
static void test_old_tables_go(void **state)
{
	struct scratch *s = *state;

	for (int i = 0; i < 4; i++) {
		uint32_t old[MAPS_BLOCKED];

		for (enum maps_table t = MAPS_CLASSES; t < MAPS_BLOCKED; t++)
			old[t] = inner_id(s, t);
		scratch_policy(s, i & 1);
		for (enum maps_table t = MAPS_CLASSES; t < MAPS_BLOCKED; t++) {
			assert_true(inner_id(s, t) != old[t]);
			assert_true(is_gone(old[t]));
		}
	}
}

static void test_frozen(void **state)
{
	struct scratch *s = *state;
	uint8_t key[64] = {1}, value[64] = {};

	for (enum maps_table t = MAPS_CLASSES; t < MAPS_BLOCKED; t++) {
		int fd = bpf_map_get_fd_by_id(inner_id(s, t));

		assert_true(fd >= 0);
		assert_int_equal(bpf_map_update_elem(fd, key, value, BPF_ANY), -EPERM);
		close(fd);
	}
}

static const struct {
	const char *name;
	size_t n_classes, n_rules;
	uint32_t first, count, rule_id;
	const char *says;
} unfit[] = {
	{"too many clients", MAX_CLIENTS + 1, 1, 0, 1, 1, "65537 clients"},
	{"a rule id past the counters", 2, 1, 0, 1, MAX_RULES, "rule 65536"},
	{"rules that are not there", 2, 1, 1, 1, 1, "not there"},
	{"too many rules for one destination", 2, 70000, 0, 70000, 1, "70000 port rules"},
};

static void test_does_not_fit(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct client_class *classes = calloc(MAX_CLIENTS + 1, sizeof(*classes));
	struct acl_rule *rules = calloc(70000, sizeof(*rules));
	struct shape shape = shape_of(&f, IPPROTO_TCP, 777, 443);

	for (size_t i = 0; i < N(unfit); i++) {
		struct maps_acl acl = {1, {f.remote, 128}, unfit[i].first, unfit[i].count, 0};
		struct maps_policy p = {.classes = classes,
					.n_classes = unfit[i].n_classes,
					.acl = &acl,
					.n_acl = 1,
					.rules = rules,
					.n_rules = unfit[i].n_rules};
		char *error = NULL;

		print_message("  %s\n", unfit[i].name);
		rules[0].id = unfit[i].rule_id;
		assert_true(maps_policy_apply(s->m, &p, NULL, &error) < 0);
		assert_non_null(error);
		if (!strstr(error, unfit[i].says))
			fail_msg("%s", error);
		free(error);
		assert_int_equal(maps_generation(s->m), s->generation);
		assert_sent(out_of(s, &shape, 1)); /* the old one goes on */
	}
	free(classes);
	free(rules);
}

/* Search among many rules: each is found, the gaps between them are not. */
static void test_many_rules(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct client_class classes[2] = {{}, {.class = 1}};
	struct acl_rule *rules = calloc(20000, sizeof(*rules));
	struct maps_acl acl = {1, prefix_of("203.0.113.0/24"), 0, 0, ACL_ACCEPTS};
	struct maps_route route = {acl.dst, {ROUTE_POOL_OF_CLIENT, 0}};
	struct maps_policy p = {.classes = classes,
				.n_classes = 2,
				.acl = &acl,
				.n_acl = 1,
				.rules = rules,
				.routes = &route,
				.n_routes = 1};
	char *error = NULL;

	for (uint32_t n = 1; n <= 20000; n = n * 3 + 1) {
		for (uint32_t i = 0; i < n; i++)
			rules[i] = rule_of(IPPROTO_TCP, (uint16_t)(3 * i + 1), (uint16_t)(3 * i + 2), VERDICT_ACCEPT,
					   i + 1);
		acl.count = n;
		p.n_rules = n;
		must(maps_policy_apply(s->m, &p, NULL, &error));
		for (uint32_t i = 0; i < n; i += n / 200 + 1) {
			struct shape shape = shape_of(&f, IPPROTO_TCP, (uint16_t)(1024 + i), (uint16_t)(3 * i));

			assert_dropped(out_of(s, &shape, 1), DROP_POLICY);
			shape.dport++;
			assert_sent(out_of(s, &shape, 1));
			assert_int_equal(slot_of(s, &shape)->rule, i + 1);
			shape.dport++;
			assert_sent(out_of(s, &shape, 1));
			shape.proto = IPPROTO_UDP;
			assert_dropped(out_of(s, &shape, 1), DROP_POLICY);
		}
		expire_all(s);
		sweep(s);
	}
	free(rules);
}

/* 100,000 addresses: bits of their /24s, and all found. */
static void test_many_blocked(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct prefix *list = calloc(100000, sizeof(*list));
	struct shape shape = shape_of(&f, IPPROTO_TCP, 777, 443);
	char *error = NULL;

	for (uint32_t i = 0; i < 100000; i++) {
		__be32 a = htonl(0x0b000000 + i * 2654435761u % 0x01000000);

		list[99999 - i] = (struct prefix){addr_from_v4(a), 128};
	}
	list[500].addr = f.remote;
	must(maps_blocked_apply(s->m, list, 100000, NULL, &error));
	assert_dropped(out_of(s, &shape, 1), DROP_BLOCKED);
	shape.dst = f.remote2;
	assert_sent(out_of(s, &shape, 1));
	free(list);
}

/* ---- clients, sessions -------------------------------------------------------------------- */

static bool count_client(void *arg, const struct prefix *p, uint32_t client)
{
	uint32_t *seen = arg;

	seen[client]++;
	assert_int_equal(p->len, 128);
	return true;
}

static void test_clients(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct prefix p = {f.client, 128};
	uint32_t seen[4] = {};

	maps_client_each(s->m, count_client, seen);
	assert_int_equal(seen[1], 2);
	assert_int_equal(seen[2], 2);
	must(maps_client_delete(s->m, &p));
	must(maps_client_delete(s->m, &p));
	maps_client_each(s->m, count_client, seen);
	assert_int_equal(seen[1], 3);
	assert_int_equal(maps_client_set(s->m, &p, 0, 0), -EINVAL);
	assert_int_equal(maps_client_set(s->m, &p, MAX_CLIENTS, 0), -EINVAL);
	assert_int_equal(maps_client_set(s->m, &p, 1, MAX_WORKERS), -EINVAL);
}

static void test_sessions(void **state)
{
	struct scratch *s = *state;

	for (uint32_t i = 0; i < 1000; i++)
		must(maps_session_set(s->m, i * 77, 0, 1));
	assert_int_equal(entries(s->m->skel->maps.sessions), 1000);
	must(maps_session_delete(s->m, 77));
	must(maps_session_delete(s->m, 77));
	assert_int_equal(entries(s->m->skel->maps.sessions), 999);
	must(maps_sessions_clear(s->m));
	assert_int_equal(entries(s->m->skel->maps.sessions), 0);
}

static void test_daemon_drops(void **state)
{
	struct scratch *s = *state;
	uint64_t drops[DROP_MAX];

	maps_drops_add(s->m, DROP_WG_REPLAY, 3);
	maps_drops_add(s->m, DROP_WG_REPLAY, 4);
	must(maps_drops(s->m, drops));
	assert_int_equal(drops[DROP_WG_REPLAY], 7);
}

/* ---- the verifier ------------------------------------------------------------------------- */

/*
 * What the kernel had to look at before it took each program. It gives up at a million, and how
 * much it is depends on kernel and compiler: ten times as much must still pass.
 */
#define VERIFIED_MAX 100000

/* net.core.optmem_max before Linux 6.7, less what the kernel adds: a socket takes no longer one. */
#define SOCKET_PROGRAM_MAX 20000

static void test_fault_06_verifier(void **state)
{
	struct scratch *s = *state;
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, s->m->skel->obj)
	{
		struct bpf_prog_info info = {};
		uint32_t len = sizeof(info);

		must(bpf_obj_get_info_by_fd(bpf_program__fd(prog), &info, &len));
		print_message("# %-14s %6u instructions, %6u verified\n", bpf_program__name(prog),
			      info.xlated_prog_len / (uint32_t)sizeof(struct bpf_insn), info.verified_insns);
		assert_in_range(info.verified_insns, 1, VERIFIED_MAX);
		if (!strcmp(bpf_program__name(prog), "front_socket") || !strcmp(bpf_program__name(prog), "steer_udp"))
			assert_in_range(info.xlated_prog_len, 1, SOCKET_PROGRAM_MAX);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_taken_over, remove_pins, remove_pins),
		cmocka_unit_test_setup_teardown(test_cut_off, remove_pins, remove_pins),
		cmocka_unit_test(test_bad_pins),
		T(test_old_tables_go),
		T(test_frozen),
		T(test_does_not_fit),
		T(test_many_rules),
		T(test_many_blocked),
		T(test_clients),
		T(test_sessions),
		T(test_daemon_drops),
		T(test_fault_06_verifier),
	};

	return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
