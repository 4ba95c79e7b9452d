/* SPDX-License-Identifier: BSD-2-Clause */
#include "trial.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "policy/alloc.h"
#include "user/base/clock.h"

#define TRIAL_WALL_TIMES  4 /* of the processor time: a machine that does other things */
#define TRIAL_OOM_SCORE	  "1000"
#define TRIAL_NICE	  5 /* packets come first */
#define TRIAL_EXIT_MEMORY 3
#define TRIAL_LOOK_MS	  50
#define TRIAL_PAUSE_MS	  1

/* Bytes of memory of its own that this process has now, as RLIMIT_DATA counts them. 0: not known. */
static size_t trial_data_now(void)
{
	unsigned long kib = 0;
	char line[128];
	FILE *f = fopen("/proc/self/status", "re");

	while (f && fgets(line, sizeof(line), f) && sscanf(line, "VmData: %lu", &kib) != 1)
		;
	if (f)
		fclose(f);
	return (size_t)kib * 1024;
}

static void trial_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, text, strlen(text)) < 0)
		errno = 0; /* then the kernel chooses by itself */
	if (fd >= 0)
		close(fd);
}

static void trial_bound(const struct trial_limits *limits, size_t had)
{
	struct rlimit cpu = {limits->seconds, limits->seconds + 1}, /* the soft one has a signal of its own */
		data = {had + limits->bytes, had + limits->bytes};
	struct rlimit none = {0, 0};

	setrlimit(RLIMIT_CPU, &cpu);
	if (had)
		setrlimit(RLIMIT_DATA, &data);
	setrlimit(RLIMIT_CORE, &none);
	trial_write("/proc/self/oom_score_adj", TRIAL_OOM_SCORE);
	if (nice(TRIAL_NICE) < 0)
		errno = 0; /* -1 is a value, too */
}

static void trial_exhausted(void)
{
	_exit(TRIAL_EXIT_MEMORY);
}

static _Noreturn void trial_child(const struct trial_limits *limits, size_t had, pid_t parent, void (*work)(void *),
				  void *ctx)
{
	sigset_t blocked;
	int null;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(EXIT_FAILURE);
	sigfillset(&blocked); /* the group's SIGTERM is for the gateway, which then waits for this child */
	sigdelset(&blocked, SIGXCPU);
	sigprocmask(SIG_SETMASK, &blocked, NULL);
	signal(SIGXCPU, SIG_DFL);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd < 3; fd++)
		if (null < 0 || dup2(null, fd) < 0)
			close(fd);
	close_range(3, ~0u, 0);
	trial_bound(limits, had);
	mem_on_exhausted(trial_exhausted);
	work(ctx);
	_exit(0);
}

static enum trial_end trial_end_of(const siginfo_t *info)
{
	bool exited = info->si_code == CLD_EXITED;

	if (exited && info->si_status == 0)
		return TRIAL_DONE;
	if (exited)
		return info->si_status == TRIAL_EXIT_MEMORY ? TRIAL_MEMORY : TRIAL_DIED;
	if (info->si_status == SIGXCPU)
		return TRIAL_TIME;
	return info->si_status == SIGKILL ? TRIAL_MEMORY : TRIAL_DIED; /* nobody but the OOM killer sends this one */
}

/* Has the child ended? It is waited for without a descriptor, of which there may be none left. */
static bool trial_has_ended(pid_t pid, siginfo_t *info)
{
	*info = (siginfo_t){0};
	return waitid(P_PID, (id_t)pid, info, WEXITED | WNOHANG) < 0 ? errno != EINTR : info->si_pid != 0;
}

/* Waits for the child, and ends it when it takes too long. */
static enum trial_end trial_wait(pid_t pid, const struct trial_limits *limits)
{
	struct pollfd ended = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};
	uint64_t until = clock_now() + limits->seconds * TRIAL_WALL_TIMES * NS_PER_SEC;
	siginfo_t info;

	while (!trial_has_ended(pid, &info) && clock_now() < until) {
		poll(&ended, 1, TRIAL_LOOK_MS); /* of -1 it only waits */
		if (ended.revents)		/* it has ended, but a debugger may have to see it first */
			poll(NULL, 0, TRIAL_PAUSE_MS);
	}
	if (ended.fd >= 0)
		close(ended.fd);
	if (info.si_pid)
		return trial_end_of(&info);
	kill(pid, SIGKILL);
	while (waitid(P_PID, (id_t)pid, &info, WEXITED) && errno == EINTR)
		;
	return TRIAL_TIME;
}

enum trial_end trial_run(const struct trial_limits *limits, void (*work)(void *ctx), void *ctx)
{
	size_t had = trial_data_now();
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		return TRIAL_NONE;
	if (!pid)
		trial_child(limits, had, parent, work, ctx);
	return trial_wait(pid, limits);
}

const char *trial_end_text(enum trial_end end, const struct trial_limits *limits, char *buf, size_t size)
{
	switch (end) {
	case TRIAL_DONE:
		snprintf(buf, size, "is done");
		break;
	case TRIAL_TIME:
		snprintf(buf, size, "needs more than %u s of processor time", limits->seconds);
		break;
	case TRIAL_MEMORY:
		snprintf(buf, size, "needs more than %zu MiB of memory, or more than this machine has",
			 limits->bytes >> 20);
		break;
	case TRIAL_DIED:
		snprintf(buf, size, "makes the compiler fail: please report it, with the policy");
		break;
	case TRIAL_NONE:
		snprintf(buf, size, "cannot be tried: no process could be made (%s)", strerror(errno));
		break;
	}
	return buf;
}
