# SPDX-License-Identifier: BSD-2-Clause
"""T9, T12: why our home relay cannot be reached is told: in `status`, to scripts, by `doctor`, and in the log once.

Our home is the second relay of tailnet.py, another headscale, which the DERP map has by name and by the hash of its
certificate; the STUN of the first one is not heard. One after the other, what goes wrong with relays goes wrong.
"""
import json
import sys

from crowd import Crowd, require_crowd
from hostile_relay import MANNERS
from lab import HERE, wait_for
from net import ROUTES, Internet
from tailnet import Lan, Member, Tailnet, certificate, require
from test_tailnet_branches import NEAR, ROUTES as BRANCHES, World

BLIND = "table inet far {{\n chain out {{ type filter hook output priority 0; ip daddr {} udp dport 3478 drop; }}\n}}\n"
WALL = "table inet wall {{\n chain in {{ type filter hook input priority 0; tcp dport 443 {}; }}\n}}\n"


class Home:
    """Our home relay, as the gateway tells of it."""

    def __init__(self, tailnet, gateway):
        self.tailnet, self.gateway, self.host = tailnet, gateway, tailnet.far
        self.stand_ins = 0

    def relay(self):
        return next((relay for relay in self.gateway.state()["relays"] if relay["home"]), {})

    def notes(self):
        return [note for note in self.gateway.json("status")["notes"] if "relay" in note]

    def lines(self):
        """What the log says of it, without the times. Each is another than the one before: nothing is said twice."""
        lines = [line.split(" ", 1)[1] for line in self.gateway.process.output().splitlines() if "relay far" in line]
        assert all(a != b for a, b in zip(lines, lines[1:])), lines
        return lines

    def again(self):
        """`sluice up` tries again at once."""
        self.gateway.command("up", "--timeout", "1", check=False)

    def is_told(self, trouble, seconds=20):
        """Everywhere, and in the log in one line; what the other end says stays out of it."""
        relay = wait_for(trouble, lambda: self.relay().get("trouble") == trouble and self.relay(), seconds)
        assert relay["state"] == "away" and relay["name"] == "far" and relay["host"] == "relay2.test"
        assert len(self.notes()) == 1 and relay["reason"] in self.notes()[0] and relay["advice"] in self.notes()[0]
        text = self.gateway.command("status").stdout
        assert "degraded" in text.splitlines()[0] and "home relay far (away)" in text.splitlines()[0]
        assert f"our home relay far, relay2.test cannot be reached: {relay['reason']}" in text
        warned = [check for check in self.gateway.doctor("relay") if check["result"] == "warn"]
        assert len(warned) == 1 and relay["reason"] in warned[0]["text"] and warned[0]["advice"] == relay["advice"]
        assert relay["reason"] in self.lines()[-1]
        assert "\x1b" not in text + self.gateway.process.output()
        return relay["reason"]

    def is_well(self):
        wait_for("connected", lambda: self.relay().get("state") == "connected", 20)
        assert not self.notes() and "home relay far\n" in self.gateway.command("status").stdout.splitlines()[0] + "\n"
        assert [check["result"] for check in self.gateway.doctor("relay")] == ["ok"]
        assert "is connected" in self.lines()[-1]

    def stands_in(self, manner, folder=None):
        folder = folder or self.tailnet.dir / "second"
        self.stand_ins += 1
        program = self.host.popen(f"stand-in{self.stand_ins}", [sys.executable, HERE / "hostile_relay.py",
                                               self.tailnet.wire.servers["relay2"], folder / "cert.pem",
                                               folder / "key.pem", manner])
        wait_for("the stand-in", lambda: "ready" in program.output())
        return program


def test_why_a_relay_is_away(lab):
    require()
    net = Internet(lab)
    tailnet = Tailnet(lab, two_regions=True, by_name=True, wire=Lan(net))
    tailnet.policy["autoApprovers"]["routes"] = {route: ["tag:gw"] for route in ROUTES}
    tailnet.reload_policy()
    gateway = Member(tailnet, net, tailnet.key("--tags", "tag:gw"))
    gateway.host.nft(BLIND.format(tailnet.wire.servers["headscale"]))
    gateway.start()
    home = Home(tailnet, gateway)
    home.is_well()

    tailnet.second.popen.kill()
    home.again()
    home.is_told("tcp")
    for verdict, trouble in (("drop", "tcp-silent"), ("reject with icmpx admin-prohibited", "no-route")):
        home.host.nft(WALL.format(verdict))
        home.again()
        home.is_told(trouble)
        home.host.run("nft delete table inet wall")

    names = tailnet.dir / f"{gateway.host.name}.hosts"
    text = names.read_text()
    names.write_text(text.replace("relay2.test", "elsewhere.test"))
    home.again()
    home.is_told("name")
    names.write_text(text)

    for manner, (_, trouble) in MANNERS.items():
        stand_in = home.stands_in(manner)
        home.again()
        reason = home.is_told(trouble)
        if manner == "is a web server":     # tried and tried, and said once
            assert reason.endswith("404")
            lines = home.lines()
            for _ in range(3):
                calls = stand_in.output().count("call")
                home.again()
                wait_for("another call", lambda: stand_in.output().count("call") > calls)
            home.is_told(trouble)
            assert home.lines() == lines
        stand_in.stop()

    other = tailnet.dir / "other"
    other.mkdir()
    certificate(other, "relay2.test")
    stand_in = home.stands_in("is a web server", other)
    home.again()
    home.is_told("cert-hash")
    stand_in.stop()

    tailnet.serve_second(verify="true")     # a real one that does not know us
    home.again()
    home.is_told("login")
    tailnet.second.popen.kill()
    tailnet.second.popen.wait()
    tailnet.serve_second()
    home.again()
    home.is_well()
    gateway.command("logout")
    wait_for("left", lambda: not gateway.state()["relays"])
    assert not home.notes()


def test_the_server_has_wishes_for_our_home(lab):
    """T12: Tailscale's own server for tests tells new DERP maps; our home is where they want it, at once."""
    require_crowd()
    world = World(lab, tailnet=Crowd, peers=3)
    gateway = world.gateway(1, [BRANCHES[NEAR]])

    def tell(**regions):
        """By name, what is special about each; one server is the relay of them all."""
        numbers = {"lab": 999, "far": 998}
        world.tailnet.tell("say", text=json.dumps({"DERPMap": {"Regions": {
            str(numbers[name]): {"RegionID": numbers[name], "RegionCode": name, **wishes, "Nodes": [
                {"Name": name, "RegionID": numbers[name], "HostName": "headscale.test",
                 "IPv4": world.tailnet.wire.servers["headscale"], **node}]}
            for name, (wishes, node) in regions.items()}}}))

    def home():
        """Its name, once we are connected there."""
        return next((relay["name"] for relay in gateway.state()["relays"]
                     if relay["home"] and relay["state"] == "connected"), None)

    wait_for("the first", lambda: home() == "lab")
    tell(lab=({"Avoid": True}, {}), far=({}, {}))
    wait_for("the other", lambda: home() == "far")
    tell(lab=({}, {}), far=({"NoMeasureNoHome": True}, {}))
    wait_for("the first again", lambda: home() == "lab")
    tell()
    wait_for("none", lambda: gateway.state()["home"] is None and not gateway.state()["relays"])
    assert "the server's DERP map has no relay" in gateway.command("status").stdout
    tell(far=({}, {"STUNPort": -1}))
    wait_for("one without STUN", lambda: home() == "far")
    assert "DERP map" not in gateway.command("status").stdout
