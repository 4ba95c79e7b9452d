# SPDX-License-Identifier: BSD-2-Clause
r"""Sluice as the subnet router of a real tailnet: real headscale, real clients (issue 6).

    headscale 192.0.2.44 ─┐ lan           ┌─ gateway 198.51.100.1 (sluice run)
    alice     192.0.2.46 ─┼──── router ───┤
    bob       192.0.2.47 ─┘               └─ service 203.0.113.9, which admits 198.51.100.1 alone
"""
import base64
import json
import pathlib
import re
import time

import pytest
from gateways import SLUICE
from lab import wait_for
from net import OTHER, ROUTES, SERVICE, STATIC, Internet
from tailnet import Lan, Member, TailscaleClient, Tailnet, require

MINE = [f"{SERVICE[4]}/32:*", f"{SERVICE[6]}/128:*", "tag:gw:*"]  # what alice may
MEGABYTE = 1 << 20
RATE = 1_000_000
DIRECT = r"via (198\.51\.100\.1|\[2001:db8:1::1\]):41641"
# Our relay and STUN stay reachable: what dies is the way from node to node.
NO_DIRECT = """
table inet block {
	chain out { type filter hook output priority 0; udp sport 41641 udp dport != 3478 drop; }
	chain in { type filter hook input priority 0; udp dport 41641 udp sport != 3478 drop; }
}
"""


class World:
    def __init__(self, lab, two_regions=False):
        self.net = Internet(lab)
        self.tailnet = Tailnet(lab, two_regions, wire=Lan(self.net))
        self.tailnet.hs("users", "create", "bob")
        self.tailnet.policy["autoApprovers"]["routes"] = {route: ["tag:gw"] for route in ROUTES}
        self.allow(MINE, bob=[f"{OTHER[4]}/32:443"])
        self.service = self.net.service
        self.logins = 0

    def allow(self, alice, bob):
        self.tailnet.policy["acls"] = [{"action": "accept", "src": [user], "dst": dst}
                                       for user, dst in (("group:eng", alice), ("bob@", bob)) if dst]
        self.tailnet.reload_policy()

    def gateway(self, tagged=True, **section):
        key = self.tailnet.key(*(("--tags", "tag:gw") if tagged else ()))
        return Member(self.tailnet, self.net, key, **section)

    def client(self, name="alice", **options):
        return TailscaleClient(self.tailnet, name, None, user=2 if name == "bob" else 1, **options)


@pytest.fixture
def world(lab):
    require()
    return lambda **options: World(lab, **options)


def url(version, path="/"):
    return f"http://{SERVICE[version] if version == 4 else '[' + SERVICE[version] + ']'}{path}"


def connect(client, address=SERVICE[4], port=80, seconds=1):
    return client.host.probe("connect", address, port, "--timeout", seconds)


def await_service(client, address=SERVICE[4], seconds=60):
    wait_for(f"{client.name} reaches {address}", lambda: connect(client, address)["connected"], seconds)


def down_and_up(client, version, megabytes=20):
    for kind, *arguments in (("get", url(version, f"/bytes/{megabytes * MEGABYTE}")),
                             ("put", url(version), megabytes * MEGABYTE)):
        result = client.host.probe(kind, *arguments)
        assert result.get("error") is None and result["bytes"] == megabytes * MEGABYTE and result["intact"]


class Download:
    """A slow one in the background, to be looked at when it has ended."""

    def __init__(self, client, seconds, address=SERVICE[4]):
        self.bytes = seconds * RATE
        self.process = client.host.probing(f"download-{client.name}", "get",
                                           f"http://{address}/slow/{self.bytes}/{RATE}", "--timeout", 30)
        self.seconds = seconds

    def result(self):
        self.process.popen.wait(self.seconds + 30)
        return json.loads(self.process.output())

    def check(self, silence=5):
        result = self.result()
        assert result.get("error") is None and result["bytes"] == self.bytes and result["intact"]
        assert result["silence"] < silence
        return result


def route(client, prefix=ROUTES[0]):
    return prefix in (client.peer("gw-1") or {}).get("AllowedIPs", [])


