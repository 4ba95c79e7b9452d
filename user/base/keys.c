/* SPDX-License-Identifier: BSD-2-Clause */
/* mkey:, nodekey: and discokey: (keys.h). */
#include <string.h>

#include "keys.h"

static const char *const prefixes[] = {
	[TAILKEY_MACHINE] = "mkey:",
	[TAILKEY_NODE] = "nodekey:",
	[TAILKEY_DISCO] = "discokey:",
};

bool tailkey_parse(enum tailkey kind, const char *text, uint8_t key[KEY_LEN])
{
	size_t len = strlen(prefixes[kind]);

	if (strncmp(text, prefixes[kind], len) != 0)
		return false;
	return key_from_hex(text + len, strlen(text + len), key);
}

const char *tailkey_text(enum tailkey kind, const uint8_t key[KEY_LEN], char text[TAILKEY_SIZE])
{
	size_t len = strlen(prefixes[kind]);

	memcpy(text, prefixes[kind], len);
	key_to_hex(key, text + len);
	return text;
}
