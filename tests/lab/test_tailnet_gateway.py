# SPDX-License-Identifier: BSD-2-Clause
r"""Sluice as the subnet router of a real tailnet: real headscale, real clients (issue 6).

    headscale 192.0.2.44 ─┐ lan           ┌─ gateway 198.51.100.1 (sluice run)
    alice     192.0.2.46 ─┼──── router ───┤
    bob       192.0.2.47 ─┘               └─ service 203.0.113.9, which admits 198.51.100.1 alone
"""
import json
import re

import pytest
from gateways import SLUICE
from lab import wait_for
from net import ROUTES, SERVICE, STATIC, Internet
from tailnet import Lan, Member, TailscaleClient, Tailnet, require

MEGABYTE = 1 << 20


class World:
    def __init__(self, lab, two_regions=False, **options):
        self.net = Internet(lab)
        self.tailnet = Tailnet(lab, two_regions, wire=Lan(self.net))
        self.tailnet.policy["autoApprovers"]["routes"] = {route: ["tag:gw"] for route in ROUTES}
        self.tailnet.policy["acls"][0]["dst"] = [f"{SERVICE[4]}/32:*", f"{SERVICE[6]}/128:*", "tag:gw:*"]
        self.tailnet.reload_policy()
        self.service = self.net.service

    def gateway(self, tagged=True, **section):
        key = self.tailnet.key(*(("--tags", "tag:gw") if tagged else ()))
        return Member(self.tailnet, self.net, key, **section)

    def client(self, name="alice", **options):
        return TailscaleClient(self.tailnet, name, None, **options)


@pytest.fixture
def world(lab):
    require()
    return lambda **options: World(lab, **options)


def url(version, path="/"):
    return f"http://{SERVICE[version] if version == 4 else '[' + SERVICE[version] + ']'}{path}"


def reaches(client, version=4):
    return client.host.probe("connect", SERVICE[version], 80, "--timeout", 1)["connected"]


def await_service(client, version=4, seconds=15):
    wait_for(f"{client.name} reaches the service", lambda: reaches(client, version), seconds)


def down_and_up(client, version, megabytes=20):
    down = client.host.probe("get", url(version, f"/bytes/{megabytes * MEGABYTE}"))
    assert down.get("error") is None and down["bytes"] == megabytes * MEGABYTE and down["intact"]
    up = client.host.probe("put", url(version), megabytes * MEGABYTE)
    assert up.get("error") is None and up["bytes"] == megabytes * MEGABYTE and up["intact"]


def test_download_and_upload(world):
    """6.1: by the static address alone, both families, direct."""
    world = world()
    gateway = world.gateway().start()
    alice = world.client()
    await_service(alice)
    for version in (4, 6):
        down_and_up(alice, version)
    assert world.service.clients() == {STATIC[4], STATIC[6]}
    assert re.search(r"via (198.51.100.1|\[2001:db8:1::1\]):41641", alice.ping("gw-1", "--c", "5"))


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
