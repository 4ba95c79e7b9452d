# SPDX-License-Identifier: BSD-2-Clause
"""Whole packets of both families, and what is read out of those that arrive."""
import os
import random
import struct

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.packet import Raw

from .wire import fold, transport

# kind of error -> (type, code) by IP version
ERRORS = {
    "port unreachable": {4: (3, 3), 6: (1, 4)},
    "host unreachable": {4: (3, 1), 6: (1, 3)},
    "prohibited": {4: (3, 13), 6: (1, 1)},
    "too big": {4: (3, 4), 6: (2, 0)},
    "time exceeded": {4: (11, 0), 6: (3, 0)},
    "parameter problem": {4: (12, 0), 6: (4, 0)},
}
ECHO = {4: (1, 8, 0), 6: (58, 128, 129)}          # protocol, request, reply
HEADER = {4: 20, 6: 40}


def token(size=16):
    """A payload that no other packet has."""
    return os.urandom(size)


def ip(version, src, dst, ttl=64, df=False, **fields):
    if version == 4:
        return IP(src=src, dst=dst, ttl=ttl, id=random.randint(1, 65535), flags="DF" if df else 0, **fields)
    return IPv6(src=src, dst=dst, hlim=ttl, **fields)


def icmp_message(version, src, dst, kind, code, rest, data):
    """The message with its checksum, as the payload of ip()."""
    message = struct.pack("!BBH", kind, code, 0) + rest + data
    pseudo = b""
    if version == 6:
        pseudo = bytes(IPv6(src=src, dst=dst))[8:40] + struct.pack("!II", len(message), 58)
    check = 0xFFFF - fold(pseudo + message)
    return message[:2] + struct.pack("!H", check) + message[4:]


def icmp(version, src, dst, kind, code=0, rest=bytes(4), data=b"", **fields):
    field = {"proto": 1} if version == 4 else {"nh": 58}
    return ip(version, src, dst, **field, **fields) / Raw(icmp_message(version, src, dst, kind, code, rest, data))


def echo(version, src, dst, request, number, data, **fields):
    _, ask, answer = ECHO[version]
    return icmp(version, src, dst, ask if request else answer, rest=struct.pack("!HH", number, 1), data=data, **fields)


def error(version, src, dst, kind, about, mtu=0):
    """An ICMP error about a packet, of which `about` (bytes) is quoted."""
    number, code = ERRORS[kind][version]
    rest = struct.pack("!HH", 0, mtu) if version == 4 else struct.pack("!I", mtu)
    return icmp(version, src, dst, number, code, rest, about)


def addresses(packet):
    return packet.src, packet.dst


def ttl(packet):
    return packet.ttl if isinstance(packet, IP) else packet.hlim


def body(packet):
    """(protocol, transport header and payload) of a packet that is whole, else (None, b"")."""
    raw = bytes(packet.original or packet)
    found = transport(raw)
    return (found[0], raw[found[1]:found[2]]) if found else (None, b"")


def ports(packet):
    layer = packet[UDP] if UDP in packet else packet[TCP]
    return layer.sport, layer.dport


def read_icmp(packet):
    """(type, code, the four bytes behind the checksum, data) of an ICMP message, else None."""
    proto, data = body(packet)
    if proto not in (1, 58) or len(data) < 8:
        return None
    return data[0], data[1], data[4:8], data[8:]


def is_error(packet, kind=None):
    version = 4 if isinstance(packet, IP) else 6
    message = read_icmp(packet)
    if not message:
        return False
    wanted = [ERRORS[kind][version]] if kind else [pair[version] for pair in ERRORS.values()]
    return message[:2] in wanted


def error_mtu(packet):
    _, _, rest, _ = read_icmp(packet)
    return struct.unpack("!HH", rest)[1] if isinstance(packet, IP) else struct.unpack("!I", rest)[0]


def as_quoted(raw, ttl_seen):
    """A packet as a router quotes it: its time to live, and with it IPv4's checksum, have changed."""
    raw = bytearray(raw)
    if raw[0] >> 4 == 6:
        raw[7] = ttl_seen
        return bytes(raw)
    end = (raw[0] & 15) * 4
    raw[8], raw[10:12] = ttl_seen, b"\0\0"
    raw[10:12] = struct.pack("!H", 0xFFFF - fold(bytes(raw[:end])))
    return bytes(raw)


def cut(packet, cuts):
    """The fragments of a packet, its payload cut at these offsets (multiples of 8): [(offset, fragment)]."""
    version = 4 if isinstance(packet, IP) else 6
    raw, head = bytes(packet), HEADER[version]
    payload, number, pieces = raw[head:], random.randint(1, 65535), []
    for start, end in zip([0, *cuts], [*cuts, len(payload)]):
        pieces.append(fragment(packet, number, start, payload[start:end], end < len(payload)))
    return pieces


def fragment(packet, number, start, data, more):
    """One fragment of a packet; data need not be what the packet holds there."""
    if isinstance(packet, IP):
        return IP(src=packet.src, dst=packet.dst, ttl=packet.ttl, proto=packet.proto, id=number,
                  flags="MF" if more else 0, frag=start // 8) / Raw(data)
    head = IPv6ExtHdrFragment(nh=packet.nh, offset=start // 8, m=int(more), id=number)
    return IPv6(src=packet.src, dst=packet.dst, hlim=packet.hlim, nh=44) / head / Raw(data)


def is_fragment(packet):
    if isinstance(packet, IP):
        return bool(packet.frag or packet.flags.MF)
    return IPv6ExtHdrFragment in packet


def piece(packet):
    """(what names its whole, offset, data, more follow) of a packet; one that is whole is its own only piece."""
    raw, four = bytes(packet.original), isinstance(packet, IP)
    if not is_fragment(packet):
        proto, _ = body(packet)
        return (packet.src, packet.dst, proto, id(packet)), 0, body(packet)[1], False
    end = packet.len if four else 40 + packet.plen
    head = packet if four else packet[IPv6ExtHdrFragment]
    start = packet.ihl * 4 if four else 48
    more, offset = (bool(packet.flags.MF), packet.frag) if four else (bool(head.m), head.offset)
    return (packet.src, packet.dst, packet.id if four else head.id), offset * 8, raw[start:end], more


def join(packets):
    """The transport bytes of all packets that are there in full, whether they came whole or in fragments."""
    wholes = {}
    for packet in packets:
        name, offset, data, more = piece(packet)
        pieces, end = wholes.setdefault(name, ({}, []))
        pieces[offset] = data
        if not more:
            end.append(offset + len(data))
    for pieces, end in wholes.values():
        data = b""
        while len(data) in pieces and pieces[len(data)]:
            data += pieces[len(data)]
        if end and len(data) == end[0]:
            yield data
