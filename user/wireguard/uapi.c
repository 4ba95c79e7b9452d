/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The request is a text that is walked twice with the same table of keys: once to
 * check every value, then to carry it out.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto.h"
#include "uapi.h"
#include "user/base/clock.h"

#define FIRST_CAPACITY 4096

/* ---- input ---- */

/* realloc() may leave a copy of keys behind. */
static bool reserve(struct uapi_request *r, size_t len)
{
	size_t cap = r->cap ? r->cap : FIRST_CAPACITY;
	char *text;

	if (len <= r->cap)
		return true;
	while (cap < len)
		cap *= 2;
	text = malloc(cap);
	if (!text)
		return false;
	if (r->text) {
		memcpy(text, r->text, r->len);
		crypto_wipe(r->text, r->len);
		free(r->text);
	}
	r->text = text;
	r->cap = cap;
	return true;
}

/* Length of the first whole request, its empty line included; 0: none. */
static size_t whole_request(const struct uapi_request *r)
{
	const char *end = r->len ? memmem(r->text, r->len, "\n\n", 2) : NULL;

	return end ? (size_t)(end + 2 - r->text) : 0;
}

enum uapi_status uapi_feed(struct uapi_request *r, const char *bytes, size_t len)
{
	if (len > UAPI_MAX_REQUEST - r->len || !reserve(r, r->len + len))
		return UAPI_TOO_LONG;
	if (len)
		memcpy(r->text + r->len, bytes, len);
	r->len += len;
	if (whole_request(r))
		return UAPI_READY;
	return r->len == UAPI_MAX_REQUEST ? UAPI_TOO_LONG : UAPI_MORE;
}

void uapi_request_free(struct uapi_request *r)
{
	if (r->text)
		crypto_wipe(r->text, r->len);
	free(r->text);
	*r = (struct uapi_request){0};
}

static void take_out(struct uapi_request *r, size_t len)
{
	size_t rest = r->len - len;

	memmove(r->text, r->text + len, rest);
	crypto_wipe(r->text + rest, len);
	r->len = rest;
}

/* ---- set: values ---- */

struct text {
	const char *at;
	size_t len;
};

struct change { /* one walk over a set request */
	struct engine *e;
	struct uapi_device *device;
	const struct engine_time *now;
	bool apply; /* else only check */

	bool in_peer;		 /* a public_key line came */
	uint8_t public[KEY_LEN]; /* of it */
	struct peer *peer;	 /* NULL: does not exist (yet) */
	bool skip;		 /* what follows is about a peer that is not to be */

	bool has_port, has_mark;
	uint16_t port;
	uint32_t mark;
};

static bool uapi_is_text(struct text t, const char *s)
{
	return t.len == strlen(s) && !memcmp(t.at, s, t.len);
}

static bool parse_number(struct text t, uint32_t max, uint32_t *out)
{
	uint64_t n = 0;

	if (!t.len || t.len > 10)
		return false;
	for (size_t i = 0; i < t.len; i++) {
		if (t.at[i] < '0' || t.at[i] > '9')
			return false;
		n = n * 10 + (uint64_t)(t.at[i] - '0');
	}
	*out = (uint32_t)n;
	return n <= max;
}

/* "192.0.2.1:51820" or "[2001:db8::1]:51820" */
static bool uapi_parse_endpoint(struct text t, struct endpoint *out)
{
	const char *colon = memrchr(t.at, ':', t.len);
	struct text host, service;
	uint32_t port;
	bool brackets;

	if (!colon)
		return false;
	host = (struct text){t.at, (size_t)(colon - t.at)};
	service = (struct text){colon + 1, t.len - host.len - 1};
	brackets = host.len >= 2 && host.at[0] == '[' && host.at[host.len - 1] == ']';
	if (brackets)
		host = (struct text){host.at + 1, host.len - 2};
	memset(out, 0, sizeof(*out));
	if (!parse_number(service, UINT16_MAX, &port) || !port || !addr_parse(host.at, host.len, &out->addr))
		return false;
	out->port = (uint16_t)port;
	return brackets == !!memchr(host.at, ':', host.len);
}

/* ---- set: keys ---- */

