/* SPDX-License-Identifier: BSD-2-Clause */
/* The hour without the server's word over restarts (kept_confirmation.h). On disk: the server, the seconds. */
#include "kept_confirmation.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy/alloc.h"
#include "user/base/clock.h"
#include "user/base/file.h"
#include "user/base/log.h"

#define KEPT_FILE "unconfirmed"
#define KEPT_MAX  4096

static char *kept_confirmation_path(const struct kept_confirmation *k)
{
	return mem_printf("%s/" KEPT_FILE, k->folder);
}

static char *kept_confirmation_text(const char *server, uint64_t seconds)
{
	return mem_printf("%s\n%" PRIu64 "\n", server, seconds);
}

/* What went by, in ns; of another server nothing. What comes out as the same text again was meant so. */
static uint64_t kept_confirmation_parse(const struct kept_confirmation *k, const char *text)
{
	size_t server = strcspn(text, "\n");
	uint64_t seconds = text[server] ? strtoull(text + server + 1, NULL, 10) : 0;
	char *name = mem_strndup(text, server), *again = kept_confirmation_text(name, seconds);
	bool whole = !strcmp(again, text) && seconds <= CONFIRMATION_MAX / NS_PER_SEC, ours = !strcmp(name, k->server);

	free(again);
	free(name);
	return !whole ? CONFIRMATION_MAX - CONFIRMATION_GRACE : ours ? seconds * NS_PER_SEC : 0;
}

static void kept_confirmation_write(struct kept_confirmation *k, uint64_t spent)
{
	char *path = kept_confirmation_path(k);
	char *text =
		kept_confirmation_text(k->server, (spent < CONFIRMATION_MAX ? spent : CONFIRMATION_MAX) / NS_PER_SEC);
	int err = spent ? file_write(path, text, strlen(text)) : unlink(path) && errno != ENOENT ? -errno : 0;

	if (err)
		log_warning("tailnet: %s: %s", path, strerror(-err));
	k->on_disk = spent;
	free(text);
	free(path);
}

void kept_confirmation_open(struct kept_confirmation *k, const char *folder, const char *server)
{
	char *path, *text;
	size_t len;

	*k = (struct kept_confirmation){.folder = folder, .server = server};
	path = kept_confirmation_path(k);
	text = file_read(path, KEPT_MAX, &len);
	if (text)
		k->now.spent = kept_confirmation_parse(k, text);
	else if (errno != ENOENT)
		k->now.spent = CONFIRMATION_MAX - CONFIRMATION_GRACE;
	if (k->now.spent)
		kept_confirmation_write(k, k->now.spent += CONFIRMATION_KEEP);
	free(text);
	free(path);
}

bool kept_confirmation_tick(struct kept_confirmation *k, uint64_t now)
{
	enum confirmation_due due = confirmation_due(&k->now, now);
	uint64_t spent = confirmation_spent(&k->now, now);

	if (!spent != !k->on_disk || (spent != k->on_disk && now >= k->keep_at)) {
		kept_confirmation_write(k, spent);
		k->keep_at = now + CONFIRMATION_KEEP;
	}
	if (due == CONFIRMATION_SAY)
		log_error("tailnet: the server has not confirmed the netmap for a minute: `sluice status` tells why");
	if (due == CONFIRMATION_GIVE_UP)
		log_error("tailnet: the server has not confirmed the netmap for an hour: nobody is served");
	return due == CONFIRMATION_GIVE_UP;
}

uint64_t kept_confirmation_next(const struct kept_confirmation *k)
{
	uint64_t next = confirmation_next(&k->now);

	return k->now.since && k->keep_at < next ? k->keep_at : next;
}

void kept_confirmation_close(struct kept_confirmation *k, uint64_t now)
{
	uint64_t spent = confirmation_spent(&k->now, now);

	if (k->folder && spent != k->on_disk)
		kept_confirmation_write(k, spent);
}
