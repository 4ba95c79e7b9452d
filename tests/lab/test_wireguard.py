# SPDX-License-Identifier: BSD-2-Clause
"""`sluice wireguard IFNAME`: the engine alone, a plain WireGuard device beside other implementations' (W17)."""
import sys

import pytest

from gateways import SLUICE
from lab import wait_for
from net import Service
from wg import WireGuard

ADDRESS = {"left": {4: "10.77.0.1", 6: "fd77::1"}, "right": {4: "10.77.0.2", 6: "fd77::2"}}
WIRE = {"left": {4: "10.66.0.1", 6: "fd66::1"}, "right": {4: "10.66.0.2", 6: "fd66::2"}}


class Engine(WireGuard):
    """The program daemonises when device and socket are there; as it must, it is back at once."""

    def start_program(self):
        done = self.host.run([str(SLUICE), "wireguard", self.device], timeout=10)
        assert done.returncode == 0
        assert self.host.path(f"/run/wireguard/{self.device}.sock").exists(), "there before it returned"
        self.host.run(f"ip link show {self.device}")


def pair(lab, left, right):
    """Two hosts on one wire, left - right, each with a WireGuard device of the implementation named."""
    hosts = {name: lab.host(name) for name in ("left", "right")}
    lab.cable(hosts["left"], "eth0", hosts["right"], "eth0")
    devices = {}
    for name, implementation in (("left", left), ("right", right)):
        hosts[name].address("eth0", f"{WIRE[name][4]}/24", f"{WIRE[name][6]}/64")
        kind = Engine if implementation == "sluice" else WireGuard
        devices[name] = kind(hosts[name], implementation,
                             addresses=[f"{ADDRESS[name][4]}/24", f"{ADDRESS[name][6]}/64"], port=51820)
    return devices["left"], devices["right"]


def connect(left, right, outer):
    """left knows where right is, so it is left that initiates."""
    at = WIRE["right"][outer]
    left.start(), right.start()
    left.peer(right.key.public, [f"{ADDRESS['right'][v]}/{32 if v == 4 else 128}" for v in (4, 6)],
              f"[{at}]:51820" if outer == 6 else f"{at}:51820")
    right.peer(left.key.public, [f"{ADDRESS['left'][v]}/{32 if v == 4 else 128}" for v in (4, 6)])


PAIRS = [("wireguard-go", "boringtun-cli"), ("sluice", "wireguard-go"), ("wireguard-go", "sluice"),
         ("sluice", "boringtun-cli"), ("boringtun-cli", "sluice"), ("sluice", "sluice")]


@pytest.mark.parametrize("outer", (4, 6))
@pytest.mark.parametrize("initiator, responder", PAIRS)
def test_w17_initiator_and_responder(lab, initiator, responder, outer):
    left, right = pair(lab, initiator, responder)
    connect(left, right, outer)
    service = Service(right.host, http=(80,), udp=(7,))
    for version in (4, 6):
        to = ADDRESS["right"][version]
        left.host.run(f"ping -c 3 -i 0.1 -W 6 {to}")
        url = f"http://[{to}]" if version == 6 else f"http://{to}"
        for result in (left.host.probe("get", f"{url}/bytes/20000000"), left.host.probe("put", f"{url}/", 20000000)):
            assert result.get("error") is None and result["bytes"] == 20000000 and result["intact"]
        assert left.host.probe("udp", to, 7, "--size", 1372)["received"] == 20
    assert service.clients() == set(ADDRESS["left"].values())
    assert left.handshake(right.key.public) and right.handshake(left.key.public)


def test_w16_peers_and_allowed_ips_change_live(lab):
    left, right = pair(lab, "wireguard-go", "sluice")
    connect(left, right, 4)
    left.host.run(f"ping -c 2 -i 0.1 -W 6 {ADDRESS['right'][4]}")
    right.set("peer", left.key.public, "allowed-ips", "10.99.0.0/16")
    assert left.host.run(f"ping -c 2 -i 0.1 -W 1 {ADDRESS['right'][4]}", check=False).returncode != 0
    right.set("peer", left.key.public, "allowed-ips", f"{ADDRESS['left'][4]}/32")
    left.host.run(f"ping -c 2 -i 0.1 -W 1 {ADDRESS['right'][4]}")
    right.set("peer", left.key.public, "remove")
    assert left.host.run(f"ping -c 2 -i 0.1 -W 1 {ADDRESS['right'][4]}", check=False).returncode != 0
    assert left.key.public not in right.dump()


def test_the_device_goes_with_its_socket(lab):
    """wireguard-go's way to end: remove the socket, and the daemon leaves with its device."""
    left, _ = pair(lab, "sluice", "wireguard-go")
    left.start()
    left.host.run("rm /run/wireguard/wg0.sock")
    wait_for("device gone", lambda: left.host.run("ip link show wg0", check=False, quiet=True).returncode, seconds=5)


def marks(device):
    """Marks of the sockets on the device's port, as `ss` prints them."""
    port = device.host.out("wg show wg0 listen-port").strip()
    lines = device.host.out(f"ss -Huane sport = :{port}").splitlines()
    assert len(lines) == 2, "one for each family"
    return [next((word for word in line.split() if word.startswith("fwmark:")), None) for line in lines]


