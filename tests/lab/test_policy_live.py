# SPDX-License-Identifier: BSD-2-Clause
"""A policy that changes while traffic passes: apply, rollback, restart; pools and block lists."""
import copy
import json
import os
import signal
import subprocess
import time

import pytest

from gateways import SLUICE, settle
from lab import wait_for
from net import OTHER, SERVICE, STATIC
from test_policy import refused_with_icmp


def apply(gateway, policy, *options, check=True, file="-"):
    """`sluice policy apply -`, as CI does it over ssh. The finished process; its answer is JSON."""
    return gateway.host.run([str(SLUICE), "policy", "apply", *options, "--json", file], input=json.dumps(policy),
                            check=check)


def applied(gateway, policy, *options):
    return json.loads(apply(gateway, policy, *options).stdout)


def running(gateway):
    return gateway.json("policy", "show")["hash"]


def without(policy, user):
    """The same policy without one user of group:eng."""
    other = copy.deepcopy(policy)
    other["groups"]["group:eng"].remove(user)
    return other


def more_rules(policy, number):
    """What alice may reach stays; the rules that say so, and so her class and her flows' generation, change."""
    other = copy.deepcopy(policy)
    other["acls"].insert(0, {"action": "accept", "src": ["alice@example.com"], "dst": [f"billing:{1000 + number}"]})
    return other


# ---- apply, rollback, show ----------------------------------------------------------------------------------


def test_apply_tells_what_changes_and_rollback_returns(world):
    world = world()
    alice, bob = world.joined("alice", "bob")
    gateway, first = world.gateway, running(world.gateway)
    policy = copy.deepcopy(gateway.policy)
    policy["groups"]["group:eng"].append("bob@example.com")
    answer = applied(gateway, policy, "--dry-run")
    assert not answer["applied"] and running(gateway) == first
    refused_with_icmp(bob.host, 4, SERVICE[4])
    answer = applied(gateway, policy)
    assert answer["applied"] and answer["previous"] == first and answer["hash"] == running(gateway)
    assert {(change["change"], change["who"]) for change in answer["changes"]} == {("gain", "bob@example.com")}
    assert bob.host.probe("connect", SERVICE[4], 80)["connected"]
    assert gateway.json("status")["policy"]["differs"], "the file is the old one"
    back = gateway.json("policy", "rollback")
    assert back["hash"] == first and back["previous"] == answer["hash"]
    refused_with_icmp(bob.host, 4, SERVICE[4])
    assert not gateway.json("status")["policy"]["differs"]
    done = gateway.command("policy", "rollback", check=False)
    assert done.returncode == 1 and "no earlier policy" in done.stderr, "and not forth again"
    assert gateway.json("policy", "rollback", "2")["hash"] == answer["hash"], "but by its number"
    gateway.reload()
    assert running(gateway) == answer["hash"], "a reload leaves what was applied by hand"


def test_what_is_shown_can_be_applied(world):
    world = world()
    world.joined("alice")
    shown = world.gateway.command("policy", "show").stdout
    answer = json.loads(world.gateway.host.run([str(SLUICE), "policy", "apply", "--json", "-"], input=shown).stdout)
    assert answer["changes"] == [] and answer["other"] == []


BROKEN = [  # the policy's text, words of the refusal
    ('{"acls": [{"action": "accept", "src": ["group:nobody"], "dst": ["billing:80"]}]}', ["stdin", ":1:", "nobody"]),
    ('acls:\n- action: deny\n  src: ["*"]\n  dst: ["*:*"]\n', ["stdin:2:", "not supported"]),
    ('{"acls": [], "tests": [{"src": "alice@example.com", "accept": ["203.0.113.9:80"]}]}', ["test(s) failed"]),
    ("{", ["stdin"]),
    ("acls: [\xff]", ["stdin"]),
    ("a: &x [1]\nb: *x\n", ["stdin:1:"]),
]


@pytest.mark.parametrize("text, words", BROKEN, ids=["name", "action", "test", "cut", "utf8", "alias"])
def test_a_refused_policy_leaves_the_old_one(world, text, words):
    world = world()
    alice = world.joined("alice")
    before, generation = running(world.gateway), world.gateway.json("status")["policy"]["generation"]
    done = subprocess.run(world.gateway.host.enter([str(SLUICE), "policy", "apply", "-"]), capture_output=True,
                          input=text.encode("latin-1"), timeout=20)
    said = done.stderr.decode(errors="replace")
    assert done.returncode == 2 and not [word for word in words if word not in said], said
    assert running(world.gateway) == before
    assert world.gateway.json("status")["policy"]["generation"] == generation
    assert alice.host.probe("connect", SERVICE[4], 80)["connected"]


