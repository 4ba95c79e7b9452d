#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A member of the group who may look, and never stops: member.py SOCKET CONNECTIONS REQUESTS MAP.

Opens CONNECTIONS and keeps REQUESTS to dump MAP waiting on each; who is disconnected comes again. Prints a line once
all have connected, and goes on until it is ended.
"""
import json
import selectors
import socket
import sys


def main():
    path, connections, requests, name = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    line = json.dumps({"schema": 1, "command": "map dump", "args": {"map": name, "limit": 1000000}}).encode() + b"\n"
    selector = selectors.DefaultSelector()

    def connect():
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(path)
        sock.sendall(line * requests)
        sock.setblocking(False)
        selector.register(sock, selectors.EVENT_READ)

    for _ in range(connections):
        connect()
    print("asking", flush=True)
    while True:
        for key, _ in selector.select():
            try:
                got = key.fileobj.recv(1 << 20)
                if got:
                    key.fileobj.send(line * got.count(b"\n"))
            except BlockingIOError:
                continue
            except OSError:
                got = b""
            if not got:
                selector.unregister(key.fileobj)
                key.fileobj.close()
                connect()


if __name__ == "__main__":
    main()
