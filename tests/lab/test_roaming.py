# SPDX-License-Identifier: BSD-2-Clause
"""Clients that move (W12), keys with a preshared part (W16), rekeys under traffic (W1, W15), either end restarted."""
import json
import time

import pytest

from gateways import settle
from lab import wait_for
from net import SERVICE, STATIC
from wg import Key, wg

PEERS = ("wireguard-go", "boringtun-cli")
SLOW = f"http://{SERVICE[4]}/slow/16000000/4000000"      # four seconds


def move_address(alice):
    """Another address on the same network, as after a change of networks; the tunnel stays up."""
    alice.host.sysctl(net__ipv4__conf__eth0__promote_secondaries=1)
    alice.host.address("eth0", "192.0.2.144/24")
    alice.host.run("ip addr del 192.0.2.44/24 dev eth0")
    return "192.0.2.144"


def move_port(alice):
    """A NAT on the way rebinds."""
    alice.set("listen-port", "45678")
    return "192.0.2.44:45678"


@pytest.mark.parametrize("move", (move_address, move_port))
@pytest.mark.parametrize("kind", ("baseline", "sluice"))
def test_w12_the_endpoint_follows_during_a_download(world, kind, move):
    """The keepalive speaks for a client that only listens: a receiver that hears nothing acknowledges nothing."""
    world = world(kind)
    alice = world.joined("alice")
    alice.join(world.gateway, keepalive=1)
    job = alice.host.probing("get", "get", SLOW)
    time.sleep(1)
    endpoint = move(alice)
    assert job.popen.wait(30) == 0
    result = json.loads(job.output())
    assert result.get("error") is None and result["bytes"] == 16000000 and result["silence"] < 2.5, result
    assert endpoint in world.gateway.client_report(alice)["endpoint"]


@pytest.mark.parametrize("kind", ("baseline", "sluice"))
def test_w12_from_ipv4_to_ipv6(world, kind):
    """From one access network to another. Idle: what arrives from the old address would move the client back.

    wireguard-go loses the first datagrams: it cuts an IPv6 address to 4 bytes in a buffer that last held an IPv4 one
    (seen at f333402bd9cb: 2001:db8::). boringtun knows no change of a peer at all ("remove and add again").
    """
    world = world(kind)
    alice = world.joined("alice")
    alice.set("peer", world.gateway.key.public, "endpoint", world.net.endpoint(6))
    settle(alice, world.gateway, seconds=10)
    assert "2001:db8:2::44" in world.gateway.client_report(alice)["endpoint"]


def test_w12_a_forged_packet_moves_nobody(world):
    """A third machine repeats alice's packets: authenticated once, replayed, so the endpoint stays."""
    world = world()
    alice = world.joined("alice")
    mallory = world.net.client("mallory")
    with alice.host.capture("eth0", "udp port 51820", "out") as capture:
        alice.host.run(f"ping -c 5 -i 0.05 {SERVICE[4]}")
    endpoint = world.gateway.client_report(alice)["endpoint"]
    before = world.gateway.drops()["wg_replay"]
    payloads = [bytes(packet["UDP"].payload).hex() for packet in capture.packets()]
    code = ("import socket, sys\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
            "for line in sys.stdin:\n    s.sendto(bytes.fromhex(line), ('198.51.100.1', 51820))\n")
    mallory.run(["/usr/bin/python3", "-c", code], input="\n".join(payloads))
    wait_for("replays counted", lambda: world.gateway.drops()["wg_replay"] >= before + 5)
    assert world.gateway.client_report(alice)["endpoint"] == endpoint


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("kind", ("baseline", "sluice"))
def test_restart_of_the_client(world, kind, peer):
    world = world(kind)
    alice = world.joined("alice", implementation=peer)
    alice.restart()
    settle(alice, world.gateway, seconds=7)


@pytest.mark.parametrize("peer", PEERS)
def test_restart_of_the_gateway_between_pings(world, peer):
    world = world()
    alice = world.joined("alice", implementation=peer)
    world.gateway.restart()
    settle(alice, world.gateway, seconds=2)


def joined_with_psk(world, **options):
    alice = world.client("alice", **options)
    alice.psk = wg("genpsk")
    world.gateway.admit(alice)
    world.gateway.start()
    alice.join(world.gateway)
    settle(alice, world.gateway)
    return alice