def test_if_match_refuses_where_another_was_first(world):
    world = world()
    world.joined("alice")
    gateway, first = world.gateway, running(world.gateway)
    second = applied(gateway, more_rules(gateway.policy, 1), "--if-match", first)["hash"]
    done = apply(gateway, more_rules(gateway.policy, 2), "--if-match", first, check=False)
    assert done.returncode == 1 and second in done.stderr and running(gateway) == second
    assert applied(gateway, more_rules(gateway.policy, 2), "--if-match", second[:12])["applied"]


def test_only_root_applies(world):
    world = world()
    world.joined("alice")
    gid = world.net.gateway.out("stat -c %g /run/sluice/sluice.sock").strip()
    member = ["setpriv", "--reuid=65534", f"--regid={gid}", "--clear-groups", str(SLUICE), "policy"]
    assert world.net.gateway.run([*member, "show"], check=False).returncode == 0
    for change in (["apply", "-"], ["rollback"]):
        done = world.net.gateway.run([*member, *change], input='{"acls": []}', check=False)
        assert done.returncode == 1 and "root" in done.stderr


@pytest.mark.parametrize("how", ("stop", "kill9"))
def test_what_was_applied_survives_a_restart(world, how):
    world = world()
    alice, bob = world.joined("alice", "bob")
    gateway, first = world.gateway, running(world.gateway)
    policy = copy.deepcopy(gateway.policy)
    policy["groups"]["group:eng"].append("bob@example.com")
    mine = applied(gateway, policy)["hash"]
    gateway.await_remembered(2)
    getattr(gateway, how)()
    gateway.start()
    assert running(gateway) == mine and gateway.json("status")["policy"]["differs"]
    assert gateway.json("status")["policy"]["source"] == "apply"
    settle(bob, gateway)
    (gateway.folder / "policy.yaml").unlink()
    gateway.stop()
    start_as_it_is(gateway)
    assert running(gateway) == mine, "the file is gone: what was applied last runs"
    assert gateway.json("policy", "rollback")["hash"] == first, "the one before it is remembered, too"


def start_as_it_is(gateway):
    """Start without writing the files anew."""
    write, gateway.write = gateway.write, lambda: None
    gateway.start()
    gateway.write = write


def test_an_edited_file_is_taken_by_a_start(world):
    world = world()
    world.joined("alice", "bob")
    gateway, first = world.gateway, running(world.gateway)
    gateway.stop()
    gateway.policy = more_rules(gateway.policy, 2)
    gateway.start()
    status = gateway.json("status")["policy"]
    assert running(gateway) != first and not status["differs"] and status["source"] == "file"


def test_a_gateway_without_a_policy_file_has_what_is_applied(world):
    world = world()
    gateway, alice = world.gateway, world.client("alice")
    del gateway.config["policy"]
    gateway.admit(alice)
    gateway.start()
    alice.join(gateway)
    refused_with_icmp(alice.host, 4, SERVICE[4])
    assert gateway.command("policy", "show", check=False).returncode == 1
    answer = applied(gateway, gateway.policy, "--if-match", "none")
    assert answer["previous"] is None
    settle(alice, gateway)
    gateway.reload()
    assert running(gateway) == answer["hash"]
    gateway.restart()
    assert running(gateway) == answer["hash"] and not gateway.json("status")["policy"]["differs"]
    settle(alice, gateway)


def test_watch_applies_what_is_written(world):
    world = world()
    world.joined("alice")
    gateway = world.gateway
    file = world.lab.file("watched.json")
    file.write_text(json.dumps(more_rules(gateway.policy, 1)))
    first = running(gateway)
    watcher = gateway.host.popen("watch", [str(SLUICE), "policy", "apply", "--watch", str(file)])
    one = wait_for("applied", lambda: running(gateway) != first and running(gateway))
    file.write_text("{")
    wait_for("refused", lambda: "watched.json" in watcher.output() and "error" in watcher.output())
    assert running(gateway) == one
    new = file.with_suffix(".new")
    new.write_text(json.dumps(more_rules(gateway.policy, 2)))
    new.rename(file)
    wait_for("applied again", lambda: running(gateway) != one)
    watcher.stop(signal.SIGTERM)


def test_explain_on_a_running_gateway(world):
    world = world()
    alice = world.joined("alice")
    assert alice.host.probe("connect", SERVICE[4], 80)["connected"]
    answer = world.gateway.json("explain", "alice@example.com", "billing", "tcp", "80")
    one = answer["answers"][0]
    assert answer["allowed"] and one["client"] == alice.name and one["rule"]["line"] > 1
    assert one["route"] == {"prefix": "203.0.113.0/24", "by": "configuration"}
    assert one["egress"] == {"pool": "default", "interface": "eth0", "address": STATIC[4], "public": STATIC[4],
                             "next_hop": "198.51.100.254"}
    assert one["counters"]["flows"] >= 1
    done = world.gateway.command("explain", "alice@example.com", OTHER[4], "tcp", "80", check=False)
    assert done.returncode == 1 and "default deny" in done.stdout
    assert world.gateway.command("explain", "alice@example.com", "192.0.2.1", "80", check=False).returncode == 1
    assert world.gateway.command("explain", "nobody@nowhere.test", "billing", "80", check=False).returncode == 2
    for word, reason in (("169.254.169.254", "reserved"), ("224.0.0.1", "multicast"), ("10.0.0.1", "no_route")):
        done = world.gateway.command("explain", alice.name, word, "80", "--json", check=False)
        assert json.loads(done.stdout)["answers"][0]["reason"] == reason


