# SPDX-License-Identifier: BSD-2-Clause
"""ICMP (RFC 5508). A packet that an error quotes is built here byte by byte, so that what comes out of the NAT can be
compared in every byte with what its first sender knows."""
import random
import struct

import pytest
from scapy.layers.inet import TCP, UDP, IPOption
from scapy.packet import Raw

from .packets import (ECHO, ERRORS, HEADER, as_quoted, echo, error, icmp, ip, is_error, read_icmp, token, ttl)

KINDS = ("port unreachable", "host unreachable", "prohibited", "time exceeded", "parameter problem")


def is_request(version):
    return lambda p: (read_icmp(p) or (None,))[0] == ECHO[version][1]


# ---- REQ-1 and 2: queries -------------------------------------------------------


def test_5508_1_echo_there_and_back(nat, version):
    echoes = [nat.echo(version, remote, sport=number) for remote in (nat.remote, nat.other) for number in (1, 65535)]
    for flow in echoes:
        flow.out()
    for flow in echoes:
        flow.back()


def test_5508_1_not_what_nobody_asked_for(nat, version):
    """A request from outside is the NAT's own to answer; a reply without its request, or from somebody else, dies."""
    flow = nat.echo(version)
    flow.out()
    assert not flow.enters(by=nat.other)
    assert not flow.enters(number=(flow.external[1] + 12345) % 65536)
    nat.remote.send(echo(version, flow.far, flow.external[0], True, flow.external[1], token()))
    nat.nothing(nat.client, "an echo request", is_request(version), version)


@pytest.mark.profile("brief")
def test_5508_2_lives_its_time(nat, version):
    nat.survives_silence(lambda: nat.echo(version), nat.promise.icmp)


@pytest.mark.profile("brief")
def test_5508_2_not_for_ever(nat, version):
    flow = nat.echo(version)
    flow.out()
    nat.wait_past(nat.promise.icmp)
    assert not flow.enters()


# ---- REQ-3 to 5: errors ---------------------------------------------------------


def echo_of(nat, version):
    flow = nat.echo(version)
    flow.out()
    return flow


def tcp_of(nat, version):
    flow = nat.tcp(version).open()
    flow.out("PA", payload=token(64))
    return flow


def udp_of(nat, version):
    flow = nat.udp(version)
    flow.out(token(64))
    return flow


def inward(nat, version, flow, kind, keep=None, by=None):
    """An error about what the client had sent, as it arrives there: (error, quote)."""
    quoted = bytes(flow.received.original)[:keep]
    nat.remote.send(error(version, by or flow.far, flow.external[0], kind, quoted, mtu=1300))
    got = nat.client.expect(f"{kind} for {flow.inner}", lambda p: is_error(p, kind))
    assert got.dst == flow.inner and got.src == (by or flow.far)
    return got, read_icmp(got)[3]


def check_inward(nat, version, flow, kind, keep=None):
    sent, got = flow.sent, inward(nat, version, flow, kind, keep)[1]
    length = keep or len(flow.received.original)
    want = as_quoted(bytes(sent), ttl(flow.received))[:length]
    assert got[:length] == want, "the quote is what the client had sent"


def test_5508_3_errors_about_an_echo(nat, version):
    for kind in ("host unreachable", "time exceeded", "prohibited"):
        check_inward(nat, version, echo_of(nat, version), kind)
        check_inward(nat, version, echo_of(nat, version), kind, keep=HEADER[version] + 8)


def test_5508_3_not_about_an_echo_that_never_was(nat, version):
    flow = echo_of(nat, version)
    number = (flow.external[1] + 4321) % 65536
    never = echo(version, flow.external[0], flow.far, True, number, token())
    nat.remote.send(error(version, flow.far, flow.external[0], "host unreachable", bytes(never)))
    nat.nothing(nat.client, "an error", is_error, version)


@pytest.mark.parametrize("make", (tcp_of, udp_of), ids=("tcp", "udp"))
def test_5508_4_the_quote_is_untranslated(nat, version, make):
    flow = make(nat, version)
    for kind in KINDS:
        check_inward(nat, version, flow, kind)


@pytest.mark.parametrize("make", (tcp_of, udp_of), ids=("tcp", "udp"))
@pytest.mark.parametrize("keep", (8, 16, 20))
def test_5508_4_a_truncated_quote(nat, version, make, keep):
    check_inward(nat, version, make(nat, version), "host unreachable", keep=HEADER[version] + keep)


def test_5508_4_too_big_keeps_its_mtu(nat, version):
    got, _ = inward(nat, version, tcp_of(nat, version), "too big")
    assert int.from_bytes(read_icmp(got)[2], "big") & 0xFFFF == 1300


def test_5508_4_from_a_router_on_the_way(nat, version):
    """Whoever tells stays the source, though the client never spoke to it: traceroute lives on that."""
    router = nat.other.address(version)
    got, _ = inward(nat, version, udp_of(nat, version), "time exceeded", by=router)
    assert got.src == router


def test_5508_4_a_quote_with_ip_options(nat):
    nat.need(nat.external(4), "options are IPv4's")
    flow, payload = nat.udp(4), token(32)
    packet = ip(4, flow.inner, flow.far) / UDP(sport=flow.sport, dport=flow.dport) / Raw(payload)
    packet.options = [IPOption(b"\x94\x04\x00\x00")]        # router alert
    flow.carry_out(packet, lambda p: payload in bytes(p), "datagram with options")
    flow.external = flow.received.src, flow.received[UDP].sport
    check_inward(nat, 4, flow, "port unreachable")


