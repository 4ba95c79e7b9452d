#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Stands where a relay stood and is none: hostile_relay.py ADDRESS CERTIFICATE KEY MANNER. Each call is a line."""
import socket
import ssl
import sys

from hostile_control import request_of

DERP = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n\r\n"
# What answers the request, and as what it is told.
MANNERS = {
    "is a web server": (b"HTTP/1.1 404 Not Found\r\nContent-Length: 14\r\n\r\n<html>\x1b[31mno\r\n", "http"),
    "speaks no DERP": (DERP + b"\x01\xff\xff\xff\xff\x1b[31m", "no-derp"),
}


def serve(connection, answer):
    if request_of(connection):
        connection.sendall(answer)
        while connection.recv(65536):   # until the other end has had enough
            pass


def main():
    address, certificate, key, manner = sys.argv[1:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server((address, 443)) as listener:
        print("ready", flush=True)
        while True:
            raw, _ = listener.accept()
            print("call", flush=True)
            try:
                with context.wrap_socket(raw, server_side=True) as connection:
                    serve(connection, MANNERS[manner][0])
            except OSError:             # it hung up on us, as it should
                pass


if __name__ == "__main__":
    main()
