# SPDX-License-Identifier: BSD-2-Clause
"""UDP (RFC 4787). A flow is "endpoint -> remote"; its external endpoint is what the remote sees."""
import random

import pytest
from scapy.layers.inet6 import IPv6ExtHdrFragment

from .packets import (HEADER, as_quoted, cut, error, error_mtu, fragment, is_error, is_fragment, read_icmp,
                      token)

MANY = 100


# ---- REQ-1: mapping -------------------------------------------------------------


def test_4787_1_one_external_endpoint_for_every_remote(nat, version):
    port = nat.port()
    flows = [nat.udp(version, remote, port, dport) for remote in (nat.remote, nat.other) for dport in (5000, 5001)]
    for flow in flows:
        flow.out()
        flow.back()
    assert len({flow.external for flow in flows}) == 1


def test_4787_1_not_shared_by_two_inner_ports(nat, version):
    flows = [nat.udp(version) for _ in range(2)]
    for flow in flows:
        flow.out()
    assert flows[0].external[1] != flows[1].external[1]
    for flow in flows:
        flow.back()


@pytest.mark.profile("open")
def test_4787_1_tcp_one_external_endpoint_where_configured(nat, version):
    nat.need(nat.promise.tcp == "endpoint-independent", "TCP mapping is not endpoint-independent")
    port = nat.port()
    flows = [nat.tcp(version, remote, port, dport).open()
             for remote in (nat.remote, nat.other) for dport in (5000, 5001)]
    for flow in flows:
        flow.talk()
    assert len({flow.external for flow in flows}) == 1


@pytest.mark.profile("open")
def test_4787_1_not_one_tcp_port_for_two_inner_ports(nat, version):
    flows = [nat.tcp(version).open() for _ in range(2)]
    assert flows[0].external[1] != flows[1].external[1]
    for flow in flows:
        flow.talk()


# ---- REQ-2: pooling -------------------------------------------------------------


@pytest.mark.profile("strict")
def test_4787_2_one_address_for_all_that_a_client_does(nat, version):
    nat.need(len(nat.external(version)) > 1, "the NAT has one external address")
    for client in filter(None, (nat.client, nat.client2)):
        addresses = set()
        for remote in (nat.remote, nat.other):
            for make in (nat.udp, nat.tcp, nat.echo):
                flow = make(version, remote, client=client)
                flow.out(*(["S"] if make == nat.tcp else []))
                addresses.add(flow.external[0])
        assert len(addresses) == 1


@pytest.mark.profile("strict")
def test_4787_2_not_another_address_as_flows_grow(nat, version):
    nat.need(len(nat.external(version)) > 1, "the NAT has one external address")
    flows = [nat.udp(version) for _ in range(MANY)]
    for flow in flows:
        flow.out()
    assert len({flow.external[0] for flow in flows}) == 1


# ---- REQ-3: ports ---------------------------------------------------------------


def test_4787_3_source_ports_stay_in_their_range(nat, version):
    for source in (1024, 1025, 5000, 32768, 49152, 65535):
        flow = nat.udp(version, sport=source)
        flow.out()
        assert 1024 <= flow.external[1] <= 65535
        flow.back()


