/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_KEPT_H
#define SLUICE_KEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A file that must not be believed when it is damaged, for it says who is out: a line with serial number, length and
 * checksum, then the text. Written as a whole by way of rename, as one copy or as two (NAME and NAME.2), so that a
 * damaged one is replaced by the other. A file that cannot be replaced is disowned: nobody takes it for the newest
 * then.
 */
enum kept_result {
	KEPT_OK,
	KEPT_ABSENT,   /* there is none */
	KEPT_DISOWNED, /* whole, but something newer could not be written */
	KEPT_DAMAGED,
	KEPT_FAILED, /* it cannot be read: errno's text is in the message */
};

/* 0 or -errno. After a failure an old copy may still be there. */
int kept_write(const char *path, unsigned copies, uint64_t serial, const char *text, size_t len);

/*
 * The newest whole copy, of at most @max bytes: *text is from malloc and terminated, else NULL. @why, where it is not
 * empty, has one line about a copy that is not as it should be; it may be set with KEPT_OK, too.
 */
enum kept_result kept_read(const char *path, unsigned copies, size_t max, char **text, size_t *len, uint64_t *serial,
			   char *why, size_t size);

/* Needs no room on the disk. 0 or -errno of the first failure. */
int kept_disown(const char *path, unsigned copies);

#endif
