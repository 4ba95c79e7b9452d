/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * version: what this program is made of.
 */
#include <bpf/libbpf.h>
#include <jansson.h>
#include <qrencode.h>
#include <seccomp.h>
#include <sodium.h>
#include <sys/utsname.h>
#include <yaml.h>

#include "bpf/contract.h"
#include "command.h"
#include "user/base/exit.h"
#include "user/base/version.h"
#include "user/wireguard/aead.h"

static void print_qrencode(FILE *out)
{
	int major, minor, micro;

	QRcode_APIVersion(&major, &minor, &micro);
	fprintf(out, ", libqrencode %d.%d.%d", major, minor, micro);
}

static void version_print(FILE *out)
{
	const struct scmp_version *seccomp = seccomp_version();
	struct utsname kernel;

	fprintf(out, "sluice %s\n", version_commit());
	fprintf(out, "aead       %s\n", aead_name);
	fprintf(out, "layout     %d (pinned maps)\n", SLUICE_LAYOUT);
	fprintf(out, "libraries  libbpf %s, libsodium %s, libyaml %s, jansson %s", libbpf_version_string(),
		sodium_version_string(), yaml_get_version_string(), jansson_version_str());
	if (seccomp)
		fprintf(out, ", libseccomp %u.%u.%u", seccomp->major, seccomp->minor, seccomp->micro);
	print_qrencode(out);
	fputc('\n', out);
	if (!uname(&kernel))
		fprintf(out, "kernel     %s %s\n", kernel.release, kernel.machine);
}

int cmd_version(int argc, char **argv)
{
	struct command_args a;

	if (!command_parse(argc, argv, &a))
		return EXIT_USAGE;
	version_print(stdout);
	return EXIT_YES;
}
