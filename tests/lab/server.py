#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A service: HTTP and UDP echo on the ports given, IPv4 and IPv6. server.py LOG [--http PORT]... [--udp PORT]...

Every request adds a line of JSON to LOG: who asked, as the service saw it. The bodies are slices of one fixed
pseudo-random block, so that both ends know each byte and a damaged one does not pass.

  GET /            a line that says who asked
  GET /bytes/N     N bytes
  GET /slow/N/R    N bytes at R bytes a second
  PUT /            checks the body, answers {"bytes": N, "intact": true}
"""
import argparse
import http.server
import json
import random
import socket
import threading
import time

BLOCK = random.Random(20).randbytes((1 << 20) - 3)


def piece(offset, length):
    """At most `length` bytes of the endless repetition of BLOCK from an offset on."""
    at = offset % len(BLOCK)
    return memoryview(BLOCK)[at:at + length]


def plain(address):
    return address.removeprefix("::ffff:")


class Log:
    def __init__(self, path):
        self.file, self.lock = open(path, "a"), threading.Lock()

    def add(self, **what):
        with self.lock:
            print(json.dumps(what), file=self.file, flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    log = None

    def note(self):
        self.log.add(proto="tcp", client=plain(self.client_address[0]), port=self.client_address[1],
                     service=plain(self.connection.getsockname()[0]), service_port=self.server.server_port,
                     path=self.path)

    def head(self, length):
        self.send_response(200)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def do_GET(self):
        self.note()
        kind, *numbers = self.path.strip("/").split("/")
        if kind not in ("bytes", "slow"):
            body = f"hello {plain(self.client_address[0])}\n".encode()
            self.head(len(body))
            self.wfile.write(body)
            return
        total, rate = int(numbers[0]), int(numbers[1]) if kind == "slow" else 0
        self.head(total)
        self.stream(total, rate)

    def stream(self, total, rate):
        start, sent, step = time.monotonic(), 0, 1 << 14 if rate else 1 << 18
        while sent < total:
            sent += self.wfile.write(piece(sent, min(step, total - sent)))
            if rate:
                time.sleep(max(0, start + sent / rate - time.monotonic()))

    def do_PUT(self):
        self.note()
        total, got, intact = int(self.headers["Content-Length"]), 0, True
        while got < total:
            data = self.rfile.read1(min(1 << 18, total - got))
            if not data:
                return
            while data:
                want = piece(got, len(data))
                intact = intact and data[:len(want)] == want
                got, data = got + len(want), data[len(want):]
        body = json.dumps({"bytes": got, "intact": intact}).encode()
        self.head(len(body))
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    address_family, daemon_threads, request_queue_size = socket.AF_INET6, True, 256

    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = "service", self.server_address[1]

    def handle_error(self, *_):
        pass


def echo(port, log):
    """UDP echo. Replies come from the address that was asked: one socket an address would be needed for that,
    or IP_PKTINFO, which serves both families on one socket."""
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    sock.bind(("::", port))
    seen = set()
    while True:
        data, control, _, peer = sock.recvmsg(65535, 256)
        info = [item for item in control if item[:2] == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO)]
        sock.sendmsg([data], info, 0, peer)
        if peer[:2] not in seen:
            seen.add(peer[:2])
            log.add(proto="udp", client=plain(peer[0]), port=peer[1], service_port=port)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("log")
    options.add_argument("--http", type=int, action="append", default=[])
    options.add_argument("--udp", type=int, action="append", default=[])
    options = options.parse_args()
    Handler.log = Log(options.log)
    jobs = [threading.Thread(target=Server(("::", port), Handler).serve_forever) for port in options.http]
    jobs += [threading.Thread(target=echo, args=(port, Handler.log)) for port in options.udp]
    for job in jobs:
        job.start()
    print("ready", flush=True)


if __name__ == "__main__":
    main()