def test_5508_4_not_hostile_quotes(nat, version):
    """Too short, not ours, an error about an error: nothing of it reaches the client, and the flow lives."""
    flow = udp_of(nat, version)
    seen = bytes(flow.received.original)
    other_port = bytearray(seen)
    other_port[HEADER[version]:HEADER[version] + 2] = struct.pack("!H", (flow.external[1] + 11) % 65536 or 1)
    by_inner = bytes(flow.packet(b"x" * 16))                # quotes the inner source: nobody outside knows it
    about_error = error(version, flow.external[0], flow.far, "port unreachable", seen)
    for quote in (b"", seen[:12], seen[:HEADER[version]], seen[:HEADER[version] + 4], bytes(other_port), by_inner,
                  bytes(about_error), random.randbytes(64)):
        nat.remote.send(error(version, flow.far, flow.external[0], "host unreachable", quote))
    nat.nothing(nat.client, "an error", is_error, version)
    flow.out()
    flow.back()


def outward(nat, version, flow, kind):
    """The client tells of an error about what the remote had sent: compared as the remote knows it."""
    sent, quoted = flow.sent, bytes(flow.received.original)
    nat.client.send(error(version, flow.inner, flow.far, kind, quoted))
    got = nat.remote.expect(f"{kind} from the client", lambda p: is_error(p, kind))
    assert got.src == flow.external[0]
    assert read_icmp(got)[3][:len(quoted)] == as_quoted(bytes(sent), ttl(flow.received))


def test_5508_5_outward_the_quote_is_translated(nat, version):
    for kind in KINDS:
        flow = udp_of(nat, version)
        flow.back(token(64))
        outward(nat, version, flow, kind)
        flow = nat.tcp(version).open()
        flow.back("PA", payload=token(64))
        outward(nat, version, flow, kind)


def test_5508_5_not_without_a_mapping(nat, version):
    flow = nat.udp(version)
    never = ip(version, flow.far, flow.inner) / UDP(sport=flow.dport, dport=flow.sport) / Raw(token())
    nat.client.send(error(version, flow.inner, flow.far, "port unreachable", bytes(never)))
    nat.nothing(nat.remote, "an error", is_error, version)


# ---- REQ-6 ----------------------------------------------------------------------


def test_5508_6_an_error_ends_no_echo(nat, version):
    flow = echo_of(nat, version)
    inward(nat, version, flow, "host unreachable")
    flow.back()
    before = flow.external
    flow.out()
    assert flow.external == before


@pytest.mark.profile("brief")
def test_5508_6_not_refreshed_by_errors(nat, version):
    flow = echo_of(nat, version)
    message = error(version, flow.far, flow.external[0], "host unreachable", bytes(flow.received.original))

    def is_gone():
        nat.client.forget()
        nat.remote.send(message)
        nat.remote.send(flow.answer(token()))       # nor by replies
        nat.fence(version)
        return not nat.client.seen(is_error)
    nat.until(is_gone, nat.promise.icmp + nat.promise.slack, "errors keep the echo's mapping alive")


# ---- REQ-8: refusals ------------------------------------------------------------


def refused_packet(nat, version, layer):
    address = next((a for a in nat.promise.refused if (":" in a) == (version == 6)), None)
    nat.need(address, "no address that the policy refuses was named")
    return ip(version, nat.client.address(version), address) / layer


def test_5508_8_a_refusal_is_answered(nat, version):
    for layer in (UDP(sport=nat.port(), dport=53) / Raw(token(40)), TCP(sport=nat.port(), dport=443, flags="S")):
        packet = refused_packet(nat, version, layer)
        nat.client.send(packet)
        got = nat.client.expect("administratively prohibited", lambda p: is_error(p, "prohibited"))
        quote = read_icmp(got)[3]
        assert len(quote) >= HEADER[version] + 8
        assert as_quoted(quote, 0) == as_quoted(bytes(packet), 0)[:len(quote)]
    nat.nothing(nat.remote, "what was refused", lambda p: p.dst in nat.promise.refused, version)


def test_5508_8_not_without_limit(nat, version):
    """Answers are a courtesy: of a flood's packets most stay without one."""
    flood = [refused_packet(nat, version, UDP(sport=nat.port(), dport=9) / Raw(b"flood")) for _ in range(1000)]
    nat.client.send(*flood)
    nat.fence(version)
    told = len(nat.client.seen(lambda p: is_error(p, "prohibited")))
    assert 0 < told <= len(flood) // 2


def test_5508_8_not_for_errors(nat, version):
    """An error about an error is never sent (RFC 1122 3.2.2, RFC 4443 2.4)."""
    about = bytes(refused_packet(nat, version, UDP(sport=1, dport=1)))
    address = next(a for a in nat.promise.refused if (":" in a) == (version == 6))
    number, code = ERRORS["port unreachable"][version]
    nat.client.send(icmp(version, nat.client.address(version), address, number, code, data=about))
    nat.nothing(nat.client, "an error", is_error, version)
