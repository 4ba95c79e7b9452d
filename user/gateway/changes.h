/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_CHANGES_H
#define SLUICE_CHANGES_H

#include <jansson.h>
#include <pthread.h>

#include "user/base/loop.h"

struct control;
struct running;

/* Changes of what runs: policy and configuration, while packets flow. One after the other. */
struct change;

struct change_kind {
	const char *name;
	/* On the control thread, when its turn has come. */
	void (*begin)(struct change *c, const struct running *now);
	/* On a thread of its own: reads what runs, which changes in finish() alone. */
	void (*work)(struct change *c, const struct running *now);
	/* Then, on the control thread, in the form of a control verb. */
	int (*finish)(struct change *c, struct running *now, json_t **result, char **error);
	void (*free)(struct change *c);
};

struct change { /* the first member of what it is about */
	const struct change_kind *kind;
	struct changes *queue;
	uint64_t ticket; /* of the command that awaits the answer (control.h); 0: a failure is logged */
	struct change *next;
};

struct changes_answer { /* control_finish(): @result and @error are taken over */
	void (*answer)(void *ctx, uint64_t ticket, int status, json_t *result, char *error);
	void *ctx;
};

struct changes {
	struct change *first; /* the one that is worked on */
	size_t n;
	struct running *running;
	struct loop *loop;
	struct changes_answer to;
	struct loop_watch event;
	pthread_t thread;
	bool working;
	_Atomic bool done; /* its thread is; what comes then is for the control thread */
	bool threaded;	   /* the thread is not joined yet */
};

int changes_open(struct changes *q, struct loop *loop, struct running *running,
		 struct changes_answer to); /* 0, -errno */
/* Once a second, should a wake-up have been lost: whoever waits for a change waits for ever otherwise. */
void changes_go_on(struct changes *q);
/* Those that wait are answered that nothing was changed. */
void changes_close(struct changes *q);
/* Takes @c over. False: too many wait. */
bool changes_add(struct changes *q, struct change *c);
/* Before those that wait, however many: what belongs to one that ends, or revokes something. */
void changes_add_first(struct changes *q, struct change *c);
/* The same as changes_add() in the handler of a verb, whose status it returns. */
int changes_ask(struct changes *q, struct control *control, struct change *c, char **error);

#endif
