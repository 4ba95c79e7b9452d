/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_AEAD_H
#define SLUICE_AEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "messages.h"

/*
 * The seam for bulk ChaCha20-Poly1305 (RFC 8439), without additional data, as
 * WireGuard data messages use it: the nonce is four zero bytes and the counter,
 * little endian. aead_boringssl.c or aead_sodium.c implements it; one is linked.
 *
 * A key is prepared once a session. Preparing allocates nothing: the key lives
 * wherever the caller put the struct, which is locked memory. Sealing and opening
 * only read it, so several threads may use one key at a time.
 */
struct aead_key {
	uint64_t opaque[76];
};

extern const char aead_name[]; /* "boringssl" or "sodium" */

/* Always followed by aead_key_wipe(). */
void aead_key_init(struct aead_key *key, const uint8_t bytes[KEY_LEN]);
void aead_key_wipe(struct aead_key *key);

/*
 * Encrypts @len bytes of @plain followed by @pad zero bytes (pad < PADDING) and
 * writes len + pad + TAG_LEN bytes to @out. @out is @plain or does not overlap it.
 */
void aead_seal(const struct aead_key *key, uint64_t counter, uint8_t *out, const uint8_t *plain, size_t len,
	       size_t pad);

/*
 * Opens @len bytes of ciphertext and tag into len - TAG_LEN bytes at @out, which
 * is @sealed or does not overlap it. False: forged or shorter than a tag, and
 * what is at @out is of no use.
 */
bool aead_open(const struct aead_key *key, uint64_t counter, uint8_t *out, const uint8_t *sealed, size_t len);

#endif
