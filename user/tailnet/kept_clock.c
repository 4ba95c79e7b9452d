/* SPDX-License-Identifier: BSD-2-Clause */
/* The server's clock over restarts (kept_clock.h). On disk it is three lines: the server, the boot, the clock. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kept_clock.h"
#include "policy/alloc.h"
#include "user/base/log.h"
#include "user/base/text.h"
#include "user/base/clock.h"
#include "user/base/file.h"

#define FILE_NAME  "clock"
#define FILE_MAX   4096
#define BOOT_FILE  "/proc/sys/kernel/random/boot_id"
#define JITTER	   5		     /* seconds: it is said often, and one more or less depends on the way */
#define KEEP_PAUSE (60 * NS_PER_SEC) /* between two writes: a server may say another time in every message */

/* ---- its text ------------------------------------------------------------------- */

char *kept_clock_text(const char *server, const char *boot, const struct server_clock *c)
{
	return mem_printf("%s\n%s\n%" PRId64 "\n", server, boot, c->ahead);
}

/* A value is taken if printing it gives the same text again. */
bool kept_clock_parse(const char *text, const char *server, const char *boot, struct server_clock *out)
{
	size_t head = strlen(server) + strlen(boot) + 2;
	struct server_clock c = {0};
	char *again;
	bool same;

	if (!*boot || strlen(text) <= head)
		return false;
	c.ahead = strtoll(text + head, NULL, 10);
	again = kept_clock_text(server, boot, &c);
	same = c.ahead > 0 && c.ahead < SERVER_CLOCK_END && !strcmp(again, text);
	free(again);
	if (same)
		*out = c;
	return same;
}

/* ---- its file --------------------------------------------------------------------- */

/* "": not known; then nothing fits. */
static char *boot_id(void)
{
	size_t len;
	char *id = file_read(BOOT_FILE, FILE_MAX, &len);

	if (!id)
		return mem_strdup("");
	id[strcspn(id, "\n")] = '\0';
	return id;
}

void kept_clock_open(struct kept_clock *k, const char *folder, const char *server)
{
	char *path = mem_printf("%s/" FILE_NAME, folder), *boot = boot_id();
	size_t len;
	char *text = file_read(path, FILE_MAX, &len);

	*k = (struct kept_clock){.folder = folder, .server = server};
	if (text && kept_clock_parse(text, server, boot, &k->clock))
		k->on_disk = k->clock;
	free(text);
	free(boot);
	free(path);
}

static void kept_clock_keep(struct kept_clock *k)
{
	char *path = mem_printf("%s/" FILE_NAME, k->folder), *boot = boot_id();
	char *text = kept_clock_text(k->server, boot, &k->clock);
	int rc = file_write(path, text, strlen(text));

	if (rc)
		log_warning("tailnet: %s: %s", path, strerror(-rc));
	k->on_disk = k->clock;
	free(text);
	free(boot);
	free(path);
}

/* ---- going by it -------------------------------------------------------------------- */

static int64_t kept_clock_wall_seconds(void)
{
	return (int64_t)(clock_wall() / NS_PER_SEC);
}

static int64_t boot_seconds(void)
{
	return (int64_t)(clock_boot() / NS_PER_SEC);
}

static bool has_news(const struct kept_clock *k)
{
	int64_t news = k->clock.ahead - k->on_disk.ahead;

	return news < -JITTER || news > JITTER;
}

void kept_clock_heard(struct kept_clock *k, int64_t server, uint64_t now)
{
	server_clock_heard(&k->clock, server, boot_seconds());
	if (!has_news(k) || now < k->keep_at)
		return;
	kept_clock_keep(k);
	k->keep_at = now + KEEP_PAUSE;
}

void kept_clock_close(struct kept_clock *k)
{
	if (has_news(k))
		kept_clock_keep(k);
}

int64_t kept_clock_now(const struct kept_clock *k)
{
	return server_clock_now(&k->clock, kept_clock_wall_seconds(), boot_seconds());
}

int64_t kept_clock_ahead(const struct kept_clock *k)
{
	int64_t wall = kept_clock_wall_seconds();

	return wall - server_clock_now(&k->clock, wall, boot_seconds());
}

void kept_clock_check(struct kept_clock *k)
{
	int64_t ahead = kept_clock_ahead(k);
	char shown[TEXT_SIZE];

	if (ahead && !k->off)
		log_warning("tailnet: this machine's clock is %s %s the coordination server's, by which keys expire",
			    text_duration((uint64_t)(ahead < 0 ? -ahead : ahead), shown),
			    ahead < 0 ? "behind" : "ahead of");
	else if (!ahead && k->off)
		log_info("tailnet: this machine's clock agrees with the coordination server's again");
	k->off = ahead;
}
