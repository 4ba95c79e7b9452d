/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Programs on real interfaces: put on, found, replaced by a later daemon's, removed,
 * beside somebody else's. From Linux 6.6 by tcx, before by clsact; both are tested
 * where both are there.
 */
#include <linux/pkt_cls.h>

#include "taps.h"
#include "user/kernel/attach_private.h"

struct place {
	struct maps *m;
	struct tap tap;
	char pins[128];
};

static struct maps *open_maps(const char *pins)
{
	struct maps_options o = {.pins = pins, .flows = 1024, .no_sweep = true};
	char *error = NULL;
	struct maps *m = maps_open(&o, &error);

	if (!m)
		fail_msg("%s", error);
	return m;
}

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	own_namespace();
	snprintf(p->pins, sizeof(p->pins), MAPS_PINS "-attach-%d", getpid());
	maps_unpin(p->pins);
	p->m = open_maps(p->pins);
	p->tap = tap_open("t0", 0);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;

	attach_remove_all(p->pins);
	maps_close(p->m);
	maps_unpin(p->pins);
	close(p->tap.fd);
	free(p);
	return 0;
}

static enum attach_way put(struct place *p, enum program program, enum attach_point point)
{
	enum attach_way way = ATTACH_NONE;
	char *error = NULL;
	int err = attach_tc(p->m, p->pins, program, p->tap.ifindex, point, &way, NULL, &error);

	if (err)
		fail_msg("%s", error);
	return way;
}

static const struct {
	enum program program;
	enum attach_point point;
} places[] = {
	{PROGRAM_TAP_IN, ATTACH_INGRESS},
	{PROGRAM_NIC_IN, ATTACH_INGRESS},
	{PROGRAM_NIC_OUT, ATTACH_EGRESS},
};

#define N(table) (sizeof(table) / sizeof(*(table)))

static void test_on_and_off(void **state)
{
	struct place *p = *state;

	for (size_t i = 0; i < N(places); i++)
		assert_int_equal(attach_verify(p->m, places[i].program, p->tap.ifindex, places[i].point), ATTACH_NONE);
	for (size_t i = 0; i < N(places); i++) {
		enum attach_way way = put(p, places[i].program, places[i].point);

		assert_true(way == ATTACH_TCX || way == ATTACH_CLSACT);
		print_message("  %s by %s\n", maps_program_name(places[i].program), attach_way_name(way));
		assert_int_equal(attach_verify(p->m, places[i].program, p->tap.ifindex, places[i].point), way);
		assert_int_equal(put(p, places[i].program, places[i].point), way); /* once more: the same */
	}
	must(attach_remove(p->pins, p->tap.ifindex, ATTACH_EGRESS));
	assert_int_equal(attach_verify(p->m, PROGRAM_NIC_OUT, p->tap.ifindex, ATTACH_EGRESS), ATTACH_NONE);
	assert_true(attach_verify(p->m, PROGRAM_NIC_IN, p->tap.ifindex, ATTACH_INGRESS) != ATTACH_NONE);
	must(attach_remove(p->pins, p->tap.ifindex, ATTACH_EGRESS));
	must(attach_remove_all(p->pins));
	for (size_t i = 0; i < N(places); i++)
		assert_int_equal(attach_verify(p->m, places[i].program, p->tap.ifindex, places[i].point), ATTACH_NONE);
}

/* They stay when the daemon goes; the next one's take their place, and only theirs. */
static void test_next_daemon(void **state)
{
	struct place *p = *state;
	struct maps *old = p->m;
	enum attach_way way = put(p, PROGRAM_NIC_IN, ATTACH_INGRESS);

	p->m = open_maps(p->pins);
	assert_int_equal(attach_verify(p->m, PROGRAM_NIC_IN, p->tap.ifindex, ATTACH_INGRESS), ATTACH_NONE);
	assert_int_equal(attach_verify(old, PROGRAM_NIC_IN, p->tap.ifindex, ATTACH_INGRESS), way);
	assert_int_equal(put(p, PROGRAM_NIC_IN, ATTACH_INGRESS), way);
	assert_int_equal(attach_verify(p->m, PROGRAM_NIC_IN, p->tap.ifindex, ATTACH_INGRESS), way);
	assert_int_equal(attach_verify(old, PROGRAM_NIC_IN, p->tap.ifindex, ATTACH_INGRESS), ATTACH_NONE);
	maps_close(old);
	assert_int_equal(attach_verify(p->m, PROGRAM_NIC_IN, p->tap.ifindex, ATTACH_INGRESS), way);
}

