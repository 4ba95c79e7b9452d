# SPDX-License-Identifier: BSD-2-Clause
r"""Several gateways, machines behind a NAT, other versions: the rest of a real tailnet (issue 6).

    headscale 10.9.1.254 ─┐                  ┌─ gw-1 ─ 198.51.100.1 ─┐
    client    10.9.1.2   ─┼── net (bridge) ──┤                       ├── out (bridge) ── 198.51.100.9 service
    behind    10.0.0.2 ─ nat 10.9.1.5 ─┘     └─ gw-2 ─ 198.51.100.3 ─┘                      203.0.113.9, 203.0.114.9
"""
import contextlib
import itertools
import json
import os
import signal
import sqlite3
import time

import pytest
from lab import say, wait_for
from net import Service
from tailnet import PEERS, Member, TailscaleClient, TailscaleRouter, Tailnet, require

NEAR, FAR = "203.0.113.9", "203.0.114.9"        # of two services, that two gateways may have in turn
ROUTES = {NEAR: "203.0.113.0/24", FAR: "203.0.114.0/24"}
MEGABYTE = 1 << 20
PROBING = """
node: { routes: { ha: { probe_interval: 4s, probe_timeout: 2s } } }
"""


class Branch:
    """A gateway's machine: eth0 on the tailnet's wire, eth1 towards the services. What Sluice wants of a net."""
    underlay, egress = "eth0", "eth1"

    def __init__(self, world, number):
        self.lab, self.static, self.static6 = world.lab, f"198.51.100.{number}", f"2001:db8:1::{number}"
        self.gateway = world.tailnet.machine(f"machine-{number}", f"10.9.1.{number}")
        self.lab.cable(self.gateway, "eth1", world.out, f"o{number}")
        world.out.run(f"ip link set o{number} master br0")
        self.gateway.address("eth1", f"{self.static}/24", f"{self.static6}/64")
        self.gateway.route("default", "via", "198.51.100.9")
        self.gateway.run("ip -6 route add default via 2001:db8:1::9")

    def egress_addresses(self):
        return [self.static, self.static6]

    def public_addresses(self):
        return []


class World:
    def __init__(self, lab, tailnet=Tailnet, **options):
        self.lab, self.tailnet = lab, tailnet(lab, **options)
        self.out = lab.host("out")
        self.out.run("ip link add br0 type bridge")
        self.out.run("ip link set br0 up")
        far = lab.host("service")
        lab.cable(far, "eth0", self.out, "s0")
        self.out.run("ip link set s0 master br0")
        far.address("eth0", "198.51.100.9/24", "2001:db8:1::9/64")
        far.address("lo", f"{NEAR}/32", f"{FAR}/32")
        self.service = Service(far)
        self.tailnet.policy["autoApprovers"] = {
            "routes": {route: ["tag:gw"] for route in (*ROUTES.values(), "0.0.0.0/0", "::/0")}, "exitNode": ["tag:gw"]}
        self.tailnet.policy["acls"] = [{"action": "accept", "src": ["group:eng"], "dst": ["*:*"]}]
        self.tailnet.reload_policy()

    def gateway(self, number, routes):
        """`sluice run` on a branch of its own, as gw-NUMBER."""
        member = Member(self.tailnet, Branch(self, number), self.tailnet.key("--tags", "tag:gw"), name=f"gw-{number}")
        member.config |= {"state": str(self.tailnet.dir / f"gw-{number}"), "routes": routes}
        return member.start()

    def router(self, number, routes):
        """A real tailscaled there."""
        return TailscaleRouter(self.tailnet, Branch(self, number).gateway, routes, name=f"router-{number}")

    def primary(self, route):
        """Who serves a route now."""
        return [node["name"] for node in self.tailnet.hs("nodes", "list-routes")
                if route in node.get("subnet_routes", [])]

    def seen_from(self, client, service):
        """Opens a connection; the address that the service saw, or None."""
        seen = len(self.service.seen())
        if not client.host.probe("get", f"http://{service}/", "--timeout", 1).get("bytes"):
            return None
        return self.service.seen()[seen]["client"]

    def gateways_may_know(self):
        """headscale tells whose a route is only to whom the rules let in there, so it does not tell the gateways."""
        self.tailnet.policy["acls"].append({"action": "accept", "src": ["tag:gw"], "dst": ["*:*"]})
        self.tailnet.reload_policy()

    def primary_as_told(self, gateway, service):
        """Whether a gateway is the primary of the service's route, and who is."""
        routes = gateway.json("routes")["routes"]
        told = next(route["primary"] for route in routes if route["prefix"] == ROUTES[service])
        return told["ours"], told["node"]

    def await_seen(self, client, service, address, seconds=40):
        start = time.monotonic()
        wait_for(f"{service} reached by {address}", lambda: self.seen_from(client, service) == address, seconds)
        say(f"# {service} by {address} after {time.monotonic() - start:.1f} s")


