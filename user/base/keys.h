/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_KEYS_H
#define SLUICE_TAILNET_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "key.h"

/*
 * The public keys of a tailnet as text: a prefix that names the kind and 64 hex
 * digits. The prefix keeps one kind from being taken for another.
 */
enum tailkey { TAILKEY_MACHINE, TAILKEY_NODE, TAILKEY_DISCO };

#define TAILKEY_SIZE (sizeof("discokey:") + KEY_LEN_HEX) /* longest prefix, digits, terminator */

/* The whole of @text. False: not a key of this kind, @key untouched. All zero is a key here. */
bool tailkey_parse(enum tailkey kind, const char *text, uint8_t key[KEY_LEN]);
/* Writes into @text and returns it. */
const char *tailkey_text(enum tailkey kind, const uint8_t key[KEY_LEN], char text[TAILKEY_SIZE]);

#endif