def test_4787_3_not_one_port_for_two_endpoints(nat, version):
    """Many endpoints to one remote, half of them with the same port at another client: no answer is ambiguous."""
    flows = []
    for _ in range(MANY // 2):
        port = nat.port()
        flows += [nat.udp(version, sport=port, client=client) for client in (nat.client, nat.client2) if client]
    for flow in flows:
        flow.out()
    assert len({flow.external for flow in flows}) == len(flows)
    for flow in flows:
        flow.back()


# ---- REQ-5 and 6: time ----------------------------------------------------------


@pytest.mark.profile("brief")
def test_4787_5_a_mapping_lives_its_time(nat, version):
    nat.survives_silence(lambda: nat.udp(version), nat.promise.udp)


@pytest.mark.profile("brief")
def test_4787_5_not_for_ever(nat, version):
    flow = nat.udp(version)
    flow.out()
    nat.wait_past(nat.promise.udp)
    assert not flow.enters()
    flow.out()          # begins anew
    flow.back()


@pytest.mark.profile("brief")
def test_4787_6_outbound_packets_refresh(nat, version):
    limit = nat.promise.udp

    def three_lives(wait):
        flow = nat.udp(version)
        flow.out()
        first = flow.external
        for _ in range(4):
            nat.within(limit, lambda wait: (wait(0.5 * limit), flow.out()), tries=1)
        flow.back()
        assert flow.external == first
    nat.within(5 * limit, three_lives)


@pytest.mark.profile("brief")
def test_4787_6_not_inbound_alone(nat, version):
    """Documented here: from outside nothing is kept alive. A mapping that is used from there only ends."""
    flow = nat.udp(version)
    flow.out()
    nat.need_time(nat.promise.udp)
    nat.until(lambda: not flow.enters(), nat.promise.udp + nat.promise.slack, "the mapping lives on inbound packets")


# ---- REQ-8: filtering -----------------------------------------------------------


def only_if(nat, filtering):
    nat.need(nat.promise.filtering == filtering, f"filtering is {nat.promise.filtering}")


def test_4787_8_address_dependent_lets_the_address_in(nat, version):
    only_if(nat, "address-dependent")
    flow = nat.udp(version)
    flow.out()
    flow.back()
    assert flow.enters(sport=flow.dport + 1)


def test_4787_8_not_another_address(nat, version):
    only_if(nat, "address-dependent")
    flow = nat.udp(version)
    flow.out()
    assert not flow.enters(by=nat.other)
    nat.udp(version, nat.other, flow.sport, 5001).out()
    assert flow.enters(by=nat.other), "let in by what the client sent there"


@pytest.mark.profile("open")
def test_4787_8_endpoint_independent_lets_everybody_in(nat, version):
    only_if(nat, "endpoint-independent")
    flow = nat.udp(version)
    flow.out()
    assert flow.enters(by=nat.other) and flow.enters(by=nat.other, sport=7) and flow.enters(sport=flow.dport + 1)


@pytest.mark.profile("open")
def test_4787_8_not_without_a_mapping(nat, version):
    flow = nat.udp(version)
    flow.out()
    mapped = flow.external
    unmapped = 1024 + (mapped[1] - 1024 + 7777) % 30000
    flow.external = mapped[0], unmapped
    assert not flow.enters() and not flow.enters(by=nat.other)


@pytest.mark.profile("strict")
def test_4787_8_address_and_port_dependent_lets_the_endpoint_in(nat, version):
    only_if(nat, "address-and-port-dependent")
    flow = nat.udp(version)
    flow.out()
    flow.back()


@pytest.mark.profile("strict")
def test_4787_8_not_another_port(nat, version):
    only_if(nat, "address-and-port-dependent")
    flow = nat.udp(version)
    flow.out()
    assert not flow.enters(sport=flow.dport + 1) and not flow.enters(by=nat.other)
    nat.udp(version, nat.remote, flow.sport, flow.dport + 1).out()
    assert flow.enters(sport=flow.dport + 1), "let in by what the client sent there"


# ---- REQ-11: determinism --------------------------------------------------------


def test_4787_11_mapping_and_filtering_are_the_same_under_many_mappings(nat, version):
    first = nat.udp(version)
    first.out()
    external = first.external
    for _ in range(3 * MANY):
        nat.udp(version).out()
    first.out()
    second = nat.udp(version, nat.other, first.sport)
    second.out()
    assert first.external == second.external == external
    first.back()
    if nat.promise.filtering != "endpoint-independent":
        last = nat.udp(version)
        last.out()
        assert not last.enters(by=nat.other)


@pytest.mark.profile("tight")
def test_4787_11_not_different_when_full(nat, version):
    """With every port in use a mapping that is there serves a new remote; a new endpoint is refused, each time."""
    flows = nat.fill(nat.udp, version, nat.service_port)
    again = nat.udp(version, nat.other, flows[0].sport)
    again.out()
    again.back()
    assert again.external == flows[0].external
    for _ in range(3):
        refused = nat.udp(version)
        refused.client.send(refused.packet(b"one too many"))
        nat.nothing(nat.remote, "a datagram for which no port is left", lambda p: b"one too many" in bytes(p), version)


# ---- REQ-12: ICMP ---------------------------------------------------------------


def test_4787_12_an_icmp_error_ends_no_mapping(nat, version):
    flow = nat.udp(version)
    for kind in ("port unreachable", "host unreachable", "prohibited", "time exceeded", "parameter problem"):
        seen = flow.out()
        nat.remote.send(error(version, flow.far, flow.external[0], kind, bytes(seen.original)))
        nat.client.expect(f"the error {kind}", lambda p: is_error(p, kind))
        before = flow.external
        flow.out()
        flow.back()
        assert flow.external == before


@pytest.mark.profile("brief")
def test_4787_12_not_refreshed_by_icmp(nat, version):
    flow = nat.udp(version)
    nat.fades_under_errors(flow, flow.out(), nat.promise.udp)
    assert not flow.enters()


# ---- REQ-13: too big ------------------------------------------------------------


def size_for(nat, version, headers=8):
    """A payload that fills the inside's MTU to the last byte."""
    return nat.promise.inside_mtu - HEADER[version] - headers


def test_4787_13_df_and_too_big_is_answered_with_the_mtu(nat, version):
    nat.need(nat.promise.inside_mtu < nat.promise.outside_mtu, "both sides take the same size")
    flow = nat.udp(version)
    flow.out()
    packet = flow.answer(token(size_for(nat, version) + 1), df=True)
    nat.remote.send(packet)
    got = nat.remote.expect("ICMP: too big", lambda p: is_error(p, "too big"))
    assert error_mtu(got) == nat.promise.inside_mtu
    quote = read_icmp(got)[3]
    assert len(quote) >= HEADER[version] + 8
    assert as_quoted(quote, 0) == as_quoted(bytes(packet), 0)[:len(quote)], "it quotes what the remote had sent"


def test_4787_13_not_when_it_fits(nat, version):
    flow = nat.udp(version)
    flow.out()
    flow.back(token(size_for(nat, version)), df=True)
    nat.nothing(nat.remote, "ICMP: too big", lambda p: is_error(p, "too big"), version)


def test_4787_13_df_clear_and_too_big_arrives_in_fragments(nat):
    nat.need(nat.promise.inside_mtu < nat.promise.outside_mtu, "both sides take the same size")
    nat.need(nat.external(4), "IPv6's routers never fragment")
    flow, payload = nat.udp(4), token(size_for(nat, 4) + 24)
    flow.out()
    nat.remote.send(flow.answer(payload))
    data = nat.client.expect_whole("a large datagram", lambda data: payload in data)
    assert data[:4] == flow.dport.to_bytes(2, "big") + flow.sport.to_bytes(2, "big")
    assert nat.client.seen(is_fragment)


def test_4787_13_not_fragmented_without_need(nat, version):
    flow, payload = nat.udp(version), token(size_for(nat, version))
    flow.out()
    flow.back(payload)
    assert not nat.client.seen(is_fragment)


# ---- REQ-14: fragments ----------------------------------------------------------

CUTS = (24, 480)                                    # a first piece with little more than the UDP header
ORDERS = ((0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1), (0, 1, 1, 2), (2, 2, 1, 0))      # the last two with duplicates


def send_cut(station, packet, order, cuts=CUTS):
    pieces = cut(packet, cuts)
    station.send(*(pieces[i] for i in order))


def check_cut(nat, flow, order, size=1200):
    """A datagram in fragments, there and back."""
    payload, answer = token(size), token(size)
    send_cut(nat.client, flow.packet(payload), order)
    data = nat.remote.expect_whole(f"a datagram in fragments {order}", lambda data: payload in data)
    flow.external = flow.external or (nat.external(flow.version)[0], int.from_bytes(data[:2], "big"))
    assert data[:4] == flow.external[1].to_bytes(2, "big") + flow.dport.to_bytes(2, "big") and data[8:] == payload
    send_cut(flow.remote, flow.answer(answer), order)
    data = nat.client.expect_whole(f"an answer in fragments {order}", lambda data: answer in data)
    assert data[:4] == flow.dport.to_bytes(2, "big") + flow.sport.to_bytes(2, "big") and data[8:] == answer


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: "".join(map(str, order)))
def test_4787_14_fragments_in_any_order(nat, version, order):
    check_cut(nat, nat.udp(version), order)