@pytest.mark.parametrize("outer", (4, 6))
def test_download_and_upload(world, outer):
    """6.1: by the static address alone, both families inside, either one outside, straight."""
    world = world()
    gateway = world.gateway().start()
    other = {4: "meta nfproto ipv6", 6: "meta nfproto ipv4"}[outer]
    alice = world.client(rules="table inet outer {\n chain out { type filter hook output priority 0; "
                               f"{other} udp dport 41641 drop; }}\n}}\n")
    await_service(alice)
    for version in (4, 6):
        down_and_up(alice, version)
    assert world.service.clients() == {STATIC[4], STATIC[6]}
    assert {4: "via 198.51.100.1:41641", 6: "via [2001:db8:1::1]:41641"}[outer] in alice.ping("gw-1", "--c", "5")
    peer = alice.peer("gw-1")
    assert peer["Online"] and peer["Active"] and peer["Tags"] == ["tag:gw"]
    assert set(ROUTES) <= set(peer["PrimaryRoutes"])
    assert "direct" in next(line for line in alice.ts("status").splitlines() if " gw-1 " in line)
    assert {flow["user"] for flow in gateway.json("flows", "--user", "alice")["flows"]} == {"alice@"}
    assert "direct" in [pong["path"] for pong in gateway.json("ping", "alice.tail.example")["pongs"]]
    assert gateway.doctor("policy")[0]["result"] == gateway.doctor("clients")[0]["result"] == "ok"
    for name in ("alice", "alice@", "alice.lab.test."):
        verdict = gateway.command("explain", name, SERVICE[4], "tcp", "80").stdout
        assert "rule 1  of the coordination server  " in verdict
    assert gateway.json("ping", "ALICE.lab.test")["pongs"]
    assert "gw-1 is this gateway" in gateway.command("ping", "gw-1", check=False).stderr
    report = gateway.json("clients")["clients"][0]
    assert report["name"] == "alice" and report["user"] == "alice@" and report["path"] == "direct"
    assert {4: "192.0.2.45:41641", 6: "[2001:db8:2::45]:41641"}[outer] == report["endpoint"]
    # All of it keeps within the tunnel and the translation, and is told.
    assert gateway.json("status")["tailnet"]["home"] == "lab"
    assert not {"wg_reserved", "inner_source", "client"} & {reason for reason, n in gateway.drops().items() if n}


def test_refused_then_allowed_then_cut(world):
    """6.2: refused with ICMP; what the server changes takes effect within 2 s, and nobody else notices."""
    world = world()
    gateway = world.gateway().start()
    alice, bob = world.client("alice"), world.client("bob")
    await_service(alice)
    wait_for("bob's own service", lambda: connect(bob, OTHER[4], 443)["connected"], 15)
    for _ in range(3):
        refused = connect(bob)
        assert not refused["connected"] and refused["error"] in ("EHOSTUNREACH", "EACCES", "ECONNREFUSED")
        assert refused["seconds"] < 1
    download = Download(alice, 12)
    world.allow(MINE, [f"{OTHER[4]}/32:443", f"{SERVICE[4]}/32:80"])
    await_service(bob, seconds=2)
    his = Download(bob, 20)
    time.sleep(1)
    world.allow(MINE, [f"{OTHER[4]}/32:443"])
    changed = time.monotonic()
    wait_for("bob is refused", lambda: not connect(bob)["connected"], 2)
    wait_for("bob's flow is gone", lambda: not [
        flow for flow in gateway.json("flows")["flows"]
        if flow["client"] == "bob" and flow["service"].startswith(SERVICE[4])], 5)
    download.check(silence=1)
    assert his.result()["bytes"] < (time.monotonic() - changed + 5) * RATE
    assert "100.64.0." in gateway.command("netmap").stdout


def test_route_approval(world):
    """6.3: an untagged gateway's route has to be approved; taken back, nothing passes any more."""
    world = world()
    gateway = world.gateway(tagged=False).start()
    world.allow(["203.0.113.0/24:*", "alice@:*"], [])
    alice = world.client()
    wait_for("the gateway at the client", lambda: alice.peer("gw-1"))
    wait_for("what we advertise", lambda: ROUTES[0] in world.tailnet.node("gw-1").get("available_routes", []))
    assert not route(alice) and not connect(alice)["connected"]
    number = str(world.tailnet.node("gw-1")["id"])
    world.tailnet.hs("nodes", "approve-routes", "-i", number, "-r", ROUTES[0])
    await_service(alice)
    first, second = gateway.json("routes")["routes"]
    assert first["active"] and first["by"].startswith("coordination server") and not second["active"]
    world.tailnet.hs("nodes", "approve-routes", "-i", number, "-r", "")
    wait_for("nothing passes", lambda: not connect(alice)["connected"], 5)


