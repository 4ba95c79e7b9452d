/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_PROCESS_H
#define SLUICE_TAILNET_PROCESS_H

#include <sys/types.h>

/*
 * The network process: it speaks with the coordination server and with relays,
 * and has no rights. It is this program anew, so that nothing of the gateway's
 * memory is in it.
 */
#define PROCESS_ARGUMENT "tailnet-process" /* argv[1] of it; main() then calls process_main() */

/* Starts it. Returns our end of the pair, or -errno. *pid is to be waited for. */
int process_start(pid_t *pid);

/* The network process' main(): serves the pair that process_start() gave it until the
 * other end is gone. Returns the exit status. */
int process_main(void);

#endif
