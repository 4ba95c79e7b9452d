# SPDX-License-Identifier: BSD-2-Clause
"""Conversations across the NAT, packet by packet: UDP, TCP and ICMP echo.

out() sends from the client and returns the packet as the remote got it; it judges what every translation must keep.
back() sends the remote's answer and returns it as the client got it. Each packet carries something that no other has
(a payload, a sequence number), by which it is known again whatever was translated.
"""
import random

from scapy.layers.inet import TCP, UDP
from scapy.packet import Raw

from .packets import echo, ip, ports, read_icmp, token, ttl


class Flow:
    def __init__(self, nat, version, remote=None, sport=None, dport=None, client=None):
        self.nat, self.version = nat, version
        self.client, self.remote = client or nat.client, remote or nat.remote
        self.sport, self.dport = sport or nat.port(), dport or nat.service_port
        self.external = None        # (address, port) once something has passed
        self.sent = self.received = None    # the last packet, as its sender made it and as it arrived

    @property
    def inner(self):
        return self.client.address(self.version)

    @property
    def far(self):
        return self.remote.address(self.version)

    def carry_out(self, packet, match, what):
        """From the client to the remote; the source is judged, the port is the caller's."""
        self.sent = packet
        self.client.send(packet)
        got = self.received = self.remote.expect(f"{what} from {self.inner} port {self.sport}", match)
        assert got.src in self.nat.external(self.version), f"left with source {got.src}"
        assert ttl(got) < ttl(packet), "the time to live was not decremented"
        return got

    def carry_back(self, packet, match, what):
        self.sent = packet
        self.remote.send(packet)
        got = self.received = self.client.expect(f"{what} for port {self.sport}", match)
        assert got.dst == self.inner and got.src == packet.src
        assert ttl(got) < ttl(packet), "the time to live was not decremented"
        return got


class Udp(Flow):
    def packet(self, payload, **fields):
        return ip(self.version, self.inner, self.far, **fields) / UDP(sport=self.sport, dport=self.dport) / Raw(payload)

    def answer(self, payload, by=None, sport=None, **fields):
        """From the remote's side, to the external endpoint; by: another station."""
        src = (by or self.remote).address(self.version)
        return ip(self.version, src, self.external[0], **fields) / \
            UDP(sport=sport or self.dport, dport=self.external[1]) / Raw(payload)

    def out(self, payload=None, **fields):
        payload = payload or token()
        got = self.carry_out(self.packet(payload, **fields), lambda p: payload in bytes(p), "datagram")
        source, target = ports(got)
        assert target == self.dport and got.dst == self.far
        self.external = got.src, source
        return got

    def back(self, payload=None, **fields):
        payload = payload or token()
        got = self.carry_back(self.answer(payload, **fields), lambda p: payload in bytes(p), "datagram")
        assert ports(got) == (self.dport, self.sport)
        return got

    def enters(self, by=None, sport=None):
        """Does a datagram to the external endpoint reach the client?"""
        payload = token()
        (by or self.remote).send(self.answer(payload, by, sport))
        self.nat.fence(self.version)
        return bool(self.client.seen(lambda p: payload in bytes(p)))


class Echo(Flow):
    """sport is the identifier."""

    def out(self, **fields):
        data = token()
        packet = echo(self.version, self.inner, self.far, True, self.sport, data, **fields)
        got = self.carry_out(packet, lambda p: data in bytes(p), "echo request")
        self.external = got.src, int.from_bytes(read_icmp(got)[2][:2], "big")
        return got

    def answer(self, data, by=None, number=None, **fields):
        src = (by or self.remote).address(self.version)
        return echo(self.version, src, self.external[0], False, number or self.external[1], data, **fields)

    def back(self, **fields):
        data = token()
        got = self.carry_back(self.answer(data, **fields), lambda p: data in bytes(p), "echo reply")
        assert int.from_bytes(read_icmp(got)[2][:2], "big") == self.sport
        return got

    def enters(self, by=None, number=None):
        data = token()
        (by or self.remote).send(self.answer(data, by, number))
        self.nat.fence(self.version)
        return bool(self.client.seen(lambda p: data in bytes(p)))


class Tcp(Flow):
    """Sequence numbers are kept for both ends; nobody retransmits."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.client_seq, self.remote_seq = random.getrandbits(32), random.getrandbits(32)

    def segment(self, flags, seq=None, payload=b"", options=(), **fields):
        """From the client."""
        acked = self.remote_seq if "A" in flags else 0
        layer = TCP(sport=self.sport, dport=self.dport, flags=flags, seq=self.client_seq if seq is None else seq,
                    ack=acked, options=list(options))
        return ip(self.version, self.inner, self.far, **fields) / layer / Raw(payload)

    def answer(self, flags, seq=None, payload=b"", options=(), by=None, **fields):
        """From the remote."""
        acked = self.client_seq if "A" in flags else 0
        layer = TCP(sport=self.dport, dport=self.external[1], flags=flags, seq=self.remote_seq if seq is None else seq,
                    ack=acked, options=list(options))
        src = (by or self.remote).address(self.version)
        return ip(self.version, src, self.external[0], **fields) / layer / Raw(payload)

    @staticmethod
    def same(packet):
        """Recognises a segment behind its translation."""
        want = packet[TCP]

        def match(p):
            return TCP in p and (p[TCP].seq, p[TCP].flags) == (want.seq, want.flags) and \
                (p[TCP].dport == want.dport or p[TCP].sport == want.sport)
        return match

    @staticmethod
    def length(packet):
        flags = packet[TCP].flags
        return len(packet[Raw].load if Raw in packet else b"") + bool(flags & "S") + bool(flags & "F")

    def out(self, flags="A", **more):
        packet = self.segment(flags, **more)
        got = self.carry_out(packet, self.same(packet), f"TCP segment {flags}")
        assert got[TCP].dport == self.dport and got.dst == self.far
        assert self.external in (None, (got.src, got[TCP].sport)), "the connection's port has changed"
        self.external = got.src, got[TCP].sport
        if "seq" not in more:
            self.client_seq = (self.client_seq + self.length(packet)) % 2 ** 32
        return got

    def back(self, flags="A", **more):
        packet = self.answer(flags, **more)
        got = self.carry_back(packet, self.same(packet), f"TCP segment {flags}")
        assert (got[TCP].sport, got[TCP].dport) == (self.dport, self.sport)
        if "seq" not in more:
            self.remote_seq = (self.remote_seq + self.length(packet)) % 2 ** 32
        return got

    def open(self):
        self.out("S")
        self.back("SA")
        self.out("A")
        return self

    def talk(self):
        """Data both ways, each acknowledged."""
        self.out("PA", payload=token())
        self.back("PA", payload=token())
        self.out("A")

    def enters(self, flags="PA", by=None, **more):
        """Does a segment of the remote reach the client?"""
        more.setdefault("payload", token() if "P" in flags else b"")
        packet = self.answer(flags, by=by, **more)
        before = len(self.client.seen(self.same(packet)))
        (by or self.remote).send(packet)
        self.nat.fence(self.version)
        return len(self.client.seen(self.same(packet))) > before

    def leaves(self, flags="PA", **more):
        """Does a segment of the client reach the remote?"""
        packet = self.segment(flags, **more)
        self.client.send(packet)
        self.nat.fence(self.version)
        return bool(self.remote.seen(self.same(packet)))