def test_relayed_while_udp_is_blocked(world):
    """6.4: by the relay while no datagram passes between the nodes, straight within 30 s once it does; no break."""
    world = world()
    gateway = world.gateway().start()
    gateway.host.nft(NO_DIRECT)
    alice = world.client()
    await_service(alice)
    wait_for("our home at the client", lambda: alice.peer("gw-1")["Relay"] == "lab")
    down_and_up(alice, 4, megabytes=2)
    report = gateway.json("clients")["clients"][0]
    assert report["path"] == "relay" and report["relay"] == "lab" and report["endpoint"] is None
    pongs = gateway.json("ping", "--count", "3", "alice")["pongs"]
    assert pongs and all(pong["path"] == "relay" for pong in pongs)
    download = Download(alice, 20)
    time.sleep(3)
    gateway.host.run("nft delete table inet block")
    wait_for("straight", lambda: gateway.json("clients")["clients"][0]["path"] == "direct", 30)
    assert re.search(DIRECT, alice.ping("gw-1", "--c", "20", "--timeout", "1s"))
    assert re.search(r"pong from alice by \S+:41641 in [\d.]+ ms", gateway.command("ping", "alice").stdout)
    gateway.host.nft(NO_DIRECT)  # and back, within the same download
    wait_for("relayed", lambda: gateway.json("clients")["clients"][0]["path"] == "relay", 15)
    download.check(silence=20)  # a path is trusted for 6.5 s, and TCP's next try may be as far away again


def test_two_regions(world):
    """6.4: our home is the region that answers, and is told; a peer homed in the other one is reached there."""
    world = world(two_regions=True)
    first, second = "192.0.2.44", "192.0.2.45"
    gateway = world.gateway()

    def blind(server):
        return NO_DIRECT + (f"table inet far {{\n chain out {{ type filter hook output priority 0; ip daddr {server} "
                            "udp dport 3478 drop; }\n}\n")

    gateway.host.nft(blind(first))
    gateway.start()
    wait_for("home", lambda: gateway.state()["home"] == "far")
    alice = world.client(rules=blind(second))
    wait_for("our home at the client", lambda: (alice.peer("gw-1") or {}).get("Relay") == "far")
    await_service(alice)
    wait_for("the client's home", lambda: gateway.json("netmap")["peers"][0]["relay"] == "lab")
    down_and_up(alice, 4, megabytes=2)
    report = gateway.json("clients")["clients"][0]
    assert report["path"] == "relay" and report["relay"] == "lab"


def test_first_contact(world):
    """6.9: the first connection of a client that has never spoken with us comes about within 1 s."""
    world = world()
    world.gateway().start()
    alice = world.client()
    wait_for("the route", lambda: route(alice) and alice.peer("gw-1")["Relay"] == "lab")
    wait_for("the route in the kernel", lambda: "tailscale0" in alice.host.out(f"ip route get {SERVICE[4]}"))
    assert alice.peer("gw-1")["LastHandshake"].startswith("0001")
    first = connect(alice, seconds=5)
    assert first["connected"] and first["seconds"] < 1


def test_the_server_is_away(world):
    """Traffic goes on, over a restart of ours too: ready on the netmap that was kept; then it is as before."""
    world = world()
    gateway = world.gateway().start()
    alice = world.client()
    await_service(alice)
    assert [check["result"] for check in gateway.doctor("tailnet")] == ["ok"]
    world.tailnet.server.popen.kill()
    gateway.await_state("offline")
    assert [check["result"] for check in gateway.doctor("tailnet")] == ["warn"]
    down_and_up(alice, 4)
    download = Download(alice, 12)
    time.sleep(2)
    gateway.restart()
    assert gateway.state()["state"] in ("connecting", "offline")
    download.check(silence=10)
    down_and_up(alice, 4)
    world.tailnet.serve()
    gateway.await_state("connected", 60)
    await_service(alice)


def test_an_auth_key_is_for_logging_in(world):
    """A gateway that is known starts without a good one; a new node key that is refused costs nobody a packet; `up`
    reads the file again."""
    world = world()
    gateway = world.gateway().start()
    alice = world.client()
    await_service(alice)
    authkey = gateway.folder / "authkey"
    good, key = authkey.read_text(), gateway.json("netmap")["self"]["key"]
    authkey.write_text("hskey-auth-nobody-knows-this\n")
    gateway.restart()
    gateway.await_state("connected")
    download = Download(alice, 6)
    done = gateway.command("up", "--new-key", "--timeout", "10", check=False)
    assert done.returncode == 1 and "auth-key" in done.stderr
    gateway.await_state("connected")
    assert gateway.json("netmap")["self"]["key"] == key
    download.check()
    authkey.chmod(0o644)
    assert "no auth key: " in gateway.command("up", "--timeout", "10").stderr
    authkey.chmod(0o600)
    authkey.write_text(good)
    gateway.command("up", "--new-key", "--timeout", "10")
    assert gateway.json("netmap")["self"]["key"] != key
    await_service(alice)


