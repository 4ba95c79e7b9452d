/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A file system for the process that faces the world, of what looking up names and checking certificates need: the
 * host's configuration, its libraries, and where resolvers keep their files. No /proc, /sys, /dev, no sockets of the
 * host's services, no state of ours.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox.h"

#define ROOT "/dev" /* is there everywhere; the new root is mounted over it */

/* Folders, not files: resolv.conf is replaced by a new one when the network changes. */
static const char *const kept[] = {
	"/etc",
	"/usr",
	"/lib",
	"/lib64",
	"/lib32",
	"/bin",
	"/sbin",
	"/run/systemd/resolve",
	"/run/resolvconf",
	"/run/NetworkManager",
	"/run/connman",
#ifdef __SANITIZE_ADDRESS__
	"/proc", /* for its report */
#endif
};

static const char *const emptied[] = {"/etc/sluice", "/etc/wireguard"};

/* All folders of a path below ROOT. */
static bool make_folders(const char *path)
{
	char at[128] = ROOT;
	size_t n = strlen(ROOT);

	for (const char *p = path; *p; n++, p++) {
		if (*p == '/' && p != path && mkdir(at, 0755) && errno != EEXIST)
			return false;
		at[n] = *p;
	}
	return !mkdir(at, 0755) || errno == EEXIST;
}

/* As it is, a link (/lib -> usr/lib) as such; what this host has not, is not. */
static bool sandbox_root_keep(const char *path)
{
	char target[128], place[128];
	struct stat st;
	ssize_t n;

	if (lstat(path, &st))
		return errno == ENOENT || errno == ENOTDIR;
	snprintf(place, sizeof(place), ROOT "%s", path);
	if (S_ISLNK(st.st_mode)) {
		n = readlink(path, target, sizeof(target) - 1);
		if (n < 0)
			return false;
		target[n] = '\0';
		return !symlink(target, place);
	}
	return S_ISDIR(st.st_mode) && make_folders(path) && !mount(path, place, NULL, MS_BIND | MS_REC, NULL);
}

static bool build(void)
{
	struct mount_attr quiet = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV};
	struct stat st;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("tmpfs", ROOT, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755,size=64k"))
		return false;
	for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++)
		if (!sandbox_root_keep(kept[i]))
			return false;
	for (size_t i = 0; i < sizeof(emptied) / sizeof(*emptied); i++) {
		char place[128];

		snprintf(place, sizeof(place), ROOT "%s", emptied[i]);
		if (!lstat(place, &st) && mount("tmpfs", place, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=4k"))
			return false;
	}
	return !mount_setattr(AT_FDCWD, ROOT, AT_RECURSIVE, &quiet, sizeof(quiet));
}

bool sandbox_root(void)
{
	return !unshare(CLONE_NEWNS) && build() && !chdir(ROOT) && !syscall(SYS_pivot_root, ".", ".") &&
	       !umount2(".", MNT_DETACH) && !chdir("/");
}
