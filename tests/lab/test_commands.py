# SPDX-License-Identifier: BSD-2-Clause
"""The commands against a gateway that has traffic: --json with a schema, text for people, exit statuses, rights."""
import json

import pytest

from gateways import SLUICE, settle
from lab import wait_for
from net import OTHER, SERVICE

ASKING = [["status"], ["clients"], ["flows"], ["drops"], ["routes"], ["map", "list"], ["map", "dump", "flows"],
          ["map", "dump", "clients"], ["map", "dump", "acl"], ["map", "dump", "settings"]]
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


@pytest.fixture
def busy(world):
    """A gateway with one flow in every protocol."""
    world = world()
    alice = world.joined("alice")
    alice.host.probe("udp", SERVICE[4], 7)
    assert alice.host.probe("get", f"http://[{SERVICE[6]}]/bytes/1000000")["intact"]
    job = alice.host.probing("get", "get", f"http://{SERVICE[4]}/slow/20000000/1000000")
    service = f"{SERVICE[4]}:80"
    wait_for("the slow download", lambda: world.gateway.json("flows", "--service", service)["flows"])
    yield world
    job.popen.kill()


def test_every_answer_is_json_with_a_schema_and_text_for_people(busy):
    for command in ASKING:
        answer = busy.gateway.json(*command)
        assert answer["schema"] >= 1, command
        text = busy.gateway.command(*command).stdout
        assert text.strip() and not text.startswith("{"), command
        assert "\x1b" not in text, "no colour but on a terminal"


def test_what_the_answers_say(busy):
    gateway = busy.gateway
    protocols = {flow["proto"] for flow in gateway.json("flows")["flows"]}
    assert protocols == {"tcp", "udp", "icmp"}
    flow = gateway.json("flows", "--service", f"{SERVICE[4]}:80")["flows"][0]
    assert flow["user"] == "alice@example.com" and flow["from"].startswith("100.64.0.5:")
    assert gateway.json("flows", "--user", "nobody@example.com")["flows"] == []
    routes = {route["prefix"]: route for route in gateway.json("routes")["routes"]}
    assert routes["203.0.113.0/24"]["active"] and routes["203.0.113.0/24"]["next_hop"] == "198.51.100.254"
    client = gateway.json("clients")["clients"][0]
    assert client["endpoint"].startswith("192.0.2.44:") and client["received"] > 0 and client["handshake"] < 60
    names = {entry["name"] for entry in gateway.json("map", "list")["maps"]}
    assert {"flows", "clients", "settings"} <= names
    # used are slots of the table: a UDP mapping has one of its own beside its flows
    assert gateway.json("status")["flows"]["used"] > len(gateway.json("flows")["flows"]) > 2


def test_fault_11_flows_probe_and_kill_know_the_hosts_of_the_policy(busy):
    gateway = busy.gateway
    flows = gateway.json("flows", "-d", "billing:80")["flows"]
    assert flows and {flow["service"] for flow in flows} == {f"{SERVICE[4]}:80"}
    refused = gateway.command("flows", "-d", "biling", check=False)
    assert refused.returncode == 2 and 'did you mean "billing' in refused.stderr
    done = gateway.json("probe", "billing:80")
    assert (done["outcome"], done["addresses"]) == ("connected", [SERVICE[4]])
    assert gateway.json("flows", "kill", "-d", "billing")["killed"] >= 1
    assert gateway.json("flows", "-d", "billing")["flows"] == []


def test_an_ended_flow_is_gone_at_once(busy):
    """To the programs it is none from that moment on, though its slot is swept seconds later."""
    before = {(flow["from"], flow["service"]) for flow in busy.gateway.json("flows")["flows"]}
    assert len(before) > 2
    assert busy.gateway.json("flows", "kill", "--all")["killed"] >= len(before)
    after = {(flow["from"], flow["service"]) for flow in busy.gateway.json("flows")["flows"]}
    assert not before & after


def test_the_tunnel_has_no_address_of_the_kernels_own(busy):
    """Its multicast would be counted as drops of a gateway that nobody has used yet."""
    link_local = busy.net.gateway.out("ip -6 -o addr show dev sluice0 scope link")
    assert link_local == ""


