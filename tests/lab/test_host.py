# SPDX-License-Identifier: BSD-2-Clause
"""The gateway is a host too: its services, its own traffic, its other programs go on as if Sluice were not there."""
import datetime
import struct
import time

import pytest

from gateways import SLUICE, settle
from lab import HERE, wait_for
from net import SERVICE, STATIC, Service
from test_policy import refused_with_icmp
from wg import Key

TUNNEL = {4: "100.64.0.1", 6: "fd7a:115c:a1e0::1"}
SSH = 22


def ssh_like(world):
    """A TCP service on the gateway itself."""
    return Service(world.net.gateway, http=(SSH,), udp=(123,), name="ssh")


def test_ssh_from_outside_the_tunnel_survives_the_whole_life(world):
    """One connection from an administrator's machine lives through start, restart, kill -9 and down."""
    world = world()
    ssh_like(world)
    admin = world.net.client("admin")
    job = admin.probing("get", "get", f"http://{STATIC[4]}:{SSH}/slow/8000000/1000000", "--timeout", 4)
    alice = world.joined("alice")
    world.gateway.restart()
    for version in (4, 6):
        assert admin.probe("connect", STATIC[version], SSH)["connected"]
        assert admin.probe("udp", STATIC[version], 123)["received"] == 20
        admin.run(f"ping -c 3 -i 0.1 -W 1 {STATIC[version]}")
    world.gateway.kill9()
    assert admin.probe("connect", STATIC[4], SSH)["connected"]
    world.gateway.start()
    settle(alice, world.gateway)
    world.gateway.down()
    assert job.popen.wait(30) == 0
    assert '"bytes": 8000000' in job.output() and "error" not in job.output()


@pytest.mark.parametrize("form", ("one-armed", "two-armed"))
def test_the_hosts_own_connections(world, form):
    """The gateway fetches from the service itself, with the address that it shares with its clients."""
    world = world(form=form)
    alice = world.joined("alice")
    host = world.net.gateway
    for version in (4, 6):
        address = SERVICE[version] if version == 4 else f"[{SERVICE[version]}]"
        result = host.probe("get", f"http://{address}/bytes/5000000")
        assert result.get("error") is None and result["intact"]
        assert host.probe("udp", SERVICE[version], 7)["received"] == 20
        host.run(f"ping -c 3 -i 0.1 -W 1 {SERVICE[version]}")
    settle(alice, world.gateway)


@pytest.mark.parametrize("version", (4, 6))
def test_the_host_inside_the_tunnel(world, version):
    """An allowed client pings the gateway and uses its services; the gateway pings the client; bob may not."""
    world = world()
    ssh = ssh_like(world)
    alice, bob = world.joined("alice", "bob")
    alice.host.run(f"ping -c 3 -i 0.1 -W 1 {TUNNEL[version]}")
    address = TUNNEL[version] if version == 4 else f"[{TUNNEL[version]}]"
    result = alice.host.probe("get", f"http://{address}:{SSH}/bytes/5000000")
    assert result.get("error") is None and result["intact"]
    assert alice.host.probe("udp", TUNNEL[version], 123)["received"] == 20
    assert alice.tunnel_address(version) in ssh.clients(), "the host sees the client's own address"
    world.net.gateway.run(f"ping -c 3 -i 0.1 -W 1 {alice.tunnel_address(version)}")
    refused_with_icmp(bob.host, version, TUNNEL[version], SSH)


def test_the_host_opens_connections_to_a_client(world):
    world = world()
    alice = world.joined("alice")
    Service(alice.host, http=(8080,), udp=(), name="laptop")
    result = world.net.gateway.probe("get", f"http://{alice.tunnel_address()}:8080/bytes/5000000")
    assert result.get("error") is None and result["bytes"] == 5000000 and result["intact"]


