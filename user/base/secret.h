/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_SECRET_H
#define SLUICE_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Keys in files: one line of base64, as `wg genkey` writes it. A file that its
 * group or the world may read is refused, and so is one that belongs to another
 * user than root or ourselves: who can write it can replace the key.
 */
enum secret_result {
	SECRET_OK,
	SECRET_ABSENT,	/* there is no such file */
	SECRET_REFUSED, /* mode, owner, not a regular file */
	SECRET_BAD,	/* not a key */
	SECRET_FAILED,	/* cannot be read or written: errno's text is in the message */
};

/* For a process that keeps keys: no core file, and nobody looks into its memory but who may do so with any process. */
void secret_shield(void);

/*
 * Zeroed memory for what holds keys: between guard pages, left out of core files, kept from swap as far as
 * RLIMIT_MEMLOCK goes, wiped when it is freed. A few pages each: for few objects. Ends the program without memory,
 * as mem_alloc() does.
 */
void *secret_memory(size_t size);
void secret_memory_free(void *memory); /* NULL is fine */
/* free() for a library whose memory may hold a secret for a while: wipes what malloc() gave. */
void secret_wiping_free(void *memory);
char *secret_strndup(const char *text, size_t len); /* into such memory */

/* Reads @path into @key. On failure @key is wiped and @error (@size bytes) has a
 * line with the path in it and what to do. @key may be NULL: check only. */
enum secret_result secret_read(const char *path, uint8_t key[32], char *error, size_t size);

/* Creates @path with mode 0600, never over an existing file. */
enum secret_result secret_create(const char *path, const uint8_t key[32], char *error, size_t size);

/* A secret that is one line of text (an auth key), under the same conditions. In secret_memory();
 * NULL: @error says why. */
char *secret_text(const char *path, char *error, size_t size);

#endif
