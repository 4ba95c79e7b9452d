/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_NOTIFY_H
#define SLUICE_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Tells the service manager how we are, by one datagram to $NOTIFY_SOCKET
 * (sd_notify(3)). Without the variable, and on any failure, nothing happens and
 * false is returned: a gateway does not stop for it.
 */
bool notify_ready(const char *status);	/* READY=1; @status may be NULL */
bool notify_status(const char *status); /* one line for `systemctl status` */
bool notify_stopping(void);
bool notify_reloading(uint64_t monotonic_ns); /* end it with notify_ready() */

#endif