def test_a_refusal_just_now_is_of_the_last_minute(busy):
    refused = busy.clients["alice"].host.probe("connect", OTHER[4], 80, "--timeout", 2)
    assert not refused["connected"]
    drops = {drop["reason"]: drop for drop in busy.gateway.json("drops")["drops"]}
    assert drops["policy"]["packets"] == drops["policy"]["minute"] > 0


def test_bpftool_reads_the_pinned_maps(busy):
    """Pins with BTF: the stock tool prints them by field."""
    out = busy.net.gateway.out("bpftool map dump pinned /sys/fs/bpf/sluice/settings")
    assert "tap_ifindex" in out


def test_nobody_may_not_ask_and_the_group_may_not_change(busy):
    host = busy.net.gateway
    assert host.out("stat -c %a:%U /run/sluice/sluice.sock").strip() == "660:root"
    done = host.run([*NOBODY, str(SLUICE), "status"], check=False)
    assert done.returncode == 1 and done.stderr
    gid = host.out("stat -c %g /run/sluice/sluice.sock").strip()
    member = ["setpriv", "--reuid=65534", f"--regid={gid}", "--clear-groups"]
    assert json.loads(host.out([*member, str(SLUICE), "status", "--json"]))["schema"] >= 1
    for change in (["down"], ["reload"], ["clients", "kick", "alice-laptop"], ["flows", "kill", "--all"]):
        done = host.run([*member, str(SLUICE), *change], check=False)
        assert done.returncode == 1 and done.stderr, change
    settle(busy.clients["alice"], busy.gateway)


def test_changes_are_logged_with_their_uid(busy):
    busy.gateway.command("flows", "kill", "--user", "alice@example.com")
    busy.gateway.command("policy", "apply", "--dry-run", str(busy.gateway.folder / "policy.yaml"))
    said = busy.gateway.process.output()
    assert 'flows kill by uid 0: {"user":"alice@example.com"}' in said
    dry_run = next(line for line in said.splitlines() if "policy apply by uid 0" in line)
    assert '"dry_run":true' in dry_run and " bytes)" in dry_run and "group:eng" not in dry_run


@pytest.mark.parametrize("words", ([], ["nonsense"], ["status", "extra"], ["flows", "--nonsense"], ["flows", "kill"],
                                   ["map", "dump"], ["map", "nonsense"], ["help", "nonsense"], ["apply", "x.yaml"],
                                   ["clients", "--sort", "shoesize"]))
def test_usage_errors_exit_2(busy, words):
    done = busy.gateway.command(*words, check=False)
    assert done.returncode == 2 and done.stderr
    if words and words[0] == "apply":
        assert 'did you mean "policy apply"?' in done.stderr


def test_a_client_configuration_works_as_it_is(world):
    """`client-config` gives a wg-quick file; with the private key in it, it is all that a laptop needs."""
    world = world()
    alice = world.client("alice")
    world.gateway.admit(alice)
    world.gateway.start()
    config = str(world.gateway.folder / "gateway.yaml")
    key = str(alice.secret(alice.key.private))
    text = world.gateway.command("client-config", "-c", config, "--private-key", key, "--endpoint",
                                 world.net.endpoint(), alice.name).stdout
    allowed = next(line for line in text.splitlines() if line.startswith("AllowedIPs"))
    assert SERVICE[4] in allowed and "0.0.0.0/0" not in allowed
    alice.start_program()
    path = alice.host.lab.file("wg0.conf")
    path.write_text(text)
    path.chmod(0o600)
    stripped = alice.host.out(["wg-quick", "strip", path])
    alice.host.run(["wg", "setconf", "wg0", "/dev/stdin"], input=stripped)
    alice.host.address("wg0", *alice.addresses)
    alice.host.run("ip link set wg0 mtu 1420 up")
    for prefix in allowed.partition("=")[2].replace(" ", "").split(","):
        alice.host.route(prefix, "dev", "wg0")
    settle(alice, world.gateway)
    assert alice.host.probe("get", f"http://{SERVICE[4]}/")["status"] == 200


def test_doctor_is_content_with_a_good_host(busy):
    done = busy.gateway.command("doctor", "-c", str(busy.gateway.folder / "gateway.yaml"), check=False)
    assert done.returncode == 0, done.stdout + done.stderr
