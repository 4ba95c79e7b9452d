# SPDX-License-Identifier: BSD-2-Clause
"""Two gateways, or two configurations, on one host: each owns what it made, and no more (faults 49, 50)."""
import copy

import pytest

from gateways import Sluice
from lab import wait_for
from net import SERVICE
from snapshot import difference, snapshot


def other(world, **changes):
    """A second configuration on the same host: changed in these keys ("tunnel.interface": ...), else the same."""
    first = world.gateway
    second = Sluice.__new__(Sluice)
    second.__dict__ |= first.__dict__
    second.folder = world.lab.file("etc2")
    second.folder.mkdir()
    second.config, second.clients, second.policy = (copy.deepcopy(part) for part in
                                                    (first.config, first.clients, first.policy))
    second.process = None
    key = second.folder / "private.key"
    key.write_text((first.folder / "private.key").read_text())
    key.chmod(0o600)
    for key, value in changes.items():
        section, _, name = key.rpartition(".")
        (second.config[section] if section else second.config)[name] = value
    second.write()
    return second


APART = {"state": "second-state", "socket": "/run/second.sock", "pins": "/sys/fs/bpf/second",
         "tunnel.interface": "second0", "tunnel.listen": 51821}
SHARED = {  # what the second one has in common with the first, which the error names
    "state": "state folder", "pins": "pins", "tunnel.interface": "tunnel interface", "socket": "another gateway runs"}


def passes(alice):
    assert alice.host.probe("get", f"http://{SERVICE[4]}/")["status"] == 200


@pytest.mark.parametrize("shared", SHARED)
def test_fault_50_a_second_start_is_refused_and_touches_nothing(world, shared):
    world = world()
    alice = world.joined("alice")
    apart = {key: value for key, value in APART.items() if key != shared}
    second = other(world, **apart)
    before = snapshot(world.net.gateway)
    status, said = second.run_to_end()
    assert status == 1 and SHARED[shared] in said, said
    assert difference(before, snapshot(world.net.gateway)) == []
    if shared != "socket":  # with the same socket it is the running gateway that is asked
        check = second.command("check", "--host", str(second.folder / "gateway.yaml"), check=False)
        assert check.returncode != 0 and SHARED[shared] in check.stdout + check.stderr
    passes(alice)


@pytest.mark.parametrize("shared", ("state", "pins", "tunnel.interface"))
def test_fault_49_down_of_another_configuration_is_refused(world, shared):
    """`down -c B`, where B's socket answers nobody, while A holds what B names."""
    world = world()
    alice = world.joined("alice")
    second = other(world, **{key: value for key, value in APART.items() if key != shared})
    before = snapshot(world.net.gateway)
    down = second.command("down", "-c", str(second.folder / "gateway.yaml"), check=False)
    assert down.returncode == 1 and SHARED[shared] in down.stderr, down.stderr
    assert difference(before, snapshot(world.net.gateway)) == []
    passes(alice)


def test_fault_49_two_gateways_side_by_side(world):
    """Both start; the second's `down`, and its start that fails late, leave the first's routes and programs alone."""
    world = world()
    alice = world.joined("alice")
    before = snapshot(world.net.gateway)
    second = other(world, **APART)
    second.start()
    assert alice.tunnel_address(4) in world.net.gateway.out("ip route show dev sluice0"), "it keeps its route"
    assert "another one leads there" in second.process.output()
    second.command("down", "-c", str(second.folder / "gateway.yaml"))
    wait_for("the second to end", lambda: not second.process.alive())
    assert difference(before, snapshot(world.net.gateway)) == []
    passes(alice)
    late = []
    for number in range(13, 17):        # of the last calls, when clients and routes are there
        second.under = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"inject=epoll_ctl:error=ENOSPC:when={number}+"]
        status, said = second.run_to_end()
        assert status == 1, (number, said)
        late.append("removed routes" in said)
    assert any(late), late
    assert difference(before, snapshot(world.net.gateway)) == []
    passes(alice)


def test_fault_50_routes_that_somebody_removed_come_back(world):
    world = world()
    alice = world.joined("alice")
    address = alice.tunnel_address(4)
    gateway = world.net.gateway
    before = gateway.out(f"ip route show {address}")
    assert "unreachable" in before and "sluice0" in before
    gateway.run(f"ip route del {address} dev sluice0")
    gateway.run(f"ip route del unreachable {address}")
    wait_for("the routes", lambda: gateway.out(f"ip route show {address}") == before)
    assert "routes to clients were removed" in world.gateway.process.output()
    passes(alice)