def test_4787_14_larger_than_any_packet(nat, version):
    """More than one frame in each direction, whatever the link takes."""
    flow, payload, answer = nat.udp(version), token(6000), token(6000)
    cuts = range(1200, 6000, 1200)
    backwards = range(len(cuts), -1, -1)
    flow.out()
    send_cut(nat.client, flow.packet(payload), backwards, cuts)
    nat.remote.expect_whole("6,000 bytes", lambda data: payload in data)
    send_cut(nat.remote, flow.answer(answer), backwards, cuts)
    nat.client.expect_whole("6,000 bytes", lambda data: answer in data)


def test_4787_14_not_overlapping(nat, version):
    """Pieces that contradict each other are no datagram (RFC 5722, RFC 8200 4.5), whichever came first."""
    flow = nat.udp(version)
    flow.out()
    for early in (True, False):
        for station, make, receiver in ((nat.client, flow.packet, nat.remote), (nat.remote, flow.answer, nat.client)):
            good, lie = token(1200), token(64)
            pieces = cut(make(good), CUTS)
            number = pieces[0].id if version == 4 else pieces[0][IPv6ExtHdrFragment].id
            pieces.insert(1 if early else 2, fragment(make(good), number, CUTS[1] - 40, lie, True))
            station.send(*pieces)
            nat.fence(version)
            assert not [data for data in receiver.whole() if good in data or lie in data]


def test_4787_14_not_harmed_by_a_flood(nat, version):
    """Thousands of datagrams that are never completed, from both sides: packets pass meanwhile, and so do the
    fragments of somebody else."""
    flow, calm = nat.udp(version), nat.udp(version, nat.other)
    flow.out()
    calm.out()
    for station, packet in ((nat.client, flow.packet(token(64))), (nat.remote, flow.answer(token(64)))):
        for _ in range(10):
            station.send(*(fragment(packet, number, 0, bytes(64), True) for number in random.sample(range(65536), 300)))
            flow.out()
            flow.back()
        answer = token(1200)
        send_cut(nat.other, calm.answer(answer), (1, 2, 0))
        nat.client.expect_whole("another's datagram in fragments", lambda data: answer in data)
