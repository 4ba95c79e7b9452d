/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Changes of policy and configuration, one after the other. What takes long, reading,
 * compiling and comparing, is done on a thread, so that handshakes and commands go on;
 * the control thread then makes it so, at once.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "gateway.h"
#include "user/base/log.h"
#include "user/base/exit.h"

#define CHANGES_MAX 16 /* that wait */

/* The first of the queue can go on: it has become the first, or its thread is done. */
static void poke(const struct gateway *g)
{
	uint64_t one = 1;

	if (write(g->changing.event.fd, &one, sizeof(one)) < 0)
		log_error("changes: eventfd: %s", strerror(errno)); /* changes_go_on() comes within a second */
}

static void *changes_work(void *arg)
{
	struct change *c = arg;

	c->kind->work(c);
	atomic_store(&c->g->changing.done, true);
	poke(c->g);
	return NULL;
}

static void changes_begin(struct gateway *g)
{
	struct changes *q = &g->changing;

	q->working = true;
	atomic_store(&q->done, false);
	q->first->kind->begin(q->first);
	q->threaded = !pthread_create(&q->thread, NULL, changes_work, q->first);
	if (!q->threaded) /* then everybody has to wait */
		changes_work(q->first);
}

static struct change *take_first(struct changes *q)
{
	struct change *c = q->first;

	q->first = c->next;
	q->n--;
	return c;
}

static void changes_join(struct changes *q)
{
	if (q->threaded)
		pthread_join(q->thread, NULL);
	q->threaded = false;
}

static void changes_end(struct gateway *g)
{
	struct changes *q = &g->changing;
	json_t *result = NULL;
	char *error = NULL;
	struct change *c;
	int status;

	q->working = false;
	c = take_first(q);
	status = c->kind->finish(c, &result, &error);
	if (status && !c->ticket)
		log_error("%s: %s", c->kind->name, error ? error : "out of memory");
	control_finish(g->control, c->ticket, status, result, error);
	c->kind->free(c);
}

void changes_go_on(struct gateway *g)
{
	if (g->changing.working && !atomic_load(&g->changing.done))
		return; /* somebody was added */
	changes_join(&g->changing);
	if (g->changing.working)
		changes_end(g);
	if (g->changing.first)
		changes_begin(g);
}

static void poked(void *ctx)
{
	struct gateway *g = ctx;
	uint64_t count;

	if (read(g->changing.event.fd, &count, sizeof(count)) >= 0)
		changes_go_on(g);
}

int changes_open(struct gateway *g)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	return fd < 0 ? -errno : loop_add(&g->loop, &g->changing.event, fd, poked, g);
}

bool changes_add(struct gateway *g, struct change *c)
{
	struct changes *q = &g->changing;
	struct change **last = &q->first;

	if (q->n == CHANGES_MAX) {
		c->kind->free(c);
		return false;
	}
	while (*last)
		last = &(*last)->next;
	*last = c;
	c->next = NULL;
	c->g = g;
	if (!q->n++)
		poke(g);
	return true;
}

void changes_add_first(struct gateway *g, struct change *c)
{
	struct changes *q = &g->changing;
	struct change **at = q->working ? &q->first->next : &q->first;

	c->next = *at;
	*at = c;
	c->g = g;
	if (!q->n++)
		poke(g);
}

int changes_ask(struct gateway *g, struct change *c, char **error)
{
	if (!changes_add(g, c))
		return exit_fail(error, EXIT_NO, "%d other changes wait to be made: try again", CHANGES_MAX);
	c->ticket = control_later(g->control);
	return EXIT_LATER;
}

void changes_close(struct gateway *g)
{
	struct changes *q = &g->changing;

	if (!q->event.ready)
		return;
	changes_join(q);
	while (q->first) {
		struct change *c = take_first(q);
		char *error = NULL;

		exit_fail(&error, EXIT_NO, "the gateway stops: nothing was changed");
		control_finish(g->control, c->ticket, EXIT_NO, NULL, error);
		c->kind->free(c);
	}
	loop_remove(&g->loop, &q->event);
	close(q->event.fd);
	*q = (struct changes){0};
}