SECRETS = """
import re, sys
found = {}
keys = {name: bytes.fromhex(text) for name, text in (word.split("=") for word in sys.argv[2:])}
regions = re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", open(f"/proc/{sys.argv[1]}/smaps").read(), flags=re.M)
with open(f"/proc/{sys.argv[1]}/mem", "rb") as mem:
    for region in regions:
        place = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw.*", region)
        if not place:
            continue
        begin, end = int(place[1], 16), int(place[2], 16)
        flags = re.search(r"^VmFlags: (.*)$", region, re.M)[1].split()
        try:
            mem.seek(begin)
            text = mem.read(end - begin)
        except OSError:
            continue
        for name, key in keys.items():
            if key in text:
                found.setdefault(name, []).append({"lo", "dd"} <= set(flags) or place[0])
print(found)
"""


def test_fault_25_keys_of_the_node_are_in_locked_memory(world):
    """Those of the gateway, of the machine and the node in the network process, and the auth key in both: not on a heap
    that is swapped, and nowhere once they were needed."""
    gateway = world().gateway().start()
    folder = pathlib.Path(gateway.config["state"]) / "tailnet"
    keys = {name: base64.b64decode((folder / f"{name}.key").read_text()).hex() for name in ("node", "disco", "machine")}
    keys["authkey"] = (gateway.folder / "authkey").read_text().strip().encode().hex()
    daemon, network = gateway.pids()
    for pid, names in ((daemon, keys), (network, ["machine", "authkey"])):
        found = eval(gateway.host.out(["/usr/bin/python3", "-c", SECRETS, str(pid),
                                       *(f"{name}={keys[name]}" for name in names)]))
        assert found.keys() == set(names) and all(place is True for places in found.values() for place in places), found


def log_in(world, gateway):
    """`sluice up` on one side, the administrator on the other."""
    world.logins += 1
    up = gateway.host.popen(f"up{world.logins}", [SLUICE, "up"])
    found = wait_for("the URL", lambda: re.search(r"https://headscale.test\S*/register/(\S+)", up.output()))
    gateway.await_state("login")
    assert found[0] in gateway.command("status").stdout
    shown = gateway.host.run(["setpriv", "--reuid=nobody", "--regid=root", "--clear-groups", "--", SLUICE, "status",
                              "--json"]).stdout               # a member of the socket's group may only look
    assert json.loads(shown)["tailnet"]["login"] is None and found[1] not in shown, shown
    world.tailnet.hs("nodes", "register", "--user", "alice", "--key", found[1])
    assert up.popen.wait(20) == 0 and "connected to https://headscale.test as gw-1" in up.output()
    return gateway.json("netmap")["self"]


def test_log_in_and_out(world):
    """`sluice up` tells a URL and waits, and asking twice is as asking once; after `logout` nobody is served, over a
    restart and a reload too, and the netmap is forgotten; `up` makes a new key, and the node is the same one."""
    world = world()
    gateway = Member(world.tailnet, world.net)
    gateway.start(wait=False)
    wait_for("the command socket", lambda: gateway.command("status", check=False).returncode == 0)
    before = log_in(world, gateway)
    world.allow(["203.0.113.0/24:*", "alice@:*"], [])
    wait_for("what we advertise", lambda: ROUTES[0] in world.tailnet.node("gw-1").get("available_routes", []))
    world.tailnet.hs("nodes", "approve-routes", "-i", str(world.tailnet.node("gw-1")["id"]), "-r", ROUTES[0])
    alice = world.client()
    await_service(alice)
    assert gateway.command("logout").stdout == "logged out: the gateway serves nobody until `sluice up`\n"
    assert gateway.state()["state"] == "logged out"
    assert all(client["expired"] for client in gateway.json("clients")["clients"])
    assert not connect(alice)["connected"]
    gateway.reload()
    gateway.stop()
    gateway.start(wait=False)
    wait_for("the command socket", lambda: gateway.command("status", check=False).returncode == 0)
    assert gateway.state()["state"] == "logged out" and not gateway.json("clients")["clients"]
    gateway.command("up", "--timeout", "1", check=False)  # who asks once more waits for the same login
    after = log_in(world, gateway)
    assert before["key"] != after["key"] and before["addresses"] == after["addresses"]
    await_service(alice)
    assert gateway.command("ping", "nobody", check=False).returncode == 1
    gateway.stop()
    (gateway.folder / "authkey").write_text("a key\n")
    (gateway.folder / "authkey").chmod(0o644)
    gateway.config["tailnet"] |= {"login_server": "https://elsewhere.test", "auth_key_file": "authkey"}
    gateway.write()
    assert any("elsewhere.test" in check["text"] and check["result"] == "fail" for check in gateway.doctor("tailnet"))
    checked = gateway.command("check", "--host", str(gateway.folder / "gateway.yaml"), check=False)
    assert "auth_key_file" in checked.stderr
    gateway.start(wait=False)  # on no netmap: the one that is kept is another server's
    wait_for("the command socket", lambda: gateway.command("status", check=False).returncode == 0)
    assert not gateway.json("clients")["clients"] and "elsewhere" in gateway.process.output()


