# SPDX-License-Identifier: BSD-2-Clause
"""T1-T13 with a real headscale and a real tailscaled: our coordination client, disco and relays (tailnet.py)."""
import base64
import json
import time

import pytest
from lab import wait_for
from tailnet import PROBE, ROUTE, Probe, TailscaleClient, Tailnet, require

ENDPOINT = ("--endpoint", "10.9.1.1:41641")
ROUTES = ("--route", ROUTE)
# Nothing goes straight to others, and the STUN of one server is not heard.
ONE_RELAY = """
table inet block {{
	chain out {{ type filter hook output priority 0; udp dport 41641 drop; ip daddr {} udp dport 3478 drop; }}
}}
"""


@pytest.fixture
def tailnet(lab):
    require()
    return Tailnet(lab)


@pytest.fixture
def gateway(tailnet):
    return tailnet.machine("gateway", "10.9.1.1")


def joined(tailnet, gateway, *arguments, tags=True, **options):
    key = tailnet.key(*(("--tags", "tag:gw") if tags else ()))
    probe = Probe(tailnet, gateway, "gw-1", 41641, *ROUTES, *(arguments or ENDPOINT), key=key, **options)
    probe.await_event("status", state="connected")
    return probe


def routes(client):
    return (client.peer("gw-1") or {}).get("AllowedIPs", [])


def test_a_real_client_uses_us(tailnet, gateway):
    """T3 to T11: registered, its route approved, distributed; pinged directly; initiations arrive."""
    client = TailscaleClient(tailnet)
    probe = joined(tailnet, gateway)
    wait_for("the route at the client", lambda: ROUTE in routes(client))
    peer = probe.await_event("peer")["node"]
    assert peer["name"] == "client" and peer["user"] == "alice"
    assert probe.await_event("home")["region"] == 999
    assert probe.await_event("home")["seen"] == "10.9.1.1"
    probe.await_event("relay", region=999, up=True)
    wait_for("a direct pong", lambda: "via 10.9.1.1:41641" in client.ping("gw-1", "--c", "5"), seconds=30)
    client.knock()
    assert probe.await_event("udp", kind="initiation")["from"] == "10.9.1.2"
    probe.mark()
    probe.say("ping client")
    assert probe.await_event("pong", direct=True)["us"] < 1000000
    assert probe.await_event("pong", direct=False)["us"] < 1000000


def make_user(host, name, uid):
    """As systemd-sysusers would, on this host alone."""
    host.run(["sh", "-c", f"cp /etc/passwd /run/passwd && echo '{name}:x:{uid}:{uid}::/:/usr/sbin/nologin' >> "
              "/run/passwd && mount --bind /run/passwd /etc/passwd"])


def test_the_network_process_has_no_rights(tailnet, gateway):
    make_user(gateway, "sluice-net", 64646)
    probe = joined(tailnet, gateway)
    pid = gateway.out(["pgrep", "-x", "sluice-net", "-P", str(children(gateway, probe))]).strip()
    status = gateway.out(["cat", f"/proc/{pid}/status"])
    lines = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert lines["Uid"].split() == lines["Gid"].split() == ["64646"] * 4
    seen = set(gateway.out(["ls", f"/proc/{pid}/root/"]).split()) - ({"proc"} if "san" in str(PROBE) else set())
    assert seen <= {"etc", "usr", "lib", "lib32", "lib64", "bin", "sbin", "run"}, seen
    assert "tailnet process" not in probe.process.output(), "nothing is less than it should be"
    assert lines["CapEff"] == lines["CapPrm"] == lines["CapBnd"] == "0" * 16
    assert lines["NoNewPrivs"] == "1" and lines["Seccomp"] == "2"
    secrets = [base64.b64decode(gateway.out(["cat", f"{probe.state}/tailnet/{name}.key"]), validate=False)
               for name in ("node", "disco")]
    memory = memory_of(gateway, pid)
    assert all(len(secret) == 32 for secret in secrets) and not any(secret in memory for secret in secrets)


def children(host, probe):
    return host.out(["pgrep", "-f", f"{probe.state}", "-o"]).split()[0]


def memory_of(host, pid):
    """All that a process has written to its memory."""
    script = ("import re,sys\n"
              "with open(f'/proc/{sys.argv[1]}/maps') as maps, open(f'/proc/{sys.argv[1]}/mem','rb') as mem:\n"
              " for m in re.findall(r'^(\\w+)-(\\w+) rw', maps.read(), re.M):\n"
              "  a, b = (int(x, 16) for x in m)\n"
              "  try:\n"
              "   mem.seek(a); sys.stdout.buffer.write(mem.read(b - a))\n"
              "  except (OSError, ValueError): pass\n")
    import subprocess
    return subprocess.run(host.enter(["python3", "-c", script, pid]), capture_output=True, check=True,
                          timeout=60).stdout