# ---- live change ---------------------------------------------------------------------------------------------


def test_a_hundred_swaps_cost_nothing(world):
    """A download and 1,000 UDP flows, while the rules of their client change again and again."""
    world = world()
    alice = world.joined("alice")
    gateway = world.gateway
    policies = [world.lab.file(f"policy-{number}.json") for number in range(2)]
    for number, file in enumerate(policies):
        file.write_text(json.dumps(more_rules(gateway.policy, number)))
    download = alice.host.probing("get", "get", f"http://{SERVICE[4]}/slow/200000000/8000000")
    many = alice.host.probing("many", "many", SERVICE[4], 7, "--flows", 1000, "--count", 40, "--interval", 0.5)
    wait_for("flows", lambda: gateway.json("status")["flows"]["used"] > 1000, seconds=20)
    maps = set()
    for number in range(100):
        gateway.command("policy", "apply", str(policies[number % 2]))
        maps.add(inner_ids(world.net.gateway))
    assert many.popen.wait(60) == 0
    result = json.loads(many.output())
    assert result["received"] == result["sent"] == 40000 and result["intact"], result
    download.popen.wait(60)
    result = json.loads(download.output())
    assert result.get("error") is None and result["intact"] and result["bytes"] == 200000000, result
    assert result["silence"] < 1.0, result
    assert len(maps) == 100, "each swap brought tables of its own"


def bpftool(host, *words, check=True):
    return host.run(["bpftool", "-j", *words], check=check)


def inner_ids(host):
    """The ids of the tables that hang in the outer map acl, live slot or not."""
    entries = json.loads(bpftool(host, "map", "dump", "pinned", "/sys/fs/bpf/sluice/acl").stdout)
    return tuple(entry["formatted"]["value"] for entry in entries
                 if isinstance(entry.get("formatted", {}).get("value"), int)) or inner_raw(entries)


def inner_raw(entries):
    numbers = [int.from_bytes(bytes(int(byte, 16) for byte in entry["value"]), "little") for entry in entries
               if isinstance(entry.get("value"), list)]
    return tuple(numbers)


def test_tables_are_frozen_and_old_ones_gone(world):
    world = world()
    world.joined("alice")
    host = world.net.gateway
    before = inner_ids(host)
    assert len(before) == 1
    done = bpftool(host, "map", "update", "id", str(before[0]), "key", *["0"] * 24, "value", *["0"] * 8, check=False)
    assert done.returncode != 0 and "not permitted" in done.stdout + done.stderr
    applied(world.gateway, more_rules(world.gateway.policy, 1))
    after = inner_ids(host)
    assert len(after) == 1 and after != before
    wait_for("old table gone", lambda: bpftool(host, "map", "show", "id", str(before[0]), check=False).returncode != 0)


def test_a_revoked_flow_passes_nothing_and_is_gone_in_5_s(world):
    world = world()
    alice, carol = world.joined("alice", "carol")
    gateway = world.gateway
    job = alice.host.probing("udp", "udp", SERVICE[4], 7, "--count", 600, "--interval", 0.01)
    down = alice.host.probing("get", "get", f"http://{SERVICE[4]}/slow/80000000/4000000", "--timeout", 3)
    gateway.await_download(alice)
    wait_for("echoes", lambda: gateway.flows_of(alice, ":7"))
    # where they leave: on the wire behind, a busy machine may hold a packet longer than the tolerance below
    with world.net.gateway.capture("eth0", "port 7 or port 80", "out") as capture:
        answer = applied(gateway, without(gateway.policy, "alice@example.com"))
        end = time.time()
        lost = [change for change in answer["changes"] if change["who"] == "alice@example.com"]
        assert sum(change["flows"] for change in lost) >= 2
        wait_for("entries gone", seconds=5, every=0.2,
                 condition=lambda: gateway.json("flows", "--user", "alice@example.com")["flows"] == [])
        time.sleep(1)
    late = [packet for packet in capture.packets() if float(packet.time) > end + 0.002 and packet.haslayer("IP")
            and packet["IP"].src == STATIC[4]]
    assert late == [], "nothing of alice's left after the answer"
    job.popen.wait(20)
    down.popen.wait(20)
    assert json.loads(down.output()).get("error")
    settle(carol, gateway)