@pytest.mark.parametrize("peer", PEERS)
def test_w16_preshared_key(world, peer):
    world = world()
    alice = joined_with_psk(world, implementation=peer)
    # changed on the client alone: no new session comes about
    alice.psk = wg("genpsk")
    alice.set("peer", world.gateway.key.public, "remove")
    alice.join(world.gateway)
    assert alice.host.run(f"ping -c 3 -i 0.5 -W 1 {SERVICE[4]}", check=False).returncode != 0
    # changed on the gateway too, live
    world.gateway.clients[0]["preshared_key_file"] = str(alice.secret(alice.psk))
    world.gateway.reload()
    settle(alice, world.gateway, seconds=12)


def test_w16_a_changed_preshared_key_in_the_same_file(world):
    world = world()
    alice = joined_with_psk(world)
    alice.psk = wg("genpsk")
    with open(world.gateway.clients[0]["preshared_key_file"], "w") as file:
        file.write(alice.psk + "\n")
    world.gateway.reload()
    alice.set("peer", world.gateway.key.public, "remove")
    alice.join(world.gateway)
    settle(alice, world.gateway, seconds=12)


def test_w10_a_stranger_hears_nothing(world):
    """An unknown key draws no byte of an answer."""
    world = world()
    world.joined("alice")
    bob = world.client("bob", key=Key())
    with bob.host.capture("eth0", "udp port 51820") as capture:
        bob.join(world.gateway)
        assert bob.host.run(f"ping -c 2 -i 0.5 -W 1 {SERVICE[4]}", check=False).returncode != 0
    sent = {packet.src for packet in capture.packets()}
    assert sent == {bob.host.json("ip -j link show eth0")[0]["address"]}
    assert world.gateway.drops()["wg_handshake"] > 0


PROXY = """
import select, socket
outside, gateway, client = socket.socket(type=socket.SOCK_DGRAM), socket.socket(type=socket.SOCK_DGRAM), None
outside.bind(("198.51.100.1", 4000))
gateway.connect(("127.0.0.1", 51820))
print("ready", flush=True)
while True:
    for ready in select.select([outside, gateway], [], [])[0]:
        if ready is outside:
            bytes, client = outside.recvfrom(2048)
            gateway.send(bytes)
        else:
            outside.sendto(gateway.recv(2048), client)
"""


def test_fault_45_a_proxy_beside_the_gateway(world):
    """An obfuscator (udp2raw) on the gateway's host: the client is at loopback, where no NIC brings anything from."""
    world = world()
    alice = world.client("alice")
    world.gateway.admit(alice)
    world.gateway.start()
    proxy = world.net.gateway.popen("proxy", ["/usr/bin/python3", "-c", PROXY])
    wait_for("the proxy", lambda: "ready" in proxy.output())
    alice.join(world.gateway)
    alice.set("peer", world.gateway.key.public, "endpoint", f"{STATIC[4]}:4000")
    wait_for("alice", lambda: alice.host.probe("get", f"http://{SERVICE[4]}/").get("status") == 200, seconds=20)
    wait_for("at loopback", lambda: world.gateway.client_report(alice)["endpoint"].startswith("127.0.0.1:"))
    assert alice.host.probe("get", f"http://{SERVICE[4]}/bytes/1000000")["intact"]


@pytest.mark.long
def test_w1_rekeys_under_traffic_lose_nothing(world):
    """145 s of echoes: alice (wireguard-go, IPv4) and carol (boringtun, IPv6) start their sessions and rekey them
    after 120 s; for dave the gateway does, because he was never told where it is: it called him."""
    world = world()
    alice = world.client("alice")
    carol = world.client("carol", implementation="boringtun-cli", outer=6)
    dave = world.client("bob", port=41641)
    dave.user = "alice@example.com"
    for client in (alice, carol):
        world.gateway.admit(client)
    number = 44 + list(world.clients).index("bob")
    world.gateway.admit(dave, endpoint=f"192.0.2.{number}:41641", keepalive=5)
    dave.peer(world.gateway.key.public, ["203.0.113.0/24", "100.64.0.1/32"]).start()
    world.gateway.start()
    for client in (alice, carol):
        client.join(world.gateway)
    clients = (alice, carol, dave)
    for client in clients:
        settle(client, world.gateway)
    first = {client.name: client.handshake(world.gateway.key.public) for client in clients}
    jobs = [client.host.probing("udp", "udp", SERVICE[4], 7, "--count", 7250, "--interval", 0.02)
            for client in clients]
    for client, job in zip(clients, jobs):
        assert job.popen.wait(170) == 0
        result = json.loads(job.output())
        assert result["sent"] == result["received"] == 7250, (client.name, result)
        again = client.handshake(world.gateway.key.public)
        assert again - first[client.name] >= 100 and time.time() - again <= 125, client.name
