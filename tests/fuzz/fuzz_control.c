/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A line on the control socket from anybody, and an answer from any gateway: the
 * first must get an answer of the right form and change nothing without root, the
 * second must be shown without harm.
 */
#include <stdlib.h>
#include <string.h>

#include "user/control/control.h"
#include "user/doctor/doctor.h"
#include "user/base/log.h"
#include "user/answers/report.h"
#include "user/base/exit.h"
#include "user/print/print.h"

static bool changed;

static int look(void *gateway, const json_t *args, json_t **result, char **error)
{
	struct report_filter f;

	if (!report_filter_parse(args, NULL, &f, error))
		return EXIT_USAGE;
	*result = json_boolean(report_filter_is_empty(&f));
	return EXIT_YES;
}

static int change(void *gateway, const json_t *args, json_t **result, char **error)
{
	changed = true;
	return EXIT_YES;
}

static const struct control_verb verbs[] = {{"flows", false, look}, {"flows kill", true, change}, {0}};

static void show_by_user(const json_t *result, FILE *out)
{
	print_clients(result, "user", out);
}

static void show_all(const char *text, size_t len)
{
	static void (*const shows[])(const json_t *, FILE *) = {
		print_status,	show_by_user,	print_flows,  print_drops, print_routes,
		print_map_list, print_map_dump, print_reload, print_down,  doctor_show,
	};
	json_t *result = json_loadb(text, len, JSON_DECODE_ANY, NULL);
	FILE *out = result ? fopen("/dev/null", "w") : NULL;

	for (size_t i = 0; out && i < sizeof(shows) / sizeof(*shows); i++)
		shows[i](result, out);
	if (out)
		fclose(out);
	json_decref(result);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *answer;

	if (!size)
		return 0;
	log_set_level(LOG_LEVEL_ERROR);
	changed = false;
	answer = control_answer(verbs, NULL, data[0], (const char *)data + 1, size - 1);
	if (!json_is_boolean(json_object_get(answer, "ok")) || (changed && data[0]))
		abort();
	json_decref(answer);
	show_all((const char *)data + 1, size - 1);
	return 0;
}
