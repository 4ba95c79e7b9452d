# SPDX-License-Identifier: BSD-2-Clause
"""From one client to another by the external address: RFC 4787 REQ-9, RFC 5382 REQ-8, RFC 5508 REQ-7.

Both are on the inside, each knows of the other only the external endpoint:

    client  ── NAT ──> external:c2      becomes      external:c ── NAT ──> client2
"""
import pytest
from scapy.layers.inet import TCP, UDP
from scapy.packet import Raw

from .packets import HEADER, as_quoted, error, ip, is_error, ports, read_icmp, token

pytestmark = pytest.mark.profile("open")


def both(nat, make, version):
    """A conversation of each client with the remote, which gives them their external endpoints."""
    nat.need(nat.client2, "hairpin needs a second client")
    flows = make(version), make(version, client=nat.client2)
    for flow in flows:
        flow.out(*(["S"] if make == nat.tcp else []))
    return flows


def to(version, flow, endpoint, layer):
    """From the inside of a conversation to an external endpoint."""
    return ip(version, flow.inner, endpoint[0]) / layer


def datagram(version, flow, endpoint, payload):
    return to(version, flow, endpoint, UDP(sport=flow.sport, dport=endpoint[1]) / Raw(payload))


def crosses(version, sender, receiver):
    """A datagram from one to the other, as it arrived; it comes from the external endpoint, never from the inner."""
    payload = token()
    sent = datagram(version, sender, receiver.external, payload)
    sender.client.send(sent)
    got = receiver.client.expect("datagram by the external address", lambda p: payload in bytes(p))
    assert (got.src, ports(got)) == (sender.external[0], (sender.external[1], receiver.sport))
    assert got.dst == receiver.inner
    return sent, got


def test_4787_9_a_datagram_there_and_back(nat, version):
    alice, carol = both(nat, nat.udp, version)
    crosses(version, alice, carol)
    crosses(version, carol, alice)
    alice.out()
    alice.back()


def test_4787_9_not_to_an_endpoint_that_nobody_has(nat, version):
    alice, carol = both(nat, nat.udp, version)
    payload, unmapped = token(), 1024 + (carol.external[1] - 1024 + 7777) % 30000
    alice.client.send(datagram(version, alice, (carol.external[0], unmapped), payload))
    nat.nothing(carol.client, "a datagram to another port", lambda p: payload in bytes(p), version)


def test_5382_8_a_connection(nat, version):
    nat.need(nat.promise.tcp == "endpoint-independent", "TCP mappings are for one remote")
    alice, carol = both(nat, nat.tcp, version)

    def segment(sender, receiver, flags, seq, ack):
        sent = to(version, sender, receiver.external,
                  TCP(sport=sender.sport, dport=receiver.external[1], flags=flags, seq=seq, ack=ack))
        sender.client.send(sent)
        got = receiver.client.expect(f"segment {flags}", lambda p: TCP in p and p[TCP].seq == seq
                                     and p[TCP].flags == flags and p.src == sender.external[0])
        assert ports(got) == (sender.external[1], receiver.sport) and got.dst == receiver.inner

    segment(alice, carol, "S", 1000, 0)
    segment(carol, alice, "SA", 5000, 1001)
    segment(alice, carol, "A", 1001, 5001)
    segment(carol, alice, "PA", 5001, 1001)
    segment(alice, carol, "FA", 1001, 5001)
    segment(carol, alice, "FA", 5001, 1002)


def test_5382_8_not_to_an_endpoint_that_nobody_has(nat, version):
    alice, carol = both(nat, nat.tcp, version)
    unmapped = 1024 + (carol.external[1] - 1024 + 7777) % 30000
    alice.client.send(to(version, alice, (carol.external[0], unmapped),
                         TCP(sport=alice.sport, dport=unmapped, flags="S", seq=77)))
    nat.nothing(carol.client, "a SYN to another port", lambda p: TCP in p and p[TCP].seq == 77, version)


def unreachable(version, flow, endpoint, about):
    return error(version, flow.inner, endpoint[0], "port unreachable", about)


def test_5508_7_an_error_comes_back_with_what_was_sent(nat, version):
    alice, carol = both(nat, nat.udp, version)
    crosses(version, carol, alice)          # she has talked to that endpoint
    sent, got = crosses(version, alice, carol)
    carol.client.send(unreachable(version, carol, alice.external, bytes(got)))
    found = alice.client.expect("port unreachable", lambda p: is_error(p, "port unreachable"))
    assert found.src == carol.external[0] and found.dst == alice.inner
    quote = read_icmp(found)[3]
    size = HEADER[version] + 8
    assert as_quoted(quote, 0)[:size] == as_quoted(bytes(sent), 0)[:size], "as she had sent it"


def test_5508_7_not_about_what_was_never_sent(nat, version):
    alice, carol = both(nat, nat.udp, version)
    crosses(version, carol, alice)
    _, got = crosses(version, alice, carol)
    about = bytearray(bytes(got))
    about[HEADER[version]:HEADER[version] + 2] = (9).to_bytes(2, "big")     # from another port
    carol.client.send(unreachable(version, carol, alice.external, bytes(about)))
    nat.nothing(alice.client, "an error", is_error, version)