def test_wg_show_and_wg_set(world):
    """The socket of the userspace protocol, in its default place: wg works as on any device."""
    world = world()
    alice, bob = world.joined("alice", "bob")
    host = world.net.gateway
    assert host.path("/run/wireguard/sluice0.sock").exists()
    shown = host.out("wg show sluice0 dump").splitlines()
    assert shown[0].split("\t")[1:3] == [world.gateway.key.public, "51820"]
    peers = {line.split("\t")[0]: line.split("\t") for line in shown[1:]}
    assert peers.keys() == {alice.key.public, bob.key.public}
    assert peers[alice.key.public][2].startswith("192.0.2.44:")
    assert set(peers[alice.key.public][3].split(",")) == {"100.64.0.5/32", "fd7a:115c:a1e0::5/128"}
    assert int(peers[alice.key.public][5]) > 0 and time.time() - int(peers[alice.key.public][4]) < 60
    host.run("wg show sluice0")
    host.run(["wg", "set", "sluice0", "peer", alice.key.public, "persistent-keepalive", "25"])
    assert "25" in host.out("wg show sluice0 persistent-keepalive")


def test_fault_20_wg_changes_no_peer_of_the_gateway(world):
    """Peers are the configuration's, whose clients point to them: a removed one was used after it was freed. What is
    refused changes nothing and says what to do instead."""
    world = world()
    alice, bob = world.joined("alice", "bob")
    host, thief = world.net.gateway, Key()
    shown = host.out("wg show sluice0 allowed-ips")
    for refused in (["peer", alice.key.public, "remove"],
                    ["peer", bob.key.public, "allowed-ips", "100.64.0.5/32"],
                    ["peer", thief.public, "allowed-ips", "100.64.0.5/32"],
                    ["peer", alice.key.public, "endpoint", "192.0.2.99:1"],
                    ["private-key", str(alice.secret(thief.private))]):
        done = host.run(["wg", "set", "sluice0", *refused], check=False)
        assert done.returncode and "not supported" in done.stderr, done
    done = host.run(["wg", "setconf", "sluice0", "/dev/stdin"], input="[Interface]\n", check=False)
    assert done.returncode, done
    said = world.gateway.process.output()
    assert said.count("nothing was changed: peers, keys and addresses are the configuration's") == 6, said
    assert "gateway.yaml and `sluice reload`" in said
    world.gateway.reload()
    assert host.out("wg show sluice0 allowed-ips") == shown
    assert bob.host.run(f"ping -c 1 -W 1 {SERVICE[4]}", check=False).returncode   # no rule allows bob
    settle(alice, world.gateway)


@pytest.mark.skipif("san" in str(SLUICE), reason="the sanitizers want to be loaded first; the plain build shows it")
@pytest.mark.parametrize("remedy", ("reset", "restart"))
def test_fault_25_a_client_whose_clock_was_ahead(world, remedy):
    """It was 400 days ahead and is right now: who is refused for ever is let in by `clients reset`, or by a restart."""
    world = world()
    library, ahead = world.lab.library(HERE / "clock.c"), world.lab.file("ahead")
    ahead.write_bytes(struct.pack("=q", 400 * 86400))
    alice, gateway = world.client("alice", implementation="sluice"), world.gateway
    alice.env = {"LD_PRELOAD": str(library), "CLOCK_AHEAD": str(ahead)}
    gateway.admit(alice)
    gateway.start()
    alice.join(gateway)
    settle(alice, gateway)
    alice.stop()
    ahead.write_bytes(struct.pack("=q", 0))
    before = gateway.drops()["wg_handshake"]
    alice.start()
    alice.host.run(f"ping -c 1 -W 1 {SERVICE[4]}", check=False)
    wait_for("the refusal", lambda: gateway.drops()["wg_handshake"] > before)
    assert gateway.command("clients", "reset", "nobody", check=False).returncode == 1
    if remedy == "reset":
        assert "reset alice-laptop" in gateway.command("clients", "reset", alice.name).stdout
    else:
        gateway.restart()
    settle(alice, gateway, seconds=30)


# ---- routes that change ------------------------------------------------------------------------------------------

def new_default_route(host):
    host.route("default", "via", "198.51.100.253")


def new_rule(host):
    host.run("ip route add 203.0.113.0/24 via 198.51.100.253 table 77")
    host.run("ip rule add to 203.0.113.0/24 lookup 77 priority 50")


def link_lost_and_back(host):
    host.run("ip link set eth0 down")
    host.run("ip link set eth0 up")
    host.route("default", "via", "198.51.100.253")


