#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What people do to a gateway, all at once and without end: churn.py SECONDS SERVICE... prints its counts as JSON.

Every kind of conversation is a function that runs one of them, begun on a fresh socket: it returns whether all came
back intact, or raises the network's error. The service is server.py.
"""
import collections
import json
import os
import random
import socket
import struct
import subprocess
import sys
import threading
import time

from probe import error_name
from server import piece

TIMEOUT = 3
THREADS = 6
PAUSE = 0.04            # seconds a thread rests on average: what a fast machine does must still fit the soak's table


def connected(host, port, kind=socket.SOCK_STREAM):
    family, _, _, _, address = socket.getaddrinfo(host, port, type=kind)[0]
    sock = socket.socket(family, kind)
    sock.settimeout(TIMEOUT)
    sock.connect(address)
    return sock


def request(sock, size):
    sock.sendall(f"GET /bytes/{size} HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n".encode())


def download(host):
    """A connection that is closed in the usual way."""
    size = random.choice((1, 1000, 100_000))
    with connected(host, 80) as sock:
        request(sock, size)
        data = b"".join(iter(lambda: sock.recv(1 << 16), b""))
    return data.partition(b"\r\n\r\n")[2] == piece(0, size)


def hang_up(host):
    """A connection that the client resets in the middle."""
    with connected(host, 443) as sock:
        request(sock, 200_000)
        sock.recv(1000)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return True


def echo(host, size, count=1):
    with connected(host, 7, socket.SOCK_DGRAM) as sock:
        for _ in range(count):
            data = os.urandom(size)
            sock.send(data)
            if sock.recv(65535) != data:
                return False
    return True


def datagram(host):
    return echo(host, random.randint(1, 1300), random.randint(1, 4))


def fragments(host):
    """A datagram that is larger than every link on the way."""
    return echo(host, random.randint(2000, 6000))


def ping(host):
    if subprocess.run(["ping", "-c", "1", "-W", str(TIMEOUT), host], capture_output=True).returncode:
        raise TimeoutError
    return True


KINDS = (download, download, hang_up, datagram, datagram, datagram, fragments, ping)


def churn(hosts, end, counts):
    while time.monotonic() < end:
        kind = random.choice(KINDS)
        try:
            outcome = "intact" if kind(random.choice(hosts)) else "damaged"
        except OSError as error:
            outcome = error_name(error)
        counts[kind.__name__][outcome] += 1
        time.sleep(random.uniform(0, 2 * PAUSE))


def main():
    seconds, *hosts = sys.argv[1:]
    counts = {kind.__name__: collections.Counter() for kind in KINDS}
    end = time.monotonic() + float(seconds)
    threads = [threading.Thread(target=churn, args=(hosts, end, counts)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
