# SPDX-License-Identifier: BSD-2-Clause
"""What a gateway must do beside the RFCs' lists: TTL, MSS, capacity, the host it lives on, and never a leak."""
import ipaddress
import random

import pytest
from scapy.layers.inet import TCP, UDP
from scapy.packet import Raw

from .packets import HEADER, as_quoted, echo, error, fragment, icmp, ip, is_error, read_icmp, token, ttl
from .wire import fold

NOT_TRANSLATED = (2, 4, 33, 41, 47, 50, 51, 89, 132, 136, 253)      # IP protocols


# ---- TTL ------------------------------------------------------------------------


def test_ttl_is_decremented(nat, version):
    flow = nat.udp(version)
    hops = 64 - ttl(flow.out(ttl=64))
    assert hops >= 1 and 200 - ttl(flow.out(ttl=200)) == hops
    flow.back(ttl=64)


def test_ttl_time_exceeded_at_the_end(nat, version):
    """A packet that dies at the NAT is quoted as its sender knows it."""
    packet = nat.udp(version).packet(token(40), ttl=1)
    nat.client.send(packet)
    got = nat.client.expect("time exceeded", lambda p: is_error(p, "time exceeded"))
    quote = read_icmp(got)[3]
    assert len(quote) >= HEADER[version] + 8
    assert as_quoted(quote, 0) == as_quoted(bytes(packet), 0)[:len(quote)]


def test_ttl_not_forwarded_at_the_end(nat, version):
    flow = nat.udp(version)
    flow.out()
    last = token()
    nat.client.send(flow.packet(last, ttl=1))
    nat.nothing(nat.remote, "a packet without hops left", lambda p: last in bytes(p), version)


# ---- MSS ------------------------------------------------------------------------


def mss_of(packet):
    return next((value for kind, value in packet[TCP].options if kind == "MSS"), None)


def odd_options(mss):
    """An MSS behind what shifts it to each alignment, and beside options of other kinds."""
    known = [("Timestamp", (1, 0)), ("WScale", 7), ("SAckOK", b"")]
    for pad in range(4):
        yield [("NOP", None)] * pad + [("MSS", mss)] + known[pad % 3:]
    yield [(253, b"odd"), ("MSS", mss), (254, b"")]


def test_mss_is_lowered_both_ways(nat, version):
    limit = nat.promise.mss(version)
    nat.need(limit, "no MSS clamp is promised")
    for options in odd_options(1460):
        flow = nat.tcp(version)
        assert mss_of(flow.out("S", options=options)) == limit
        assert mss_of(flow.back("SA", options=options)) == limit


def test_mss_not_raised_nor_invented(nat, version):
    nat.need(nat.promise.mss(version), "no MSS clamp is promised")
    for options in ([("MSS", 536)], [("MSS", nat.promise.mss(version))], [], [("NOP", None), ("WScale", 3)]):
        flow = nat.tcp(version)
        want = dict(options).get("MSS")
        assert mss_of(flow.out("S", options=options)) == want
        assert mss_of(flow.back("SA", options=options)) == want
    flow.out("A")
    assert mss_of(flow.out("PA", payload=token(), options=[("MSS", 1460)])) == 1460, "it is no SYN"


