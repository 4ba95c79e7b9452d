# SPDX-License-Identifier: BSD-2-Clause
"""Item 28 of the second faults: which address, where egress.addresses names none. It is the kernel's own choice of
source, and one for each family; what the configuration names always counts."""
import pytest

from lab import wait_for
from net import SERVICE, STATIC

SECOND = {4: "198.51.100.77", 6: "2001:db8:1::77"}
LENGTH = {4: 24, 6: 64}


def admit_all(world):
    """The service's firewall lets in every address of the gateway's networks."""
    world.net.far.nft("add rule inet allowlist input ip saddr 198.51.100.0/24 accept\n"
                      "add rule inet allowlist input ip6 saddr 2001:db8:1::/64 accept\n")


def add(world, address, *options):
    world.net.gateway.run(["ip", "addr", "add", f"{address}/{LENGTH[6 if ':' in address else 4]}", "dev", "eth0",
                           *options, "nodad"])


def by_default(world):
    world = world()
    del world.gateway.config["egress"]["addresses"]
    admit_all(world)
    return world


def seen(world, clients, version):
    """By which addresses the service sees them."""
    world.service.log.write_text("")
    for client in clients:
        assert client.host.probe("get", f"http://{'[%s]' % SERVICE[6] if version == 6 else SERVICE[4]}/")["bytes"]
    return world.service.clients()


def temporary(world):
    """A temporary address, as the kernel makes them itself."""
    world.net.gateway.sysctl(net__ipv6__conf__eth0__use_tempaddr=2)
    world.net.gateway.run(f"ip addr change {STATIC[6]}/64 dev eth0 mngtmpaddr nodad")
    wait_for("a temporary address", lambda: "temporary" in world.net.gateway.out("ip -6 addr show dev eth0"))


OTHERS = {
    "secondary": (4, lambda world: add(world, SECOND[4])),
    "deprecated IPv4": (4, lambda world: add(world, SECOND[4], "preferred_lft", "0")),
    "deprecated": (6, lambda world: add(world, SECOND[6], "preferred_lft", "0")),
    "temporary": (6, temporary),
}


@pytest.mark.parametrize("when", ("before", "later"))
@pytest.mark.parametrize("what", OTHERS)
def test_fault_28_the_kernels_own_choice(world, what, when):
    """Another address on the interface is nobody's, whether it is there at the start or comes later."""
    version, make = OTHERS[what]
    world = by_default(world)
    if when == "before":
        make(world)
    clients = world.joined("alice", "carol")
    if when == "later":
        make(world)
        # Each change of addresses is seen within a second; a second one shows that the first was.
        world.net.gateway.run("ip addr add 198.51.100.99/24 dev eth0")
        world.gateway.reload()
    assert seen(world, clients, version) == {STATIC[version]}
    assert [entry["address"] for pool in world.gateway.json("status")["egress"] for entry in pool["addresses"]] == [
        STATIC[4], STATIC[6]]


@pytest.mark.parametrize("version", (4, 6))
def test_fault_28_a_route_names_the_source(world, version):
    world = by_default(world)
    add(world, SECOND[version])
    world.net.gateway.run(["ip", f"-{version}", "route", "replace", "default", "via",
                           {4: "198.51.100.254", 6: "2001:db8:1::fe"}[version], "dev", "eth0", "src", SECOND[version]])
    assert seen(world, world.joined("alice", "carol"), version) == {SECOND[version]}


def test_fault_28_what_is_configured_counts(world):
    """Also a deprecated one, as keepalived makes them for IPv6, and a secondary one."""
    world = world()
    admit_all(world)
    add(world, SECOND[4])
    add(world, SECOND[6], "preferred_lft", "0")
    world.gateway.config["egress"]["addresses"] = [SECOND[4], SECOND[6]]
    clients = world.joined("alice", "carol")
    for version in (4, 6):
        assert seen(world, clients, version) == {SECOND[version]}


def test_fault_28_flows_outlive_the_choice(world):
    """A router renumbers: the old address is deprecated, and connections on it go on; new ones have the new one."""
    world = by_default(world)
    alice = world.joined("alice")
    job = alice.host.probing("get", "get", f"http://[{SERVICE[6]}]/slow/8000000/1000000")
    wait_for("the download", lambda: world.gateway.client_report(alice)["sent"] > 1000000)
    add(world, SECOND[6])
    world.net.gateway.run(f"ip addr change {STATIC[6]}/64 dev eth0 preferred_lft 0")
    wait_for("the new address", lambda: seen(world, [alice], 6) == {SECOND[6]})
    assert "not for new flows" in world.gateway.command("status").stdout
    assert job.popen.wait(30) == 0 and '"bytes": 8000000' in job.output(), job.output()
