/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_LOG_H
#define SLUICE_LOG_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Messages to stderr, one line each. Under journald (JOURNAL_STREAM is set) a
 * line starts with its priority as <3>, and without a time of its own. Control
 * characters in the text are escaped, so a hostile name cannot forge a line.
 *
 * Every place that logs is bounded: LOG_BURST lines in LOG_WINDOW seconds, after
 * which the place is silent until the window ends; its next line then says how
 * many were left out. Safe from any thread.
 */
enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARNING = 4, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 };

#define LOG_BURST  20
#define LOG_WINDOW 10

struct log_site {		 /* one place that logs; all zero at start */
	_Atomic uint64_t window; /* start in monotonic seconds, lines since then in the lower half */
};

#define log_at(level, ...)                                     \
	do {                                                   \
		static struct log_site log_site_here;          \
		log_write(&log_site_here, level, __VA_ARGS__); \
	} while (0)

#define log_error(...)	 log_at(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_at(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)	 log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)	 log_at(LOG_LEVEL_DEBUG, __VA_ARGS__)

void log_write(struct log_site *site, enum log_level level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The least urgent level that is written; LOG_LEVEL_INFO at start. */
void log_set_level(enum log_level level);

/* Whether the place may write at @now (monotonic seconds); *left_out: lines to
 * mention first. Pure but for @site; here for the tests. */
bool log_site_allows(struct log_site *site, uint64_t now, uint32_t *left_out);

#endif
