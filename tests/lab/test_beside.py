# SPDX-License-Identifier: BSD-2-Clause
"""Sluice on a host where other programs rule the network too: real ones, with their own defaults.

Services are reached whatever they set, for forwarded packets pass neither their chains nor their routes. What stops
the tunnel itself, `doctor` names, and the command that it advises is the one that helps.
"""
import beside
import pytest
import tailnet
from gateways import settle
from lab import wait_for
from net import SERVICE, STATIC, Service
from test_failclosed import Watch


POLICY_DROP = """
table inet strict {
	chain input {
		type filter hook input priority 0; policy drop;
		iif lo accept
		udp dport 51820 accept
		icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
		ct state established,related accept
	}
	chain forward { type filter hook forward priority 0; policy drop; }
}
"""


def gateway_of(world):
    beside.unpack(world.net.gateway)
    return world.net.gateway


def started(world):
    """The gateway runs and alice tries; whether she gets through is another question."""
    alice = world.client("alice")
    world.gateway.admit(alice)
    world.gateway.start()
    alice.join(world.gateway)
    alice.set("peer", world.gateway.key.public, "persistent-keepalive", "1")
    return alice


def both_families_pass(world, alice):
    for version in (4, 6):
        settle(alice, world.gateway, version)
        address = SERVICE[version] if version == 4 else f"[{SERVICE[version]}]"
        result = alice.host.probe("get", f"http://{address}/bytes/2000000")
        assert result.get("error") is None and result["intact"]
    assert world.service.clients() == set(STATIC.values())


@pytest.mark.parametrize("first", ("docker", "sluice"))
def test_docker(world, first):
    """FORWARD drops, forwarding is on, its chains come and go: no packet notices, none leaves untranslated."""
    world = world()
    host = gateway_of(world)
    if first == "docker":
        beside.docker(host)
    alice = started(world)
    settle(alice, world.gateway)
    with Watch(world, alice) as watch:
        if first == "sluice":
            beside.docker(host)
        assert "policy drop" in host.out("nft list chain ip filter FORWARD")
        assert host.out("sysctl -n net.ipv4.ip_forward").strip() == "1"
        both_families_pass(world, alice)
        world.gateway.restart()
        both_families_pass(world, alice)
    assert watch.found() == []
    assert [entry["result"] for entry in world.gateway.doctor("firewall")] == ["ok"]


@pytest.mark.parametrize("name", ("firewalld", "ufw"))
def test_a_firewall_that_refuses_the_tunnel(world, name):
    """Nothing arrives; the doctor says which chain, and the words that open it."""
    world = world()
    host = gateway_of(world)
    getattr(beside, name)(host)
    alice = started(world)
    found = wait_for("the doctor's word", lambda: [entry for entry in world.gateway.doctor("firewall")
                                                   if entry["result"] == "warn"])
    assert alice.handshake(world.gateway.key.public) == 0
    advice = {entry["advice"] for entry in found}
    assert advice == {"firewall-cmd --permanent --add-port=51820/udp && firewall-cmd --reload" if name == "firewalld"
                      else "ufw allow 51820/udp"}
    host.run(["bash", "-c", advice.pop()], env=beside.ENVIRONMENT)
    both_families_pass(world, alice)
    said = world.gateway.doctor("firewall")
    assert [entry["result"] for entry in said] == ["ok"] and "handshakes arrive" in said[0]["text"]


def test_policy_drop_with_the_port_open(world):
    """Forwarding dropped, everything coming in dropped but the tunnel: all that Sluice needs."""
    world = world()
    world.net.gateway.nft(POLICY_DROP)
    both_families_pass(world, started(world))


def test_a_chain_of_nftables_that_refuses(world):
    """Both ways round: by policy and by a last rule, on the way in and on the way out."""
    world = world()
    world.net.gateway.nft("""
table inet strict {
	chain in { type filter hook input priority 0; policy drop; iif lo accept; meta l4proto ipv6-icmp accept; }
	chain out { type filter hook output priority 0; oif lo accept; meta l4proto ipv6-icmp accept; counter drop; }
	chain fine { type filter hook input priority 1; udp dport 9 drop; }
}
""")
    alice = started(world)
    found = [entry for entry in world.gateway.doctor("firewall") if entry["result"] == "warn"]
    assert sorted(entry["advice"] for entry in found) == ["nft insert rule inet strict in udp dport 51820 accept",
                                                          "nft insert rule inet strict out udp sport 51820 accept"]
    for entry in found:
        world.net.gateway.run(entry["advice"])
    both_families_pass(world, alice)


def test_networkd(world):
    """It manages the NIC; reconfiguring it takes our rules and routes away, which come back before a packet leaks."""
    world = world()
    host = gateway_of(world)
    daemon = beside.networkd(host)
    alice = started(world)
    both_families_pass(world, alice)
    with Watch(world, alice) as watch:
        daemon.stop()
        beside.networkd(host)
        both_families_pass(world, alice)
    assert watch.found() == []
    wait_for("the rule", lambda: all("blackhole" in host.out(f"ip -{v} rule", quiet=True) for v in (4, 6)))


def test_tailscaled(world):
    """A tailnet's own daemon with its rules, table 52 and ts-input: services pass; the gateway's own do not, because
    tailscaled lets 100.64.0.0/10 in by its own interface only. The doctor says so, and its advice helps."""
    world = world()
    tailnet.require()
    host = gateway_of(world)
    net = tailnet.Tailnet(world.lab, wire=tailnet.Lan(world.net))
    net.server.stop()
    text = (net.dir / "hs.yaml").read_text().replace("allocation: sequential", "allocation: random")
    (net.dir / "hs.yaml").write_text(text)      # else it would give out the gateway's tunnel address
    net.policy["acls"] = [{"action": "accept", "src": ["*"], "dst": ["*:*"]}]
    net.write_policy()
    net.serve()
    tailnet.TailscaleClient(net, "other")
    daemon = tailnet.TailscaleClient(net, "gateway", host=net.introduce(host))
    assert "lookup 52" in host.out("ip rule") and "ts-input" in host.out("nft list ruleset")
    Service(host, http=(8080,), udp=(), name="own")
    alice = started(world)
    with Watch(world, alice) as watch:
        both_families_pass(world, alice)
        daemon.ts("down")
        daemon.ts("up", "--login-server", tailnet.SERVER, "--accept-routes", "--hostname", "gateway")
        both_families_pass(world, alice)
    assert watch.found() == []
    wait_for("the other node", lambda: daemon.peer("other"))
    assert "pong" in daemon.ping("other", "--c", "10"), "and the tailnet works as before"
    assert not alice.host.probe("connect", "100.64.0.1", 8080, "--timeout", 1)["connected"]
    said = [entry for entry in world.gateway.doctor("firewall") if entry["result"] == "warn"]
    assert len(said) == 1 and "tailscaled" in said[0]["text"]
    host.run(said[0]["advice"])
    assert alice.host.probe("connect", "100.64.0.1", 8080)["connected"]
