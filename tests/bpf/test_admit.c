/* SPDX-License-Identifier: BSD-2-Clause */
/* Strangers in front of the port (fault 22): who is let in, by what its message says of it, at both places. */
#include "scratch.h"

#include "admissions.h"
#include "user/wireguard/gate.h"

#define WG_INITIATION_LEN sizeof(struct message_initiation)

static struct frame initiation_frame(bool v6)
{
	struct shape shape = {
		.v6 = v6,
		.proto = IPPROTO_UDP,
		.src = addr_of(v6 ? "2001:db8:5::5" : "192.0.2.5"),
		.dst = addr_of(v6 ? "2001:db8:1::1" : "198.51.100.1"),
		.sport = 4242,
		.dport = WG_PORT,
		.payload = WG_INITIATION_LEN,
	};
	struct message_initiation m = {.type = htole32(MESSAGE_INITIATION), .sender_index = 0x55667788};
	struct frame f;

	frame_build(&f, &shape);
	memcpy(f.b + f.payload, &m, sizeof(m));
	return f;
}

/* On the socket the data begin with the UDP header: an unknown ethertype makes TEST_RUN leave it alone. */
static struct frame socket_frame(const struct frame *whole)
{
	struct frame f = {.len = 14 + 8 + WG_INITIATION_LEN};

	put16(f.b + 12, 0x88b5);
	memcpy(f.b + 14, whole->b + whole->l4, 8 + WG_INITIATION_LEN);
	return f;
}

static void assert_front(struct scratch *s, const struct frame *f, enum drop_reason reason)
{
	assert_ran(run(s, PROGRAM_FRONT, f), reason ? 1 : 2, reason); /* XDP_DROP, XDP_PASS */
}

static int setup(void **state)
{
	struct scratch *s;

	if (scratch_reset(state))
		return -1;
	s = *state;
	s->settings.front_armed = true;
	must(maps_settings_set(s->m, &s->settings));
	return 0;
}

/* A gateway's keys, and a client that sends initiations from one address and port. */
struct asker {
	struct gate_keys keys;
	struct cookie_maker maker;
	struct endpoint from;
	uint64_t now;
	bool v6;
};

static void ask_begin(struct scratch *s, struct asker *a, bool v6, uint16_t port)
{
	uint8_t public[KEY_LEN] = {9}, secrets[2][KEY_LEN] = {{1}, {2}};

	*a = (struct asker){.v6 = v6, .now = NS_PER_SEC, .from.port = port};
	a->from.addr = addr_of(v6 ? "2001:db8:5::5" : "192.0.2.5");
	gate_keys_init(&a->keys, public, true);
	for (int i = 0; i < 2; i++)
		gate_keys_renew(&a->keys, secrets[i], a->now);
	cookie_maker_init(&a->maker, public);
	must(maps_gate_set(s->m, gate_keys_mac1(&a->keys),
			   (const uint8_t *const[2]){gate_keys_secret(&a->keys, 0), gate_keys_secret(&a->keys, 1)}));
	budgets(s, 0);
}

static struct frame initiation(struct asker *a)
{
	struct frame f = initiation_frame(a->v6);

	put16(f.b + f.l4, a->from.port);
	cookie_macs_write(&a->maker, f.b + f.payload, WG_INITIATION_LEN, a->now);
	return f;
}

/* As the gateway answers @f, with its young secret or the one before. */
static void take_cookie(struct asker *a, const struct frame *f, bool old)
{
	struct gate_keys keys = a->keys;
	struct message_cookie reply;

	if (old)
		keys.young = !keys.young;
	gate_cookie(&keys, &reply, f->b + f->payload, WG_INITIATION_LEN, &a->from, (uint8_t[XNONCE_LEN]){3});
	assert_true(cookie_reply_read(&a->maker, &reply, a->now));
}

/* What is not for this gateway dies at both places, and costs others nothing. */
static void test_fault_22_mac1(void **state)
{
	struct scratch *s = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		struct asker a;
		struct frame f, socket;

		ask_begin(s, &a, v6, 4242);
		f = initiation(&a);
		assert_front(s, &f, DROP_NONE);
		socket = socket_frame(&f);
		assert_ran(run(s, PROGRAM_FRONT_SOCKET, &socket), 8 + WG_INITIATION_LEN, DROP_NONE);
		for (size_t at = 4; at < 132; at += 8) { /* its body and mac1 */
			budgets(s, 0);
			f = initiation(&a);
			f.b[f.payload + at] ^= 0x10;
			assert_front(s, &f, DROP_WG_MAC1);
			socket = socket_frame(&f);
			assert_ran(run(s, PROGRAM_FRONT_SOCKET, &socket), 0, DROP_WG_MAC1);
		}
		budgets(s, 1u << ADMIT_STRANGERS | 1u << OWN);
		assert_front(s, &f, DROP_WG_MAC1); /* no stranger's budget is asked for it */
		budgets(s, 1u << ADMIT_LOOKS | 1u << OWN);
		assert_front(s, &f, DROP_WG_RATE); /* and not more of them are looked at than that */
	}
}