def test_policy_change(tailnet, gateway):
    """Issue 6.2: what the server revokes or allows is here within 2 s."""
    TailscaleClient(tailnet)
    probe = joined(tailnet, gateway)
    probe.await_event("rules")
    probe.mark()
    tailnet.policy["acls"][0]["dst"] = ["203.0.113.9/32:443", "tag:gw:*"]
    tailnet.reload_policy()
    rules = probe.await_event("rules", seconds=2)["rules"]
    assert any("203.0.113.9" in rule and ":443" in rule for rule in rules), rules
    probe.mark()
    time.sleep(1)
    assert not [e for e in probe.events()[probe.seen:] if e["event"] in ("gone", "status")]


def test_route_approval(tailnet, gateway):
    """Issue 6.3: an untagged node's route has to be approved by hand."""
    client = TailscaleClient(tailnet)
    joined(tailnet, gateway, tags=False)
    wait_for("what we advertise", lambda: ROUTE in tailnet.node("gw-1").get("available_routes", []))
    time.sleep(1)
    assert ROUTE not in routes(client)
    tailnet.hs("nodes", "approve-routes", "-i", str(tailnet.node("gw-1")["id"]), "-r", ROUTE)
    wait_for("the route at the client", lambda: ROUTE in routes(client))


def test_routes_changed_at_run_time(tailnet, gateway):
    probe = joined(tailnet, gateway)
    wait_for("the first", lambda: ROUTE in tailnet.node("gw-1").get("available_routes", []))
    probe.say("routes 203.0.113.0/24 2001:db8:3::/64")
    wait_for("the second", lambda: "2001:db8:3::/64" in tailnet.node("gw-1").get("available_routes", []))


def test_udp_blocked_and_unblocked(tailnet, gateway):
    """Issue 6.4: by the relay while UDP to us is blocked, direct within 30 s afterwards."""
    client = TailscaleClient(tailnet)
    gateway.nft("table inet block {\n chain in { type filter hook input priority 0; udp dport 41641 drop; }\n}\n")
    probe = joined(tailnet, gateway)
    probe.await_event("relay", up=True)
    wait_for("our home at the client", lambda: (client.peer("gw-1") or {}).get("Relay") == "lab")
    client.knock()
    probe.await_event("relayed", kind="initiation")
    assert "via DERP(lab)" in client.ping("gw-1", "--c", "1", "--until-direct=false")
    gateway.run("nft delete table inet block")
    assert "via 10.9.1.1:41641" in client.ping("gw-1", "--c", "30", "--timeout", "1s")


def test_two_regions(lab):
    """Issue 6.4: each side has a home of its own, and is reached there though UDP is blocked between them."""
    require()
    tailnet = Tailnet(lab, two_regions=True)
    gateway = tailnet.machine("gateway", "10.9.1.1")
    gateway.nft(ONE_RELAY.format("10.9.1.254"))
    client = TailscaleClient(tailnet, rules=ONE_RELAY.format("10.9.1.253"))
    probe = joined(tailnet, gateway)
    assert probe.await_event("home")["region"] == 998
    probe.await_event("relay", region=998, up=True)
    assert probe.await_event("peer")["node"]["region"] == 999
    wait_for("our home at the client", lambda: (client.peer("gw-1") or {}).get("Relay") == "far")
    probe.mark()
    probe.say("ping client")
    probe.await_event("relay", region=999, up=True)  # the client's home, connected to on demand
    assert probe.await_event("pong", direct=False)
    client.knock()
    probe.await_event("relayed", kind="initiation")  # by our home, or where it has just heard us
    # Our relay is kept with the netmap: we are reached there again after a restart, though the server is away.
    tailnet.server.popen.kill()
    wait_for("the netmap on disk", lambda: b"relay2.test" in (probe.state / "tailnet/netmap").read_bytes())
    probe.stop()
    probe = Probe(tailnet, gateway, "gw-1", 41641, *ROUTES, *ENDPOINT, state=probe.state)
    probe.await_event("relay", region=998, up=True)
    wait_for("a pong", lambda: "via DERP(far)" in client.ping("gw-1", "--c", "1", "--until-direct=false"))


def test_derper(lab):
    """Tailscale's own relay, known by its address and the hash of its certificate, which it may make anew."""
    require("derper")
    tailnet = Tailnet(lab, derper=True)
    gateway = tailnet.machine("gateway", "10.9.1.1")
    gateway.nft(ONE_RELAY.format("10.9.1.254"))
    client = TailscaleClient(tailnet, rules=ONE_RELAY.format("10.9.1.254"))
    probe = joined(tailnet, gateway)
    probe.await_event("relay", region=998, up=True, host="10.9.1.253")
    wait_for("our home at the client", lambda: (client.peer("gw-1") or {}).get("Relay") == "far")
    client.knock()
    assert probe.await_event("relayed", kind="initiation")["region"] == 998
    tailnet.second.popen.kill()
    tailnet.second.popen.wait()
    probe.await_event("relay", region=998, trouble="tcp")
    for made in (tailnet.dir / "second").glob("10.9.1.253.*"):
        made.unlink()
    tailnet.serve_derper()
    probe.mark()
    probe.say("up")
    probe.await_event("relay", region=998, trouble="cert-hash")


