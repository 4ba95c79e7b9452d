/* SPDX-License-Identifier: BSD-2-Clause */
/* Of the programs those that look after a device without a gateway, and the maps that these read. */
#include "maps_private.h"

#include <stdlib.h>
#include <string.h>

static bool plain_has_map(const struct bpf_map *map)
{
	static const char *const names[] = {"settings",	  "sessions",	"admissions", "front_socket_work",
					    "asked_work", "known_work", "gate_work",  "drops"};
	const char *name = bpf_map__name(map);

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strcmp(name, names[i]))
			return true;
	return strchr(name, '.'); /* constants */
}

static int plain_load(struct gateway_bpf *skel)
{
	struct bpf_program *program;
	struct bpf_map *map;
	int err = 0, one;

	bpf_object__for_each_program(program, skel->obj)
	{
		const char *name = bpf_program__name(program);

		one = bpf_program__set_autoload(program, !strncmp(name, "front_socket", strlen("front_socket")) ||
								 !strcmp(name, "loop_tap"));
		err = err ?: one;
	}
	bpf_object__for_each_map(map, skel->obj)
	{
		one = bpf_map__set_autocreate(map, plain_has_map(map));
		err = err ?: one;
	}
	return err ?: gateway_bpf__load(skel);
}

struct maps *maps_open_plain(char **error)
{
	struct maps *m = calloc(1, sizeof(*m));
	int err;

	libbpf_set_print(NULL);
	if (m)
		m->skel = gateway_bpf__open();
	err = m && m->skel ? plain_load(m->skel) : -ENOMEM;
	if (!err)
		return m;
	maps_fail(error, err, "%s", strerror(-err));
	maps_close(m);
	return NULL;
}
