/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_SYSTEMD_H
#define SLUICE_SYSTEMD_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Tells the service manager how we are, by one datagram to $NOTIFY_SOCKET
 * (sd_notify(3)). Without the variable, and on any failure, nothing happens and
 * false is returned: a gateway does not stop for it.
 */
bool systemd_ready(const char *status);	 /* READY=1; @status may be NULL */
bool systemd_status(const char *status); /* one line for `systemctl status` */
bool systemd_stopping(void);
bool systemd_reloading(uint64_t monotonic_ns); /* end it with systemd_ready() */

#endif
