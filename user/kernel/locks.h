/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_LOCKS_H
#define SLUICE_LOCKS_H

#include <stdbool.h>
#include <stddef.h>

/*
 * What one gateway alone may have at a time: its state folder, its pins, its tunnel interface. Each has a lock of the
 * kernel (flock) that ends with the process. The holder of the locks may change and remove what is behind them.
 */
enum lock_kind { LOCK_STATE, LOCK_PINS, LOCK_INTERFACE, LOCK_MAX };

struct locks_of { /* a gateway, as its configuration names it */
	const char *state, *pins, *interface;
};

struct locks {
	int fd[LOCK_MAX]; /* -1: not held */
};

#define LOCKS_NONE {.fd = {-1, -1, -1}}

/*
 * Takes all three. The state folder must be there; the folder of the pins is made. 0, -EWOULDBLOCK where another
 * gateway holds one of them, or -errno; with one line in @error, and none is held then.
 */
int locks_take(struct locks *l, const struct locks_of *of, char *error, size_t size);

/* For who only looks, and for `down` without a gateway: the same, but what is absent needs no lock, and nothing is
 * made. */
int locks_take_present(struct locks *l, const struct locks_of *of, char *error, size_t size);

/* For who only looked: as before, also what is empty. */
void locks_drop(struct locks *l);
bool locks_held(const struct locks *l);
/* Also when none is held. A folder of pins that is empty, and the file that was locked for the interface, are removed
 * while they are locked. */
void locks_release(struct locks *l, const struct locks_of *of);

/* For `sluice wireguard`, which has no more than an interface: a descriptor or -errno, with one line in @error. */
int interface_lock(const char *name, char *error, size_t size);
void interface_unlock(const char *name, int fd); /* -1: was not locked */

#endif
