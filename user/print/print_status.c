/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `sluice status` for people: five lines that say how the gateway is, and a line
 * for whatever is not as it should be (print.h).
 */
#include <string.h>

#include "print.h"
#include "table.h"
#include "user/base/text.h"

static void print_label(FILE *out, const char *label)
{
	fprintf(out, "  %-8s", label);
}

/* The last part of a path: the folder is known to who reads it. */
static const char *base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void print_tailnet(const json_t *t, FILE *out)
{
	const json_t *relay = json_array_get(json_object_get(t, "relays"), 0); /* our home, if there is one */
	unsigned long long peers = field_number(t, "peers");
	char state[64], home[64];

	fprintf(out, "   tailnet: %s, %llu peer%s", text_escape(field_text(t, "state"), state, sizeof(state)), peers,
		peers == 1 ? "" : "s");
	if (!*field_text(t, "home"))
		return;
	fprintf(out, ", home relay %s", text_escape(field_text(t, "home"), home, sizeof(home)));
	if (json_is_true(json_object_get(relay, "home")) && !strcmp(field_text(relay, "state"), "away"))
		colour_print(out, COLOUR_RED, " (away)");
}

static void print_status_head(const json_t *r, FILE *out)
{
	const json_t *policy = json_object_get(r, "policy"), *tailnet = json_object_get(r, "tailnet");
	char up[TEXT_SIZE], ago[TEXT_SIZE], name[128], file[256];

	colour_print(out, COLOUR_BOLD, text_escape(field_text(r, "name"), name, sizeof(name)));
	if (json_is_true(json_object_get(r, "degraded")))
		colour_print(out, COLOUR_YELLOW, "   degraded");
	fprintf(out, "   up %s   ", text_duration(field_number(r, "uptime"), up));
	if (json_is_object(policy))
		fprintf(out, "policy %llu (%s%s, %s ago)", (unsigned long long)field_number(policy, "generation"),
			strcmp(field_text(policy, "source"), "apply") ? "" : "by hand: ",
			text_escape(base(field_text(policy, "file")), file, sizeof(file)),
			text_duration(field_number(policy, "applied"), ago));
	else if (!json_is_object(tailnet))
		fputs("no policy: everything is refused", out);
	if (json_is_object(tailnet))
		print_tailnet(tailnet, out);
	fputc('\n', out);
	if (json_is_true(json_object_get(policy, "differs"))) {
		print_label(out, "policy");
		colour_print(out, COLOUR_YELLOW,
			     strcmp(field_text(policy, "source"), "apply")
				     ? "the configured file differs from what runs: sluice reload applies the file"
				     : "it was applied by hand, and the configured file differs: sluice policy apply "
				       "FILE returns to the file");
		fputc('\n', out);
	}
}

static void print_tunnel(const json_t *t, FILE *out)
{
	const char *in = field_text(t, "gso_in"), *sent = field_text(t, "gso_out");
	unsigned long long workers = field_number(t, "workers");

	print_label(out, "tunnel");
	fprintf(out, "%s :%llu   mtu %llu   ", field_text(t, "interface"),
		(unsigned long long)field_number(t, "listen"), (unsigned long long)field_number(t, "mtu"));
	if (!strcmp(in, sent))
		fprintf(out, "GSO in/out %s", in);
	else
		fprintf(out, "GSO in %s, out %s", in, sent);
	fprintf(out, "   AEAD %s   %llu worker%s\n", field_text(t, "aead"), workers, workers == 1 ? "" : "s");
}

static void print_addresses(const json_t *addresses, FILE *out)
{
	const json_t *a;
	size_t i;

	json_array_foreach (addresses, i, a) {
		const char *own = field_text(a, "address"), *public = field_text(a, "public");

		fprintf(out, "%s%s", i ? ", " : " ", own);
		if (strcmp(own, public))
			fprintf(out, " (public %s)", public);
		if (json_is_false(json_object_get(a, "present")))
			colour_print(out, COLOUR_RED, " (not there)");
		if (json_is_true(json_object_get(a, "spare")))
			fputs(" (not for new flows)", out);
	}
}

static void print_status_egress(const json_t *r, FILE *out)
{
	const json_t *front = json_object_get(r, "front"), *e;
	const char *mode = field_text(front, "mode"), *reason = field_text(front, "reason");
	size_t i;

	json_array_foreach (json_object_get(r, "egress"), i, e) {
		const char *program = field_text(e, "program"), *pool = field_text(e, "pool");
		const char *interface = field_text(e, "interface");

		print_label(out, i ? "" : "egress");
		if (strcmp(pool, "default"))
			fprintf(out, "%s: ", pool);
		if (!*interface)
			colour_print(out, COLOUR_RED, "no interface");
		fputs(interface, out);
		print_addresses(json_object_get(e, "addresses"), out);
		if (!strcmp(program, "missing"))
			colour_print(out, COLOUR_RED, "   TC missing");
		else if (*program)
			fprintf(out, "   TC attached (%s)", program);
		if (!i)
			fprintf(out, "   XDP %s%s%s", mode, *reason ? ": " : "", reason);
		fputc('\n', out);
	}
}

static void print_now(const json_t *r, FILE *out)
{
	const json_t *now = json_object_get(r, "now"), *flows = json_object_get(r, "flows");
	const json_t *busiest = json_object_get(r, "busiest"), *clients = json_object_get(r, "clients");
	char in[TEXT_SIZE], sent[TEXT_SIZE], packets[TEXT_SIZE], used[TEXT_SIZE], max[TEXT_SIZE];

	print_label(out, "now");
	fprintf(out, "%s in, %s out, %s   flows %s of %s", text_bits(field_number(now, "bits_in"), in),
		text_bits(field_number(now, "bits_out"), sent), text_packets(field_number(now, "packets"), packets),
		text_number(field_number(flows, "used"), used), text_number(field_number(flows, "max"), max));
	if (json_is_object(busiest) && field_number(busiest, "ports"))
		fprintf(out, "   ports: %s at %llu%%", field_text(busiest, "service"),
			(unsigned long long)(100 * field_number(busiest, "used") / field_number(busiest, "ports")));
	fprintf(out, "   clients %s of %s\n", text_number(field_number(clients, "active"), used),
		text_number(field_number(clients, "configured"), max));
}

static void print_minute(const json_t *drops, FILE *out)
{
	const char *reason, *gap = "";
	char number[TEXT_SIZE];
	json_t *n;

	print_label(out, "drops");
	if (!json_object_size(drops)) {
		fputs("none in the last minute\n", out);
		return;
	}
	json_object_foreach ((json_t *)drops, reason, n) {
		fprintf(out, "%s%s %s", gap, text_number((uint64_t)json_integer_value(n), number), reason);
		gap = ", ";
	}
	fputs(" in the last minute\n", out);
}

void print_status(const json_t *r, FILE *out)
{
	const json_t *note;
	char escaped[512];
	size_t i;

	print_status_head(r, out);
	print_tunnel(json_object_get(r, "tunnel"), out);
	print_status_egress(r, out);
	print_now(r, out);
	print_minute(json_object_get(r, "drops"), out);
	json_array_foreach (json_object_get(r, "notes"), i, note) {
		print_label(out, i ? "" : "note");
		colour_print(out, COLOUR_YELLOW, text_escape(json_string_value(note), escaped, sizeof(escaped)));
		fputc('\n', out);
	}
}
