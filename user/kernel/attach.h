/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_ATTACH_H
#define SLUICE_ATTACH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "maps.h"

/*
 * Programs on interfaces. From Linux 6.6 by tcx links, which are pinned beside the
 * maps: they stay when the daemon goes, and the next daemon swaps its program in
 * without a gap (bpf_link_update). Before that by clsact filters with a fixed handle
 * and priority, replaced in place. XDP always by a pinned link.
 *
 * Nobody else's program is ever removed or replaced; attach_foreign() tells of them.
 * Functions returning int return 0 or -errno; with @error, *error is a text for
 * people on failure (freed by the caller).
 */
enum attach_point {
	ATTACH_INGRESS, /* TC */
	ATTACH_EGRESS,
	ATTACH_XDP,
};

enum attach_way {
	ATTACH_NONE,
	ATTACH_TCX,
	ATTACH_CLSACT,
	ATTACH_XDP_NATIVE,
	ATTACH_XDP_GENERIC,
	ATTACH_UNKNOWN, /* the kernel did not answer */
};

const char *attach_way_name(enum attach_way way); /* "missing", "tcx", "clsact", "native", "generic", "not known" */

/*
 * Puts @program on @ifindex, in the place of the one an earlier daemon put there.
 * @pins as in maps_options; NULL: nothing is pinned, and with tcx the program goes
 * when the returned descriptor (*link, -1 with clsact) is closed. With @pins *link
 * may be NULL. *way says how.
 */
int attach_tc(const struct maps *m, const char *pins, enum program program, unsigned ifindex, enum attach_point point,
	      enum attach_way *way, int *link, char **error);

/* The front; @generic: in the stack instead of the driver. Fails with -EBUSY when
 * somebody else's program is there. */
int attach_xdp(const struct maps *m, const char *pins, unsigned ifindex, bool generic, int *link, char **error);

/*
 * Is @program (this very one, as loaded by @m) on @ifindex? ATTACH_NONE: no; then
 * attach again. ATTACH_UNKNOWN: ask again later. Cheap enough for once a second an interface.
 */
enum attach_way attach_verify(const struct maps *m, enum program program, unsigned ifindex, enum attach_point point);

/* Removes what attach_tc() or attach_xdp() of any daemon with these @pins put on
 * @ifindex. 0 also when there was nothing. */
int attach_remove(const char *pins, unsigned ifindex, enum attach_point point);

/* `sluice down`: removes every link under @pins, interfaces that are gone included,
 * and our clsact filters on all interfaces. */
int attach_remove_all(const char *pins);

/* Programs and filters on @ifindex that are not ours; returns how many there are, at most @max in @out. */
struct attach_foreign {
	enum attach_point point;
	uint32_t id;   /* of the program; 0: a filter of another kind */
	char name[16]; /* of the program, or the kind: "matchall" */
};
size_t attach_foreign(unsigned ifindex, struct attach_foreign *out, size_t max);

#endif
