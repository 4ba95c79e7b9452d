#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""UDP datagrams in fragments of any shape and order.

  shoot SOURCE PORT DESTINATION PORT SIZE ID PIECE...   sends a datagram as these fragments, in this order
  flood SOURCE PORT DESTINATION PORT SECONDS            first fragments that nothing follows, as fast as they go
  hear ADDRESS PORT [HOST PORT]                         prints "open", then a line for each datagram: its size, or
                                                        "spoilt"; with HOST PORT it says hello there first

A PIECE is at:length, then + if more follow, ! if its bytes are others. The datagram's data are server.py's piece().
"""
import ipaddress
import socket
import struct
import sys
import time

from server import piece


def checksum(data):
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def datagram(source, sport, destination, dport, size):
    """UDP header and data."""
    data = bytes(piece(0, size))
    pseudo = source.packed + destination.packed + struct.pack("!IBBBB", 8 + size, 0, 0, 0, socket.IPPROTO_UDP)
    header = struct.pack("!HHHH", sport, dport, 8 + size, 0)
    return struct.pack("!HHHH", sport, dport, 8 + size, checksum(pseudo + header + data)) + data


def fragment(source, destination, number, at, data, more):
    if source.version == 4:
        return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(data), number, at >> 3 | more << 13, 64, socket.IPPROTO_UDP,
                           0) + source.packed + destination.packed + data
    header = struct.pack("!IHBB", 6 << 28, 8 + len(data), socket.IPPROTO_FRAGMENT, 64)
    return (header + source.packed + destination.packed +
            struct.pack("!BBHI", socket.IPPROTO_UDP, 0, at | more, number) + data)


def raw(destination):
    family = socket.AF_INET if destination.version == 4 else socket.AF_INET6
    return socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)


def ends(words):
    return ipaddress.ip_address(words[0]), int(words[1]), ipaddress.ip_address(words[2]), int(words[3])


def shoot(words):
    source, sport, destination, dport = ends(words)
    whole = datagram(source, sport, destination, dport, int(words[4]))
    with raw(destination) as out:
        for word in words[6:]:
            at, _, length = word.rstrip("+!").partition(":")
            data = whole[int(at):int(at) + int(length)]
            if "!" in word:
                data = bytes(byte ^ 0x55 for byte in data)
            out.sendto(fragment(source, destination, int(words[5]), int(at), data, "+" in word), (words[2], 0))


def flood(words):
    source, sport, destination, dport = ends(words)
    data = datagram(source, sport, destination, dport, 1400)[:1400]
    until, number = time.monotonic() + float(words[4]), 0
    with raw(destination) as out:
        while time.monotonic() < until:
            for _ in range(100):
                number += 1
                try:
                    out.sendto(fragment(source, destination, number & 0xffff, 0, data, True), (words[2], 0))
                except OSError:
                    pass          # a full queue is part of a flood
    print(number)


def hear(words):
    family, _, _, _, address = socket.getaddrinfo(words[0], int(words[1]), type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind(address)
        if words[2:]:
            sock.sendto(b"hello", (words[2], int(words[3])))
            sock.recv(100)
        print("open", flush=True)
        while True:
            data = sock.recv(65535)
            print(len(data) if data == bytes(piece(0, len(data))) else "spoilt", flush=True)


if __name__ == "__main__":
    {"shoot": shoot, "flood": flood, "hear": hear}[sys.argv[1]](sys.argv[2:])
