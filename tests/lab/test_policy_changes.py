# SPDX-License-Identifier: BSD-2-Clause
"""Changes of policy that take long or come by themselves; block lists that are written anew."""
import copy
import json
import os
import signal
import time

import pytest

from gateways import SLUICE, settle
from lab import wait_for
from net import SERVICE
from test_policy import refused_with_icmp
from test_policy_live import blocking, make_broken, make_missing, make_old, more_rules, running, with_pool


def large(policy, rules=6000):
    """The same policy with so many rules, each for another group, that it takes a while to compile."""
    other = copy.deepcopy(policy)
    for number in range(rules):
        other["groups"][f"group:g{number}"] = [f"u{number}@example.com", f"v{number}@example.com"]
        other["acls"].append({"action": "accept", "src": [f"group:g{number}"],
                              "dst": [f"203.0.113.{number % 200}:{1000 + number}"]})
    return other



def applying(gateway, file, name="apply"):
    return gateway.host.popen(name, [str(SLUICE), "policy", "apply", "--json", str(file)])


# ---- what goes on meanwhile -------------------------------------------------------------------------------------


def test_commands_are_answered_while_a_policy_is_compiled(world):
    world = world()
    alice = world.client("alice")
    gateway = world.gateway
    gateway.admit(alice)
    gateway.start()
    alice.join(gateway)
    settle(alice, gateway)
    answered, file = 0, world.lab.file("large.json")
    for rules in (6000, 12000, 24000):      # on a machine that does much else, a command may take as long as a policy
        file.write_text(json.dumps(large(gateway.policy, rules)))
        before = running(gateway)
        job = applying(gateway, file, f"apply-{rules}")
        while job.alive():
            gateway.command("status")
            answered += job.alive()
        assert json.loads(job.output())["applied"] and running(gateway) != before
        if answered:
            break
    assert answered >= 1, "a command asked and answered before the policy was there"


def test_changes_take_turns(world):
    """Applies, a reload and a SIGHUP at once: each is made as if it were alone, and the last one runs."""
    world = world()
    world.joined("alice")
    gateway = world.gateway
    files = [world.lab.file(f"policy-{number}.json") for number in range(4)]
    for number, file in enumerate(files):
        file.write_text(json.dumps(large(more_rules(gateway.policy, number), 300)))
    first = running(gateway)
    jobs = [applying(gateway, file, file.stem) for file in files]
    gateway.process.popen.send_signal(signal.SIGHUP)
    again = gateway.host.popen("reload", [str(SLUICE), "reload"])
    for job in (*jobs, again):
        assert job.popen.wait(30) == 0, job.output()
    answers = [json.loads(job.output()) for job in jobs]
    generations = [answer["generation"] for answer in answers]
    assert len(set(generations)) == len(files), "one after the other"
    by_turn = sorted(answers, key=lambda answer: answer["generation"])
    hashes = {answer["hash"] for answer in answers} | {first}
    assert len(hashes) == len(files) + 1
    for earlier, later in zip(by_turn, by_turn[1:]):
        assert later["previous"] in (earlier["hash"], first), "nobody's change was skipped over"
    gateway.reload()
    assert running(gateway) == by_turn[-1]["hash"], "a reload leaves what was applied by hand"


def test_an_end_while_a_policy_is_compiled(world):
    world = world()
    world.joined("alice")
    gateway = world.gateway
    file = world.lab.file("large.json")
    file.write_text(json.dumps(large(gateway.policy)))
    first = running(gateway)
    jobs = [applying(gateway, file, f"apply-{number}") for number in range(3)]
    gateway.process.popen.send_signal(signal.SIGTERM)
    assert gateway.process.popen.wait(20) == 0, gateway.process.output()
    for job in jobs:
        assert job.popen.wait(10) in (0, 1, 3), job.output()
    gateway.start()
    applied = [json.loads(job.output())["hash"] for job in jobs if job.popen.returncode == 0]
    assert running(gateway) == (applied[-1] if applied else first)


# ---- block lists ---------------------------------------------------------------------------------------------------


