/* SPDX-License-Identifier: BSD-2-Clause */
/* The netmap, message by message, and our own changes the other way (follow.h). */
#include <stdio.h>
#include <string.h>

#include "user/tailnet/transport/backoff.h"
#include "follow.h"
#include "user/tailnet/ipc/netmap_copy.h"
#include "user/tailnet/types/server_clock.h"

/* ---- what changes on our side ------------------------------------------------------------------- */

static uint64_t follow_next_try(struct follow *f, uint64_t now)
{
	uint32_t random;

	f->ops->random(f->ctx, &random, sizeof(random));
	return now + backoff(f->announcement.failures, random);
}

static void announce(struct follow *f, uint64_t now)
{
	struct announcement *a = &f->announcement;
	int32_t stream;

	if (!f->current || !announce_wants(a, now))
		return;
	stream = ts2021_post(f->ts2021, "/machine/map", ourselves_map_json(f->self, false));
	if (stream < 0)
		announce_failed(a, follow_next_try(f, now));
	else
		announce_sent(a, stream, now);
}

void follow_status(struct follow *f, int32_t stream, int status)
{
	if (stream == f->announcement.stream)
		f->announcement.status = status;
}

bool follow_closed(struct follow *f, int32_t stream, bool whole, uint64_t now)
{
	struct announcement *a = &f->announcement;

	pings_closed(&f->pings, stream);
	if (stream != a->stream)
		return true;
	if (whole && a->status == 404) {
		f->end = FOLLOW_UNKNOWN;
		return false;
	}
	if (whole && a->status == 200)
		announce_told(a, now);
	else
		announce_failed(a, follow_next_try(f, now));
	announce(f, now); /* what has changed meanwhile */
	return true;
}

void follow_changed(struct follow *f)
{
	f->announcement.due = true;
}

/* A stream that ends is taken note of by follow_closed(). */
static void give_up_pings(struct follow *f, uint64_t now)
{
	int32_t stream;

	while ((stream = pings_overdue(&f->pings, now))) {
		pings_closed(&f->pings, stream);
		ts2021_cancel(f->ts2021, stream);
	}
}

uint64_t follow_tick(struct follow *f, uint64_t now)
{
	uint64_t next;

	if (!f->ts2021)
		return UINT64_MAX;
	give_up_pings(f, now);
	next = pings_next(&f->pings);
	if (!f->current)
		return next;
	if (announce_timed_out(&f->announcement, now))
		ts2021_cancel(f->ts2021, f->announcement.stream); /* ends as one that failed */
	announce(f, now);
	return announce_next(&f->announcement) < next ? announce_next(&f->announcement) : next;
}

/* ---- what the server says ------------------------------------------------------------------------ */

static void tell_remarks(struct follow *f)
{
	const struct wire_message m = {.type = WIRE_HEALTH, .health = f->map.health};

	f->ops->tell(f->ctx, &m);
}

void follow_tell(struct follow *f, bool all)
{
	const struct teller t = {f->ops->tell, f->ctx};

	if (f->map.derpmap_changed)
		f->ops->relays(f->ctx, f->map.derpmap);
	netmap_copy_tell(&f->map, all, &t);
	if (all || f->map.health_changed)
		tell_remarks(f);
	netmap_settle(&f->map);
}

/* Once, until it is another. */
static void tell_standing(struct follow *f)
{
	struct wire_message m = {.type = WIRE_STATUS};
	const struct netmap *map = &f->map;
	char text[WIRE_TEXT_MAX + 1] = "";

	if (map->n_unfit)
		snprintf(text, sizeof(text), "%zu %s left out: %s", map->n_unfit,
			 map->n_unfit == 1 ? "peer is" : "peers are", map->unfit->why);
	if (!map->authorized)
		strcpy(text, "waits for an administrator to approve this machine");
	m.status.state = map->authorized ? WIRE_STATE_CONNECTED : WIRE_STATE_APPROVAL;
	m.status.text = text;
	if (f->standing == m.status.state && !strcmp(f->said, text))
		return;
	f->standing = m.status.state;
	strcpy(f->said, text);
	f->ops->tell(f->ctx, &m);
}

