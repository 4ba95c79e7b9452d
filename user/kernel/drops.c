/* SPDX-License-Identifier: BSD-2-Clause */
/* Why packets die, in words (drops.h). */
#include "drops.h"

#include "bpf/contract.h"

static const struct {
	const char *name, *meaning;
} words[DROP_MAX] = {[DROP_NONE] = {"none", "not dropped"},
#define X(id, name, text) [DROP_##id] = {name, text},
		     DROP_REASONS(X)
#undef X
};

const char *drop_name(uint32_t reason)
{
	return reason < DROP_MAX ? words[reason].name : "?";
}

const char *drop_meaning(uint32_t reason)
{
	return reason < DROP_MAX ? words[reason].meaning : "?";
}