@pytest.fixture
def world(lab):
    require()
    return lambda **options: World(lab, **options)


def newer():
    return {"headscale": PEERS / "newer/headscale", "more": PROBING}


# ---- 5: behind a NAT, roaming -----------------------------------------------------------------------------------

def behind_nat(world, address="10.9.1.5"):
    """A client whose router masquerades; nothing from outside finds it unasked."""
    router, inside = world.tailnet.machine("nat", address), world.lab.host("behind")
    world.lab.cable(inside, "eth0", router, "eth1")
    router.address("eth1", "10.0.0.1/24")
    inside.address("eth0", "10.0.0.2/24")
    inside.route("default", "via", "10.0.0.1")
    router.sysctl(net__ipv4__ip_forward=1)
    router.nft("""table ip nat {
        chain out { type nat hook postrouting priority 100; oif eth0 masquerade fully-random; }
        chain forward {
            type filter hook forward priority 0; policy drop;
            iif eth1 accept; ct state established accept
        }
    }""")
    return router, TailscaleClient(world.tailnet, "behind", host=world.tailnet.introduce(inside))


@pytest.mark.parametrize("first", ["client", "gateway"])
def test_behind_a_nat(world, first):
    """6.5: whoever begins, the path becomes direct, and it is the NAT's address that we send to."""
    world = world()
    gateway = world.gateway(1, [ROUTES[NEAR]])
    _, client = behind_nat(world)
    if first == "gateway":
        wait_for("the peer", lambda: any(c["name"] == "behind" for c in gateway.json("clients")["clients"]), 15)
        gateway.command("ping", "behind", check=False)
    world.await_seen(client, NEAR, "198.51.100.1")
    wait_for("a direct path", lambda: (client.peer("gw-1") or {}).get("CurAddr") == "10.9.1.1:41641" or
             not client.ping("gw-1", "--c", "2"), 30)
    wait_for("our side of it", lambda: (gateway.client_report(client)["endpoint"] or "").startswith("10.9.1.5:"), 15)


def test_roaming(world):
    """6.5: the client's address changes under a download, which goes on."""
    world = world()
    gateway = world.gateway(1, [ROUTES[NEAR]])
    client = TailscaleClient(world.tailnet)
    world.await_seen(client, NEAR, "198.51.100.1")
    download = client.host.probing("download", "get", f"http://{NEAR}/slow/{20 * MEGABYTE}/{2 * MEGABYTE}",
                                   "--timeout", 40)
    wait_for("the flow", lambda: gateway.json("flows")["flows"])
    client.host.run("ip addr add 10.9.1.77/24 dev eth0")
    client.host.run("ip addr del 10.9.1.2/24 dev eth0")
    client.host.run("ip addr add 10.9.1.77/24 dev eth0", check=False)
    wait_for("the new address", lambda: (gateway.client_report(client)["endpoint"] or "").startswith("10.9.1.77:"), 30)
    assert download.popen.wait(60) == 0 and f'"bytes": {20 * MEGABYTE}' in download.output()


# ---- 6: two gateways with one route -----------------------------------------------------------------------------

def kill(gateway):
    gateway.kill9()
    return gateway.start


def freeze(gateway):
    pids = gateway.pids()
    gateway.host.run(["kill", "-STOP", *map(str, pids)])
    return lambda: gateway.host.run(["kill", "-CONT", *map(str, pids)])


def cut_off(gateway):
    gateway.host.run("ip link set eth0 down")
    return lambda: gateway.host.run("ip link set eth0 up")


def first_is_basic(rows):
    """The first row is a basic promise, the others are tried by check-long."""
    return [pytest.param(*rows[0]), *(pytest.param(*row, marks=pytest.mark.long) for row in rows[1:])]


@pytest.mark.parametrize("end, other", first_is_basic([(end, other) for end in (kill, freeze, cut_off)
                                                       for other in ("sluice", "tailscaled")]),
                         ids=lambda value: getattr(value, "__name__", value))