static int set_private_key(struct change *c, struct text v)
{
	uint8_t key[KEY_LEN];

	if (!key_from_hex(v.at, v.len, key))
		return EINVAL;
	if (c->apply)
		engine_set_identity(c->e, key);
	crypto_wipe(key, sizeof(key));
	return 0;
}

static int set_listen_port(struct change *c, struct text v)
{
	uint32_t port;

	if (!parse_number(v, UINT16_MAX, &port))
		return EINVAL;
	c->port = (uint16_t)port;
	c->has_port = true;
	return c->device->set_listen_port || port == c->device->listen_port ? 0 : EOPNOTSUPP;
}

static int set_fwmark(struct change *c, struct text v)
{
	if (!parse_number(v, UINT32_MAX, &c->mark))
		return EINVAL;
	c->has_mark = true;
	return c->device->set_fwmark || c->mark == c->device->fwmark ? 0 : EOPNOTSUPP;
}

static int replace_peers(struct change *c, struct text v)
{
	if (!uapi_is_text(v, "true"))
		return EINVAL;
	if (c->apply)
		engine_remove_all(c->e);
	return 0;
}

static int uapi_refuse(const struct change *c, const char *name)
{
	c->device->refused(c->device->ctx, name);
	return EOPNOTSUPP;
}

/* The peer of the lines that follow, made if it is not there. Not before it is
 * clear that it is wanted: "remove" and "update_only" come after the key. */
static int want_peer(struct change *c)
{
	if (c->peer || c->skip || !c->in_peer)
		return 0;
	if (c->device->refused)
		return engine_peer(c->e, c->public) ? 0 : uapi_refuse(c, "a new peer");
	if (!c->apply)
		return 0;
	c->peer = engine_peer_add(c->e, c->public);
	if (c->peer)
		return 0;
	c->skip = true;
	return errno == EINVAL ? 0 : errno; /* ourselves: not an error, `wg` says so to nobody either */
}

static int begin_peer(struct change *c, struct text v)
{
	int error = want_peer(c); /* the one before */

	if (error)
		return error;
	if (!key_from_hex(v.at, v.len, c->public))
		return EINVAL;
	c->in_peer = true;
	c->skip = false;
	c->peer = c->apply ? engine_peer(c->e, c->public) : NULL;
	return 0;
}

static int uapi_remove_peer(struct change *c, struct text v)
{
	if (!uapi_is_text(v, "true"))
		return EINVAL;
	if (c->peer)
		engine_peer_remove(c->e, c->peer);
	c->peer = NULL;
	c->skip = true;
	return 0;
}

static int update_only(struct change *c, struct text v)
{
	if (!uapi_is_text(v, "true"))
		return EINVAL;
	c->skip = c->skip || !c->peer;
	return 0;
}

static int set_preshared_key(struct change *c, struct text v)
{
	uint8_t key[KEY_LEN];

	if (!key_from_hex(v.at, v.len, key))
		return EINVAL;
	if (c->peer)
		engine_peer_set_psk(c->e, c->peer, key, c->now);
	crypto_wipe(key, sizeof(key));
	return 0;
}

static int uapi_set_endpoint(struct change *c, struct text v)
{
	struct endpoint to;

	if (!uapi_parse_endpoint(v, &to))
		return EINVAL;
	if (c->peer)
		engine_peer_set_endpoint(c->e, c->peer, &to);
	return 0;
}

static int set_keepalive(struct change *c, struct text v)
{
	uint32_t seconds;

	if (!parse_number(v, UINT16_MAX, &seconds))
		return EINVAL;
	if (c->peer)
		engine_peer_set_keepalive(c->e, c->peer, (uint16_t)seconds, c->now);
	return 0;
}

static int replace_allowed_ips(struct change *c, struct text v)
{
	if (!uapi_is_text(v, "true"))
		return EINVAL;
	if (c->peer)
		engine_peer_disallow_all(c->e, c->peer);
	return 0;
}

/* "10.0.0.0/8" gives, "-10.0.0.0/8" takes. */
static int set_allowed_ip(struct change *c, struct text v)
{
	bool take = v.len && v.at[0] == '-';
	struct prefix prefix;

	if (!prefix_parse(v.at + take, v.len - take, &prefix, NULL))
		return EINVAL;
	if (!c->peer)
		return 0;
	if (take)
		engine_peer_disallow(c->e, c->peer, &prefix);
	else if (!engine_peer_allow(c->e, c->peer, &prefix))
		return ENOMEM;
	return 0;
}

