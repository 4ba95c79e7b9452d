# SPDX-License-Identifier: BSD-2-Clause
"""Who is out stays out: removals that nothing stands in the way of, one source of the policy, state that is damaged."""
import calendar
import copy
import time

import pytest

from gateways import SLUICE, settle
from lab import wait_for
from net import SERVICE
from test_policy import refused_with_icmp
from test_policy_live import applied, apply, running, start_as_it_is, without


def reaches(client):
    return client.host.probe("connect", SERVICE[4], 80).get("connected", False)


def refused(client):
    """By the policy, once the client has noticed that its session is gone (15 s)."""
    wait_for(f"{client.name} refused", seconds=30, condition=lambda: client.host.probe(
        "connect", SERVICE[4], 80, "--timeout", "2").get("error") == "EHOSTUNREACH")


def is_out(gateway, client):
    return client.name not in {entry["name"] for entry in gateway.json("clients")["clients"]
                               if not entry["expired"] and not entry.get("removed")}


def remove(gateway, client):
    gateway.clients = [entry for entry in gateway.clients if entry["name"] != client.name]


def passes(client):
    return client.host.run(f"ping -c 2 -i 0.1 -W 1 {SERVICE[4]}", check=False).returncode == 0


# ---- 2: removing a user always works ---------------------------------------------------------------------------------


def names_the_removed(gateway):
    gateway.policy["tests"] = [{"src": "carol@example.com", "accept": ["billing:80"]}]


def fails_its_tests(gateway):
    gateway.policy["tests"] = [{"src": "alice@example.com", "deny": ["billing:80"]}]


def is_broken(gateway):
    gateway.policy["acls"].append({"action": "accept", "src": ["group:nobody"], "dst": ["billing:80"]})


def is_away(gateway):
    gateway.config["policy"] = "absent.yaml"


def needs_a_restart(gateway):
    gateway.config["tunnel"]["listen"] = 51999


def has_no_psk(gateway):
    gateway.clients[0]["preshared_key_file"] = "absent.psk"


STANDS_IN_THE_WAY = [  # what, the exit status of the reload
    (names_the_removed, 0), (fails_its_tests, 2), (is_broken, 2), (is_away, 2), (needs_a_restart, 2), (has_no_psk, 1)]


@pytest.mark.parametrize("what, status", STANDS_IN_THE_WAY, ids=[way[0].__name__ for way in STANDS_IN_THE_WAY])
def test_fault_2_a_removal_applies_whatever_stands_in_the_way(world, what, status):
    world = world()
    alice, carol = world.joined("alice", "carol")
    gateway = world.gateway
    settle(carol, gateway)
    remove(gateway, carol)
    what(gateway)
    done = gateway.reload(check=False)
    assert done.returncode == status, done.stderr
    assert not passes(carol)
    assert is_out(gateway, carol)
    if what is not has_no_psk:
        assert reaches(alice)
    if status:
        assert done.stderr.strip()


# What is wrong with the files beside the removal of carol, as a change of their texts (gateway.yaml and
# clients.d/all.yaml), and whether that still tells that she was removed.
def a_route_is_none(main, clients):
    return main.replace('"routes": [', '"routes": ["198.51.100.256/32",'), clients


def nobody_knows_the_key(main, clients):
    return main.replace('"clients"', '"cleints"'), clients


def does_not_parse(main, clients):
    return main + "nat: {\n", clients


def another_entry_is_wrong(main, clients):
    return main, clients.replace('"user"', '"keepalive": "often", "user"')


def clients_do_not_parse(main, clients):
    return main, clients.replace('"user":', '"user"', 1) + "# " + "carol was here\n"


def is_empty(main, clients):
    return "", clients