/* The interface goes and another comes: what is pinned is of no use any more. */
static void test_interface_gone(void **state)
{
	struct place *p = *state;
	enum attach_way way = put(p, PROGRAM_TAP_IN, ATTACH_INGRESS);

	close(p->tap.fd);
	for (int i = 0; i < 50 && if_nametoindex("t0"); i++)
		usleep(10000);
	assert_int_equal(attach_verify(p->m, PROGRAM_TAP_IN, p->tap.ifindex, ATTACH_INGRESS), ATTACH_NONE);
	must(attach_remove(p->pins, p->tap.ifindex, ATTACH_INGRESS)); /* nothing to do is no error */
	p->tap = tap_open("t0", 0);
	assert_int_equal(put(p, PROGRAM_TAP_IN, ATTACH_INGRESS), way);
	assert_int_equal(attach_verify(p->m, PROGRAM_TAP_IN, p->tap.ifindex, ATTACH_INGRESS), way);
}

/* Somebody takes ours off: it is seen, and put back. */
static void test_taken_off(void **state)
{
	struct place *p = *state;
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)p->tap.ifindex, .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	enum attach_way way = put(p, PROGRAM_NIC_IN, ATTACH_INGRESS);
	char path[256];
	int link;

	if (way == ATTACH_TCX) {
		snprintf(path, sizeof(path), "%s/link_nic_in_%u", p->pins, p->tap.ifindex);
		link = bpf_obj_get(path);
		assert_true(link >= 0);
		must(bpf_link_detach(link));
		close(link);
	} else {
		must(bpf_tc_hook_destroy(&hook)); /* tc qdisc del dev t0 clsact */
	}
	assert_int_equal(attach_verify(p->m, PROGRAM_NIC_IN, p->tap.ifindex, ATTACH_INGRESS), ATTACH_NONE);
	assert_int_equal(put(p, PROGRAM_NIC_IN, ATTACH_INGRESS), way);
	assert_int_equal(attach_verify(p->m, PROGRAM_NIC_IN, p->tap.ifindex, ATTACH_INGRESS), way);
}

/* A program that is not ours: accepts everything. */
static int foreign_program(enum bpf_prog_type type, const char *name)
{
	struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = type == BPF_PROG_TYPE_XDP ? 2 : 0},
		{.code = BPF_JMP | BPF_EXIT}};
	int fd = bpf_prog_load(type, name, "GPL", insns, 2, NULL);

	assert_true(fd >= 0);
	return fd;
}

static void test_foreign(void **state)
{
	struct place *p = *state;
	int prog = foreign_program(BPF_PROG_TYPE_SCHED_CLS, "their_tc"), link, n;
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)p->tap.ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = prog, .handle = 1, .priority = 7);
	struct attach_foreign found[4];

	put(p, PROGRAM_NIC_IN, ATTACH_INGRESS);
	put(p, PROGRAM_NIC_OUT, ATTACH_EGRESS);
	assert_int_equal(attach_foreign(p->tap.ifindex, found, 4), 0);
	n = bpf_tc_hook_create(&hook);
	assert_true(n == 0 || n == -EEXIST);
	must(bpf_tc_attach(&hook, &opts));
	assert_int_equal(attach_foreign(p->tap.ifindex, found, 4), 1);
	assert_int_equal(found[0].point, ATTACH_INGRESS);
	assert_string_equal(found[0].name, "their_tc");
	n = 1;
	link = bpf_link_create(prog, (int)p->tap.ifindex, TCX_EGRESS, NULL);
	if (link >= 0) {
		n++;
		assert_int_equal(attach_foreign(p->tap.ifindex, found, 4), n);
		assert_int_equal(found[1].point, ATTACH_EGRESS);
	}
	assert_int_equal(attach_foreign(p->tap.ifindex, found, 1), 1);
	/* Ours go, theirs stay. */
	must(attach_remove_all(p->pins));
	assert_int_equal(attach_foreign(p->tap.ifindex, found, 4), n);
	if (link >= 0)
		close(link);
	close(prog);
}

