/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * genkey and pubkey, as those of wg(8): one key a line, secrets wiped.
 */
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "user/base/key.h"
#include "user/base/exit.h"

static bool cmd_key_print(const uint8_t key[KEY_LEN])
{
	char text[KEY_LEN_BASE64 + 2];
	ssize_t n;

	key_to_base64(key, text);
	text[KEY_LEN_BASE64] = '\n';
	n = write(STDOUT_FILENO, text, KEY_LEN_BASE64 + 1); /* not by stdio, whose buffer would keep it */
	sodium_memzero(text, sizeof(text));
	if (n != KEY_LEN_BASE64 + 1)
		perror("sluice: standard output");
	return n == KEY_LEN_BASE64 + 1;
}

static void warn_if_readable(void)
{
	struct stat st;

	if (!fstat(STDOUT_FILENO, &st) && S_ISREG(st.st_mode) && (st.st_mode & 077))
		fputs("warning: the file is readable by others: set umask 077 before, or chmod 600 it\n", stderr);
}

int cmd_genkey(int argc, char **argv)
{
	struct command_args a;
	uint8_t key[KEY_LEN];
	bool done;

	if (!command_parse(argc, argv, &a))
		return EXIT_USAGE;
	if (sodium_init() < 0)
		return EXIT_NO;
	warn_if_readable();
	randombytes_buf(key, sizeof(key));
	key[0] &= 248; /* RFC 7748, 5: clamped, as wg(8) prints it */
	key[31] = (key[31] & 127) | 64;
	done = cmd_key_print(key);
	sodium_memzero(key, sizeof(key));
	return done ? EXIT_YES : EXIT_NO;
}

/* One line of standard input; false: not a key. */
static bool cmd_key_read(uint8_t key[KEY_LEN])
{
	char text[KEY_LEN_BASE64 + 16];
	size_t n = 0;
	ssize_t got;
	bool good;

	while (n < sizeof(text) && (got = read(STDIN_FILENO, text + n, sizeof(text) - n)) > 0)
		n += (size_t)got;
	good = n < sizeof(text); /* else there is more, and it is no key */
	while (n && strchr(" \t\r\n", text[n - 1]))
		n--;
	good = good && key_from_base64(text, n, key);
	sodium_memzero(text, sizeof(text));
	return good;
}

int cmd_pubkey(int argc, char **argv)
{
	uint8_t key[KEY_LEN] = {0}, public[KEY_LEN];
	struct command_args a;
	bool done = false;

	if (!command_parse(argc, argv, &a))
		return EXIT_USAGE;
	if (sodium_init() < 0)
		return EXIT_NO;
	if (cmd_key_read(key)) {
		crypto_scalarmult_base(public, key);
		done = cmd_key_print(public);
	} else {
		fputs("sluice pubkey: expected a private key on standard input: 44 characters of base64\n", stderr);
	}
	sodium_memzero(key, sizeof(key));
	return done ? EXIT_YES : EXIT_NO;
}
