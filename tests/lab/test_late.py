# SPDX-License-Identifier: BSD-2-Clause
"""What the host does not have yet when the gateway starts, and what it has otherwise later: both are waited for, said,
and followed. A start never fails for them."""
import pytest

from gateways import settle
from lab import wait_for

DEFAULTS = (("-4", "198.51.100.254"), ("-6", "2001:db8:1::fe"))


def take_addresses(host):
    """As before a lease: the link is up, and nothing else is there."""
    host.run("ip -4 address flush dev eth1")
    host.run("ip -6 address flush dev eth1 scope global")


def give_addresses(host):
    host.address("eth1", "198.51.100.1/24", "2001:db8:1::1/64")
    give_defaults(host)


def give_defaults(host):
    for version, router in DEFAULTS:
        host.run(f"ip {version} route replace default via {router} dev eth1")


def take_defaults(host):
    for version, _ in DEFAULTS:
        host.run(f"ip {version} route del default")


def hide(device):
    def hide_device(host):
        host.run(f"ip link set {device} down")
        host.run(f"ip link set {device} name late0")
    return hide_device


def show_egress(host):
    host.run("ip link set late0 name eth1")
    host.run("ip link set eth1 up")
    host.run("ip -6 address replace 2001:db8:1::1/64 dev eth1 nodad")
    give_defaults(host)


def show_underlay(host):
    host.run("ip link set late0 name eth0")
    host.run("ip link set eth0 up")
    host.run("ip -6 address replace 2001:db8:18::1/64 dev eth0 nodad")
    host.route("192.0.2.0/24", "via", "198.18.0.254")
    host.run("ip -6 route replace 2001:db8:2::/64 via 2001:db8:18::fe")


def by_interface(config):
    del config["egress"]["addresses"]


def by_default_route(config):
    del config["egress"]["addresses"], config["egress"]["interface"]


def as_it_is(config):
    pass


LATE = [  # what is not there, what brings it, how the configuration names it, the words of a note
    (take_addresses, give_addresses, as_it_is, "egress address 198.51.100.1 is not on eth1: waiting for it"),
    (take_addresses, give_addresses, by_interface, "pool default has no address: eth1 has none"),
    (hide("eth1"), show_egress, as_it_is, "the egress interface is absent"),
    (hide("eth1"), show_egress, by_interface, "the egress interface is absent"),
    (take_defaults, give_defaults, as_it_is, "this host has no route to it"),
    (take_defaults, give_defaults, by_default_route, "there is no default route, and egress.interface names none"),
    (hide("eth0"), show_underlay, as_it_is, "underlay interface eth0 is absent: waiting for it"),
]


@pytest.mark.parametrize("take, give, named, words", LATE, ids=[
    "lease", "lease, address by interface", "egress interface", "egress interface, address by it", "routes",
    "default route", "underlay interface"])
def test_fault_27_what_comes_late(world, take, give, named, words):
    """The gateway starts, is degraded and says what it waits for; once that is there, both families pass."""
    world = world(form="two-armed")
    host, gateway = world.net.gateway, world.gateway
    named(gateway.config)
    alice = world.client("alice")
    gateway.admit(alice)
    take(host)
    gateway.start()
    status = gateway.json("status")
    assert status["degraded"] and [note for note in status["notes"] if words in note], status["notes"]
    give(host)
    wait_for("no note", lambda: gateway.json("status")["notes"] == [], 15)
    alice.join(gateway)
    for version in (4, 6):
        settle(alice, gateway, version=version)


def switch_ipv6(host, on):
    host.run(["sysctl", "-qw", *(f"net.ipv6.conf.{which}.disable_ipv6={0 if on else 1}" for which in (
        ["all", "default"] if not on else ["default", "all"]))])


def test_fault_33_ipv6_switched_off_on_the_host(world):
    """`check --host` warns, the gateway starts and serves IPv4; with the family on, its clients' routes are there."""
    world = world()
    host, gateway = world.net.gateway, world.gateway
    alice = world.client("alice")
    gateway.admit(alice)
    switch_ipv6(host, False)
    gateway.write()
    check = gateway.command("check", "--host", str(gateway.folder / "gateway.yaml"), check=False)
    assert check.returncode == 0 and check.stderr.count("IPv6 is switched off") == 2, check.stderr
    gateway.start()
    notes = gateway.json("status")["notes"]
    assert [note for note in notes if note.startswith("IPv6 is switched off on this host (disable_ipv6)")], notes
    alice.join(gateway)
    settle(alice, gateway)
    for again in (True, False):
        switch_ipv6(host, True)
        host.run("ip -6 address replace 2001:db8:1::1/64 dev eth0 nodad")
        host.run("ip -6 route replace default via 2001:db8:1::fe dev eth0")
        wait_for("no note", lambda: gateway.json("status")["notes"] == [], 15)
        settle(alice, gateway, version=6)
        if again:                                       # while the gateway runs
            switch_ipv6(host, False)
            wait_for("a note", lambda: [note for note in gateway.json("status")["notes"] if "disable_ipv6" in note])


def test_fault_31_an_mtu_that_changes_live(world):
    """The underlay's MTU shrinks and grows while it runs: interface, programs and status have the tunnel's at once."""
    world = world()
    host, gateway = world.net.gateway, world.gateway
    alice = world.joined("alice")
    settle(alice, gateway)

    def mtu_is(value):
        status = gateway.json("status")["tunnel"]["mtu"]
        device = host.json("ip -j link show dev sluice0")[0]["mtu"]
        return status == device == value
    assert mtu_is(1420)
    for underlay, tunnel in ((1400, 1320), (1500, 1420), (1380, 1300)):
        host.run(f"ip link set eth0 mtu {underlay}")
        world.net.router.run(f"ip link set gw0 mtu {underlay}")
        wait_for(f"the tunnel's MTU to be {tunnel}", lambda value=tunnel: mtu_is(value))
        assert alice.host.probe("get", "http://203.0.113.9/bytes/2000000").get("intact")


def test_fault_32_more_addresses_than_a_list_holds(world):
    """A node of a cluster may have thousands: what is left out is counted and said, and clients are served."""
    world = world()
    host, gateway = world.net.gateway, world.gateway
    alice = world.joined("alice")
    settle(alice, gateway)
    host.run("ip link add many type bridge")
    commands = "\n".join(f"address add 10.77.{i // 250}.{i % 250 + 1}/32 dev many" for i in range(600))
    host.run(["bash", "-c", f"printf '%s\\n' '{commands}' | ip -batch -"], quiet=True)
    notes = wait_for("a note", lambda: [
        note for note in gateway.json("status")["notes"] if "addresses more than" in note])
    assert "more than the 512" in notes[0], notes
    settle(alice, gateway)
    host.run("ip link del many")
    wait_for("no note", lambda: gateway.json("status")["notes"] == [])
