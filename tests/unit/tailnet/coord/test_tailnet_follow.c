/* SPDX-License-Identifier: BSD-2-Clause */
/* T6, T11: while the netmap is followed: our own news, pings, the time, remarks, other ways to the server, damage. */
#include "coord_world.h"

#include "user/tailnet/coord/pings.h"

/* Changes on our side go out while the map is open, one request at a time. */
static void updates(void **state)
{
	struct wire_message m = {.type = WIRE_NETINFO, .netinfo = {9, true, true}};
	struct wire_message e = {.type = WIRE_ENDPOINTS};
	const struct request *first;
	struct world *w = begin();

	w->map = good_map;
	w->update.status = 0; /* is slow */
	start(w);
	first = find_request(w, "/machine/map",
			     "\"OmitPeers\":true"); /* who follows the netmap tells of itself apart */
	assert_non_null(first);
	answer(w, first->stream, (struct answer){200, "", 0, false});
	flush_http2(w);
	pump(w);
	coord_told(w->coord, &m, w->now);
	e.endpoints = (struct wire_endpoints){mem_alloc(1, sizeof(struct map_endpoint)), 1};
	e.endpoints.v[0] = (struct map_endpoint){{addr_from_v4(htobe32(0xc0000201)), 41641}, ENDPOINT_STUN};
	coord_told(w->coord, &e, w->now);
	pump(w);
	assert_non_null(find_request(w, "/machine/map", "\"PreferredDERP\":9"));
	assert_null(find_request(w, "/machine/map", "192.0.2.1:41641"));
	answer(w, find_request(w, "/machine/map", "\"PreferredDERP\":9")->stream, (struct answer){200, "", 0, false});
	flush_http2(w);
	pump(w);
	assert_non_null(find_request(w, "/machine/map", "\"Endpoints\":[\"192.0.2.1:41641\"],\"EndpointTypes\":[2]"));
	assert_int_equal(w->state, WIRE_STATE_CONNECTED);
	end(w);
}

/* What the server did not confirm it does not know: it is told again, later every time, until it does. */
static void updates_that_fail(void **state)
{
	static const struct {
		const char *name;
		struct answer update;
		bool reset; /* instead of an answer */
	} cases[] = {
		{"refused", {500, "oops", 0, false}, false},
		{"too often", {429, "", 0, false}, false},
		{"reset", {0}, true},
		{"never answered", {0}, false},
		{"half an answer", {200, "{\"a\":1}", 0, true}, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint64_t longest = 0;
		struct world *w = begin();

		w->map = good_map;
		w->update = cases[i].update;
		start(w);
		for (size_t tries = 1; tries <= 10; tries++) { /* more than there are streams at a time */
			uint64_t since = w->now;

			if (count_updates(w) != tries)
				fail_msg("%s: %zu updates, not %zu", cases[i].name, count_updates(w), tries);
			if (cases[i].reset)
				nghttp2_submit_rst_stream(w->http2, 0, w->requests[w->n_requests - 1].stream,
							  NGHTTP2_REFUSED_STREAM);
			flush_http2(w);
			pump(w);
			while (count_updates(w) == tries && w->now < since + 100 * NS_PER_SEC)
				pass_time(w);
			longest = w->now - since > longest ? w->now - since : longest;
		}
		assert_in_range(longest, 15 * NS_PER_SEC, 70 * NS_PER_SEC);
		w->n_requests = 0;
		w->update = (struct answer){200, "", 0, false};
		for (int k = 0; k < 4; k++)
			pass_time(w);
		assert_int_equal(count_updates(w), 1); /* and it is known now */
		assert_int_equal(w->state, WIRE_STATE_CONNECTED);
		assert_int_equal(w->opens, 2);
		end(w);
	}
}

/* T11 */
static void pings(void **state)
{
	struct world *w = begin();

	w->map = (struct answer){200,
				 SELF "}\n{\"PingRequest\":{\"URL\":\"https://hs.test/ping/1\"}}\n"
				      "{\"PingRequest\":{\"URL\":\"https://hs.test/noise/1\",\"URLIsNoise\":true}}",
				 0, true};
	start(w);
	assert_int_equal(w->heads, 1);
	assert_non_null(find_request(w, "/noise/1", ""));
	assert_string_equal(find_request(w, "/noise/1", "")->method, "HEAD");
	assert_int_equal(w->state, WIRE_STATE_CONNECTED);
	end(w);
}

static size_t count_requests(struct world *w, const char *method)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n_requests; i++)
		n += !strcmp(w->requests[i].method, method);
	return n;
}

