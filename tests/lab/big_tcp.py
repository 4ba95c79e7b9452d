#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""big_tcp.py DEVICE BYTES: super-packets of up to so many bytes, which iproute2 of Debian 12 sets for IPv6 only."""
import socket
import struct
import sys

RTM_NEWLINK, NLM_F_REQUEST, NLM_F_ACK = 16, 1, 4
SIZES = {"gso": 41, "gro": 58, "gso_ipv4": 63, "gro_ipv4": 64}      # IFLA_*_MAX_SIZE

device, size = socket.if_nametoindex(sys.argv[1]), int(sys.argv[2])
body = struct.pack("=BxHiII", socket.AF_UNSPEC, 0, device, 0, 0)
body += b"".join(struct.pack("=HHI", 8, kind, size) for kind in SIZES.values())
with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
    netlink.send(struct.pack("=IHHII", 16 + len(body), RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, 1, 0) + body)
    error = struct.unpack_from("=i", netlink.recv(4096), 16)[0]
sys.exit(f"{sys.argv[1]}: error {error}" if error else 0)
