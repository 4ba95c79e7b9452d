/* SPDX-License-Identifier: BSD-2-Clause */
/* Our keys in a tailnet, on disk (tailkeys.h). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy/alloc.h"
#include "tailkeys.h"
#include "user/wireguard/crypto.h"
#include "user/base/secret.h"

static void make_key(uint8_t key[KEY_LEN])
{
	crypto_random(key, KEY_LEN);
	crypto_clamp(key);
}

/* One that is damaged is left alone: it may be in a backup, and without it this is another node. */
static bool load_or_make(const char *folder, const char *name, uint8_t key[KEY_LEN], char *error, size_t size)
{
	char *path = mem_printf("%s/%s", folder, name);
	enum secret_result result = secret_read(path, key, error, size);
	size_t len;

	if (result == SECRET_ABSENT) {
		make_key(key);
		result = secret_create(path, key, error, size);
	} else if (result == SECRET_BAD) {
		len = strlen(error);
		snprintf(error + len, size - len,
			 "; restore it, or remove it: then this is a new node, which has to log in");
	}
	free(path);
	return result == SECRET_OK;
}

bool tailkeys_load(const char *folder, struct tailkeys *k, char *error, size_t size)
{
	char *old = mem_printf("%s/old-node.key", folder);
	bool ok;

	*k = (struct tailkeys){0};
	ok = load_or_make(folder, "machine.key", k->machine, error, size) &&
	     load_or_make(folder, "node.key", k->node, error, size) &&
	     load_or_make(folder, "disco.key", k->disco, error, size);
	if (ok)
		secret_read(old, k->old_node, error, size); /* absent as a rule, and no loss */
	else
		crypto_wipe(k, sizeof(*k));
	free(old);
	return ok;
}

bool tailkeys_rotate(const char *folder, struct tailkeys *k, char *error, size_t size)
{
	char *path = mem_printf("%s/node.key", folder), *old = mem_printf("%s/old-node.key", folder);
	uint8_t new[KEY_LEN];
	bool ok = false;

	make_key(new);
	if (rename(path, old))
		snprintf(error, size, "%s: %s", old, strerror(errno));
	else if (secret_create(path, new, error, size) == SECRET_OK)
		ok = true;
	else if (rename(old, path))
		snprintf(error, size, "%s: %s", path, strerror(errno)); /* the next start makes a key */
	if (ok) {
		memcpy(k->old_node, k->node, KEY_LEN);
		memcpy(k->node, new, KEY_LEN);
	}
	crypto_wipe(new, sizeof(new));
	free(path);
	free(old);
	return ok;
}

bool tailkeys_revert(const char *folder, struct tailkeys *k, char *error, size_t size)
{
	char *path = mem_printf("%s/node.key", folder), *old = mem_printf("%s/old-node.key", folder);
	bool ok = !rename(old, path);

	if (ok) {
		memcpy(k->node, k->old_node, KEY_LEN);
		crypto_wipe(k->old_node, KEY_LEN);
	} else {
		snprintf(error, size, "%s: %s", path, strerror(errno));
	}
	free(path);
	free(old);
	return ok;
}

const uint8_t *tailkeys_in_force(const struct tailkeys *k)
{
	return key_is_zero(k->old_node) ? k->node : k->old_node;
}

bool tailkeys_settle(const char *folder, struct tailkeys *k, const uint8_t told[KEY_LEN])
{
	uint8_t public[KEY_LEN];
	char *old;

	crypto_public_key(k->node, public);
	if (key_is_zero(k->old_node) || memcmp(public, told, KEY_LEN) != 0)
		return false;
	old = mem_printf("%s/old-node.key", folder);
	unlink(old);
	crypto_wipe(k->old_node, KEY_LEN);
	free(old);
	return true;
}