/* T11: however many there are and however they end, the session's streams stay free for what it is for. */
static void a_flood_of_pings(void **state)
{
	struct wire_message m = {.type = WIRE_NETINFO};
	size_t updates, answered;
	struct world *w = begin();

	w->map = good_map;
	w->silent = true;
	start(w);
	for (int i = 0; i < 100; i++) {
		char json[200];

		sprintf(json, "{\"PingRequest\":{\"URL\":\"https://hs.test/noise/%d\",\"URLIsNoise\":true}}", i);
		say_on_map(w, json);
		sprintf(json, "{\"KeepAlive\":true,\"PingRequest\":{\"URL\":\"https://hs.test/ping/%d\"}}", i);
		say_on_map(w, json);
		say_on_map(w, json); /* the same */
	}
	assert_int_equal(count_requests(w, "HEAD"), PINGS_MAX);
	assert_int_equal(w->heads, PINGS_BURST - PINGS_MAX);
	updates = count_updates(w);
	coord_told(w->coord, &m, w->now);
	pump(w);
	assert_int_equal(count_updates(w), updates + 1); /* is told at once all the same */
	assert_int_equal(w->state, WIRE_STATE_CONNECTED);

	answered = w->now;
	while (w->now < answered + PING_PATIENCE)
		pass_time(w);
	say_on_map(w, "{\"PingRequest\":{\"URL\":\"https://hs.test/noise/late\",\"URLIsNoise\":true}}");
	say_on_map(w, "{\"PingRequest\":{\"URL\":\"https://hs.test/ping/late\"}}");
	assert_non_null(find_request(w, "/noise/late", "")); /* those that nobody answered are given up */
	assert_int_equal(w->heads, PINGS_BURST - PINGS_MAX + 1);
	assert_int_equal(w->opens, 2);
	end(w);
}

/* T13: it is said with anything, also with what else says nothing; nonsense is not passed on. */
static void server_time(void **state)
{
	static const struct {
		const char *json;
		int64_t clock;
	} cases[] = {
		{"{\"KeepAlive\":true,\"ControlTime\":\"2027-01-15T08:00:00.123456789Z\"}", 1800000000},
		{"{\"ControlTime\":\"2027-01-15T09:00:01+01:00\"}", 1800000001},
		{"{\"PeersRemoved\":[2]}", 0},
		{"{\"ControlTime\":null}", 0},
		{"{\"ControlTime\":\"0001-01-01T00:00:00Z\"}", 0},
		{"{\"ControlTime\":\"1999-01-01T00:00:00Z\"}", 0},
	};
	struct world *w = connected();

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		w->clock = 0;
		say_on_map(w, cases[i].json);
		assert_int_equal(w->clock, cases[i].clock);
		assert_int_equal(w->state, WIRE_STATE_CONNECTED);
	}
	end(w);
}

/* A peer that cannot be one is named in the status; the others are there. */
static void peer_left_out(void **state)
{
	char json[2000], *p = json;
	struct world *w = connected();

	assert_string_equal(w->text, "");
	p += sprintf(p, "{\"PeersChanged\":[{\"ID\":2,\"Name\":\"big\\n\",\"Key\":\"nodekey:" HEX62 "02\",\"Tags\":[");
	for (int i = 0; i <= NODE_TAGS_MAX; i++)
		p += sprintf(p, "%s\"tag:%d\"", i ? "," : "", i);
	sprintf(p, "]}]}");
	say_on_map(w, json);
	assert_int_equal(w->state, WIRE_STATE_CONNECTED);
	assert_string_equal(w->text, "1 peer is left out: big\\x0a: Tags: more than 64");
	assert_null(netmap_peer(&w->roster.map, 2));
	assert_non_null(netmap_peer(&w->roster.map, 4));
	say_on_map(w, "{\"PeersChanged\":[" PEER("2") "]}");
	assert_string_equal(w->text, ""); /* it is mended */
	assert_non_null(netmap_peer(&w->roster.map, 2));
	end(w);
}

/* What a damaged message says counts at once; by the whole netmap, which is asked for again, also what it meant. */
static void test_fault_44_damage_is_asked_again(void **state)
{
	struct world *w = connected();

	assert_int_equal(w->state, WIRE_STATE_CONNECTED);
	say_on_map(w, "{\"PeersRemoved\":[\"4\",2]}");
	assert_null(netmap_peer(&w->roster.map, 2));
	assert_non_null(netmap_peer(&w->roster.map, 4));
	assert_int_equal(w->state, WIRE_STATE_UNREADABLE);
	w->map = (struct answer){200, SELF ",\"Peers\":[{\"ID\":4,\"Key\":7}," PEER("5") "],\"UserProfiles\":7}", 0,
				 true};
	w->now = w->deadline;
	pump(w);
	assert_int_equal(w->state, WIRE_STATE_UNREADABLE);
	assert_null(netmap_peer(&w->roster.map, 4));
	assert_non_null(netmap_peer(&w->roster.map, 5));
	w->map = (struct answer){200, SELF ",\"Peers\":[" PEER("6") "]}", 0, true};
	w->now = w->deadline;
	pump(w);
	assert_int_equal(w->state, WIRE_STATE_CONNECTED);
	assert_null(netmap_peer(&w->roster.map, 5));
	assert_non_null(netmap_peer(&w->roster.map, 6));
	end(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(updates),
		cmocka_unit_test(updates_that_fail),
		cmocka_unit_test(pings),
		cmocka_unit_test(a_flood_of_pings),
		cmocka_unit_test(server_time),
		cmocka_unit_test(remarks),
		cmocka_unit_test(dial_plan),
		cmocka_unit_test(peer_left_out),
		cmocka_unit_test(test_fault_44_damage_is_asked_again),
	};

	return cmocka_run_group_tests_name("tailnet_follow", tests, setup, NULL);
}
