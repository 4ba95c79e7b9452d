/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_EXIT_H
#define SLUICE_EXIT_H

/* Exit statuses, of every command and in answers. */
enum exit_status { EXIT_YES = 0, EXIT_NO = 1, EXIT_USAGE = 2, EXIT_NOT_RUNNING = 3 };

/* Sets *error by printf (from malloc; NULL: no memory) and returns @status. */
int exit_fail(char **error, int status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
