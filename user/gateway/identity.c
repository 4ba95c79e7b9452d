/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The gateway's private key. One that is missing is made anew only where no client can know another yet; one that
 * everybody knows, from a manual or an example, is refused.
 */
#include "identity.h"

#include <stdio.h>
#include <string.h>

#include "user/base/log.h"
#include "user/base/secret.h"
#include "user/config/known_keys.h"
#include "user/wireguard/crypto.h"

bool identity_load(const struct site *s, const struct state *remembered, char *error, size_t size)
{
	const char *file = s->config->tunnel.private_key_file;
	enum secret_result result;
	uint8_t key[KEY_LEN];

	result = secret_read(file, key, error, size);
	if (result == SECRET_ABSENT && remembered->has_identity) {
		snprintf(error, size,
			 "%s is missing, but clients know this gateway by another key: restore it, or remove %s/%s to "
			 "begin anew",
			 file, s->config->state, STATE_FILE);
		return false;
	}
	if (result == SECRET_ABSENT) {
		crypto_random(key, sizeof(key));
		result = secret_create(file, key, error, size);
		if (result == SECRET_OK)
			log_info("made a private key: %s", file);
	}
	if (result == SECRET_OK && known_private_key(key)) {
		snprintf(error, size, "%s holds %s: " KNOWN_KEY_ADVICE, file, known_private_key(key));
		result = SECRET_BAD;
	}
	if (result == SECRET_OK)
		engine_set_identity(s->device->engine, key);
	explicit_bzero(key, sizeof(key));
	return result == SECRET_OK;
}
