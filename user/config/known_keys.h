/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_KNOWN_KEYS_H
#define SLUICE_KNOWN_KEYS_H

#include "user/base/key.h"

/*
 * Public keys that prove nothing: everybody has the private key, because it is printed in a standard, a manual or an
 * example, or because it can be worked out. A client with one of them is anybody. Pure.
 *
 * Where the key is from, for people: "the example of RFC 7748"; NULL: it is none of these.
 */
const char *known_key(const uint8_t key[KEY_LEN]);
/* Advice for a private key of ours that is one of these. */
#define KNOWN_KEY_ADVICE "everybody has it; remove the file, and the next start makes another"

/* The same of the public key that belongs to a private one. */
const char *known_private_key(const uint8_t key[KEY_LEN]);

#endif