static int check_version(struct change *c, struct text v)
{
	return uapi_is_text(v, "1") ? 0 : EPROTONOSUPPORT;
}

enum whose {
	DEVICE,
	PEER,
	PEER_OR_NOT, /* is not reason enough to make the peer */
	ANYWHERE,
};

static const struct key {
	const char *name;
	enum whose whose;
	int (*set)(struct change *c, struct text value);
	bool open; /* also on a device whose peers have another owner */
} keys[] = {
	{"private_key", DEVICE, set_private_key, false},
	{"listen_port", DEVICE, set_listen_port, true},
	{"fwmark", DEVICE, set_fwmark, true},
	{"replace_peers", DEVICE, replace_peers, false},
	{"public_key", ANYWHERE, begin_peer, true},
	{"remove", PEER_OR_NOT, uapi_remove_peer, false},
	{"update_only", PEER_OR_NOT, update_only, true},
	{"preshared_key", PEER, set_preshared_key, false},
	{"endpoint", PEER, uapi_set_endpoint, false},
	{"persistent_keepalive_interval", PEER, set_keepalive, true},
	{"replace_allowed_ips", PEER, replace_allowed_ips, false},
	{"allowed_ip", PEER, set_allowed_ip, false},
	{"protocol_version", PEER, check_version, true},
};

static const struct key *find_key(struct text name)
{
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (uapi_is_text(name, keys[i].name))
			return &keys[i];
	}
	return NULL;
}

/* The device's keys come first, then those of one peer after the other. */
static bool belongs_here(const struct change *c, const struct key *key)
{
	return key->whose == ANYWHERE || (key->whose == DEVICE) == !c->in_peer;
}

static int set_line(struct change *c, struct text line)
{
	const char *equals = memchr(line.at, '=', line.len);
	const struct key *key;
	struct text value;
	int error = 0;

	if (!equals)
		return EPROTO;
	key = find_key((struct text){line.at, (size_t)(equals - line.at)});
	value = (struct text){equals + 1, line.len - (size_t)(equals + 1 - line.at)};
	if (!key || !belongs_here(c, key))
		return EINVAL;
	if (c->device->refused && !key->open)
		return uapi_refuse(c, key->name);
	if (key->whose == PEER)
		error = want_peer(c);
	return error ? error : key->set(c, value);
}

/* All lines after the first; the empty one ends them. */
static int walk(struct change *c, const char *at)
{
	int error = 0;

	while (!error && *at != '\n') {
		const char *end = strchr(at, '\n');

		error = set_line(c, (struct text){at, (size_t)(end - at)});
		at = end + 1;
	}
	return error ? error : want_peer(c);
}

static int set_device(const struct change *c)
{
	struct uapi_device *d = c->device;
	int error = 0;

	if (c->has_port && c->port != d->listen_port)
		error = d->set_listen_port(d->ctx, c->port);
	if (!error && c->has_mark && c->mark != d->fwmark)
		error = d->set_fwmark(d->ctx, c->mark);
	return error;
}

static int uapi_set(struct engine *e, struct uapi_device *device, const struct engine_time *now, const char *lines)
{
	struct change check = {.e = e, .device = device, .now = now};
	struct change apply = {.e = e, .device = device, .now = now, .apply = true};
	int error = walk(&check, lines), published;

	if (error)
		return error;
	error = walk(&apply, lines);
	published = engine_publish_allowed(e) ? 0 : ENOMEM; /* what was done is done */
	if (error || published)
		return error ? error : published;
	return set_device(&apply);
}

/* ---- get ---- */

static void uapi_print_key(FILE *out, const char *name, const uint8_t key[KEY_LEN])
{
	char hex[KEY_LEN_HEX + 1];

	fprintf(out, "%s=%s\n", name, key_to_hex(key, hex));
	crypto_wipe(hex, sizeof(hex));
}

static void print_endpoint(FILE *out, const struct endpoint *e)
{
	char text[ADDR_STRLEN];

	addr_str(&e->addr, text);
	fprintf(out, addr_is_v4(&e->addr) ? "endpoint=%s:%u\n" : "endpoint=[%s]:%u\n", text, e->port);
}