def test_w16_a_mark_is_shown_and_kept_and_taken_off(lab):
    """wg-quick's default route goes by it: without the mark the tunnel's own packets would enter the tunnel."""
    left, right = pair(lab, "sluice", "wireguard-go")
    connect(left, right, 4)
    left.set("fwmark", "0x2a")
    assert left.host.out("wg show wg0 fwmark").strip() == "0x2a"
    assert marks(left) == ["fwmark:0x2a"] * 2
    left.set("listen-port", "51999")
    assert marks(left) == ["fwmark:0x2a"] * 2, "other sockets, the same mark"
    left.set("fwmark", "off")
    assert left.host.out("wg show wg0 fwmark").strip() == "off"
    assert marks(left) == [None] * 2
    left.host.run(f"ping -c 2 -i 0.1 -W 6 {ADDRESS['right'][4]}")


BUSY = """
import socket, time
path = "/run/wireguard/wg0.sock"
busy, waiting = socket.socket(socket.AF_UNIX), []
busy.bind(path)
busy.listen(0)
while True:
    waiting.append(socket.socket(socket.AF_UNIX))
    waiting[-1].setblocking(False)
    if waiting[-1].connect_ex(path):
        break
print("full", flush=True)
time.sleep(600)
"""


def test_a_device_that_accepts_nobody_is_not_waited_for(lab):
    left, _ = pair(lab, "sluice", "wireguard-go")
    left.host.run("mkdir -p /run/wireguard")
    busy = left.host.popen("busy", [sys.executable, "-c", BUSY])
    wait_for("full queue", lambda: "full" in busy.output())
    done = left.host.run([SLUICE, "wireguard", "wg0", "--foreground"], check=False, timeout=10)
    assert done.returncode == 1 and "another WireGuard answers there" in done.stderr
    assert busy.alive() and left.host.path("/run/wireguard/wg0.sock").exists()


def test_w13_a_peer_without_allowed_ips(lab):
    """It may speak with us, and none of its packets is its own."""
    left, right = pair(lab, "wireguard-go", "sluice")
    left.start(), right.start()
    right.set("peer", left.key.public)
    left.peer(right.key.public, [f"{ADDRESS['right'][4]}/32"], f"{WIRE['right'][4]}:51820")
    assert left.host.run(f"ping -c 2 -i 0.1 -W 1 {ADDRESS['right'][4]}", check=False).returncode != 0
    wait_for("handshake", lambda: right.handshake(left.key.public))
    right.set("peer", left.key.public, "allowed-ips", f"{ADDRESS['left'][4]}/32")
    right.host.route(f"{ADDRESS['left'][4]}/32", "dev", "wg0")
    left.host.run(f"ping -c 2 -i 0.1 -W 6 {ADDRESS['right'][4]}")


JUNK = """
import os, socket, sys
to = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(100):
    to.sendto(bytes([4, 0, 0, 0]) + os.urandom(60), (sys.argv[1], 51820))
"""


def datagrams_in(host):
    """UDP that a socket of the host took."""
    text = host.path(f"/proc/{host.holder.pid}/net/snmp").read_text()
    names, values = (line.split()[1:] for line in text.splitlines() if line.startswith("Udp:"))
    return int(dict(zip(names, values))["InDatagrams"])


def test_fault_22_junk_does_not_wake_a_plain_device(lab):
    left, right = pair(lab, "sluice", "wireguard-go")
    connect(left, right, 4)
    left.host.run(f"ping -c 1 -W 6 {ADDRESS['right'][4]}")
    before = datagrams_in(left.host)
    right.host.run(["/usr/bin/python3", "-c", JUNK, WIRE["left"][4]])
    left.host.run(f"ping -c 1 -W 6 {ADDRESS['right'][4]}")          # it came behind the junk
    assert datagrams_in(left.host) - before < 50
    left.set("listen-port", "51821")                                # other sockets, the same filter
    right.set("peer", left.key.public, "endpoint", f"{WIRE['left'][4]}:51821")
    wait_for("another port",
             lambda: left.host.run(f"ping -c 1 -W 1 {ADDRESS['right'][4]}", check=False).returncode == 0)
    before = datagrams_in(left.host)
    right.host.run(["/usr/bin/python3", "-c", JUNK.replace("51820", "51821"), WIRE["left"][4]])
    left.host.run(f"ping -c 1 -W 6 {ADDRESS['right'][4]}")
    assert datagrams_in(left.host) - before < 50


def test_fault_45_a_plain_device_does_not_send_into_itself(lab):
    """A peer whose endpoint is an address inside the tunnel: what is for it is sealed, routed back in, sealed again."""
    left, right = pair(lab, "sluice", "wireguard-go")
    connect(left, right, 4)
    left.host.run(f"ping -c 1 -W 6 {ADDRESS['right'][4]}")
    left.set("peer", right.key.public, "endpoint", f"{ADDRESS['right'][4]}:51820")
    before = left.dump()[right.key.public]["sent"]
    left.host.run(f"ping -c 20 -i 0.05 -W 1 {ADDRESS['right'][4]}", check=False)
    assert left.dump()[right.key.public]["sent"] - before < 20000
    left.set("peer", right.key.public, "endpoint", f"{WIRE['right'][4]}:51820")
    left.host.run(f"ping -c 1 -W 6 {ADDRESS['right'][4]}")
