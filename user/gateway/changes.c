/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Changes of policy and configuration, one after the other. The long part, reading,
 * compiling and comparing, is done on a thread, so that handshakes and commands go on;
 * the control thread then makes it so, at once.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "changes.h"
#include "user/control/control.h"
#include "user/base/log.h"
#include "user/base/exit.h"

#define CHANGES_MAX 16 /* that wait */

/* The first of the queue can go on: it has become the first, or its thread is done. */
static void poke(const struct changes *q)
{
	uint64_t one = 1;

	if (write(q->event.fd, &one, sizeof(one)) < 0)
		log_error("changes: eventfd: %s", strerror(errno)); /* changes_go_on() comes within a second */
}

static void *changes_work(void *arg)
{
	struct change *c = arg;

	c->kind->work(c, c->queue->running);
	atomic_store(&c->queue->done, true);
	poke(c->queue);
	return NULL;
}

static void changes_begin(struct changes *q)
{
	q->working = true;
	atomic_store(&q->done, false);
	q->first->kind->begin(q->first, q->running);
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

static void changes_end(struct changes *q)
{
	json_t *result = NULL;
	char *error = NULL;
	struct change *c;
	int status;

	q->working = false;
	c = take_first(q);
	status = c->kind->finish(c, q->running, &result, &error);
	if (status) /* whoever asked for it is told, too: the log is read by somebody else */
		log_error("%s: %s", c->kind->name, error ? error : "out of memory");
	q->to.answer(q->to.ctx, c->ticket, status, result, error);
	c->kind->free(c);
}

void changes_go_on(struct changes *q)
{
	if (q->working && !atomic_load(&q->done))
		return; /* somebody was added */
	changes_join(q);
	if (q->working)
		changes_end(q);
	if (q->first)
		changes_begin(q);
}

static void poked(void *ctx)
{
	struct changes *q = ctx;
	uint64_t count;

	if (read(q->event.fd, &count, sizeof(count)) >= 0)
		changes_go_on(q);
}

int changes_open(struct changes *q, struct loop *loop, struct running *running, struct changes_answer to)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	q->loop = loop;
	q->running = running;
	q->to = to;
	return fd < 0 ? -errno : loop_add(loop, &q->event, fd, poked, q);
}

bool changes_add(struct changes *q, struct change *c)
{
	struct change **last = &q->first;

	if (q->n == CHANGES_MAX) {
		c->kind->free(c);
		return false;
	}
	while (*last)
		last = &(*last)->next;
	*last = c;
	c->next = NULL;
	c->queue = q;
	if (!q->n++)
		poke(q);
	return true;
}

void changes_add_first(struct changes *q, struct change *c)
{
	struct change **at = q->working ? &q->first->next : &q->first;

	c->next = *at;
	*at = c;
	c->queue = q;
	if (!q->n++)
		poke(q);
}

int changes_ask(struct changes *q, struct control *control, struct change *c, char **error)
{
	if (!changes_add(q, c))
		return exit_fail(error, EXIT_NO, "%d other changes wait to be made: try again", CHANGES_MAX);
	c->ticket = control_later(control);
	return EXIT_LATER;
}

void changes_close(struct changes *q)
{
	if (!q->event.ready)
		return;
	changes_join(q);
	while (q->first) {
		struct change *c = take_first(q);
		char *error = NULL;

		exit_fail(&error, EXIT_NO, "the gateway stops: nothing was changed");
		q->to.answer(q->to.ctx, c->ticket, EXIT_NO, NULL, error);
		c->kind->free(c);
	}
	loop_remove(q->loop, &q->event);
	close(q->event.fd);
	*q = (struct changes){0};
}
