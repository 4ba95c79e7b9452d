# SPDX-License-Identifier: BSD-2-Clause
"""What neighbours, strangers and clients try who mean no good, each where the host's kernel would help them."""
import json
import os

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import HBHOptUnknown, IPv6, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop
from scapy.packet import Raw

from gateways import SLUICE, settle
from lab import wait_for
from net import SERVICE, STATIC
from test_failclosed import forwarding
from test_host import ssh_like

ALICE = "192.0.2.44"        # the first client, outside the tunnel
SEND = "import socket, sys\n" \
       "v6 = ':' in sys.argv[1]\n" \
       "raw = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)\n" \
       "for packet in sys.stdin:\n    raw.sendto(bytes.fromhex(packet), (sys.argv[1], 0))"


def send(host, *packets):
    """IP packets as they are, to the destination of the first."""
    host.run(["/usr/bin/python3", "-c", SEND, packets[0].dst], input="\n".join(bytes(p).hex() for p in packets))


def too_big(source, destination, client, mtu=600):
    """A router's word, or a liar's, that the gateway's datagrams to a client do not fit."""
    port = int(client.host.out("wg show wg0 listen-port"))
    quoted = IP(src=STATIC[4], dst=ALICE) / UDP(sport=51820, dport=port, len=1400) / Raw(bytes(20))
    return IP(src=source, dst=destination) / ICMP(type=3, code=4, nexthopmtu=mtu) / quoted


@pytest.mark.parametrize("form", ("one-armed", "two-armed"))
def test_nobody_outside_reaches_a_client(world, form):
    """The host forwards (Docker, a router) and knows the way to its clients; a neighbour, or the service itself,
    sends to their addresses."""
    world = world(form=form)
    forwarding(world)
    alice = world.joined("alice")
    gateway = {4: "198.51.100.1", 6: "2001:db8:1::1"} if form == "one-armed" else {4: "198.18.0.1", 6: "2001:db8:18::1"}
    with alice.host.capture("wg0", "icmp[icmptype] = icmp-echo or (icmp6 and ip6[40] = 128)") as capture:
        for v in (4, 6):
            address = alice.tunnel_address(v)
            world.net.router.run(f"ip -{v} route add {address} via {gateway[v]}")
            assert world.net.far.run(f"ping -c 3 -i 0.1 -W 1 {address}", check=False).returncode
        assert world.gateway.drops()["forwarded"] >= 6
        assert capture.count() == 0
        for v in (4, 6):                                       # the gateway itself does
            world.net.gateway.run(f"ping -c 1 -W 2 {alice.tunnel_address(v)}")
    assert alice.host.probe("get", f"http://{SERVICE[4]}/bytes/3000000")["bytes"] == 3000000


def test_a_client_cannot_narrow_another_ones_tunnel(world):
    """An ICMP error from inside the tunnel, about what the gateway sends to another client outside of it."""
    world = world()
    alice, bob = world.joined("alice", "bob")
    before = world.gateway.drops()["no_flow"]
    send(bob.host, too_big(bob.tunnel_address(4), "100.64.0.1", alice))
    wait_for("the drop", lambda: world.gateway.drops()["no_flow"] > before)
    assert "mtu" not in world.net.gateway.out(f"ip route get {ALICE}")


def test_a_stranger_cannot_narrow_a_tunnel(world):
    """The same from outside, in a router's name: the tunnel goes on in whole datagrams."""
    world = world()
    alice = world.joined("alice")
    send(world.net.router, too_big("198.51.100.254", STATIC[4], alice))
    wait_for("its arrival", lambda: world.net.gateway.json("nstat -asj")["kernel"]["IcmpInDestUnreachs"])
    with world.net.gateway.capture("eth0", "ip[6:2] & 0x3fff != 0", "out") as fragments:
        assert alice.host.probe("get", f"http://{SERVICE[4]}/bytes/3000000")["bytes"] == 3000000
    assert fragments.count() == 0


@pytest.mark.parametrize("mark", ("02:53:00:00:00:01", "02:4e:00:00:00:01", "02:50:00:01:05:dc"))
def test_a_link_address_says_nothing(world, mark):
    """A router whose link address is as the daemon writes them on the TAP: cut off is neither the host, nor a client,
    nor anything that comes in fragments."""
    world = world()
    ssh_like(world)
    world.net.router.run(f"ip link set gw0 address {mark}")
    world.net.router.run("ip -6 addr add 2001:db8:1::fe/64 dev gw0 nodad", check=False)    # is lost with the address
    alice, admin = world.joined("alice"), world.net.client("admin")
    for v in (4, 6):
        assert admin.probe("connect", STATIC[v], 22)["connected"]
        admin.run(f"ping -c 2 -i 0.1 -W 1 {STATIC[v]}")
        for host in (world.net.gateway, alice.host):
            assert host.probe("udp", SERVICE[v], 7, "--size", 3000)["received"] == 20
    assert alice.host.probe("get", f"http://{SERVICE[4]}/bytes/3000000")["bytes"] == 3000000


