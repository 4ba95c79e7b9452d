/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What this program is made of. SLUICE_VERSION comes from the Makefile.
 */
#include <bpf/libbpf.h>
#include <jansson.h>
#include <qrencode.h>
#include <seccomp.h>
#include <sodium.h>
#include <sys/utsname.h>
#include <yaml.h>

#include "bpf/contract.h"
#include "user/wireguard/aead.h"
#include "version.h"

#ifndef SLUICE_VERSION
#define SLUICE_VERSION "unknown"
#endif

const char *version_commit(void)
{
	return SLUICE_VERSION;
}

static void print_qrencode(FILE *out)
{
	int major, minor, micro;

	QRcode_APIVersion(&major, &minor, &micro);
	fprintf(out, ", libqrencode %d.%d.%d", major, minor, micro);
}

void version_print(FILE *out)
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