def test_members_come_and_go(world):
    """A second client comes, gets another key, expires and goes, while the first one's download loses nothing."""
    world = world()
    gateway = world.gateway().start()
    alice = world.client("alice")
    await_service(alice)
    download = Download(alice, 30)
    world.allow(MINE, [f"{SERVICE[4]}/32:*"])
    bob = world.client("bob")
    await_service(bob)
    before = gateway.json("netmap")["peers"][-1]
    his = Download(bob, 15)
    bob.ts("up", "--force-reauth", "--login-server", "https://headscale.test", "--authkey", world.tailnet.key(user=2),
           "--accept-routes", "--hostname", "bob")
    wait_for("another key", lambda: gateway.json("netmap")["peers"][-1]["key"] != before["key"])
    his.check(silence=8)  # its connection goes on
    assert gateway.json("netmap")["peers"][-1]["id"] == before["id"]
    world.tailnet.hs("nodes", "expire", "-i", str(world.tailnet.node("bob")["id"]))
    wait_for("expired", lambda: next(c for c in gateway.json("clients")["clients"] if c["name"] == "bob")["expired"])
    assert not connect(bob)["connected"]
    world.tailnet.hs("nodes", "delete", "-i", str(world.tailnet.node("bob")["id"]), "--force")
    wait_for("gone", lambda: [c["name"] for c in gateway.json("clients")["clients"]] == ["alice"])
    download.check(silence=1)


LOCAL = {
    "deny": [{"src": ["*"], "dst": [f"{SERVICE[4]}:443"]}],
}


def test_a_local_policy_narrows(world):
    """Its deny counts; with acls both must allow; it never adds anything."""
    world = world()
    gateway = world.gateway()
    gateway.config["policy"], gateway.policy = "policy.yaml", LOCAL
    gateway.start()
    alice = world.client()
    await_service(alice)
    assert not connect(alice, port=443)["connected"]
    mine = [f"{OTHER[4]}:*", f"{SERVICE[6]}:80"]
    gateway.policy = {**LOCAL, "acls": [{"action": "accept", "src": ["alice@"], "dst": mine}]}
    gateway.reload()
    await_service(alice, SERVICE[6])
    for address in (SERVICE[4], OTHER[4]):  # only the server allows the one, only we the other
        assert not connect(alice, address)["connected"]


def test_a_netmap_says_who_is_who(world, lab):
    """policy commands far from any gateway, with what `tailscale debug netmap` prints."""
    world = world()
    world.gateway().start()
    alice = world.client()
    await_service(alice)
    netmap, policy = lab.file("netmap.json"), lab.file("policy.json")
    netmap.write_text(alice.ts("debug", "netmap"))
    owner = json.loads(alice.ts("status", "--json"))
    login = owner["User"][str(owner["Self"]["UserID"])]["LoginName"]
    policy.write_text(json.dumps({
        "tagOwners": {"tag:gw": []},
        "acls": [{"action": "accept", "src": ["autogroup:member"], "dst": [f"{SERVICE[4]}:80", "tag:gw:22"]}],
        "tests": [{"src": alice.ts("ip", "-4").strip(), "accept": [f"{SERVICE[4]}:80", "tag:gw:22"],
                   "deny": ["tag:gw:23"]}]}))
    done = alice.host.run([SLUICE, "policy", "test", "-i", netmap, policy])
    assert "3 passed" in done.stdout
    table = alice.host.run([SLUICE, "policy", "matrix", "-i", netmap, policy]).stdout
    assert login in table or "autogroup:member" in table
    checked = alice.host.run([SLUICE, "policy", "check", "-i", netmap, policy])
    assert "outside every route" not in checked.stderr, "approved routes are known"