/* `wg` wants a length behind every prefix, a full one too. */
static void print_allowed(FILE *out, const struct prefix *p)
{
	bool v4 = prefix_is_v4(p);
	char text[ADDR_STRLEN];

	fprintf(out, "allowed_ip=%s/%u\n", addr_str(&p->addr, text), v4 ? p->len - ADDR_V4_BITS : p->len);
}

static void print_psk(FILE *out, const struct peer *p)
{
	uint8_t psk[KEY_LEN];

	engine_peer_psk(p, psk);
	uapi_print_key(out, "preshared_key", psk);
	crypto_wipe(psk, sizeof(psk));
}

static void uapi_print_peer(FILE *out, const struct engine *e, const struct peer *p, const struct uapi_device *device)
{
	struct engine_peer_state s;
	const struct prefix *prefix;
	const void *cursor = NULL;

	engine_peer_state(e, p, &s);
	uapi_print_key(out, "public_key", s.public);
	if (device->show_secrets)
		print_psk(out, p);
	fprintf(out, "protocol_version=1\n");
	if (s.endpoint.port)
		print_endpoint(out, &s.endpoint);
	fprintf(out, "last_handshake_time_sec=%" PRIu64 "\n", (uint64_t)(s.last_handshake / NS_PER_SEC));
	fprintf(out, "last_handshake_time_nsec=%" PRIu64 "\n", (uint64_t)(s.last_handshake % NS_PER_SEC));
	fprintf(out, "tx_bytes=%" PRIu64 "\nrx_bytes=%" PRIu64 "\n", s.tx_bytes, s.rx_bytes);
	fprintf(out, "persistent_keepalive_interval=%u\n", s.keepalive);
	while ((prefix = engine_peer_each_allowed(e, p, &cursor)))
		print_allowed(out, prefix);
}

static void print_device(FILE *out, const struct engine *e, const struct uapi_device *device)
{
	uint8_t key[KEY_LEN];

	if (device->show_secrets && engine_public_key(e, key)) {
		engine_secret_key(e, key);
		uapi_print_key(out, "private_key", key);
	}
	crypto_wipe(key, sizeof(key));
	fprintf(out, "listen_port=%u\n", device->listen_port);
	if (device->fwmark)
		fprintf(out, "fwmark=%" PRIu32 "\n", device->fwmark);
	for (struct peer *p = engine_peer_next(e, NULL); p; p = engine_peer_next(e, p))
		uapi_print_peer(out, e, p, device);
}

/* ---- the answer ---- */

static int uapi_run_answer(FILE *out, struct engine *e, struct uapi_device *device, const struct engine_time *now,
			   const char *request)
{
	static const char get_request[] = "get=1\n\n", set_begin[] = "set=1\n";

	if (!strcmp(request, get_request)) {
		print_device(out, e, device);
		return 0;
	}
	if (strncmp(request, set_begin, strlen(set_begin)))
		return EPROTO;
	return uapi_set(e, device, now, request + strlen(set_begin));
}

static char *print_answer(struct engine *e, struct uapi_device *device, const struct engine_time *now,
			  const char *request, size_t *len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, len);
	int error;

	if (!out)
		return NULL;
	error = uapi_run_answer(out, e, device, now, request);
	fprintf(out, "errno=%d\n\n", -error); /* negative, as wireguard-go has it and `wg` understands it */
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

char *uapi_answer(struct uapi_request *r, struct engine *e, struct uapi_device *device, const struct engine_time *now,
		  size_t *len)
{
	size_t request_len = whole_request(r);
	char *request = request_len ? malloc(request_len + 1) : NULL, *text;

	if (!request)
		return NULL;
	memcpy(request, r->text, request_len);
	request[request_len] = '\0';
	take_out(r, request_len);
	/* Text that holds a NUL is no request: it would not be read to its end. */
	text = print_answer(e, device, now, strlen(request) == request_len ? request : "", len);
	crypto_wipe(request, request_len);
	free(request);
	return text;
}

void uapi_answer_free(char *text, size_t len)
{
	if (text)
		crypto_wipe(text, len);
	free(text);
}
