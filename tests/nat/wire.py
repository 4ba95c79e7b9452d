# SPDX-License-Identifier: BSD-2-Clause
"""Bytes of packets."""
import struct


def fold(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def transport(raw):
    """(protocol, offset, end) of the transport header, or None behind what is not understood or of a fragment."""
    if raw[0] >> 4 == 4:
        fragment = struct.unpack_from("!H", raw, 6)[0] & 0x3FFF
        return None if fragment else (raw[9], (raw[0] & 15) * 4, struct.unpack_from("!H", raw, 2)[0])
    proto, at = raw[6], 40
    while proto in (0, 60):
        proto, at = raw[at], at + (raw[at + 1] + 1) * 8
    return None if proto == 44 else (proto, at, 40 + struct.unpack_from("!H", raw, 4)[0])
