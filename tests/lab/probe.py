#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A client of server.py. Each subcommand makes one measurement and prints it as one JSON object.

  connect HOST PORT                      does a TCP connection come about; if not, which error, how soon
  get URL                                bytes, seconds, longest silence between two reads, whether intact
  put URL BYTES                          the same the other way
  udp HOST PORT [--count N] [--size S] [--interval T]
                                         echoes: sent, received, intact, longest silence
  many HOST PORT [--flows N] [--count N] [--interval T]
                                         the same on many sockets at once, --count times on each
An error of the network is a result too: "error" holds its name, ECONNRESET for example.
"""
import argparse
import errno
import http.client
import json
import resource
import select
import socket
import time
import urllib.parse

from server import piece


def error_name(error):
    if isinstance(error, TimeoutError):
        return "timeout"
    return errno.errorcode.get(getattr(error, "errno", None), type(error).__name__)


def peer_of(sock):
    """The peer, or why there is none: Linux may call a socket writable, with SO_ERROR 0, in the instant in which an
    ICMP error closes it (once in 1,600 refusals; a capture showed SYN and ICMP, nothing else)."""
    try:
        return sock.getpeername()
    except OSError as error:
        raise OSError(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or error.errno, "no peer") from error


def connect(options):
    start = time.monotonic()
    try:
        with socket.create_connection((options.host, options.port), timeout=options.timeout) as sock:
            peer_of(sock)
            return {"connected": True, "local": sock.getsockname()[0], "seconds": time.monotonic() - start}
    except OSError as error:
        return {"connected": False, "error": error_name(error), "seconds": time.monotonic() - start}


def http_connection(options):
    url = urllib.parse.urlsplit(options.url)
    return http.client.HTTPConnection(url.hostname, url.port or 80, timeout=options.timeout), url.path or "/"


def get(options):
    result = {"bytes": 0, "intact": True, "silence": 0.0}
    start = last = time.monotonic()
    try:
        connection, path = http_connection(options)
        connection.request("GET", path)
        response = connection.getresponse()
        result["status"], result["length"] = response.status, int(response.headers["Content-Length"])
        while data := response.read1(1 << 18):
            now = time.monotonic()
            result["silence"], last = max(result["silence"], now - last), now
            if path != "/":
                check(result, data)
            else:
                result["bytes"], result["body"] = len(data), data.decode()
    except (OSError, http.client.HTTPException) as error:
        result["error"] = error_name(error)
    result["seconds"] = time.monotonic() - start
    return result


def check(result, data):
    while data:
        want = piece(result["bytes"], len(data))
        result["intact"] = result["intact"] and data[:len(want)] == want
        result["bytes"], data = result["bytes"] + len(want), data[len(want):]


def body(total, result):
    sent, last = 0, time.monotonic()
    while sent < total:
        part = piece(sent, min(1 << 18, total - sent))
        yield part
        sent += len(part)
        now = time.monotonic()
        result["silence"], last = max(result["silence"], now - last), now


def put(options):
    result = {"silence": 0.0}
    start = time.monotonic()
    try:
        connection, path = http_connection(options)
        connection.request("PUT", path, body(options.bytes, result), {"Content-Length": str(options.bytes)})
        result.update(json.loads(connection.getresponse().read()))
    except (OSError, http.client.HTTPException) as error:
        result["error"] = error_name(error)
    result["seconds"] = time.monotonic() - start
    return result


def udp(options):
    """Datagrams at a fixed pace on one socket, their echoes counted; the first eight bytes number them."""
    family, _, _, _, address = socket.getaddrinfo(options.host, options.port, type=socket.SOCK_DGRAM)[0]
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.connect(address)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    result = {"sent": 0, "received": 0, "intact": True, "silence": 0.0, "errors": {}}
    start = last = time.monotonic()
    seen = set()

    def datagram(number):
        return (number.to_bytes(8, "big") + bytes(piece(number, options.size)))[:options.size]

    def listen(until):
        nonlocal last
        while (left := until - time.monotonic()) > 0 and len(seen) < options.count:
            sock.settimeout(left)
            try:
                data = sock.recv(65535)
            except TimeoutError:
                return
            except OSError as error:
                name = error_name(error)
                result["errors"][name] = result["errors"].get(name, 0) + 1
                continue
            now = time.monotonic()
            result["silence"], last = max(result["silence"], now - last), now
            seen.add(data[:8])
            result["intact"] = result["intact"] and data == datagram(int.from_bytes(data[:8], "big"))

    for number in range(options.count):
        try:
            sock.send(datagram(number))
            result["sent"] += 1
        except OSError as error:
            name = error_name(error)
            result["errors"][name] = result["errors"].get(name, 0) + 1
        listen(start + (number + 1) * options.interval)
    listen(time.monotonic() + options.timeout)
    result["received"], result["seconds"] = len(seen), time.monotonic() - start
    return result


def many(options):
    """One datagram on every socket, again and again; none is sent twice, so what is missing was lost."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    family, _, _, _, address = socket.getaddrinfo(options.host, options.port, type=socket.SOCK_DGRAM)[0]
    result = {"sent": 0, "received": 0, "intact": True, "errors": {}}
    sockets, poll, seen = {}, select.poll(), set()
    for _ in range(options.flows):
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.connect(address)
        sockets[sock.fileno()] = sock
        poll.register(sock, select.POLLIN)

    def listen(until):
        while (left := until - time.monotonic()) > 0 and len(seen) < options.flows * options.count:
            for fd, _ in poll.poll(left * 1000):
                try:
                    data = sockets[fd].recv(64)
                    result["intact"] = result["intact"] and len(data) == 16 and data[8:] == bytes(8)
                    seen.add(data[:8])
                except OSError as error:
                    result["errors"][error_name(error)] = result["errors"].get(error_name(error), 0) + 1

    start = time.monotonic()
    for number in range(options.count):
        for place, sock in enumerate(sockets.values()):
            try:
                sock.send((number * options.flows + place).to_bytes(8, "big") + bytes(8))
                result["sent"] += 1
            except OSError as error:
                result["errors"][error_name(error)] = result["errors"].get(error_name(error), 0) + 1
            if place % 50 == 49:
                listen(time.monotonic() + options.interval * 50 / options.flows / 2)
        listen(start + (number + 1) * options.interval)
    listen(time.monotonic() + options.timeout)
    result["received"], result["seconds"] = len(seen), time.monotonic() - start
    return result


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(required=True)

    def command(function, *positional):
        sub = commands.add_parser(function.__name__)
        for name, kind in positional:
            sub.add_argument(name, type=kind)
        sub.add_argument("--timeout", type=float, default=5)
        sub.set_defaults(function=function)
        return sub

    command(connect, ("host", str), ("port", int))
    command(get, ("url", str))
    command(put, ("url", str), ("bytes", int))
    sub = command(udp, ("host", str), ("port", int))
    sub.add_argument("--count", type=int, default=20)
    sub.add_argument("--size", type=int, default=64)
    sub.add_argument("--interval", type=float, default=0.01)
    sub = command(many, ("host", str), ("port", int))
    sub.add_argument("--flows", type=int, default=1000)
    sub.add_argument("--count", type=int, default=20)
    sub.add_argument("--interval", type=float, default=0.5)
    options = parser.parse_args()
    print(json.dumps(options.function(options)))


if __name__ == "__main__":
    main()
