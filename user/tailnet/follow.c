/* SPDX-License-Identifier: BSD-2-Clause */
/* The netmap, message by message, and our own changes the other way (follow.h). */
#include <stdio.h>
#include <string.h>

#include "backoff.h"
#include "follow.h"
#include "roster.h"

/* ---- what changes on our side ------------------------------------------------------------------- */

static uint64_t next_try(struct follow *f, uint64_t now)
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
	stream = channel_post(f->channel, "/machine/map", ourselves_map_json(f->self, false));
	if (stream < 0)
		announce_failed(a, next_try(f, now));
	else
		announce_sent(a, stream, now);
}

void follow_status(struct follow *f, int32_t stream, int status)
{
	if (stream == f->announcement.stream)
		f->announcement.status = status;
}

void follow_closed(struct follow *f, int32_t stream, bool whole, uint64_t now)
{
	struct announcement *a = &f->announcement;

	if (stream != a->stream)
		return;
	if (whole && a->status == 200)
		announce_told(a);
	else
		announce_failed(a, next_try(f, now));
	announce(f, now); /* what has changed meanwhile */
}

void follow_changed(struct follow *f)
{
	f->announcement.due = true;
}

uint64_t follow_tick(struct follow *f, uint64_t now)
{
	if (!f->current)
		return UINT64_MAX;
	if (announce_timed_out(&f->announcement, now))
		channel_cancel(f->channel, f->announcement.stream); /* ends as one that failed */
	announce(f, now);
	return announce_next(&f->announcement);
}

/* ---- what the server says ------------------------------------------------------------------------ */

void follow_tell(struct follow *f, bool all)
{
	const struct teller t = {f->ops->tell, f->ctx};

	if (f->map.derpmap_changed)
		f->ops->relays(f->ctx, f->map.derpmap);
	roster_tell(&f->map, all, &t);
	netmap_settle(&f->map);
}

static void tell_standing(struct follow *f, const struct netmap_left_out *peers)
{
	struct wire_message m = {.type = WIRE_STATUS};
	char text[WIRE_TEXT_MAX + 1] = "connected";

	if (peers->n)
		snprintf(text, sizeof(text), "connected, but %zu %s left out: %s", peers->n,
			 peers->n == 1 ? "peer is" : "peers are", peers->why);
	if (!f->map.authorized)
		strcpy(text, "waits for an administrator to approve this machine");
	m.status.state = f->map.authorized ? WIRE_STATE_CONNECTED : WIRE_STATE_APPROVAL;
	m.status.text = text;
	f->ops->tell(f->ctx, &m);
}

static void answer_ping(struct follow *f, const struct netmap_update *u)
{
	if (!u->ping)
		return;
	if (u->ping_noise)
		channel_request(f->channel, "HEAD", u->ping_url.path, NULL, 0);
	else
		f->ops->head(f->ctx, &u->ping_url);
}

static bool is_usable(struct follow *f, const struct netmap_update *u)
{
	f->locked = u->locked;
	if (!f->current && !u->alive && !u->self.node)
		snprintf(f->error, sizeof(f->error), "it does not begin with our own node");
	return !f->locked && !*f->error;
}

static void apply(struct follow *f, struct netmap_update *u)
{
	bool first = !f->current, was_authorized = f->map.authorized;

	answer_ping(f, u);
	if (u->alive)
		return;
	u->full |= first; /* a tailnet without peers has no list of them */
	u->clear_filters |= first;
	netmap_apply(&f->map, u);
	f->current = true;
	follow_tell(f, first);
	if (first || was_authorized != f->map.authorized || u->left_out.n)
		tell_standing(f, &u->left_out);
}

/* One message; false: the stream is of no use. */
static bool take(void *ctx, const uint8_t *bytes, size_t len)
{
	struct follow *f = ctx;
	struct netmap_update *u = netmap_update_read((const char *)bytes, len, f->error);
	bool usable = u && is_usable(f, u);

	if (usable)
		apply(f, u);
	netmap_update_free(u);
	return usable;
}

bool follow_receive(struct follow *f, const uint8_t *bytes, size_t len, uint64_t now)
{
	const struct sink messages = {take, f};
	bool ok = netmap_stream_receive(&f->stream, bytes, len, &messages);

	if (!ok && !f->locked && !*f->error)
		snprintf(f->error, sizeof(f->error), "a message is too long");
	if (ok)
		announce(f, now);
	return ok;
}

/* ---- life -------------------------------------------------------------------------------------------- */

int32_t follow_start(struct follow *f, struct channel *channel)
{
	follow_stop(f);
	f->channel = channel;
	f->announcement.due = true; /* a server of capability 68 or later takes nothing about us from this request */
	return channel_post(channel, "/machine/map", ourselves_map_json(f->self, true));
}

void follow_stop(struct follow *f)
{
	f->channel = NULL;
	f->current = f->locked = false;
	*f->error = 0;
	f->announcement = (struct announcement){0};
	netmap_stream_free(&f->stream);
}

void follow_free(struct follow *f)
{
	follow_stop(f);
	netmap_free(&f->map);
}
