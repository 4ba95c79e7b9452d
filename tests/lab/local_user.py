# SPDX-License-Identifier: BSD-2-Clause
"""A local user without rights, who may open /dev/net/tun: udev's default. Run by `nobody` of test_local_user.py.

  attach NAME         try to become a queue of it, once: prints "attached", or the name of the error
  hold NAME [detach]  try until it works, print "attached"; detach by TUNSETQUEUE, print "detached"; then try to read
                      and to come back, print "back" each time that works, until the kernel says that the queue is dead
"""
import errno
import fcntl
import os
import struct
import sys
import time

TUNSETIFF, TUNSETQUEUE, TUNGETIFF = 0x400454ca, 0x400454d9, 0x800454d2
TAP = 0x0002 | 0x1000 | 0x4000 | 0x0100       # IFF_TAP, IFF_NO_PI, IFF_VNET_HDR, IFF_MULTI_QUEUE
ATTACH_QUEUE, DETACH_QUEUE = 0x0200, 0x0400


def request(name, flags):
    return struct.pack("16sH22x", name.encode(), flags)


def error(call, *arguments):
    """None, or the name of what went wrong."""
    try:
        call(*arguments)
    except OSError as wrong:
        return errno.errorcode[wrong.errno]
    return None


def attach(name):
    """A descriptor that is only open for reading steers the interface all the same."""
    tun = os.open("/dev/net/tun", os.O_RDONLY | os.O_NONBLOCK)
    wrong = error(fcntl.ioctl, tun, TUNSETIFF, request(name, TAP))
    if wrong:
        os.close(tun)
    return tun, wrong


def hold(name, detached):
    while True:
        tun, wrong = attach(name)
        if not wrong:
            break
        time.sleep(0.0001)
    print("attached", flush=True)
    if detached:
        fcntl.ioctl(tun, TUNSETQUEUE, request("", DETACH_QUEUE))
        print("detached", flush=True)
    while True:
        time.sleep(0.05)
        if not detached:
            wrong = error(os.read, tun, 65536)
        else:
            wrong = error(fcntl.ioctl, tun, TUNSETQUEUE, request("", ATTACH_QUEUE))
            if not wrong:
                print("back", flush=True)
                fcntl.ioctl(tun, TUNSETQUEUE, request("", DETACH_QUEUE))
        if wrong not in (None, "EAGAIN", "EIO"):              # EIO: the interface is down
            print(f"dead: {wrong}", flush=True)
            return


def main(what, name, *more):
    if what == "attach":
        print(attach(name)[1] or "attached")
    else:
        hold(name, "detach" in more)


main(*sys.argv[1:])