@pytest.mark.parametrize("change", (new_default_route, new_rule, link_lost_and_back))
@pytest.mark.parametrize("kind", ("baseline", "sluice"))
def test_next_hops_follow_within_2_seconds(world, kind, change):
    """A second router on the same wire takes over. The baseline has the kernel's own routing to follow."""
    world = world(kind)
    alice = world.joined("alice")
    second = world.net.second_router()
    change(world.net.gateway)
    with second.capture("up0", f"src host {STATIC[4]} and icmp", "in") as capture:
        settle(alice, world.gateway, seconds=2)
        alice.host.run(f"ping -c 3 -i 0.1 -W 1 {SERVICE[4]}")
    assert capture.count() >= 3


def drop_default(host):
    host.run("ip route del default")


def drop_both_defaults(host):
    host.run("ip route del default")
    host.run("ip -6 route del default")


def refuse_the_net(host):
    host.run("ip route add unreachable 203.0.113.0/24")


@pytest.mark.parametrize("harm, named, why", (
    (drop_default, True, "this host has no route to it"),
    (refuse_the_net, True, "this host has no route to it"),
    (drop_both_defaults, False, "there is no default route, and egress.interface names none"),
), ids=lambda value: getattr(value, "__name__", None))
def test_no_way_to_a_service_is_said_and_mended(world, harm, named, why):
    """One line of the log, status, routes and doctor tell the same; so does the way that is there again."""
    world = world()
    host, gateway = world.net.gateway, world.gateway
    if not named:
        del gateway.config["egress"]["interface"]
    alice = world.joined("alice")
    settle(alice, gateway)
    assert gateway.json("status")["degraded"] is False
    harm(host)
    wait_for("a note", lambda: [note for note in gateway.json("status")["notes"] if note.endswith(why)])
    notes = gateway.json("status")["notes"]
    assert len(notes) == 1 and notes[0].startswith("no way to 203.0.113.0/24") and notes[0].endswith(why)
    assert gateway.process.output().count(notes[0]) == 1
    assert "   degraded   " in gateway.command("status").stdout.splitlines()[0]
    routes = {route["prefix"]: route for route in gateway.json("routes")["routes"]}
    assert routes["203.0.113.0/24"]["active"] is False and routes["203.0.113.0/24"]["reason"] == why
    assert routes["2001:db8:3::/64"]["active"] is (harm is not drop_both_defaults)
    found = gateway.json("doctor", "-c", str(gateway.folder / "gateway.yaml"), check=False)["checks"]
    failed = [entry for entry in found if entry["result"] == "fail"]
    assert [entry for entry in failed if entry["check"] == "routes" and "203.0.113.0/24" in entry["text"]], failed
    assert {entry["check"] for entry in failed} <= {"routes", "interfaces"}, failed
    host.run("ip route del unreachable 203.0.113.0/24", check=False)
    host.route("default", "via", "198.51.100.254")
    host.run("ip -6 route replace default via 2001:db8:1::fe")
    wait_for("status", lambda: not gateway.json("status")["degraded"])
    wait_for("the log", lambda: gateway.process.output().count("there is a way to 203.0.113.0/24") == 1)
    assert all(route["active"] for route in gateway.json("routes")["routes"])
    settle(alice, gateway)


@pytest.mark.skipif("san" in str(SLUICE), reason="the sanitizers want to be loaded first; the plain build shows it")
def test_a_clock_that_jumps(world):
    """Somebody's last day seems to be over, then the clock is set right: what he lost he gets back, unasked."""
    world = world()
    library, ahead = world.lab.library(HERE / "clock.c"), world.lab.file("ahead")
    world.gateway.env = {"LD_PRELOAD": str(library), "CLOCK_AHEAD": str(ahead)}
    alice = world.joined("alice")
    day = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=2)
    world.gateway.clients[0]["expires"] = day.strftime("%Y-%m-%d")
    world.gateway.reload()
    settle(alice, world.gateway)
    for seconds, expired in ((3 * 86400, True), (0, False)):
        ahead.write_bytes(struct.pack("=q", seconds))
        wait_for(f"expired: {expired}", lambda: world.gateway.client_report(alice)["expired"] is expired)
        assert not expired or not alice.host.probe("connect", SERVICE[4], 80, "--timeout", 1)["connected"]
    settle(alice, world.gateway, seconds=30)  # her WireGuard takes 15 s to find her session gone
