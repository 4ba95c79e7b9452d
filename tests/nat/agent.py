# SPDX-License-Identifier: BSD-2-Clause
"""Runs on a station (the client or a remote): sends whole IP packets and tells of those that arrive.

    python3 agent.py ADDRESS[,ADDRESS] PEER[,PEER...]

It needs Linux, Python 3.8 or later, nft and root, and nothing else: packets are made and judged elsewhere. While it
runs, the station's kernel does not see TCP, UDP and ICMP of the PEERs to the ADDRESSes, for it would answer them.

    standard input    HEX                      send this packet; the kernel routes it
    standard output   ready
                      packet CHECKED HEX       one has arrived; CHECKED 0: the checksum is left to be filled in
                      refused TEXT             the kernel did not send the last one
"""
import os
import selectors
import signal
import socket
import struct
import subprocess
import sys

ETH_P = {4: 0x0800, 6: 0x86DD}
SOL_PACKET, PACKET_AUXDATA, CSUM_NOT_READY = 263, 8, 8
IPV6_HDRINCL = 36
ICMP6 = "destination-unreachable, packet-too-big, time-exceeded, parameter-problem, echo-request, echo-reply"


def table(addresses, peers):
    """What keeps the kernel silent."""
    rules = ""
    for word, version in (("ip", 4), ("ip6", 6)):
        to = [a for a in addresses if (":" in a) == (version == 6)]
        by = [a for a in peers if (":" in a) == (version == 6)]
        if not to or not by:
            continue
        match = f"{word} daddr {{ {', '.join(to)} }} {word} saddr {{ {', '.join(by)} }}"
        rules += f"{match} meta l4proto {{ tcp, udp, icmp }} drop\n"
        if version == 6:
            rules += f"{match} icmpv6 type {{ {ICMP6} }} drop\n{match} exthdr frag exists drop\n"
    return (f"table inet nat-suite-{os.getpid()} {{\nchain in {{\n"
            f"type filter hook prerouting priority -450;\n{rules}}}\n}}\n")


def nft(text):
    subprocess.run(["nft", "-f", "-"], input=text, text=True, check=True)


def listen(version):
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P[version]))
    sock.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    return sock


def senders():
    four = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    six = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
    six.setsockopt(socket.IPPROTO_IPV6, IPV6_HDRINCL, 1)
    for sock in (four, six):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
    return four, six


def destination(packet):
    if packet[0] >> 4 == 4:
        return socket.inet_ntop(socket.AF_INET, packet[16:20])
    return socket.inet_ntop(socket.AF_INET6, packet[24:40])


def say(*words):
    sys.stdout.write(" ".join(words) + "\n")
    sys.stdout.flush()


def send(packet, four, six):
    try:
        (four if packet[0] >> 4 == 4 else six).sendto(packet, (destination(packet), 0))
    except OSError as error:
        say("refused", str(error))


def receive(sock, addresses):
    packet, control, _, origin = sock.recvmsg(65535, 256)
    if origin[2] == socket.PACKET_OUTGOING or len(packet) < 20 or destination(packet) not in addresses:
        return
    status = [struct.unpack_from("=I", data)[0] for level, kind, data in control if kind == PACKET_AUXDATA]
    say("packet", "0" if status and status[0] & CSUM_NOT_READY else "1", packet.hex())


def work(addresses):
    four, six = senders()
    ready = selectors.DefaultSelector()
    for version in (4, 6):
        ready.register(listen(version), selectors.EVENT_READ)
    ready.register(0, selectors.EVENT_READ)
    say("ready")
    rest = b""
    while True:
        for key, _ in ready.select():
            if key.fd:
                receive(key.fileobj, addresses)
                continue
            data = os.read(0, 1 << 16)
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                send(bytes.fromhex(line.decode()), four, six)


def main():
    addresses, peers = sys.argv[1].split(","), sys.argv[2].split(",")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    nft(table(addresses, peers))
    try:
        work(set(addresses))
    finally:
        nft(f"delete table inet nat-suite-{os.getpid()}")


if __name__ == "__main__":
    main()
