/* SPDX-License-Identifier: BSD-2-Clause */
/* What the programs check the macs of strangers by (bpf/gate.h): secrets, in the kernel's memory and nowhere else. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "bpf/blake2s.h"
#include "maps_private.h"

#define GATE_KEY 32
#define GATE_MAC 16

/* A keyed hash's first block is its key. */
static void begin_mac(struct blake2s *s, const uint8_t key[GATE_KEY])
{
	struct blake2s_block b = {};

	memcpy(b.b, key, GATE_KEY);
	blake2s_begin(s, GATE_KEY, GATE_MAC);
	blake2s_compress(s, &b, sizeof(b), false);
	explicit_bzero(&b, sizeof(b));
}

int maps_known_set(struct maps *m, const struct addr *addr, uint16_t port)
{
	const struct known_at key = {.addr = *addr, .port = htons(port)};
	uint64_t full = 0;
	int err = bpf_map_update_elem(bpf_map__fd(m->skel->maps.known_work), &key, &full, BPF_NOEXIST);

	return err == -EEXIST ? 0 : err;
}

int maps_gate_set(struct maps *m, const uint8_t *mac1, const uint8_t *const secrets[2])
{
	int fd = bpf_map__fd(m->skel->maps.gate_work), err;
	struct gate g = {}, before = {};
	uint32_t zero = 0;

	err = bpf_map_lookup_elem(fd, &zero, &before);
	g.hash = before.hash;
	if (!err && !g.hash && getrandom(&g.hash, sizeof(g.hash), 0) != sizeof(g.hash))
		err = -errno;
	g.hash |= 1;
	if (mac1)
		begin_mac(&g.mac1, mac1);
	g.known = mac1 != NULL;
	while (mac1 && g.n_cookies < 2 && secrets[g.n_cookies]) {
		begin_mac(&g.cookies[g.n_cookies], secrets[g.n_cookies]);
		g.n_cookies++;
	}
	err = err ?: bpf_map_update_elem(fd, &zero, &g, BPF_ANY);
	explicit_bzero(&g, sizeof(g));
	explicit_bzero(&before, sizeof(before));
	return err;
}
