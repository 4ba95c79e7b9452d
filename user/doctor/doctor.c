/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * doctor: the machine and the gateway (doctor.h). The network is doctor_network.c's.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "policy/alloc.h"
#include "doctor.h"
#include "user/kernel/drops.h"
#include "user/print/print.h"
#include "user/print/table.h"
#include "user/base/text.h"

#define BPF_FS	     0xcafe4a11
#define NEVER_NAMED  10
#define KERNEL_MAJOR 6
#define KERNEL_MINOR 1

void doctor_say(struct doctor *doctor, const char *check, enum doctor_result result, const char *advice,
		const char *fmt, ...)
{
	static const char *const words[] = {"ok", "warn", "fail"};
	char text[1024], escaped[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	doctor->failed += result == DOCTOR_FAIL;
	doctor->warned += result == DOCTOR_WARN;
	json_array_append_new(doctor->checks,
			      json_pack("{s:s, s:s, s:s, s:s?}", "check", check, "result", words[result], "text",
					text_escape(text, escaped, sizeof(escaped)), "advice", advice));
}

/* ---- the machine ---------------------------------------------------------------------- */

static void check_kernel(struct doctor *d)
{
	struct utsname u;
	int major = 0, minor = 0;

	if (uname(&u) || sscanf(u.release, "%d.%d", &major, &minor) != 2)
		doctor_say(d, "kernel", DOCTOR_WARN, NULL, "version not known");
	else if (major < KERNEL_MAJOR || (major == KERNEL_MAJOR && minor < KERNEL_MINOR))
		doctor_say(d, "kernel", DOCTOR_FAIL, "upgrade to Linux 6.1 or later", "Linux %s is too old", u.release);
	else
		doctor_say(d, "kernel", DOCTOR_OK, NULL, "Linux %s %s", u.release, u.machine);
	if (access("/sys/kernel/btf/vmlinux", R_OK))
		doctor_say(d, "kernel", DOCTOR_FAIL, "use a kernel built with CONFIG_DEBUG_INFO_BTF",
			   "no type information (BTF): BPF programs do not load");
}

static void check_privilege(struct doctor *d)
{
	if (geteuid())
		doctor_say(d, "privilege", DOCTOR_WARN, "sudo sluice doctor", "not root: some things are not seen");
	else
		doctor_say(d, "privilege", DOCTOR_OK, NULL, "root");
}

static void check_tun(struct doctor *d)
{
	if (access("/dev/net/tun", F_OK))
		doctor_say(d, "tun", DOCTOR_FAIL, "modprobe tun", "/dev/net/tun: %s", strerror(errno));
	else
		doctor_say(d, "tun", DOCTOR_OK, NULL, "/dev/net/tun is there");
}

/* The nearest folder above the pins that exists tells whether a BPF file system is there. */
static void check_bpffs(struct doctor *d, const struct config *cfg)
{
	char *path = mem_strdup(cfg->pins), *slash;
	struct statfs fs;
	int err = statfs(path, &fs);

	while (err && (slash = strrchr(path, '/')) && slash != path) {
		*slash = 0;
		err = statfs(path, &fs);
	}
	if (err)
		doctor_say(d, "bpffs", DOCTOR_WARN, NULL, "%s: %s", path, strerror(errno));
	else if ((uint32_t)fs.f_type == BPF_FS)
		doctor_say(d, "bpffs", DOCTOR_OK, NULL, "maps are pinned under %s", cfg->pins);
	else if (!strncmp(cfg->pins, "/sys/fs/bpf/", 12)) /* also so in `ip netns exec`, which mounts /sys anew */
		doctor_say(d, "bpffs", DOCTOR_OK, NULL, "/sys/fs/bpf is not mounted here: sluice run does that");
	else
		doctor_say(d, "bpffs", DOCTOR_FAIL,
			   "mount -t bpf bpf on a folder above it, or leave pins to its default",
			   "%s does not lie on a BPF file system", cfg->pins);
	free(path);
}

/* A start refuses a folder that others may write to, or read keys in. */
static void check_state(struct doctor *d, const struct config *cfg)
{
	char advice[512];
	struct stat st;

	snprintf(advice, sizeof(advice), "chown root %s && chmod 700 %s, or name another folder as state", cfg->state,
		 cfg->state);
	if (stat(cfg->state, &st) && errno == ENOENT)
		doctor_say(d, "state", DOCTOR_OK, NULL, "%s is made at the start", cfg->state);
	else if (stat(cfg->state, &st))
		doctor_say(d, "state", DOCTOR_FAIL, NULL, "%s: %s", cfg->state, strerror(errno));
	else if (!S_ISDIR(st.st_mode))
		doctor_say(d, "state", DOCTOR_FAIL, "name a folder as state", "%s is no folder", cfg->state);
	else if (st.st_uid || st.st_mode & 077)
		doctor_say(d, "state", DOCTOR_FAIL, advice,
			   "%s belongs to uid %u and has mode %03o: a start refuses it", cfg->state, st.st_uid,
			   st.st_mode & 07777);
	else
		doctor_say(d, "state", DOCTOR_OK, NULL, "%s is root's alone", cfg->state);
}

static int doctor_read_number(const char *path)
{
	FILE *in = fopen(path, "re");
	int n = -1;

	if (in && fscanf(in, "%d", &n) != 1)
		n = -1;
	if (in)
		fclose(in);
	return n;
}

/* Sluice forwards by itself; the kernel's own forwarding is neither needed nor harmful. */
static void check_forwarding(struct doctor *d)
{
	bool four = doctor_read_number("/proc/sys/net/ipv4/ip_forward") > 0;
	bool six = doctor_read_number("/proc/sys/net/ipv6/conf/all/forwarding") > 0;

	doctor_say(d, "forwarding", DOCTOR_OK, NULL,
		   "the kernel forwards %s (not needed; tunnel packets are kept from it)",
		   four && six ? "IPv4 and IPv6"
		   : four      ? "IPv4"
		   : six       ? "IPv6"
			       : "nothing");
}

void doctor_machine(struct doctor *doctor, const struct config *cfg)
{
	check_privilege(doctor);
	check_kernel(doctor);
	check_tun(doctor);
	if (cfg)
		check_bpffs(doctor, cfg);
	check_state(doctor, cfg);
	check_forwarding(doctor);
}

/* ---- the gateway ------------------------------------------------------------------------- */

static void check_programs(struct doctor *d, const json_t *status)
{
	const json_t *e, *a;
	size_t i, j;

	json_array_foreach (json_object_get(status, "egress"), i, e) {
		const char *program = field_text(e, "program"), *interface = field_text(e, "interface");

		if (!*interface) /* a note says it, and the interfaces' check what to do */
			continue;
		if (!strcmp(program, "missing"))
			doctor_say(d, "programs", DOCTOR_FAIL,
				   "see the log; something removes it, or the kernel refuses it",
				   "the program on %s is missing", interface);
		else
			doctor_say(d, "programs", DOCTOR_OK, NULL, "attached to %s (%s)", interface, program);
		json_array_foreach (json_object_get(e, "addresses"), j, a)
			if (json_is_false(json_object_get(a, "present")))
				doctor_say(d, "egress", DOCTOR_FAIL,
					   "ip address add it, or take it out of the configuration", "%s is not on %s",
					   field_text(a, "address"), interface);
	}
}

/* Nobody has shaken hands. Those whose handshakes were refused just now have one key of two wrong. */
static void check_silence(struct doctor *d, const struct config *cfg, const json_t *status)
{
	const json_t *drops = json_object_get(status, "drops");
	unsigned long long not_ours = field_number(drops, drop_name(DROP_WG_MAC1));
	unsigned long long refused = field_number(drops, drop_name(DROP_WG_HANDSHAKE));

	if (not_ours && !cfg->tailnet.node)
		doctor_say(d, "clients", DOCTOR_WARN,
			   "give the client this gateway's public key: sluice client-config NAME has it",
			   "handshakes arrive, but for another gateway's key: %llu in the last minute", not_ours);
	else if (refused && !cfg->tailnet.node)
		doctor_say(d, "clients", DOCTOR_WARN,
			   "compare the client's public_key here with its own: sluice pubkey",
			   "handshakes arrive, but from keys that no client has: %llu in the last minute", refused);
	else
		doctor_say(d, "clients", DOCTOR_WARN,
			   "open the UDP port in the cloud's firewall; compare keys and endpoint",
			   "no handshake on UDP port %u in the last 3 minutes", cfg->tunnel.listen);
}

static void check_clients(struct doctor *d, const struct config *cfg, const json_t *status)
{
	const json_t *clients = json_object_get(status, "clients");
	unsigned long long active = field_number(clients, "active"), all = field_number(clients, "configured");

	if (!all && cfg->tailnet.node)
		doctor_say(d, "clients", DOCTOR_WARN,
			   "does the server's policy let anybody reach the routes, and are they approved there?",
			   "none: the coordination server tells of no peers");
	else if (!all)
		doctor_say(d, "clients", DOCTOR_WARN, "add clients to the configuration, then sluice reload", "none");
	else if (active)
		doctor_say(d, "clients", DOCTOR_OK, NULL, "%llu of %llu have shaken hands in the last 3 minutes",
			   active, all);
	else
		check_silence(d, cfg, status);
}

static void check_offloads_in_use(struct doctor *d, const json_t *status)
{
	const json_t *tunnel = json_object_get(status, "tunnel");
	const char *in = field_text(tunnel, "gso_in"), *out = field_text(tunnel, "gso_out");
	bool all = !strcmp(in, "on") && !strcmp(out, "on");

	doctor_say(d, "gso", all ? DOCTOR_OK : DOCTOR_WARN, all ? NULL : "a newer kernel or NIC driver is faster",
		   "super-packets in: %s, out: %s", in, out);
}

static void check_policy(struct doctor *d, const struct config *cfg, const json_t *policy)
{
	if (json_is_true(json_object_get(policy, "differs")))
		doctor_say(d, "policy", DOCTOR_WARN,
			   strcmp(field_text(policy, "source"), "apply")
				   ? "sluice reload, if the file is what is wanted"
				   : "sluice policy apply FILE, if the file is what is wanted",
			   "the configured file differs from what runs");
	else if (json_is_object(policy))
		doctor_say(d, "policy", DOCTOR_OK, NULL, "%s runs", field_text(policy, "file"));
	else if (cfg->tailnet.node)
		doctor_say(d, "policy", DOCTOR_OK, NULL, "the coordination server's rules alone");
	else
		doctor_say(d, "policy", DOCTOR_WARN, "name one in the configuration: policy: FILE",
			   "none, so everything is refused");
}

void doctor_gateway(struct doctor *doctor, const struct config *cfg, const json_t *status)
{
	const json_t *note;
	char up[TEXT_SIZE];
	size_t i;

	doctor_say(doctor, "gateway", DOCTOR_OK, NULL, "runs, up %s, version %s",
		   text_duration(field_number(status, "uptime"), up), field_text(status, "version"));
	check_policy(doctor, cfg, json_object_get(status, "policy"));
	check_programs(doctor, status);
	check_offloads_in_use(doctor, status);
	check_clients(doctor, cfg, status);
	json_array_foreach (json_object_get(status, "notes"), i, note)
		doctor_say(doctor, "note", DOCTOR_WARN, NULL, "%s", json_string_value(note));
}

/* Clients that never connected: a key was mistyped, or nobody needs the key and somebody may find it. */
void doctor_clients(struct doctor *doctor, const json_t *clients)
{
	char names[768] = "";
	size_t i, n = 0, len = 0;
	const json_t *c;

	json_array_foreach (json_object_get(clients, "clients"), i, c) {
		if (json_is_integer(json_object_get(c, "seen")) || json_is_true(json_object_get(c, "expired")) ||
		    json_is_true(json_object_get(c, "removed")))
			continue;
		if (n < NEVER_NAMED && len < sizeof(names))
			len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s", n ? ", " : "",
						field_text(c, "name"));
		n++;
	}
	if (n)
		doctor_say(doctor, "clients", DOCTOR_WARN,
			   "give them what they need (sluice client-config NAME), or take them out of the "
			   "configuration",
			   "%zu of %zu never came: %s%s", n, json_array_size(json_object_get(clients, "clients")),
			   names, n > NEVER_NAMED ? ", ..." : "");
}

/* ---- for people ----------------------------------------------------------------------------- */

static void show_check(const json_t *c, FILE *out)
{
	const char *result = field_text(c, "result"), *advice = field_text(c, "advice");
	bool fail = !strcmp(result, "fail"), ok = !strcmp(result, "ok");
	char word[8];

	snprintf(word, sizeof(word), "%-5s", result);
	colour_print(out, ok ? COLOUR_GREEN : fail ? COLOUR_RED : COLOUR_YELLOW, word);
	fprintf(out, " %-11s %s\n", field_text(c, "check"), field_text(c, "text"));
	if (*advice)
		fprintf(out, "%18s-> %s\n", "", advice);
}

void doctor_show(const json_t *result, FILE *out)
{
	unsigned failed = 0, warned = 0;
	const json_t *c;
	size_t i;

	json_array_foreach (json_object_get(result, "checks"), i, c) {
		show_check(c, out);
		failed += !strcmp(field_text(c, "result"), "fail");
		warned += !strcmp(field_text(c, "result"), "warn");
	}
	fprintf(out, "%u failed, %u warning%s\n", failed, warned, warned == 1 ? "" : "s");
}