/* The fixed handle and priority are somebody else's already. */
static void test_clsact_taken(void **state)
{
	struct place *p = *state;
	int prog = foreign_program(BPF_PROG_TYPE_SCHED_CLS, "their_tc");
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)p->tap.ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = prog, .handle = clsact_handle(p->pins),
		    .priority = clsact_priority(PROGRAM_NIC_IN));
	LIBBPF_OPTS(bpf_tc_opts, left, .handle = clsact_handle(p->pins), .priority = clsact_priority(PROGRAM_NIC_IN));
	enum attach_way way = put(p, PROGRAM_NIC_OUT, ATTACH_EGRESS);
	char *error = NULL;
	int err;

	if (way == ATTACH_TCX) {
		close(prog);
		print_message("  this kernel has tcx: clsact is tested on Linux 6.1 (make check-kernels)\n");
		skip();
	}
	must(bpf_tc_attach(&hook, &opts));
	err = attach_tc(p->m, p->pins, PROGRAM_NIC_IN, p->tap.ifindex, ATTACH_INGRESS, &way, NULL, &error);
	assert_int_equal(err, -EBUSY);
	assert_non_null(error);
	free(error);
	must(attach_remove_all(p->pins));
	assert_int_equal(bpf_tc_query(&hook, &left), 0); /* theirs stays */
	close(prog);
}

static void test_xdp(void **state)
{
	struct place *p = *state;
	unsigned i = p->tap.ifindex;
	char *error = NULL;
	struct maps *old;

	must(attach_xdp(p->m, p->pins, i, false, NULL, &error));
	assert_int_equal(attach_verify(p->m, PROGRAM_FRONT, i, ATTACH_XDP), ATTACH_XDP_NATIVE);
	old = p->m;
	p->m = open_maps(p->pins);
	assert_int_equal(attach_verify(p->m, PROGRAM_FRONT, i, ATTACH_XDP), ATTACH_NONE);
	must(attach_xdp(p->m, p->pins, i, false, NULL, &error));
	assert_int_equal(attach_verify(p->m, PROGRAM_FRONT, i, ATTACH_XDP), ATTACH_XDP_NATIVE);
	maps_close(old);
	must(attach_xdp(p->m, p->pins, i, true, NULL, &error)); /* another mode */
	assert_int_equal(attach_verify(p->m, PROGRAM_FRONT, i, ATTACH_XDP), ATTACH_XDP_GENERIC);
	must(attach_remove(p->pins, i, ATTACH_XDP));
	assert_int_equal(attach_verify(p->m, PROGRAM_FRONT, i, ATTACH_XDP), ATTACH_NONE);
	must(attach_remove(p->pins, i, ATTACH_XDP));
}

static void test_xdp_foreign(void **state)
{
	struct place *p = *state;
	int prog = foreign_program(BPF_PROG_TYPE_XDP, "their_xdp");
	int link = bpf_link_create(prog, (int)p->tap.ifindex, BPF_XDP, NULL);
	struct attach_foreign found[2];
	char *error = NULL;

	assert_true(link >= 0);
	assert_int_equal(attach_xdp(p->m, p->pins, p->tap.ifindex, false, NULL, &error), -EBUSY);
	assert_non_null(strstr(error, "another XDP program"));
	free(error);
	assert_int_equal(attach_foreign(p->tap.ifindex, found, 2), 1);
	assert_int_equal(found[0].point, ATTACH_XDP);
	assert_string_equal(found[0].name, "their_xdp");
	close(link);
	close(prog);
}

/* Without pins the program goes with its link. */
static void test_not_pinned(void **state)
{
	struct place *p = *state;
	char *error = NULL;
	int link = -1;

	must(attach_xdp(p->m, NULL, p->tap.ifindex, false, &link, &error));
	assert_int_equal(attach_verify(p->m, PROGRAM_FRONT, p->tap.ifindex, ATTACH_XDP), ATTACH_XDP_NATIVE);
	close(link);
	assert_int_equal(attach_verify(p->m, PROGRAM_FRONT, p->tap.ifindex, ATTACH_XDP), ATTACH_NONE);
	assert_int_equal(attach_xdp(p->m, NULL, p->tap.ifindex, false, NULL, &error), -EINVAL);
	free(error);
}

#define PLACE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PLACE(test_on_and_off), PLACE(test_next_daemon), PLACE(test_interface_gone),
		PLACE(test_taken_off),	PLACE(test_foreign),	 PLACE(test_clsact_taken),
		PLACE(test_xdp),	PLACE(test_xdp_foreign), PLACE(test_not_pinned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
