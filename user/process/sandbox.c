/* SPDX-License-Identifier: BSD-2-Clause */
/* Fewer rights for the process that faces the world (sandbox.h). */
#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <linux/netlink.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sandbox.h"

#ifdef __SANITIZE_ADDRESS__
#define MEMORY_MAX RLIM_INFINITY /* its shadow is larger than any memory */
#else
#define MEMORY_MAX (4ul << 30) /* a netmap of 64 MiB of JSON is many times that as a tree */
#endif
#define FILES_MAX 256

static bool failed(char *error, size_t size, const char *what)
{
	snprintf(error, size, "%s: %s", what, strerror(errno));
	return false;
}

static bool set_limits(void)
{
	const struct rlimit memory = {MEMORY_MAX, MEMORY_MAX}, files = {FILES_MAX, FILES_MAX}, none = {0, 0};

	return !setrlimit(RLIMIT_DATA, &memory) && !setrlimit(RLIMIT_NOFILE, &files) && !setrlimit(RLIMIT_CORE, &none);
}

static void add_lack(char *lacks, size_t size, const char *what, const char *why)
{
	size_t n = strlen(lacks);

	snprintf(lacks + n, size - n, "%s%s (%s)", n ? "; " : "", what, why);
}

static bool change_user(const struct passwd *user)
{
	if (!user || !user->pw_uid) {
		errno = ENOENT;
		return false;
	}
	return !setgroups(0, NULL) && !setresgid(user->pw_gid, user->pw_gid, user->pw_gid) &&
	       !setresuid(user->pw_uid, user->pw_uid, user->pw_uid);
}

/* Others of nobody's may look at its sockets and its files, and stop it. */
static const struct passwd *sandbox_find_user(char *lacks, size_t size)
{
	const struct passwd *user = getpwnam("sluice-net");

	if (user)
		return user;
	add_lack(lacks, size, "runs as nobody, for there is no user sluice-net", "`systemd-sysusers` makes it");
	return getpwnam("nobody");
}

bool sandbox_drop(char *lacks, char *error, size_t size)
{
	bool root = geteuid() == 0;
	const struct passwd *user = NULL;

	*lacks = '\0';
	if (!set_limits())
		return failed(error, size, "resource limits");
	if (root)
		user = sandbox_find_user(lacks, size); /* while there are files to find it in */
	if (root && !sandbox_root())
		add_lack(lacks, size, "sees the host's files", strerror(errno));
	/* The bounding set needs a capability to be emptied, so it goes before the user does. */
	capng_clear(CAPNG_SELECT_BOTH);
	if (root && capng_apply(CAPNG_SELECT_BOUNDS) != 0)
		return failed(error, size, "capability bounding set");
	if (root && !change_user(user))
		return failed(error, size, "user sluice-net or nobody");
	capng_clear(CAPNG_SELECT_BOTH);
	if (capng_apply(CAPNG_SELECT_CAPS) != 0)
		return failed(error, size, "capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return failed(error, size, "no new privileges");
	return true;
}

/* System calls that are allowed whatever their arguments. */
static const int plain[] = {
	/* bytes */
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(readv),
	SCMP_SYS(writev),
	SCMP_SYS(pread64),
	SCMP_SYS(lseek),
	SCMP_SYS(close),
	SCMP_SYS(pipe2),
	SCMP_SYS(fcntl),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(fstat),
	SCMP_SYS(newfstatat),
	SCMP_SYS(statx),
	SCMP_SYS(stat),
	SCMP_SYS(access),
	SCMP_SYS(faccessat),
	SCMP_SYS(faccessat2),
	SCMP_SYS(readlink),
	SCMP_SYS(readlinkat),
	SCMP_SYS(getdents64),
	/* sockets */
	SCMP_SYS(connect),
	SCMP_SYS(bind),
	SCMP_SYS(sendto),
	SCMP_SYS(recvfrom),
	SCMP_SYS(sendmsg),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendmmsg),
	SCMP_SYS(recvmmsg),
	SCMP_SYS(getsockname),
	SCMP_SYS(getpeername),
	SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt),
	SCMP_SYS(shutdown),
	/* memory and threads */
	SCMP_SYS(brk),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(mlock),
	SCMP_SYS(munlock),
	SCMP_SYS(futex),
	SCMP_SYS(rseq),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(membarrier),
	/* time, signals, oneself */
	SCMP_SYS(clock_gettime),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(nanosleep),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(tgkill),
	SCMP_SYS(getuid),
	SCMP_SYS(geteuid),
	SCMP_SYS(getgid),
	SCMP_SYS(getegid),
	SCMP_SYS(uname),
	SCMP_SYS(sysinfo),
	SCMP_SYS(getrandom),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
};

static int add_arguments(scmp_filter_ctx ctx)
{
	static const int families[] = {AF_INET, AF_INET6};
	int rc = 0;

	for (size_t i = 0; i < sizeof(families) / sizeof(*families); i++)
		rc |= seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
				       SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i], 0));
	/* Name look-up: which families this host has, and how long an answer is. A resolver's socket is not asked. */
	rc |= seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2, SCMP_A0(SCMP_CMP_EQ, AF_NETLINK, 0),
			       SCMP_A2(SCMP_CMP_EQ, NETLINK_ROUTE, 0));
	rc |= seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
			       SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0));
	rc |= seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_EQ, FIONREAD, 0));
	rc |= seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
			       SCMP_A2(SCMP_CMP_MASKED_EQ, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY));
	rc |= seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	rc |= seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	rc |= seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
			       SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM));
	/* Its flags are in memory, where no filter sees them; without it clone is used. */
	rc |= seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	/* Only to ask: the new limits must be a null pointer. */
	rc |= seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, SCMP_A2(SCMP_CMP_EQ, 0, 0));
	return rc;
}

bool sandbox_lock(char *error, size_t size)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int rc = ctx ? 0 : -ENOMEM;

	for (size_t i = 0; ctx && i < sizeof(plain) / sizeof(*plain); i++) {
		int added = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, plain[i], 0);

		if (added != -EDOM) /* this machine has no such call */
			rc |= added;
	}
	if (ctx)
		rc |= add_arguments(ctx);
	if (!rc)
		rc = seccomp_load(ctx);
	seccomp_release(ctx);
	if (rc)
		snprintf(error, size, "system call filter: %s", strerror(rc < 0 ? -rc : EINVAL));
	return !rc;
}
