# SPDX-License-Identifier: BSD-2-Clause
"""TCP (RFC 5382), segment by segment: no end of these connections has a kernel behind it."""
import time

import pytest
from scapy.layers.inet import TCP

from .packets import error, ip, is_error, token


# ---- REQ-2: sequences -----------------------------------------------------------


def test_5382_2_handshake_data_and_close(nat, version):
    flow = nat.tcp(version).open()
    flow.talk()
    flow.out("FA")
    flow.back("A")
    flow.back("PA", payload=token())        # half closed: the other side goes on
    flow.out("A")
    flow.back("FA")
    flow.out("A")
    flow.back("A")


def test_5382_2_simultaneous_open(nat, version):
    flow = nat.tcp(version)
    flow.out("S")
    flow.back("S")
    flow.back("SA", seq=(flow.remote_seq - 1) % 2 ** 32)
    flow.out("SA", seq=(flow.client_seq - 1) % 2 ** 32)
    flow.talk()


def test_5382_2_repeated_and_reordered_segments(nat, version):
    """Retransmissions, a SYN that is sent twice, data behind a gap: all pass."""
    flow = nat.tcp(version)
    flow.out("S")
    flow.out("S", seq=(flow.client_seq - 1) % 2 ** 32)
    flow.back("SA")
    flow.back("SA", seq=(flow.remote_seq - 1) % 2 ** 32)
    flow.out("A")
    late, early = flow.client_seq, (flow.client_seq + 16) % 2 ** 32
    flow.out("PA", seq=early, payload=token())
    flow.out("PA", seq=late, payload=token())
    flow.out("A", seq=(late - 1) % 2 ** 32)     # keep-alive
    flow.back("A")


def test_5382_2_the_same_port_again_after_the_close(nat, version):
    flow = nat.tcp(version).open()
    flow.out("FA")
    flow.back("FA")
    flow.out("A")
    again = nat.tcp(version, sport=flow.sport)
    again.open()
    again.talk()


def test_5382_2_not_without_a_syn(nat, version):
    """What opens nothing passes in neither direction, and makes no state."""
    flow = nat.tcp(version)
    for flags in ("A", "PA", "SA", "FA", "R", "RA", "SF", "SR", "", "FPU"):
        assert not flow.leaves(flags), f"flags {flags or 'none'}"
    known = nat.tcp(version).open()
    flow.external = known.external[0], 1024 + (known.external[1] - 1024 + 9999) % 30000
    for flags in ("A", "PA", "SA"):
        assert not flow.enters(flags), f"flags {flags}"


# ---- REQ-4: unsolicited SYNs ----------------------------------------------------


def unsolicited(nat, version, number):
    """SYNs from a remote to ports of the range that nothing maps to: [(port, packet)]."""
    first, count = nat.promise.first_port, min(nat.promise.ports(), 20000)
    ports = [first + (nat.port() * 7 + i) % count for i in range(number)]
    far = nat.remote.address(version)
    return [(port, ip(version, far, nat.external(version)[0]) / TCP(sport=nat.port(), dport=port, flags="S", seq=port))
            for port in ports]


def test_5382_4_silence(nat, version):
    """Neither a reset nor ICMP: for 6 s, says the RFC; for good is silence, too."""
    nat.need_time(6)
    packets = unsolicited(nat, version, 5)
    nat.remote.send(*(packet for _, packet in packets))
    time.sleep(6)
    wanted = {port for port, _ in packets}
    nat.nothing(nat.remote, "an answer to an unsolicited SYN",
                lambda p: is_error(p) or (TCP in p and p[TCP].sport in wanted), version)


def test_5382_4_not_delivered(nat, version):
    flow = nat.tcp(version).open()
    packets = unsolicited(nat, version, 5)
    nat.remote.send(*(packet for _, packet in packets))
    flow.talk()
    nat.nothing(nat.client, "a SYN that nobody asked for",
                lambda p: TCP in p and p[TCP].flags == "S", version)


# ---- REQ-5: time ----------------------------------------------------------------


@pytest.mark.profile("brief")
def test_5382_5_established_lives_its_time(nat, version):
    def idle(wait):
        flow = nat.tcp(version).open()
        wait(0.8 * nat.promise.established)
        flow.back("PA", payload=token())
        flow.out("A")
    nat.within(nat.promise.established, idle)


@pytest.mark.profile("brief")
def test_5382_5_transitory_lives_its_time(nat, version):
    def slow_answer(wait):
        flow = nat.tcp(version)
        flow.out("S")
        wait(0.7 * nat.promise.transitory)
        flow.back("SA")

    def slow_close(wait):
        flow = nat.tcp(version).open()
        flow.out("FA")
        flow.back("FA")
        wait(0.7 * nat.promise.transitory)
        flow.out("A")
    nat.within(nat.promise.transitory, slow_answer)
    nat.within(nat.promise.transitory, slow_close)


@pytest.mark.profile("brief")
def test_5382_5_not_for_ever(nat, version):
    opening, closed, idle = nat.tcp(version), nat.tcp(version).open(), nat.tcp(version).open()
    opening.out("S")
    closed.out("FA")
    closed.back("FA")
    closed.out("A")
    idle.talk()
    nat.wait_past(nat.promise.transitory)
    assert not opening.enters("SA") and not closed.enters("A")
    nat.wait_past(nat.promise.established - nat.promise.transitory)
    assert not idle.enters()


# ---- REQ-10: ICMP ---------------------------------------------------------------


def test_5382_10_an_icmp_error_ends_no_connection(nat, version):
    flow = nat.tcp(version).open()
    for kind in ("host unreachable", "port unreachable", "prohibited", "time exceeded"):
        about = flow.out("PA", payload=token())
        nat.remote.send(error(version, flow.far, flow.external[0], kind, bytes(about.original)))
        nat.client.expect(f"the error {kind}", lambda p: is_error(p, kind))
        flow.talk()


@pytest.mark.profile("brief")
def test_5382_10_not_refreshed_by_icmp(nat, version):
    flow = nat.tcp(version)
    nat.fades_under_errors(flow, flow.out("S"), nat.promise.transitory)