def behind_options(source, size, ends, number):
    """A datagram to the service in two IPv6 fragments, each behind a hop-by-hop header of @size bytes, whose option
    everybody skips."""
    options = IPv6ExtHdrHopByHop(options=[HBHOptUnknown(otype=0x1e, optdata=bytes(size - 4))])
    whole = bytes(IPv6(src=source, dst=SERVICE[6]) / UDP(sport=ends[0], dport=ends[1]) / Raw(bytes(1750)))[40:]
    for at, end in ((0, 1104), (1104, len(whole))):
        yield (IPv6(src=source, dst=SERVICE[6]) / options /
               IPv6ExtHdrFragment(nh=17, id=number, offset=at // 8, m=end < len(whole)) / Raw(whole[at:end]))


@pytest.mark.parametrize("size", (8, 16, 24, 64, 200))
def test_fault_14_fragments_behind_options(world, size):
    """A client's packet that has to be cut again behind long options. It ended the gateway at the next frame for
    anybody."""
    world = world(workers=1)
    alice, carol = world.joined("alice", "carol")
    before = len(world.service.seen())
    for number in range(3):
        send(alice.host, *behind_options(alice.tunnel_address(6), size, (40000 + number, 7), number))
        for client in (carol, alice):
            client.host.run(f"ping -c 2 -i 0.05 -W 2 {SERVICE[4]}")
    wait_for("all that was cut", lambda: len(world.service.seen()) == before + 3)
    assert world.gateway.process.alive()
    assert carol.host.probe("get", f"http://{SERVICE[4]}/bytes/3000000")["bytes"] == 3000000


# ---- who may write a policy, a list or a client's file, and no more than that -----------------------------------

def listing(gateway, file):
    """The gateway's policy, with a block list of this name."""
    return json.dumps({**gateway.policy, "blocklists": [{"name": "drop", "file": file}]})


def test_fault_23_a_policy_names_no_file_but_lists(world):
    """A pull request's author reads what CI prints, and what the gateway says."""
    world = world()
    alice = world.joined("alice")
    gateway = world.gateway
    folder = gateway.folder
    (folder / "repository").mkdir()
    (folder / "repository/policy.json").write_text(listing(gateway, "../private.key"))
    done = gateway.command("policy", "check", str(folder / "repository/policy.json"), check=False)
    assert done.returncode == 2 and "leads out of the folders" in done.stderr, done
    assert gateway.key.private[:4] not in done.stdout + done.stderr
    (folder / "repository/secret.txt").write_text(gateway.key.private + "\n")      # a list's name, a secret's text
    (folder / "repository/policy.json").write_text(listing(gateway, "secret.txt"))
    done = gateway.command("policy", "check", str(folder / "repository/policy.json"), check=False)
    assert done.returncode == 2 and "secret.txt:1: expected an address or a CIDR" in done.stderr, done.stderr
    assert gateway.key.private[:4] not in done.stdout + done.stderr
    os.mkfifo(folder / "pipe.txt")
    for file, why in (("../../../etc/passwd", "leads out of the folders"), ("/proc/1/environ", "leads out of"),
                      (str(folder / "pipe.txt"), "no regular file"), ("pipe.txt", "no regular file")):
        done = gateway.host.run([str(SLUICE), "policy", "apply", "-"], input=listing(gateway, file), check=False,
                                timeout=10)
        assert done.returncode == 2 and why in done.stderr, done
    settle(alice, gateway)


@pytest.mark.parametrize("file", ("policy.yaml", "clients.d/pipe.yaml"))
def test_fault_23_a_pipe_holds_no_reload(world, file):
    world = world()
    alice = world.joined("alice")
    path = world.gateway.folder / file
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    done = world.gateway.command("reload", check=False, timeout=10)
    assert done.returncode and f"{file}" in done.stderr and "no regular file" in done.stderr, done
    settle(alice, world.gateway)


def test_fault_23_a_link_in_the_clients_folder(world):
    world = world()
    world.joined("alice")
    (world.gateway.folder / "clients.d/link.yaml").symlink_to(world.gateway.folder / "private.key")
    done = world.gateway.command("reload", check=False)
    assert done.returncode and "link.yaml: cannot be read: it leads out of the folders" in done.stderr, done
    assert world.gateway.key.private[:4] not in done.stderr
