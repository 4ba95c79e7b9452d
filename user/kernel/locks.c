/* SPDX-License-Identifier: BSD-2-Clause */
#include "locks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "maps.h"
#include "user/base/lock.h"
#include "user/base/unix_socket.h"

struct lock_place {
	char path[4096];
	int flags;	  /* of open() */
	const char *what; /* it belongs to: for people */
	const char *key;  /* of gateway.yaml */
};

static void lock_place(enum lock_kind kind, const struct locks_of *of, struct lock_place *out)
{
	switch (kind) {
	case LOCK_STATE:
		snprintf(out->path, sizeof(out->path), "%s/lock", of->state);
		out->flags = O_RDWR | O_CREAT;
		out->what = "state folder";
		out->key = "state";
		break;
	case LOCK_PINS:
		snprintf(out->path, sizeof(out->path), "%s", of->pins);
		out->flags = O_RDONLY | O_DIRECTORY;
		out->what = "pins";
		out->key = "pins";
		break;
	default:
		snprintf(out->path, sizeof(out->path), UAPI_LOCK, of->interface);
		out->flags = O_RDWR | O_CREAT;
		out->what = "tunnel interface";
		out->key = "tunnel.interface";
		break;
	}
}

static int lock_failed(const struct lock_place *p, int err, char *error, size_t size)
{
	if (err == -EWOULDBLOCK)
		snprintf(error, size,
			 "another gateway runs with the same %s (%s is locked): stop it, or change %s here", p->what,
			 p->path, p->key);
	else
		snprintf(error, size, "cannot lock %s: %s", p->path, strerror(-err));
	return err;
}

int interface_lock(const char *name, char *error, size_t size)
{
	struct lock_place p;
	int fd;

	lock_place(LOCK_INTERFACE, &(struct locks_of){.interface = name}, &p);
	if (mkdir(UAPI_FOLDER, 0755) && errno != EEXIST) {
		snprintf(error, size, UAPI_FOLDER ": %s", strerror(errno));
		return -errno;
	}
	fd = lock_take(p.path, p.flags);
	return fd < 0 ? lock_failed(&p, fd, error, size) : fd;
}

void interface_unlock(const char *name, int fd)
{
	struct lock_place p;

	if (fd < 0)
		return;
	lock_place(LOCK_INTERFACE, &(struct locks_of){.interface = name}, &p);
	unlink(p.path);
	close(fd);
}

/* A descriptor, or -errno with one line in @error. */
static int lock_one(enum lock_kind kind, const struct locks_of *of, bool present, char *error, size_t size)
{
	struct lock_place p;
	char *why = NULL;
	int fd, err;

	lock_place(kind, of, &p);
	err = kind == LOCK_PINS && !present ? maps_make_pins(of->pins, &why) : 0;
	if (err) {
		snprintf(error, size, "%s", why ? why : "the folder of the pins cannot be made");
		free(why);
		return err;
	}
	if (kind == LOCK_INTERFACE && !present)
		return interface_lock(of->interface, error, size);
	fd = lock_take(p.path, present ? p.flags & ~O_CREAT : p.flags);
	if (fd < 0 && fd != -EWOULDBLOCK && kind == LOCK_PINS && !present)
		rmdir(p.path); /* likewise */
	return fd < 0 ? lock_failed(&p, fd, error, size) : fd;
}

static int locks_take_all(struct locks *l, const struct locks_of *of, bool present, char *error, size_t size)
{
	*l = (struct locks)LOCKS_NONE;
	for (enum lock_kind kind = 0; kind < LOCK_MAX; kind++) {
		int fd = lock_one(kind, of, present, error, size);

		if (fd >= 0) {
			l->fd[kind] = fd;
		} else if (!present || fd != -ENOENT) {
			locks_release(l, of);
			return fd;
		}
	}
	return 0;
}

int locks_take(struct locks *l, const struct locks_of *of, char *error, size_t size)
{
	return locks_take_all(l, of, false, error, size);
}

int locks_take_present(struct locks *l, const struct locks_of *of, char *error, size_t size)
{
	return locks_take_all(l, of, true, error, size);
}

bool locks_held(const struct locks *l)
{
	return l->fd[LOCK_MAX - 1] >= 0;
}

void locks_drop(struct locks *l)
{
	for (enum lock_kind kind = 0; kind < LOCK_MAX; kind++) {
		if (l->fd[kind] >= 0)
			close(l->fd[kind]);
		l->fd[kind] = -1;
	}
}

void locks_release(struct locks *l, const struct locks_of *of)
{
	if (l->fd[LOCK_PINS] >= 0)
		rmdir(of->pins); /* ENOTEMPTY where there are any */
	interface_unlock(of->interface, l->fd[LOCK_INTERFACE]);
	l->fd[LOCK_INTERFACE] = -1;
	locks_drop(l);
}