def test_failover(world, end, other):
    """6.6: the primary is lost: the other serves; the recovered one stays second."""
    world = world(**newer())
    if other == "sluice":
        world.gateways_may_know()
    first = world.gateway(1, [ROUTES[NEAR]])
    client = TailscaleClient(world.tailnet)
    world.await_seen(client, NEAR, "198.51.100.1")
    if other == "sluice":
        world.gateway(3, [ROUTES[NEAR]])
    else:
        world.router(3, [ROUTES[NEAR]])
    wait_for("two routers", lambda: len([n for n in world.tailnet.hs("nodes", "list-routes")
                                         if ROUTES[NEAR] in n.get("approved_routes", [])]) == 2, 15)
    world.await_seen(client, NEAR, "198.51.100.1")
    if other == "sluice":
        wait_for("the first knows that it is primary", lambda: world.primary_as_told(first, NEAR) == (True, "gw-1"), 15)
    back = end(first)
    world.await_seen(client, NEAR, "198.51.100.3", seconds=25)
    back()
    wait_for("the first is back", lambda: world.tailnet.node("gw-1").get("online"), 30)
    world.await_seen(client, NEAR, "198.51.100.3")
    assert world.primary(ROUTES[NEAR]) == ["gw-3" if other == "sluice" else "router-3"]
    if other == "sluice":
        wait_for("the first knows that it is second", lambda: world.primary_as_told(first, NEAR) == (False, "gw-3"), 15)


# ---- 7: two gateways with different routes; an exit node ----------------------------------------------------------

def test_two_gateways(world):
    """6.7: each service is reached by the gateway near it, at the same time."""
    world = world()
    gateway = world.gateway(1, [ROUTES[NEAR]])
    world.gateway(3, [ROUTES[FAR]])
    client = TailscaleClient(world.tailnet)
    world.await_seen(client, NEAR, "198.51.100.1")
    world.await_seen(client, FAR, "198.51.100.3")
    world.await_seen(client, NEAR, "198.51.100.1")
    assert world.primary_as_told(gateway, NEAR) == (None, None)
    assert "not told" in gateway.command("routes").stdout


@pytest.mark.parametrize("approved", ["by policy", "later"])
def test_exit_node(world, approved):
    """6.7: the default routes, approved and chosen by the client; not chosen, nothing goes that way. headscale does not
    tell a node of an approval."""
    world = world()
    if approved == "later":
        del world.tailnet.policy["autoApprovers"]["exitNode"]
        world.tailnet.policy["autoApprovers"]["routes"] = {}
        world.tailnet.reload_policy()
    gateway = world.gateway(1, ["0.0.0.0/0", "::/0"])
    client = TailscaleClient(world.tailnet)
    if approved == "later":
        assert not any(route["approved"] for route in gateway.json("routes")["routes"])
        world.tailnet.hs("nodes", "approve-routes", "-i", str(world.tailnet.node("gw-1")["id"]), "-r", "0.0.0.0/0,::/0")
    wait_for("the exit node", lambda: (client.peer("gw-1") or {}).get("ExitNodeOption"), 15)
    assert world.seen_from(client, NEAR) is None
    client.ts("set", f"--exit-node={client.peer('gw-1')['TailscaleIPs'][0]}")
    world.await_seen(client, NEAR, "198.51.100.1")
    assert all(route["approved"] for route in gateway.json("routes")["routes"])
    client.ts("set", "--exit-node=")
    wait_for("left", lambda: world.seen_from(client, NEAR) is None)


# ---- 8: versions, restarts ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("versions", ["newer-headscale", "older-tailscaled"])
def test_versions(world, versions):
    """6.8: another server, another client."""
    world = world(**(newer() if versions == "newer-headscale" else {}))
    world.gateway(1, [ROUTES[NEAR]])
    client = TailscaleClient(world.tailnet, programs=PEERS / "older" if versions == "older-tailscaled" else PEERS)
    world.await_seen(client, NEAR, "198.51.100.1")
    assert "via 10.9.1.1:41641" in client.ping("gw-1", "--c", "5")
    down = client.host.probe("get", f"http://{NEAR}/bytes/{10 * MEGABYTE}", "--timeout", 20)
    assert down["bytes"] == 10 * MEGABYTE and down["intact"]


def restart_server(world, gateway, client):
    world.tailnet.server.stop(signal.SIGTERM)
    world.tailnet.serve()


def restart_gateway(world, gateway, client):
    gateway.restart()


def restart_client(world, gateway, client):
    client.daemon.stop()
    client.serve()


RESTARTS = {"gateway": restart_gateway, "headscale": restart_server, "client": restart_client}


@pytest.mark.parametrize("order", first_is_basic([(" ".join(order),) for order in itertools.permutations(RESTARTS)]))
def test_restarts(world, order):
    """6.8: everything restarts, one after the other, and finds back without help."""
    world = world()
    gateway = world.gateway(1, [ROUTES[NEAR]])
    client = TailscaleClient(world.tailnet)
    world.await_seen(client, NEAR, "198.51.100.1")
    for name in order.split():
        RESTARTS[name](world, gateway, client)
        world.await_seen(client, NEAR, "198.51.100.1", seconds=30)
    gateway.await_state("connected", 60)


