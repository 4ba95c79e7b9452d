# SPDX-License-Identifier: BSD-2-Clause
"""Fault 10: what a command did is told alike in text, JSON, the log and the exit status. A row for each outcome."""
import json
import subprocess

import pytest

from gateways import SLUICE
from lab import wait_for

MISTAKE = '{"acls": [{"action": "accept", "src": ["group:nobody"], "dst": ["*:*"]}]}'
FAILS = ('{"acls": [], "tests": [{"src": "alice@example.com", "accept": ["203.0.113.9:443"]}]}')

# command, what standard input holds, exit status, text, words of the JSON's messages, words of the log
OUTCOMES = [
    (["policy", "apply", "-"], MISTAKE, 2, "group not found", "group not found", "group not found"),
    (["policy", "apply", "-"], FAILS, 2, "does not reach", "does not reach", "does not reach"),
    (["policy", "apply", "-"], "", 2, "the document is empty", "the document is empty", "the document is empty"),
    (["policy", "apply", "-", "--if-match", "00"], "{}", 1, "another policy", "", ""),
    (["policy", "rollback", "99"], "", 1, "there is no policy 99", "there is no policy 99", "there is no policy 99"),
    (["clients", "kick", "nobody"], "", 1, "nobody", "nobody", ""),
    (["flows", "-d", "x y"], "", 2, "service: found", "service: found", ""),
    (["explain", "alice@example.com", "nothing", "443"], "", 2, "nothing", "nothing", ""),
]


@pytest.fixture
def running(world):
    world = world()
    world.joined("alice")
    return world


def ask(gateway, words, text):
    enter = gateway.host.enter([])
    return subprocess.run([*enter, str(SLUICE), *words, "-c", str(gateway.folder / "gateway.yaml")], input=text,
                          capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("words, text, status, said, message, logged", OUTCOMES, ids=lambda value: None)
def test_fault_10_a_refusal_is_told_alike(running, words, text, status, said, message, logged):
    gateway = running.gateway
    plain, as_json = ask(gateway, words, text), ask(gateway, [*words, "--json"], text)
    assert (plain.returncode, as_json.returncode) == (status, status), plain.stderr + as_json.stderr
    assert said in plain.stderr
    answer = json.loads(as_json.stdout)
    assert answer["schema"] >= 1 and answer["errors"] >= 1
    assert message in json.dumps(answer["messages"])
    wait_for("the log's line", lambda: logged in gateway.process.output())


def test_fault_10_a_reload_says_what_changed_and_why_not(running):
    gateway = running.gateway
    name = gateway.clients[0]["name"]
    gateway.clients[0]["expires"] = "2099-01-01"
    gateway.write()
    done = ask(gateway, ["reload"], "")
    assert done.returncode == 0 and f"client changed: {name}" in done.stdout and "1 changed" in done.stdout
    gateway.clients[0]["expires"] = "2001-01-01"
    gateway.write()
    answer = json.loads(ask(gateway, ["reload", "--json"], "").stdout)
    assert answer["names"]["changed"] == [name] and answer["clients"]["changed"] == 1
    assert "clients" in answer["names"]["keys"]
    gateway.config["nat"] = {"udp": "no time"}
    gateway.write()
    done = ask(gateway, ["reload"], "")
    assert done.returncode == 2 and "nat.udp" in done.stderr
    wait_for("the log says why", lambda: "nat.udp" in gateway.process.output())


def test_fault_10_a_state_folder_that_others_may_enter(running):
    gateway = running.gateway
    state = running.lab.dir / "state"
    state.chmod(0o755)
    checks = json.loads(ask(gateway, ["doctor", "--json"], "").stdout)["checks"]
    bad = [check for check in checks if check["check"] == "state"]
    state.chmod(0o700)
    assert bad and bad[0]["result"] == "fail" and "755" in bad[0]["text"] and "chmod" in bad[0]["advice"]


def test_fault_10_a_diff_names_users_without_clients(running):
    gateway = running.gateway
    old, new = gateway.folder / "old.yaml", gateway.folder / "new.yaml"
    old.write_text('{"acls": []}')
    new.write_text('{"acls": [{"action": "accept", "src": ["zoe@example.com"], "dst": ["203.0.113.9:443"]}]}')
    done = ask(gateway, ["policy", "diff", str(old), str(new)], "")
    assert done.returncode == 0 and "zoe@example.com has no clients here" in done.stdout
    done = ask(gateway, ["policy", "diff", "--json", str(old), str(new)], "")
    assert json.loads(done.stdout)["no_clients"] == ["zoe@example.com"]