def test_relay_known_by_name_only(lab):
    require()
    tailnet = Tailnet(lab, by_name=True)
    gateway = tailnet.machine("gateway", "10.9.1.1")
    probe = joined(tailnet, gateway)
    home = probe.await_event("home")
    assert home["region"] == 999 and home["seen"] == "10.9.1.1"
    probe.await_event("relay", region=999, up=True)


def test_server_away(tailnet, gateway):
    """The netmap outlives the server, also over a restart of ours; then everything is as before."""
    TailscaleClient(tailnet)
    probe = joined(tailnet, gateway)
    probe.await_event("peer")
    tailnet.server.popen.kill()
    probe.await_event("status", state="offline")
    time.sleep(2.5)  # what was last told is on disk
    probe.stop()
    probe = Probe(tailnet, gateway, "gw-1", 41641, *ROUTES, *ENDPOINT, state=probe.state)
    assert probe.await_event("peer", seconds=3)["node"]["name"] == "client"
    assert probe.await_event("rules", seconds=3)["rules"]
    probe.await_event("status", state="offline")
    tailnet.serve()
    probe.mark()
    probe.await_event("status", state="connected", seconds=45)  # no key is needed: the machine is known


def test_interactive_login(tailnet, gateway):
    probe = Probe(tailnet, gateway, "gw-1", 41641, *ENDPOINT)
    url = probe.await_event("login")["url"]
    probe.await_event("status", state="login")
    tailnet.hs("nodes", "register", "--user", "alice", "--key", url.rpartition("/")[2])
    probe.await_event("status", state="connected")


def test_wrong_auth_key(tailnet, gateway):
    probe = Probe(tailnet, gateway, "gw-1", 41641, *ENDPOINT, key="hskey-auth-nonsense")
    assert "key" in probe.await_event("status", state="refused")["text"]  # the server's own words


def test_expired_and_logged_out(tailnet, gateway):
    """T13: said when it happens; `up` makes a new node key, and the node stays the same."""
    probe = joined(tailnet, gateway, tags=False)
    node = probe.await_event("self")["node"]
    tailnet.hs("nodes", "expire", "-i", str(tailnet.node("gw-1")["id"]))
    probe.await_event("status", state="expired")
    for command in ("up", "logout"):
        probe.mark()
        if command == "logout":
            probe.say("logout")
            probe.await_event("status", state="logged out")
        probe.say("up")
        probe.await_event("identity")
        probe.await_event("status", state="connected")
        again = probe.await_event("self")["node"]
        assert again["id"] == node["id"] and again["addresses"] == node["addresses"] and again["key"] != node["key"]


def test_expiry_put_off(tailnet, gateway):
    """T13: what an administrator takes back is over without a restart."""
    probe = joined(tailnet, gateway, tags=False)
    number = str(tailnet.node("gw-1")["id"])
    for expiry, state in (([], "expired"), (["-e", "2099-01-01T00:00:00Z"], "connected")) * 2:
        probe.mark()
        tailnet.hs("nodes", "expire", "-i", number, *expiry)
        probe.await_event("status", state=state)


def test_peers_come_and_go(tailnet, gateway):
    probe = joined(tailnet, gateway)
    first = TailscaleClient(tailnet, "client", "10.9.1.2")
    probe.await_event("peer")
    TailscaleClient(tailnet, "second", "10.9.1.3")
    wait_for("the second peer", lambda: any(e["node"]["name"] == "second" for e in probe.events()
                                            if e["event"] == "peer"))
    number = tailnet.node("client")["id"]
    first.ts("logout")
    tailnet.hs("nodes", "delete", "-i", str(number), "--force")
    probe.await_event("gone", id=int(number))


def test_untrusted_certificate(tailnet, gateway, tmp_path):
    other = tmp_path / "other.pem"
    other.write_text((tailnet.dir / "cert.pem").read_text())
    gateway.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                 "-keyout", "/dev/null", "-out", str(other), "-subj", "/CN=other"])
    probe = Probe(tailnet, gateway, "gw-1", 41641, "--ca", str(other))
    text = probe.await_event("status", state="offline")["text"]
    assert "TLS: nobody" in text and "tailnet.ca_file" in text     # what it is, and what to do
    key = json.loads(gateway.out(["curl", "-sk", "https://headscale.test/key?v=131"]))["publicKey"]
    probe.stop()
    probe = Probe(tailnet, gateway, "gw-1", 41641, "--ca", str(other), "--control-key", key, key=tailnet.key())
    probe.await_event("status", state="connected")  # pinned: no certificate is needed
