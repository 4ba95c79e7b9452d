#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Two ends of TCP connections that both talk, a byte every 50 ms, until they hear that a connection is gone.

  serve PORT [PAUSE]         every connection that comes
  call HOST PORT [PAUSE]     one

PAUSE: after a second of talk both are silent for so many seconds. Each connection adds a line of JSON when it begins
to talk, when it begins again and when it ends: {"event", "at" (s, the clock of all hosts here), "error"}.
"""
import errno
import json
import select
import socket
import sys
import threading
import time

STEP, TALK, END = 0.05, 1.0, 30


def say(event, error=None):
    print(json.dumps({"event": event, "at": time.monotonic(), "error": error}), flush=True)


def hear(sock):
    while select.select([sock], [], [], 0)[0]:
        if not sock.recv(4096):
            raise OSError(0, "end")


def talk(sock, pause):
    start = time.monotonic()
    say("talks")
    try:
        while time.monotonic() < start + END:
            if pause and time.monotonic() > start + TALK:
                time.sleep(pause)
                pause = 0
                say("again")
            sock.send(b"x")
            time.sleep(STEP)
            hear(sock)
        say("ends", "timeout")
    except OSError as error:
        say("ends", errno.errorcode.get(error.errno, "end"))
    sock.close()


def serve(port, pause=0):
    with socket.create_server(("", int(port)), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        print("{}", flush=True)
        while True:
            sock, _ = listener.accept()
            threading.Thread(target=talk, args=(sock, float(pause)), daemon=True).start()


def call(host, port, pause=0):
    talk(socket.create_connection((host, int(port)), timeout=5), float(pause))


if __name__ == "__main__":
    {"serve": serve, "call": call}[sys.argv[1]](*sys.argv[2:])
