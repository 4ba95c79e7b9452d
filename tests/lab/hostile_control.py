#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Stands where a coordination server stood and misbehaves: hostile_control.py ADDRESS CERTIFICATE KEY MANNER.

A manner is about the answer to one request: for the server's key, or for the upgrade to the control protocol, before
which a good key is told. Other connections, to the relay, are closed.
"""
import os
import socket
import ssl
import sys

HUGE = 64 << 20                 # bytes that a client should not have read to the end
PATIENCE = 30                   # seconds
KEY, UPGRADE = "/key", "/ts2021"


def answer(body, status="200 OK", length=None):
    return (f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: "
            f"{len(body) if length is None else length}\r\n\r\n").encode() + body


def good_key():
    return answer(b'{"legacyPublicKey":"mkey:%s","publicKey":"mkey:%s"}' % ((os.urandom(32).hex().encode(),) * 2))


def switched(record):
    """An accepted upgrade, then what should be a record of the Noise handshake."""
    return (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: tailscale-control-protocol\r\nConnection: upgrade\r\n\r\n" +
            record)


# Each: the request, and what answers it.
MANNERS = {
    "leaves": (KEY, lambda: b""),
    "speaks no HTTP": (KEY, lambda: os.urandom(5000)),
    "is broken": (KEY, lambda: answer(b"oops", "500 Internal Server Error")),
    "never ends its header": (KEY, lambda: b"HTTP/1.1 200 OK\r\n" + b"X-More: and more\r\n" * (HUGE // 18)),
    "never ends": (KEY, lambda: answer(b"[" * HUGE)),
    "sends half": (KEY, lambda: answer(b'{"publicKey":', length=4000)),
    "has the wrong types": (KEY, lambda: answer(b'{"publicKey": {"mkey": [1, null]}}')),
    "has a short key": (KEY, lambda: answer(b'{"publicKey": "mkey:1234"}')),
    "does not upgrade": (UPGRADE, lambda: answer(b"<html>\x1b[31mcaptive portal</html>")),
    "forges the handshake": (UPGRADE, lambda: switched(b"\2\0\x30" + os.urandom(48))),
    "has a huge record": (UPGRADE, lambda: switched(b"\2\xff\xff" + os.urandom(65535))),
    "refuses us": (UPGRADE, lambda: switched(b"\3\0\x13too old\n\r\x1b[31m for me")),
}


def request_of(connection):
    """Its path; empty when nobody asks."""
    connection.settimeout(PATIENCE)
    request = b""
    while b"\r\n\r\n" not in request:
        more = connection.recv(65536)
        if not more:
            return ""
        request += more
    return request.split()[1].decode().partition("?")[0]


def serve(connection, about, reply):
    path = request_of(connection)
    if path == about:
        connection.sendall(reply())
    elif path == KEY:
        connection.sendall(good_key())


def main():
    address, certificate, key, manner = sys.argv[1:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server((address, 443)) as listener:
        print("ready", flush=True)
        while True:
            raw, _ = listener.accept()
            try:
                with context.wrap_socket(raw, server_side=True) as connection:
                    serve(connection, *MANNERS[manner])
            except OSError:     # it hung up on us, as it should
                pass


if __name__ == "__main__":
    main()