@pytest.mark.parametrize("server", ["headscale", "newer-headscale"])
def test_deleted_on_the_server(world, server):
    """T6: headscale says nothing to a gateway that it deletes; who tells it something hears of it, and joins again."""
    world = world(**(newer() if server == "newer-headscale" else {}))
    gateway = world.gateway(1, [ROUTES[NEAR]])
    client = TailscaleClient(world.tailnet)
    world.await_seen(client, NEAR, "198.51.100.1")
    world.tailnet.hs("nodes", "delete", "-i", str(world.tailnet.node("gw-1")["id"]), "--force")
    gateway.host.address("eth0", "10.9.1.99/24")
    wait_for("the news", lambda: "the server does not know this node any more" in gateway.process.output(), 30)
    gateway.await_state("connected", 30)
    wait_for("the server to say so, too", lambda: world.tailnet.node("gw-1")["online"], 10)
    if server == "newer-headscale":  # 0.28 leaves the route with the node that is gone, for a real tailscaled, too
        world.await_seen(client, NEAR, "198.51.100.1")


def test_a_newcomer_in_no_rule(world):
    """A server that lost an update shows a client that its rules do not name: the netmap is asked for again, once."""
    world = world()
    allowed = world.tailnet.policy["acls"]
    world.tailnet.policy["acls"] = [{"action": "accept", "src": ["tag:gw"], "dst": ["group:eng:*"]}]
    world.tailnet.reload_policy()
    gateway = world.gateway(1, [ROUTES[NEAR]])
    client = TailscaleClient(world.tailnet)
    wait_for("the doubt", lambda: "no rule names a node that is new" in gateway.process.output(), 20)
    gateway.await_state("connected", 20)
    world.tailnet.policy["acls"] = allowed
    world.tailnet.reload_policy()
    world.await_seen(client, NEAR, "198.51.100.1")
    assert gateway.process.output().count("asking for the netmap again") == 1


# ---- a large tailnet ------------------------------------------------------------------------------------------------

def populate(tailnet, count):
    """Nodes that never come, put into the server's database while it is down."""
    with contextlib.closing(sqlite3.connect(tailnet.dir / "db.sqlite")) as database, database:
        database.executemany(
            "insert into nodes (machine_key, node_key, disco_key, endpoints, host_info, ipv4, ipv6, hostname, "
            "given_name, user_id, register_method, tags, approved_routes, created_at, updated_at, last_seen) values "
            "(?, ?, ?, '[]', '{}', ?, ?, ?, ?, 1, 'cli', '[]', '[]', ?, ?, ?)",
            [(f"mkey:{os.urandom(32).hex()}", f"nodekey:{os.urandom(32).hex()}", f"discokey:{os.urandom(32).hex()}",
              f"100.80.{i >> 8}.{i & 255}", f"fd7a:115c:a1e0:1::{i:x}", name, name, *[time.strftime("%F %T+00:00")] * 3)
             for i, name in enumerate((f"n{i:05}" for i in range(count)), 1)])


@pytest.mark.long
def test_hundreds_of_peers(world):
    """While some of 300 peers are removed and others come and move, a download loses nothing.

    With 1,000 this server lets no tailscaled in within 30 s here.
    """
    world = world()
    world.tailnet.server.stop(signal.SIGTERM)
    populate(world.tailnet, 300)
    world.tailnet.serve(seconds=120)
    gateway = world.gateway(1, [ROUTES[NEAR]])
    client = TailscaleClient(world.tailnet)
    world.await_seen(client, NEAR, "198.51.100.1", seconds=40)
    wait_for("all of them", lambda: len(gateway.json("clients")["clients"]) == 301, 20)
    download = client.host.probing("download", "get", f"http://{NEAR}/slow/{24 * MEGABYTE}/{2 * MEGABYTE}",
                                   "--timeout", 60)
    wait_for("the flow", lambda: gateway.json("flows")["flows"])
    for number in (7, 8, 9):
        world.tailnet.hs("nodes", "delete", "-i", str(number), "--force")
    wait_for("fewer", lambda: len(gateway.json("clients")["clients"]) == 298, 20)
    other = TailscaleClient(world.tailnet, "other", "10.9.1.4")
    world.await_seen(other, NEAR, "198.51.100.1", seconds=30)
    assert download.popen.wait(60) == 0, download.output()
    result = json.loads(download.output().splitlines()[-1])
    assert result["bytes"] == 24 * MEGABYTE and result["intact"] and result["silence"] < 3
