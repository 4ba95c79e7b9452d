/* SPDX-License-Identifier: BSD-2-Clause */
#include "retired.h"

#include <stdatomic.h>
#include <stdlib.h>

struct retired {
	struct retired *next;
	void *what;
	void (*release)(void *ctx, void *what);
	void *ctx;
	uint64_t pass[MAX_WORKERS];
};

void retired_open(struct retired_list *l)
{
	*l = (struct retired_list){.first = NULL};
	pthread_mutex_init(&l->lock, NULL);
}

void retired_reader(struct retired_list *l, const _Atomic uint64_t *pass)
{
	l->pass[l->n_readers++] = pass;
}

void retired_add(struct retired_list *l, void *what, void (*release)(void *ctx, void *what), void *ctx)
{
	struct retired *r = calloc(1, sizeof(*r));

	if (!r)
		return;
	r->what = what;
	r->release = release;
	r->ctx = ctx;
	for (unsigned i = 0; i < l->n_readers; i++)
		r->pass[i] = atomic_load(l->pass[i]);
	pthread_mutex_lock(&l->lock);
	r->next = l->first;
	l->first = r;
	pthread_mutex_unlock(&l->lock);
}

static bool is_quiet(const struct retired_list *l, const struct retired *r)
{
	for (unsigned i = 0; i < l->n_readers; i++)
		if (r->pass[i] & 1 && atomic_load(l->pass[i]) == r->pass[i])
			return false;
	return true;
}

/* Takes those that nobody reads off the list. */
static struct retired *take_quiet(struct retired_list *l)
{
	struct retired **at = &l->first, *quiet = NULL;

	while (*at) {
		struct retired *r = *at;

		if (!is_quiet(l, r)) {
			at = &r->next;
			continue;
		}
		*at = r->next;
		r->next = quiet;
		quiet = r;
	}
	return quiet;
}

bool retired_release(struct retired_list *l)
{
	struct retired *quiet;
	bool left;

	pthread_mutex_lock(&l->lock);
	quiet = take_quiet(l);
	left = l->first;
	pthread_mutex_unlock(&l->lock);
	while (quiet) { /* without the lock: what is released may take others */
		struct retired *r = quiet;

		quiet = r->next;
		r->release(r->ctx, r->what);
		free(r);
	}
	return left;
}

void retired_close(struct retired_list *l)
{
	l->n_readers = 0;
	retired_release(l);
	pthread_mutex_destroy(&l->lock);
}