def test_mss_not_past_the_options(nat, version):
    """Options that lie about their length pass as they are: the receiver's problem."""
    flow = nat.tcp(version)
    for options in (b"\x02\x04\x05", b"\x02\x00\x05\xb4", b"\xfd\xff\x02\x04", b"\x00\x02\x04\x05\xb4",
                    b"\x02\x03\x05\xb4"):
        data = options + bytes(-len(options) % 4)
        head = bytes(TCP(sport=flow.sport, dport=flow.dport, flags="S", seq=flow.client_seq,
                         dataofs=5 + len(data) // 4))[:20]
        packet = whole(nat, version, flow, 6, head + data)
        nat.client.send(packet)
        got = nat.remote.expect("a SYN with broken options", lambda p: TCP in p and p[TCP].seq == flow.client_seq)
        assert bytes(got.original)[HEADER[version] + 20:][:len(data)] == data
        flow.client_seq += 1


def whole(nat, version, flow, proto, payload):
    """A packet of raw bytes behind the IP header, its TCP checksum filled in."""
    field = {"proto": proto} if version == 4 else {"nh": proto}
    packet = ip(version, flow.inner, flow.far, **field)
    pseudo = bytes(packet)[12:20] if version == 4 else bytes(packet)[8:40]
    check = 0xFFFF - fold(pseudo + len(payload).to_bytes(4, "big") + proto.to_bytes(4, "big") + payload)
    return packet / Raw(payload[:16] + check.to_bytes(2, "big") + payload[18:])


# ---- capacity -------------------------------------------------------------------


@pytest.mark.profile("tight")
def test_capacity_every_port_of_the_range_serves(nat, version):
    first, last = nat.promise.first_port, nat.promise.last_port
    for flows in (nat.fill(nat.udp, version, nat.service_port), nat.fill(nat.tcp, version, 6001)):
        assert {flow.external[1] for flow in flows} == set(range(first, last + 1))


@pytest.mark.profile("tight")
def test_capacity_one_port_serves_many_remotes(nat, version):
    nat.need(nat.promise.tcp != "endpoint-independent", "a port belongs to one mapping")
    nat.fill(nat.tcp, version, 6001)
    nat.tcp(version, dport=6002).open().talk()
    nat.tcp(version, nat.other, dport=6001).open().talk()


@pytest.mark.profile("tight")
def test_capacity_not_beyond_and_nobody_is_evicted(nat, version):
    """The one too many is refused with ICMP, again and again; all that was there goes on."""
    for make in (nat.udp, nat.tcp):
        flows = nat.fill(make, version, nat.service_port if make == nat.udp else 6001)
        before = [flow.external for flow in flows]
        for _ in range(3):
            flow = make(version, dport=flows[0].dport)
            flow.client.send(flow.segment("S") if make == nat.tcp else flow.packet(token()))
            nat.client.expect("administratively prohibited", lambda p: is_error(p, "prohibited"))
        for flow in flows:
            if make == nat.tcp:
                flow.out("S", seq=(flow.client_seq - 1) % 2 ** 32)
                flow.back("SA", seq=(flow.remote_seq - 1) % 2 ** 32)
            else:
                flow.out()
                flow.back()
        assert [flow.external for flow in flows] == before


# ---- the host -------------------------------------------------------------------


def test_host_answers_for_itself(nat, version):
    """What belongs to no mapping is the host's: it is pinged, and a listener of its own is reached."""
    external, far = nat.external(version)[0], nat.remote.address(version)
    data = token()
    nat.remote.send(echo(version, far, external, True, 77, data))
    nat.remote.expect("the host's echo reply", lambda p: p.src == external and data in bytes(p))
    nat.need(nat.promise.host_port, "no port of the host was named")
    port = nat.port()
    nat.remote.send(ip(version, far, external) / TCP(sport=port, dport=nat.promise.host_port, flags="S", seq=5))
    got = nat.remote.expect("SYN+ACK of the host's listener", lambda p: TCP in p and p[TCP].dport == port)
    assert got[TCP].flags == "SA"
    nat.remote.send(ip(version, far, external) / TCP(sport=port, dport=nat.promise.host_port, flags="R", seq=6))


@pytest.mark.profile("tight")
def test_host_not_its_port_for_a_client(nat, version):
    """Even when all others are taken, its listener's and its ephemeral ports are not given away."""
    flows = nat.fill(nat.udp, version, nat.service_port) + nat.fill(nat.tcp, version, 6001)
    used = {flow.external[1] for flow in flows}
    assert nat.promise.host_port not in used
    assert max(used) <= nat.promise.last_port and min(used) >= nat.promise.first_port


# ---- leaks ----------------------------------------------------------------------


def oddities(nat, version):
    """Packets of the client for the remote that a translator may not know how to translate."""
    flow = nat.tcp(version)
    inner, far = flow.inner, flow.far
    field = "proto" if version == 4 else "nh"
    for number in NOT_TRANSLATED:
        yield ip(version, inner, far, **{field: number}) / Raw(random.randbytes(24))
    for flags in ("A", "R", "RA", "F", "SF", "SR", "", "FPU", "SAFRPU"):
        yield flow.segment(flags)
    yield ip(version, inner, far) / UDP(sport=1, dport=0) / Raw(b"port 0")
    yield icmp(version, inner, far, 13 if version == 4 else 140, data=bytes(12))
    yield echo(version, inner, far, False, 5, token())
    yield error(version, inner, far, "port unreachable", bytes(64))
    whole = ip(version, inner, far) / UDP(sport=5, dport=6) / Raw(bytes(64))
    yield fragment(whole, 9, 1480, bytes(8), False)
    yield ip(version, inner, far) / UDP(sport=5, dport=6, len=7) / Raw(b"short")
    yield ip(version, inner, far) / UDP(sport=5, dport=6, len=4000) / Raw(b"long")


def test_leak_all_that_passes_is_translated(nat, version):
    """Conversations of every kind; that none left with its inner source, Nat.judge sees after each test."""
    for remote in (nat.remote, nat.other):
        nat.udp(version, remote).out()
        nat.tcp(version, remote).open().talk()
        nat.echo(version, remote).out()


def test_leak_not_in_odd_packets(nat, version):
    nat.client.send(*oddities(nat, version))
    inner_bytes = ipaddress.ip_address(nat.client.address(version)).packed      # in a quote neither
    for remote in (nat.remote, nat.other):
        nat.nothing(remote, "an inner source", lambda p: inner_bytes in bytes(p), version)
