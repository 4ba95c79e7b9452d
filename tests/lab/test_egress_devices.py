# SPDX-License-Identifier: BSD-2-Clause
"""Devices that translated packets leave by, as far as this machine's kernel has them."""
from lab import wait_for
from net import SERVICE


def test_fault_30_a_device_without_an_ethernet_header_is_refused(world):
    """The programs read Ethernet frames: a tun device was taken, and nothing that came back by it was understood."""
    gateway = world().gateway
    host = gateway.host
    host.run("ip tuntap add dev tun7 mode tun")
    host.run("ip addr add 198.51.100.7/32 dev tun7")
    host.run("ip link set tun7 up")
    gateway.config["egress"] = {"interface": "tun7", "addresses": ["198.51.100.7"]}
    gateway.write()
    checked = gateway.command("check", "--host", str(gateway.folder / "gateway.yaml"), check=False)
    assert checked.returncode == 1 and "tun7 carries no Ethernet frames" in checked.stderr, checked.stderr
    status, said = gateway.run_to_end()
    assert status and "tun7 carries no Ethernet frames" in said, said
    assert not host.path("/sys/fs/bpf/sluice").exists(), "a refused start leaves nothing behind"


def test_fault_13_19_an_egress_address_on_lo(world):
    """An address that is routed to the gateway may be on lo: answers come by the interface of its pool."""
    world = world()
    gateway, host = world.gateway, world.net.gateway
    host.run("ip addr del 198.51.100.1/24 dev eth0")
    host.run("ip addr add 198.51.100.2/24 dev eth0")
    host.run("ip addr add 198.51.100.1/32 dev lo")
    host.route("default", "via", "198.51.100.254")
    world.net.router.run("ip route add 198.51.100.1/32 via 198.51.100.2")
    alice = world.joined("alice")
    checked = gateway.command("check", "--host", str(gateway.folder / "gateway.yaml"), check=False)
    assert "198.51.100.1" not in checked.stderr, checked.stderr
    assert alice.host.probe("get", f"http://{SERVICE[4]}/")["status"] == 200
    assert world.service.clients() == {"198.51.100.1"}
    host.run("ip addr del 198.51.100.1/32 dev lo")
    wait_for("a note", lambda: any("198.51.100.1" in note for note in gateway.json("status")["notes"]))