/* A source has a bucket of its own, and where others have emptied it, what all share. */
static void test_fault_22_a_source(void **state)
{
	struct scratch *s = *state;
	struct asker a;
	struct frame f;

	ask_begin(s, &a, false, 4242);
	f = initiation(&a);
	budgets(s, 1u << ADMIT_STRANGERS | 1u << ADMIT_LOOKS);
	assert_front(s, &f, DROP_NONE);
	budgets(s, 1u << OWN);
	assert_front(s, &f, DROP_NONE);
	budgets(s, 1u << OWN | 1u << ADMIT_STRANGERS);
	assert_front(s, &f, DROP_WG_RATE);
	budgets(s, 1u << ADMIT_STRANGERS | 1u << ADMIT_LOOKS);
	assert_front(s, &f, DROP_NONE);
	assert_front(s, &f, DROP_NONE);
	assert_front(s, &f, DROP_WG_RATE); /* two a second */
	put16(f.b + f.l3 + 14, 1);	   /* another's has its own */
	assert_front(s, &f, DROP_NONE);
	budgets(s, 0);
}

/* Who has a cookie of ours gets in whatever strangers do. */
static void test_fault_22_a_cookie(void **state)
{
	const unsigned flood = 1u << OWN | 1u << ADMIT_STRANGERS | 1u << ADMIT_LOOKS;
	struct scratch *s = *state;

	for (int i = 0; i < 4; i++) {
		struct frame asks, has, false_one;
		struct asker a;

		ask_begin(s, &a, i & 1, (uint16_t)(5000 + i));
		asks = initiation(&a);
		take_cookie(&a, &asks, i & 2);
		has = initiation(&a);
		budgets(s, flood);
		assert_front(s, &has, DROP_WG_RATE); /* it was never let in to be sent one: it is not looked at */
		budgets(s, 0);
		assert_front(s, &asks, DROP_NONE);
		budgets(s, flood);
		assert_front(s, &asks, DROP_WG_RATE);
		assert_front(s, &has, DROP_NONE);
		assert_front(s, &has, DROP_NONE);
		budgets(s, flood | 1u << PROVEN);
		assert_front(s, &has, DROP_WG_RATE);
		budgets(s, flood);
		false_one = has;
		put16(false_one.b + false_one.l4, 4243); /* it is for one port */
		assert_front(s, &false_one, DROP_WG_RATE);
		assert_front(s, &has, DROP_NONE);
		false_one = has;
		false_one.b[false_one.payload + 140] ^= 1;
		assert_front(s, &false_one, DROP_WG_RATE);
		assert_front(s, &has, DROP_WG_RATE); /* the first false one ends the looks at this sender's */
		budgets(s, 0);
		assert_front(s, &has, DROP_NONE); /* as a stranger, and is known again */
		budgets(s, flood);
		assert_front(s, &has, DROP_NONE);
	}
	budgets(s, 0);
}

/* The first fragment of one: whole, it comes to the socket. */
static void test_fault_22_a_fragment(void **state)
{
	struct scratch *s = *state;
	struct asker a;
	struct frame f;

	ask_begin(s, &a, false, 4242);
	f = initiation(&a);
	put16(f.b + f.l3 + 6, 0x2000);
	f.len -= 60;
	budgets(s, 1u << OWN | 1u << ADMIT_STRANGERS | 1u << ADMIT_LOOKS);
	assert_front(s, &f, DROP_NONE);
	budgets(s, 0);
	must(maps_gate_set(s->m, NULL, (const uint8_t *const[2]){NULL}));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_fault_22_mac1, setup),
		cmocka_unit_test_setup(test_fault_22_a_source, setup),
		cmocka_unit_test_setup(test_fault_22_a_cookie, setup),
		cmocka_unit_test_setup(test_fault_22_a_fragment, setup),
	};

	return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