static void answer_ping(struct follow *f, const struct netmap_update *u)
{
	int32_t stream;

	if (!u->ping || !pings_take(&f->pings, &u->ping_url, u->ping_noise, f->now))
		return;
	if (!u->ping_noise) {
		f->ops->head(f->ctx, &u->ping_url);
		return;
	}
	stream = ts2021_request(f->ts2021, "HEAD", u->ping_url.path, NULL, 0);
	if (stream > 0)
		pings_sent(&f->pings, stream, f->now);
	else
		pings_failed(&f->pings);
}

static void tell_clock(struct follow *f, int64_t server_time)
{
	const struct wire_message m = {.type = WIRE_CLOCK, .clock = server_time};

	if (server_clock_is_time(server_time))
		f->ops->tell(f->ctx, &m);
}

static bool follow_is_wanted(struct follow *f, const struct netmap_update *u)
{
	if (u->locked)
		f->end = FOLLOW_LOCKED;
	else if (u->exit)
		f->end = FOLLOW_SENT_AWAY;
	return !f->end;
}

/* Else what it says counts, and all has to be asked for again: what it meant to say besides is not known. */
static bool is_whole(struct follow *f, const struct netmap_update *u)
{
	if (u->damage)
		snprintf(f->error, sizeof(f->error), "%s", u->damage);
	else if (!f->current && !u->self.node)
		snprintf(f->error, sizeof(f->error), "it does not begin with our own node");
	return !*f->error;
}

/* Of a message that changes nothing else. */
static void apply_page(struct follow *f, struct netmap_update *u)
{
	if (health_apply(&f->map.health, &u->health))
		tell_remarks(f);
}

/* False: it was not whole. */
static bool apply(struct follow *f, struct netmap_update *u)
{
	bool whole, first;

	answer_ping(f, u);
	tell_clock(f, u->server_time); /* first: by it the keys are judged */
	if (u->alive) {
		apply_page(f, u);
		return true;
	}
	whole = is_whole(f, u);
	first = whole && !f->current;
	u->health.clear |= first;
	u->has_dial_plan |= first;
	u->full |= first; /* a tailnet without peers has no list of them */
	u->clear_filters |= first;
	netmap_apply(&f->map, u);
	f->current |= whole;
	follow_tell(f, first);
	if (whole)
		tell_standing(f);
	return whole;
}

/* One message; false: the stream is of no use. */
static bool follow_take(void *ctx, const uint8_t *bytes, size_t len)
{
	struct follow *f = ctx;
	struct netmap_update *u = netmap_update_read((const char *)bytes, len, f->error);
	bool followed = u && follow_is_wanted(f, u) && apply(f, u);

	netmap_update_free(u);
	return followed;
}

bool follow_receive(struct follow *f, const uint8_t *bytes, size_t len, uint64_t now)
{
	const struct sink messages = {follow_take, f};

	f->now = now;
	if (netmap_stream_receive(&f->stream, bytes, len, &messages)) {
		announce(f, now);
		return true;
	}
	if (!f->end && !*f->error)
		snprintf(f->error, sizeof(f->error), "a message is too long");
	if (!f->end)
		f->end = FOLLOW_GARBLED;
	return false;
}

/* ---- life -------------------------------------------------------------------------------------------- */

int32_t follow_start(struct follow *f, struct ts2021 *channel)
{
	follow_stop(f);
	f->ts2021 = channel;
	f->announcement.due = true; /* a server of capability 68 or later takes nothing about us from this request */
	return ts2021_post(channel, "/machine/map", ourselves_map_json(f->self, true));
}

void follow_stop(struct follow *f)
{
	f->ts2021 = NULL;
	f->current = false;
	f->standing = WIRE_STATES;
	f->end = FOLLOW_ON;
	*f->error = 0;
	f->announcement = (struct announcement){0};
	memset(f->pings.waiting, 0, sizeof(f->pings.waiting)); /* how often they were is not forgotten */
	netmap_stream_free(&f->stream);
}

void follow_free(struct follow *f)
{
	follow_stop(f);
	netmap_free(&f->map);
}
