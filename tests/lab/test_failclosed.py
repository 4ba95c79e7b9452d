# SPDX-License-Identifier: BSD-2-Clause
"""No packet with a tunnel address leaves by the NIC, whatever is missing, with forwarding enabled on the host."""
import time

import pytest

from gateways import settle
from lab import wait_for
from net import SERVICE, TUNNEL_NETS, Service

TUNNEL = " or ".join(f"net {net}" for net in TUNNEL_NETS)     # as source or destination


class Watch:
    """A capture on the wire of the gateway's NICs, while alice sends without a pause in both families."""

    def __init__(self, world, alice):
        self.world, self.alice = world, alice

    def __enter__(self):
        self.captures = [self.world.net.gateway.capture(device, TUNNEL, "out").__enter__()
                         for device in sorted({self.world.net.underlay, self.world.net.egress})]
        self.jobs = [self.alice.host.popen(f"ping{v}", f"ping -i 0.01 {SERVICE[v]}") for v in (4, 6)]
        self.jobs += [self.alice.host.probing(f"udp{v}", "udp", SERVICE[v], 7, "--count", 100000, "--interval", 0.005)
                      for v in (4, 6)]
        return self

    def __exit__(self, *_):
        for job in self.jobs:
            job.popen.kill()
            job.popen.wait()
        for capture in self.captures:
            capture.__exit__()

    def found(self):
        return [packet.summary() for capture in self.captures for packet in capture.packets()]


def forwarding(world):
    world.net.gateway.sysctl(net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1)


def pinned_links(host):
    """The attachments of programs, as bpffs paths."""
    paths = host.out("find /sys/fs/bpf/sluice -type f").split()
    return [path for path in paths
            if host.run(["bpftool", "link", "show", "pinned", path], check=False).returncode == 0]


def detach_programs(world):
    host = world.net.gateway
    links = pinned_links(host)
    for link in links:
        host.run(["bpftool", "link", "detach", "pinned", link])
    clsact = 0
    for device in ("sluice0", world.net.egress):
        clsact += host.run(f"tc qdisc del dev {device} clsact", check=False).returncode == 0
    assert links or clsact, "nothing was attached"


def delete_tap(world):
    world.net.gateway.run("ip link del sluice0")


def set_tap_down(world):
    world.net.gateway.run("ip link set sluice0 down")


def delete_rules(world):
    """As systemd-networkd does with what it does not know (ManageForeignRoutingPolicyRules)."""
    for v in (4, 6):
        rules = world.net.gateway.out(f"ip -{v} rule").splitlines()
        for rule in rules:
            number, _, words = rule.partition(":")
            if number not in ("0", "32766", "32767"):
                world.net.gateway.run(f"ip -{v} rule del priority {number}")


def flush_routes(world):
    """As systemd-networkd does with routes (ManageForeignRoutes)."""
    for net in TUNNEL_NETS:
        world.net.gateway.run(f"ip -{6 if ':' in net else 4} route flush root {net}", check=False)


def test_the_capture_sees_what_leaks(world):
    """The baseline without its masquerade leaks: this test can fail."""
    world = world("baseline")
    alice = world.joined("alice")
    world.net.gateway.run("nft flush ruleset")
    with Watch(world, alice) as watch:
        time.sleep(1)
    assert len(watch.found()) > 50


@pytest.mark.parametrize("form", ("one-armed", "two-armed"))
def test_through_the_whole_life(world, form):
    world = world(form=form)
    forwarding(world)
    alice = world.client("alice")
    world.gateway.admit(alice)
    alice.join(world.gateway)
    with Watch(world, alice) as watch:
        world.gateway.start()
        settle(alice, world.gateway)
        world.gateway.restart()
        settle(alice, world.gateway)
        world.gateway.kill9()
        time.sleep(1)
        world.gateway.start()
        settle(alice, world.gateway)
        world.gateway.stop()
        time.sleep(0.5)
        world.gateway.down()
        time.sleep(0.5)
    assert watch.found() == []


@pytest.mark.parametrize("harm", (detach_programs, delete_tap, set_tap_down, delete_rules, flush_routes))
def test_harm_is_closed_and_mended_within_5_seconds(world, harm):
    world = world()
    forwarding(world)
    alice = world.joined("alice")
    with Watch(world, alice) as watch:
        time.sleep(0.3)
        harm(world)
        began = time.monotonic()
        time.sleep(0.2)
        settle(alice, world.gateway, seconds=5)
        settle(alice, world.gateway, version=6, seconds=max(0.5, 5 - (time.monotonic() - began)))
    assert watch.found() == []


def test_the_tap_is_mended_after_a_reload(world):
    """Its name is of the configuration that the reload replaced."""
    world = world()
    alice = world.joined("alice")
    world.gateway.reload()
    delete_tap(world)
    settle(alice, world.gateway, seconds=5)


def test_a_detached_program_is_reported(world):
    world = world()
    world.joined("alice")
    before = world.gateway.process.output()
    detach_programs(world)
    wait_for("report", lambda: "putting it back" in world.gateway.process.output()[len(before):], seconds=6)


@pytest.mark.parametrize("state", ("kill9", "stop"))
def test_the_host_does_not_send_to_tunnel_addresses_by_the_nic(world, state):
    """With the daemon and the TAP gone, the host's default route would take what is meant for clients."""
    world = world()
    alice = world.joined("alice")
    getattr(world.gateway, state)()
    with world.net.gateway.capture("eth0", TUNNEL, "out") as capture:
        for deleted in (False, True):
            if deleted:
                delete_tap(world)
            for version, address in ((4, "100.64.0.5"), (6, "fd7a:115c:a1e0::5")):
                assert alice.tunnel_address(version) == address
                world.net.gateway.run(f"ping -c 2 -i 0.1 -W 1 {address}", check=False)
    assert [packet.summary() for packet in capture.packets()] == []


def test_while_the_daemon_is_dead_flows_are_not_forwarded_elsewhere(world):
    """Answers of the service to a dead gateway's flows do not reach the host's own sockets or the clients' nets."""
    world = world()
    alice = world.joined("alice")
    job = alice.host.probing("get", "get", f"http://{SERVICE[4]}/slow/4000000/1000000")
    world.gateway.await_download(alice)
    with world.net.far.capture("eth0", "tcp[tcpflags] & tcp-rst != 0") as resets:
        world.gateway.kill9()
        time.sleep(1)
        world.gateway.start()
        assert job.popen.wait(20) == 0
    assert resets.count() == 0, "no reset reaches the service while the gateway is away"


def test_what_is_left_of_a_removed_client_stays_in(world):
    """The guard looks for present clients. What the host still sends to one who was removed has the gateway's own
    tunnel address, which it catches too; what the client still sends, no worker opens."""
    world = world()
    forwarding(world)
    Service(world.net.gateway, http=(8080,), udp=(), name="own")
    alice = world.joined("alice")
    job = alice.host.probing("get", "get", "http://100.64.0.1:8080/slow/20000000/1000000", "--timeout", 5)
    wait_for("the download", lambda: world.gateway.client_report(alice)["sent"] > 500000)
    with Watch(world, alice) as watch:
        world.gateway.clients.clear()
        world.gateway.reload()
        wait_for("the host's retransmission", lambda: world.gateway.drops()["guard"] > 0)
        assert job.popen.wait(20) == 0
    assert watch.found() == []
