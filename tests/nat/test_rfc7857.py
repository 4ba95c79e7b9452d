# SPDX-License-Identifier: BSD-2-Clause
"""Updates (RFC 7857): resets, separate timers, ports that nobody can predict."""
import collections

import pytest

from .packets import token

FAR_OFF = 1 << 30           # outside every window


def past_transitory(nat):
    """Long enough for a connection that a reset had ended, and not for one that lives on."""
    nat.need(nat.promise.established > nat.promise.transitory + nat.promise.slack + 1, "both times are alike")
    nat.wait_past(nat.promise.transitory)


def test_7857_a_reset_is_translated_and_state_kept(nat, version):
    """The other end's last segments still find their way after a reset, in both directions."""
    flow = nat.tcp(version).open()
    flow.back("R")
    flow.out("A")
    flow.back("R", seq=flow.remote_seq)
    flow = nat.tcp(version).open()
    flow.out("R")
    flow.back("A")


@pytest.mark.profile("brief")
def test_7857_a_reset_in_sequence_ends_sooner(nat, version):
    theirs, ours = nat.tcp(version).open(), nat.tcp(version).open()
    theirs.back("R")
    ours.out("R")
    nat.wait_past(nat.promise.transitory)
    assert not theirs.enters() and not ours.enters()


@pytest.mark.profile("brief")
def test_7857_not_a_reset_out_of_sequence(nat, version):
    """Passed on, for the ends know better, but believed by nobody: the connection outlives the transitory time."""
    def blind(wait):
        theirs, ours = nat.tcp(version).open(), nat.tcp(version).open()
        theirs.back("R", seq=(theirs.remote_seq + FAR_OFF) % 2 ** 32)
        ours.out("R", seq=(ours.client_seq + FAR_OFF) % 2 ** 32)
        past_transitory(nat)
        for flow in (theirs, ours):
            flow.back("PA", payload=token())
            flow.out("A")
    nat.within(nat.promise.established, blind)


@pytest.mark.profile("brief")
def test_7857_not_refreshed_by_resets(nat, version):
    flow = nat.tcp(version).open()
    flow.back("R")
    seq = flow.remote_seq
    nat.until(lambda: not flow.enters("R", seq=seq), nat.promise.transitory + nat.promise.slack,
              "resets keep the state alive")


def test_7857_not_predictable_ports(nat, version):
    """Neither counted up nor taken from the client's, and spread over the range."""
    nat.need(nat.promise.ports() > 8192, "a small range leaves no choice")
    for make in (nat.udp, nat.tcp):
        flows = [make(version) for _ in range(64)]
        for flow in flows:
            flow.out(*(["S"] if make == nat.tcp else []))
        ports = [flow.external[1] for flow in flows]
        steps = collections.Counter(b - a for a, b in zip(ports, ports[1:]))
        assert steps.most_common(1)[0][1] < 8, f"steps between ports repeat: {steps.most_common(3)}"
        assert max(ports) - min(ports) > nat.promise.ports() // 2
        assert sum(flow.sport == flow.external[1] for flow in flows) < 8