# ---- pools and block lists --------------------------------------------------------------------------------------


def with_pool(world):
    """A second address in pool "bank", and a policy that gives carol that pool."""
    gateway = world.gateway
    world.net.gateway.address("eth0", "198.51.100.4/24")
    world.net.far.nft("add rule inet allowlist input ip saddr 198.51.100.4 accept\n")
    gateway.config["egress"]["pools"] = {"bank": {"interface": "eth0", "addresses": ["198.51.100.4"]}}
    policy = copy.deepcopy(gateway.policy)
    policy["egress"] = {"carol@example.com": "bank"}
    return policy


def seen_as(client):
    return client.host.probe("get", f"http://{SERVICE[4]}/")["body"]


def test_a_pool_by_policy_and_live_flows_stay(world):
    world = world()
    policy = with_pool(world)
    alice, carol = world.joined("alice", "carol")
    gateway = world.gateway
    assert STATIC[4] in seen_as(carol)
    job = carol.host.probing("get", "get", f"http://{SERVICE[4]}/slow/12000000/4000000")
    wait_for("download", lambda: gateway.json("flows", "--client", carol.name, "--service", ":80")["flows"])
    answer = applied(gateway, policy)
    assert answer["changes"] == [] and [line for line in answer["other"] if "bank" in line]
    assert "198.51.100.4" in seen_as(carol) and STATIC[4] in seen_as(alice)
    assert job.popen.wait(20) == 0
    assert json.loads(job.output())["intact"], "the flow from before keeps its address"
    one = gateway.json("explain", "carol@example.com", "billing", "80")["answers"][0]
    assert one["egress"]["pool"] == "bank" and one["egress"]["address"] == "198.51.100.4"


def test_an_unknown_pool_is_the_default_one_and_said(world):
    world = world()
    world.joined("alice")
    policy = copy.deepcopy(world.gateway.policy)
    policy["egress"] = {"alice@example.com": "nowhere"}
    answer = applied(world.gateway, policy)
    assert [line for line in answer["warnings"] if "nowhere" in line]
    assert STATIC[4] in seen_as(world.clients["alice"])


def blocking(gateway, text, **more):
    """The gateway's policy with a block list of this text."""
    (gateway.folder / "drop.txt").write_text(text)
    policy = copy.deepcopy(gateway.policy)
    policy["blocklists"] = [{"name": "drop", "file": "drop.txt", **more}]
    return policy


def test_a_block_list_wins_over_every_accept(world):
    world = world()
    alice = world.joined("alice")
    gateway = world.gateway
    applied(gateway, blocking(gateway, "# bad\n203.0.113.8/31\n"))
    before = gateway.drops()["blocked"]
    refused_with_icmp(alice.host, 4, SERVICE[4])
    assert gateway.drops()["blocked"] > before
    assert alice.host.probe("connect", SERVICE[6], 80)["connected"]
    done = gateway.command("explain", alice.name, "billing", "80", "--json", check=False)
    assert json.loads(done.stdout)["answers"][0]["reason"] == "blocked"
    applied(gateway, blocking(gateway, "203.0.113.77\n"))
    assert alice.host.probe("connect", SERVICE[4], 80)["connected"]


def make_missing(file):
    file.unlink()


def make_old(file):
    old = time.time() - 7200
    file.write_text("203.0.113.77\n")
    os.utime(file, (old, old))


def make_broken(file):
    file.write_text("203.0.113.77\n203.0.113.0/33\n")


@pytest.mark.parametrize("spoil", (make_missing, make_old, make_broken))
def test_the_last_good_block_list_is_kept(world, spoil):
    world = world()
    alice = world.joined("alice")
    gateway = world.gateway
    policy = blocking(gateway, "203.0.113.9\n", max_age="1h")
    applied(gateway, policy)
    spoil(gateway.folder / "drop.txt")
    for again in range(2):
        answer = applied(gateway, policy)
        assert [line for line in answer["warnings"] if "drop" in line and "last good copy" in line]
        assert "last good copy" in gateway.process.output(), "an event in the log"
        refused_with_icmp(alice.host, 4, SERVICE[4])
        if not again:
            gateway.restart()
            settle(alice, gateway, version=6)


@pytest.mark.parametrize("text", (None, "203.0.113.0/33\n"))
def test_a_block_list_that_never_was_good_refuses_the_policy(world, text):
    world = world()
    world.joined("alice")
    gateway, first = world.gateway, running(world.gateway)
    policy = blocking(gateway, text or "")
    if text is None:
        (gateway.folder / "drop.txt").unlink()
    done = apply(gateway, policy, check=False)
    assert done.returncode == 2 and "drop.txt" in done.stderr and running(gateway) == first
    assert text is None or "drop.txt:1" in done.stderr