def test_a_block_list_that_is_written_anew_is_in_force_by_itself(world):
    world = world()
    alice = world.joined("alice")
    gateway = world.gateway
    gateway.policy = blocking(gateway, "203.0.113.77\n")
    gateway.reload()
    generation = gateway.json("status")["policy"]["generation"]
    assert alice.host.probe("connect", SERVICE[4], 80)["connected"]
    new = gateway.folder / "new.txt"
    new.write_text("203.0.113.8/31\n")
    new.rename(gateway.folder / "drop.txt")
    wait_for("blocked", lambda: not alice.host.probe("connect", SERVICE[4], 80, "--timeout", 1)["connected"])
    refused_with_icmp(alice.host, 4, SERVICE[4])
    assert gateway.json("status")["policy"]["generation"] > generation, "live flows are decided again"
    wait_for("the log", lambda: "block lists: 1 prefixes instead of 1" in gateway.process.output())
    (gateway.folder / "drop.txt").write_text("")
    wait_for("free again", lambda: alice.host.probe("connect", SERVICE[4], 80, "--timeout", 1)["connected"])


@pytest.mark.parametrize("spoil", (make_missing, make_old, make_broken))
def test_a_block_list_that_is_spoiled_stays_as_it_was_good(world, spoil):
    """Nobody asks for it: the gateway notices, says so once, and takes the next good list."""
    world = world()
    alice = world.joined("alice")
    gateway = world.gateway
    gateway.policy = blocking(gateway, "203.0.113.9\n", max_age="1h")
    gateway.reload()
    spoil(gateway.folder / "drop.txt")
    wait_for("an event", lambda: "last good copy" in gateway.process.output())
    if spoil is make_broken:
        assert "drop.txt:2" in gateway.process.output(), "the broken line is named"
    refused_with_icmp(alice.host, 4, SERVICE[4])
    settle(alice, gateway, version=6)
    wait_for("status", lambda: [note for note in gateway.json("status")["notes"] if "last good copy" in note])
    time.sleep(5)                                     # two more looks at the files
    assert gateway.process.output().count("last good copy") == 1, "said once"
    (gateway.folder / "drop.txt").write_text("203.0.113.78\n")
    wait_for("good again", lambda: alice.host.probe("connect", SERVICE[4], 80, "--timeout", 1)["connected"])
    wait_for("no notes", lambda: gateway.json("status")["notes"] == [])


def test_a_block_list_grows_too_old_by_itself(world):
    world = world()
    alice = world.joined("alice")
    gateway = world.gateway
    gateway.policy = blocking(gateway, "203.0.113.9\n", max_age="1h")
    file = gateway.folder / "drop.txt"
    almost = time.time() - 3600 + 10
    os.utime(file, (almost, almost))
    assert "max_age" not in gateway.reload().stdout
    wait_for("an event", lambda: "max_age is" in gateway.process.output(), seconds=40)
    refused_with_icmp(alice.host, 4, SERVICE[4])


def test_a_reload_tells_its_warnings(world):
    world = world()
    world.joined("alice")
    gateway = world.gateway
    gateway.policy["acls"].append({"action": "accept", "src": ["alice@example.com"], "dst": ["192.0.2.200:1"]})
    assert "note: policy.yaml" in gateway.reload().stdout.replace(str(gateway.folder) + "/", "")
    notes = gateway.json("reload")["notes"]
    assert len(notes) == 1 and "outside every route" in notes[0]


# ---- addresses ------------------------------------------------------------------------------------------------------


def test_an_address_gone_from_its_interface_ends_its_flows(world):
    """Those of the other addresses do not notice."""
    world = world()
    policy = with_pool(world)
    alice, carol = world.joined("alice", "carol")
    gateway = world.gateway
    gateway.policy = policy
    gateway.reload()
    jobs = {client: client.host.probing("get", "get", f"http://{SERVICE[4]}/slow/12000000/3000000", "--timeout", 2)
            for client in (alice, carol)}

    def live(client):
        return gateway.json("flows", "--client", client.name, "--service", ":80")["flows"]

    wait_for("downloads", lambda: live(alice) and live(carol))
    assert [flow["as"].split(":")[0] for flow in live(carol)] == ["198.51.100.4"]
    with world.net.far.capture("eth0", "host 198.51.100.4 and tcp") as capture:
        world.net.gateway.run("ip addr del 198.51.100.4/24 dev eth0")
        wait_for("entries gone", lambda: not live(carol), seconds=5, every=0.2)
        end = time.time()
        jobs[carol].popen.wait(20)
    results = {client: json.loads(job.output()) for client, job in jobs.items() if not job.popen.wait(20) or True}
    assert results[carol].get("error"), "its flow has ended"
    assert results[alice].get("error") is None and results[alice]["intact"]
    late = [packet for packet in capture.packets() if float(packet.time) > end and packet["IP"].src == "198.51.100.4"]
    assert late == [], "nothing leaves by an address that is not ours"
