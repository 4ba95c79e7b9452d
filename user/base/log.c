/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages to stderr (log.h). A whole line is written with one call, so lines of
 * several threads do not mix.
 */
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "text.h"

#define LINE_MAX_BYTES 1024

/* the one setting of a process that every thread shares */
static _Atomic int least_urgent = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
	least_urgent = level;
}

bool log_site_allows(struct log_site *site, uint64_t now, uint32_t *left_out)
{
	uint64_t old = site->window, next;
	uint32_t lines;
	bool fresh;

	do { /* the value read is written back only if nobody else wrote meanwhile */
		lines = (uint32_t)old;
		fresh = !lines || (uint32_t)now - (uint32_t)(old >> 32) >= LOG_WINDOW;
		next = fresh ? now << 32 | 1 : lines == UINT32_MAX ? old : old + 1;
	} while (!atomic_compare_exchange_weak(&site->window, &old, next));
	*left_out = fresh && lines > LOG_BURST ? lines - LOG_BURST : 0;
	return fresh || lines < LOG_BURST;
}

/* journald says which device and inode its stream has; stderr may be redirected elsewhere. */
static bool goes_to_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, inode;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &dev, &inode) == 2 && !fstat(STDERR_FILENO, &st) &&
	       st.st_dev == dev && st.st_ino == inode;
}

static const char *level_word(enum log_level level)
{
	return level == LOG_LEVEL_ERROR	    ? "error: "
	       : level == LOG_LEVEL_WARNING ? "warning: "
	       : level == LOG_LEVEL_DEBUG   ? "debug: "
					    : "";
}

static void put_line(enum log_level level, const char *text)
{
	char escaped[LINE_MAX_BYTES], line[LINE_MAX_BYTES + 64], when[32] = "";
	time_t now = time(NULL);
	struct tm tm;
	int n;

	text_escape(text, escaped, sizeof(escaped));
	if (goes_to_journal()) {
		n = snprintf(line, sizeof(line), "<%d>%s\n", level, escaped);
	} else {
		if (gmtime_r(&now, &tm))
			strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ ", &tm);
		n = snprintf(line, sizeof(line), "%s%s%s\n", when, level_word(level), escaped);
	}
	/* nobody is left to be told that stderr does not take it */
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		return;
}

void log_write(struct log_site *site, enum log_level level, const char *fmt, ...)
{
	char text[LINE_MAX_BYTES];
	struct timespec now;
	uint32_t left_out;
	va_list ap;

	if ((int)level > least_urgent)
		return;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	if (!log_site_allows(site, (uint64_t)now.tv_sec, &left_out))
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (left_out) {
		char more[64];

		snprintf(more, sizeof(more), "(%u lines like the next one were left out)", left_out);
		put_line(level, more);
	}
	put_line(level, text);
}