def is_cut(main, clients):
    return main, clients[:len(clients) // 2]


def is_something_else(main, clients):
    return "hello: world\n", "- hello\n"


MISTAKES = [(a_route_is_none, True), (nobody_knows_the_key, True), (does_not_parse, True),
            (another_entry_is_wrong, True), (clients_do_not_parse, True), (is_empty, True), (is_cut, False),
            (is_something_else, False)]


def edited(gateway, edit):
    """Writes the files, edited, and reloads them."""
    gateway.write()
    files = [gateway.folder / "gateway.yaml", gateway.folder / "clients.d" / "all.yaml"]
    for file, text in zip(files, edit(*(file.read_text() for file in files))):
        file.write_text(text)
    return gateway.command("reload", check=False)


@pytest.mark.parametrize("edit, tells", MISTAKES, ids=[row[0].__name__ for row in MISTAKES])
def test_fault_2_a_removal_applies_from_files_with_mistakes(world, edit, tells):
    """Nobody but the removed loses anything; where half of a file is missing, nobody does."""
    world = world()
    alice, carol = world.joined("alice", "carol")
    gateway = world.gateway
    settle(carol, gateway)
    remove(gateway, carol)
    done = edited(gateway, edit)
    assert done.returncode == 2 and "error" in done.stderr, done.stderr
    assert passes(alice)
    assert not is_out(gateway, alice)
    assert passes(carol) != tells
    assert is_out(gateway, carol) == tells
    assert ("1 client is cut off" if tells else "clients that are not found stay") in done.stderr
    verdict = gateway.command("explain", "carol@example.com", SERVICE[4], "tcp", "80", check=False)
    assert ("was removed" in verdict.stdout) == tells, verdict.stdout
    gateway.admit(carol)
    assert gateway.reload().returncode == 0
    assert not is_out(gateway, carol) and not is_out(gateway, alice)


@pytest.mark.parametrize("what", [is_broken, needs_a_restart, has_no_psk, a_route_is_none],
                         ids=lambda what: what.__name__)
def test_fault_2_an_earlier_expiry_applies_whatever_stands_in_the_way(world, what):
    """It lies in the future when the configuration is refused, and the client is out when it has come."""
    world = world()
    alice, carol = world.joined("alice", "carol")
    gateway = world.gateway
    settle(carol, gateway)
    soon = time.gmtime(time.time() + 6)
    gateway.clients[1]["expires"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", soon)
    if what is a_route_is_none:
        done = edited(gateway, what)
    else:
        what(gateway)
        done = gateway.reload(check=False)
    assert done.returncode, done.stdout
    assert passes(carol) or time.time() > calendar.timegm(soon)
    wait_for("carol out", lambda: not passes(carol), seconds=20)
    assert time.time() >= calendar.timegm(soon)
    wait_for("said", lambda: is_out(gateway, carol))
    assert what is has_no_psk or passes(alice)


def test_fault_2_a_refused_policy_keeps_the_old_one_for_the_new_clients(world):
    world = world()
    alice = world.joined("alice")
    gateway, first = world.gateway, running(world.gateway)
    carol = world.client("carol")
    gateway.admit(carol)
    fails_its_tests(gateway)
    done = gateway.reload(check=False)
    assert done.returncode == 2 and "the policy is not taken" in done.stderr and "1 added" in done.stderr
    assert running(gateway) == first and gateway.json("status")["policy"]["differs"]
    carol.join(gateway)
    settle(carol, gateway)
    assert reaches(alice)
    del gateway.policy["tests"]
    gateway.reload()
    assert not gateway.json("status")["policy"]["differs"]


def test_fault_2_expiry_and_another_key_apply_whatever_stands_in_the_way(world):
    world = world()
    alice, carol = world.joined("alice", "carol")
    gateway = world.gateway
    settle(carol, gateway)
    is_broken(gateway)
    gateway.clients[1]["expires"] = "2020-01-01"
    assert gateway.reload(check=False).returncode == 2
    assert not passes(carol)
    del gateway.clients[1]["expires"]
    gateway.reload(check=False)
    settle(carol, gateway, seconds=30)  # it notices after 15 s that its session is gone
    needs_a_restart(gateway)
    gateway.clients[1]["public_key"] = gateway.key.public
    assert gateway.reload(check=False).returncode == 2
    assert not passes(carol) and passes(alice)


def test_fault_2_a_start_takes_what_both_policies_allow(world):
    """Old and new, never old alone."""
    world = world()
    alice, carol = world.joined("alice", "carol")
    gateway = world.gateway
    gateway.stop()
    gateway.policy = without(gateway.policy, "carol@example.com")
    gateway.policy["acls"].append({"action": "accept", "src": ["alice@example.com"], "dst": ["gateway:*"]})
    fails_its_tests(gateway)
    gateway.start()
    status = gateway.json("status")
    assert status["degraded"] and [note for note in status["notes"] if "both allow" in note], status["notes"]
    settle(alice, gateway)
    refused_with_icmp(carol.host, 4, SERVICE[4])
    gateway.reload(check=False)
    refused_with_icmp(carol.host, 4, SERVICE[4])
    gateway.restart()
    refused_with_icmp(carol.host, 4, SERVICE[4])
    del gateway.policy["tests"]
    gateway.reload()
    assert gateway.json("status")["notes"] == []
    settle(alice, gateway)
    refused_with_icmp(carol.host, 4, SERVICE[4])


@pytest.mark.parametrize("what", (is_broken, is_away), ids=("broken", "away"))
def test_fault_2_a_start_with_a_policy_that_cannot_be_read_lets_nothing_pass(world, what):
    world = world()
    alice = world.joined("alice")
    gateway = world.gateway
    gateway.stop()
    good = copy.deepcopy(gateway.policy), dict(gateway.config)
    what(gateway)
    gateway.start()
    status = gateway.json("status")
    assert [note for note in status["notes"] if "nothing passes" in note], status["notes"]
    refused_with_icmp(alice.host, 4, SERVICE[4])
    gateway.policy, gateway.config = good
    gateway.reload()
    settle(alice, gateway)
    assert gateway.json("status")["notes"] == []


def test_fault_2_the_service_is_tried_again_where_a_gateway_ran(world):
    """Exit status 2 is final for the unit: only where nothing ever ran."""
    world = world()
    world.joined("alice")
    gateway = world.gateway
    wait_for("state", lambda: (world.lab.dir / "state/state.json").exists())
    gateway.stop()
    gateway.config["lisen"] = 1
    status, said = gateway.run_to_end()
    assert status == 1 and "lisen" in said
    (world.lab.dir / "state/state.json").unlink()
    status, said = gateway.run_to_end()
    assert status == 2 and "lisen" in said


# ---- 3: one source at a time -----------------------------------------------------------------------------------------


def test_fault_3_a_reload_keeps_what_was_applied_and_takes_the_clients(world):
    world = world()
    alice, carol = world.joined("alice", "carol")
    gateway = world.gateway
    answer = applied(gateway, without(gateway.policy, "carol@example.com"))
    assert gateway.json("status")["policy"]["source"] == "apply"
    bob = world.client("bob")
    gateway.admit(bob)
    told = gateway.json("reload", "--dry-run")
    assert not told["applied"] and told["changes"] == []
    done = gateway.reload()
    assert "applied by hand" in done.stdout and "policy apply" in done.stdout
    assert running(gateway) == answer["hash"] and "1 added" in done.stdout
    refused_with_icmp(carol.host, 4, SERVICE[4])
    for stop in (gateway.stop, gateway.kill9):
        stop()
        gateway.start()
        assert running(gateway) == answer["hash"]
        settle(alice, gateway)
        refused_with_icmp(carol.host, 4, SERVICE[4])
    gateway.command("policy", "apply", str(gateway.folder / "policy.yaml"))
    assert gateway.json("status")["policy"]["source"] == "file"
    settle(carol, gateway)
    gateway.policy = without(gateway.policy, "carol@example.com")
    gateway.reload()
    refused_with_icmp(carol.host, 4, SERVICE[4])


def test_fault_3_a_dry_reload_tells_and_changes_nothing(world):
    world = world()
    alice, carol = world.joined("alice", "carol")
    gateway = world.gateway
    first, generation = running(gateway), gateway.json("status")["policy"]["generation"]
    gateway.policy = without(gateway.policy, "carol@example.com")
    gateway.admit(world.client("bob"))
    remove(gateway, alice)
    gateway.write()
    told = gateway.json("reload", "--dry-run")
    assert told["clients"] == {"added": ["bob-laptop"], "removed": [alice.name], "changed": []}
    assert {(change["change"], change["who"]) for change in told["changes"]} == {("loss", "carol@example.com")}
    shown = gateway.command("reload", "--dry-run").stdout
    assert "client bob-laptop: is new" in shown and f"client {alice.name}: goes" in shown and "dry run" in shown
    assert running(gateway) == first and gateway.json("status")["policy"]["generation"] == generation
    assert passes(alice) and passes(carol)
    gateway.config["tunnel"]["listen"] = 51999
    gateway.write()
    assert gateway.json("reload", "--dry-run")["restart"] == ["tunnel.listen"]
    is_broken(gateway)
    gateway.write()
    assert gateway.command("reload", "--dry-run", check=False).returncode == 2
    assert passes(alice)


EMPTY = ["", "# nothing\n", "{}", "acls: []\n", "acls:\ngroups: {}\n"]


def test_fault_3_an_empty_document_needs_a_word(world):
    world = world()
    alice = world.joined("alice")
    gateway, first = world.gateway, running(world.gateway)
    for text in EMPTY:
        done = gateway.host.run([str(SLUICE), "policy", "apply", "-"], input=text, check=False)
        assert done.returncode == 2 and "document is empty" in done.stderr, text
    assert running(gateway) == first and reaches(alice)
    gateway.host.run([str(SLUICE), "policy", "apply", "--allow-empty", "-"], input="acls: []\n")
    refused_with_icmp(alice.host, 4, SERVICE[4])
    gateway.command("policy", "rollback")
    assert reaches(alice)
    done = gateway.command("policy", "rollback", "2", check=False)
    assert done.returncode == 2 and "document is empty" in done.stderr


def test_fault_3_history_is_numbered_and_bounded(world):
    world = world()
    world.joined("alice")
    gateway, first = world.gateway, running(world.gateway)
    for number in range(1, 21):
        policy = copy.deepcopy(gateway.policy)
        policy["hosts"][f"h{number}"] = f"203.0.113.{100 + number}"
        assert applied(gateway, policy)["number"] == number + 1
    listed = gateway.json("policy", "history")["policies"]
    assert [entry["number"] for entry in listed] == list(range(21, 5, -1))
    assert [entry["number"] for entry in listed if entry["running"]] == [21]
    assert first not in {entry["hash"] for entry in listed}
    assert gateway.json("policy", "rollback", "9")["number"] == 9
    gateway.restart()
    assert running(gateway) == next(entry["hash"] for entry in listed if entry["number"] == 9)
    for wrong, status in (("5", 1), ("22", 1), ("0", 2), ("x", 2)):
        assert gateway.command("policy", "rollback", wrong, check=False).returncode == status
    assert "*9" in gateway.command("policy", "history").stdout


# ---- 51: state that says who is out ----------------------------------------------------------------------------------


def stores(world):
    return [world.lab.dir / "state" / name for name in ("policy.kept", "policy.kept.2")]


def revoked(world):
    """A gateway whose file lets carol in, and whose applied policy does not; stopped."""
    alice, carol = world.joined("alice", "carol")
    applied(world.gateway, without(world.gateway.policy, "carol@example.com"))
    world.gateway.stop()
    return alice, carol


def cut(file):
    file.write_bytes(file.read_bytes()[:-1])


def changed(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def emptied(file):
    file.write_bytes(b"")


def unreadable(file):
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("damage", (cut, changed, emptied, unreadable))
def test_fault_51_one_damaged_copy_costs_nothing_two_close(world, damage):
    world = world()
    alice, carol = revoked(world)
    gateway = world.gateway
    damage(stores(world)[0])
    start_as_it_is(gateway)
    settle(alice, gateway)
    refused_with_icmp(carol.host, 4, SERVICE[4])
    if damage is not unreadable:
        wait_for("both copies whole again", lambda: stores(world)[0].read_bytes() == stores(world)[1].read_bytes())
    gateway.stop()
    for file in stores(world):
        if not file.is_dir():
            damage(file)
    start_as_it_is(gateway)
    status = gateway.json("status")
    assert [note for note in status["notes"] if "nothing passes" in note and "policy.kept" in note], status["notes"]
    for client in (alice, carol):
        refused_with_icmp(client.host, 4, SERVICE[4])
    gateway.reload()
    refused_with_icmp(carol.host, 4, SERVICE[4])
    for file in stores(world):
        if file.is_dir():
            file.rmdir()
    applied(gateway, without(gateway.policy, "carol@example.com"))
    settle(alice, gateway)
    refused_with_icmp(carol.host, 4, SERVICE[4])
    assert gateway.json("status")["notes"] == []


def test_fault_51_no_descriptors_left_at_a_start(world):
    """Every open of the start fails once with EMFILE: whatever starts lets nobody in who is out."""
    world = world()
    _, carol = revoked(world)
    gateway = world.gateway
    strace = ["strace", "-f", "-o", "/dev/null", "-e", "trace=openat", "-P", str(stores(world)[0]),
              "-e", "inject=openat:error=EMFILE:when=1"]
    gateway.under = strace
    gateway.start()
    refused(carol)
    assert running(gateway)
    gateway.down()
    gateway.process.popen.wait(20)
    gateway.under = [*strace[:-1], "inject=openat:error=EMFILE", "-P", str(stores(world)[1])]
    gateway.start()
    assert [note for note in gateway.json("status")["notes"] if "Too many open files" in note]
    refused(carol)
    gateway.down()


@pytest.mark.long
def test_fault_51_a_full_disk(world):
    """An apply that cannot be kept is in force, exit status 1, and never undone by a restart."""
    world = world()
    folder = world.lab.dir / "tiny"
    folder.mkdir()
    world.net.gateway.run(f"mount -t tmpfs -o size=64k,mode=700 tmpfs {folder}")
    gateway = world.gateway
    gateway.config["state"] = str(folder)
    alice, carol = world.joined("alice", "carol")
    settle(carol, gateway)
    wait_for("state", lambda: gateway.host.path(folder / "state.json").exists())
    gateway.host.run(["sh", "-c", f"cat /dev/zero > {folder}/fill"], check=False)
    done = apply(gateway, without(gateway.policy, "carol@example.com"), check=False)
    assert done.returncode == 1 and "cannot be kept" in done.stderr and "No space" in done.stderr
    refused_with_icmp(carol.host, 4, SERVICE[4])
    assert [note for note in gateway.json("status")["notes"] if "cannot be kept" in note]
    gateway.kill9()
    start_as_it_is(gateway)
    refused(carol)
    refused(alice)
    assert [note for note in gateway.json("status")["notes"] if "nothing passes" in note]
    apply(gateway, without(gateway.policy, "carol@example.com"), check=False)
    settle(alice, gateway, seconds=30)
    gateway.host.run(["rm", str(folder / "fill")])
    wait_for("kept", lambda: gateway.json("status")["notes"] == [], seconds=15)
    gateway.restart()
    settle(alice, gateway)  # called by the gateway at once: what it remembers of clients is written again, too
    refused_with_icmp(carol.host, 4, SERVICE[4])


def test_fault_51_what_is_not_to_be_kept_is_gone_with_the_run(world):
    world = world()
    alice, carol = world.joined("alice", "carol")
    gateway, first = world.gateway, running(world.gateway)
    answer = applied(gateway, without(gateway.policy, "carol@example.com"), "--not-kept")
    status = gateway.json("status")
    assert not status["policy"]["kept"] and [note for note in status["notes"] if "--not-kept" in note]
    gateway.reload()
    assert running(gateway) == answer["hash"]
    gateway.restart()
    assert running(gateway) == first
    settle(carol, gateway)
    applied(gateway, without(gateway.policy, "alice@example.com"), "--not-kept")
    refused_with_icmp(alice.host, 4, SERVICE[4])
    assert gateway.json("policy", "rollback")["hash"] == first
    settle(alice, gateway)


def test_fault_51_a_read_only_state(world):
    world = world()
    folder = world.lab.dir / "tiny"
    folder.mkdir()
    gateway = world.gateway
    gateway.config["state"] = str(folder)
    folder.chmod(0o700)
    carol = world.joined("alice", "carol")[1]
    gateway.host.run(f"mount --bind {folder} {folder}")
    gateway.host.run(f"mount -o remount,bind,ro {folder}")
    done = apply(gateway, without(gateway.policy, "carol@example.com"), check=False)
    assert done.returncode == 1 and "Read-only" in done.stderr
    refused_with_icmp(carol.host, 4, SERVICE[4])
    gateway.stop()
    status, said = gateway.run_to_end()
    assert status == 1 and "Read-only" in said, "a start that cannot write who is out, does not let anybody in"


def test_fault_51_a_block_list_copy_that_was_cut_is_none(world):
    """A list that is missing and whose copy is damaged is not a shorter list."""
    world = world()
    alice = world.joined("alice")
    gateway = world.gateway
    (gateway.folder / "drop.txt").write_text("203.0.113.77\n203.0.113.9\n")
    gateway.policy["blocklists"] = [{"name": "drop", "file": "drop.txt"}]
    gateway.reload()
    refused_with_icmp(alice.host, 4, SERVICE[4])
    gateway.stop()
    (gateway.folder / "drop.txt").unlink()
    copies = list((world.lab.dir / "state").glob("blocklist-*"))
    assert copies
    for file in copies:
        cut(file)
    gateway.start()
    refused_with_icmp(alice.host, 4, SERVICE[4])
    assert [note for note in gateway.json("status")["notes"] if "nothing passes" in note]
