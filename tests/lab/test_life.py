# SPDX-License-Identifier: BSD-2-Clause
"""Start, reload, restart, kill, down: what lives on and what is left behind."""
import base64
import json
import os
import pathlib
import signal
import time

import pytest

from gateways import ALONE, SLUICE, settle
from lab import wait_for
from net import SERVICE
from snapshot import difference, snapshot

SLOW = f"http://{SERVICE[4]}/slow/40000000/8000000"      # five seconds


def stranger(number):
    """A client of the inventory that never comes."""
    return {"name": f"laptop-{number}", "user": f"user-{number}@example.com",
            "public_key": base64.b64encode(os.urandom(32)).decode(),
            "addresses": [f"100.{65 + number // 65536}.{number // 256 % 256}.{number % 256}"]}


def check_download(job):
    assert job.popen.wait(30) == 0
    result = json.loads(job.output())
    assert result.get("error") is None and result["bytes"] == 40000000 and result["intact"], result
    assert result["silence"] <= 2.0, result
    return result


def test_status_tells_the_modes_in_use(world):
    world = world()
    world.joined("alice")
    status = world.gateway.json("status")
    assert status["schema"] >= 1 and status["name"] == "gw-1"
    assert status["tunnel"]["aead"] and status["tunnel"]["gso_in"] and status["tunnel"]["gso_out"]
    assert status["clients"]["configured"] == 1 and status["clients"]["active"] == 1
    assert status["front"]["mode"] == "off" and "veth" in status["front"]["reason"]


def test_commands_without_a_gateway_exit_3(world):
    world = world()
    world.gateway.write()
    for command in (["status"], ["clients"], ["flows"], ["drops"], ["routes"], ["map", "list"], ["reload"]):
        done = world.gateway.command(*command, check=False)
        assert done.returncode == 3, (command, done)
        assert "no gateway runs" in done.stderr


@pytest.mark.parametrize("end", ("stop", "kill9"))
def test_a_restart_during_a_download(world, end):
    world = world()
    alice = world.joined("alice")
    world.gateway.await_remembered(1)
    job = alice.host.probing("get", "get", SLOW)
    world.gateway.await_download(alice)
    world.gateway.under = ALONE
    getattr(world.gateway, end)()
    world.gateway.start()
    check_download(job)


def test_fault_14_a_crash_among_many_clients(world):
    """2,000 clients were here a moment ago, and the gateway calls all of them: who has a connection does not wait for
    the others."""
    world = world()
    alice = world.client("alice")
    world.gateway.clients += [stranger(number) for number in range(2000)]
    world.gateway.admit(alice)
    world.gateway.start()
    alice.join(world.gateway)
    settle(alice, world.gateway)
    world.gateway.stop()
    path = pathlib.Path(world.gateway.config["state"]) / "state.json"
    state = json.loads(path.read_text())
    for number, peer in enumerate(state["peers"]):
        peer.setdefault("endpoint", {"address": f"203.0.113.{100 + number % 100}", "port": 2000 + number})
        peer["handshake"] = int(time.time())
    path.write_text(json.dumps(state))
    world.gateway.start()
    settle(alice, world.gateway)
    job = alice.host.probing("get", "get", SLOW)
    world.gateway.await_download(alice)
    world.gateway.kill9()
    time.sleep(0.1)                                     # as the unit says
    world.gateway.under = ALONE
    world.gateway.start()
    check_download(job)


@pytest.mark.parametrize("after", [pytest.param(after, marks=[] if after in (0.02, 0.1) else pytest.mark.long)
                                   for after in (0.0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4)])
def test_kill_9_at_any_moment_of_the_start(world, after):
    """Whatever state a start was left in, the next one takes over, and down removes it."""
    world = world()
    before = snapshot(world.net.gateway)
    alice = world.client("alice")
    world.gateway.admit(alice)
    world.gateway.start(wait=False)
    time.sleep(after)
    world.gateway.kill9()
    world.gateway.start()
    alice.join(world.gateway)
    settle(alice, world.gateway)
    world.gateway.kill9()
    world.gateway.down()
    assert difference(before, snapshot(world.net.gateway)) == []


@pytest.mark.parametrize("how", ("running", "stopped", "killed"))
@pytest.mark.parametrize("form", ("one-armed", "two-armed"))
def test_down_leaves_nothing(world, form, how):
    world = world(form=form)
    before = snapshot(world.net.gateway)
    world.joined("alice")
    assert difference(before, snapshot(world.net.gateway)) != []
    if how == "stopped":
        process = world.gateway.process
        assert world.gateway.stop() == 0
        assert "stopped: gw-1" in process.output()
    if how == "killed":
        world.gateway.kill9()
    world.gateway.down()
    wait_for("daemon ended", lambda: not world.gateway.process.alive())
    assert difference(before, snapshot(world.net.gateway)) == []
    assert world.gateway.down().returncode == 0, "nothing to remove is no failure"


def test_a_second_gateway_is_refused_and_the_first_goes_on(world):
    world = world()
    alice = world.joined("alice")
    first = world.gateway.process
    status, said = world.gateway.run_to_end()
    assert status == 1 and "another gateway runs" in said
    world.gateway.process = first
    assert first.alive()
    assert alice.host.probe("get", f"http://{SERVICE[4]}/")["status"] == 200


def test_reload_adds_and_removes_a_client(world):
    world = world()
    alice = world.joined("alice")
    carol = world.client("carol")
    world.gateway.admit(carol)
    done = world.gateway.reload()
    assert done.returncode == 0
    carol.join(world.gateway)
    settle(carol, world.gateway)
    world.gateway.clients = [entry for entry in world.gateway.clients if entry["name"] != alice.name]
    world.gateway.reload()
    time.sleep(1)
    with world.net.far.capture("eth0", "icmp") as capture:
        refused = alice.host.run(f"ping -c 5 -i 0.1 -W 1 {SERVICE[4]}", check=False)
    assert " 0 received" in refused.stdout
    assert capture.count() == 0
    settle(carol, world.gateway)


def test_reload_costs_others_nothing(world):
    """1,000 clients are configured; 500 change while one of the others counts its echoes."""
    world = world()
    world.gateway.clients = [stranger(number) for number in range(1000)]
    alice = world.joined("alice")
    job = alice.host.probing("udp", "udp", SERVICE[4], 7, "--count", 1500, "--interval", 0.002)
    time.sleep(0.5)
    rest = [entry for entry in world.gateway.clients if entry["name"] == alice.name]
    for round_ in range(3):
        world.gateway.clients = rest + [stranger(number + 500 * round_) for number in range(1000)]
        world.gateway.reload()
    assert job.popen.wait(30) == 0
    result = json.loads(job.output())
    assert result["received"] == result["sent"] == 1500, result
    assert world.gateway.json("status")["clients"]["configured"] == 1001


def test_sighup_reloads(world):
    world = world()
    world.joined("alice")
    carol = world.client("carol")
    world.gateway.admit(carol)
    world.gateway.write()
    world.gateway.process.popen.send_signal(signal.SIGHUP)
    carol.join(world.gateway)
    settle(carol, world.gateway)


def test_reload_names_the_key_that_needs_a_restart(world):
    world = world()
    alice = world.joined("alice")
    carol = world.client("carol")
    world.gateway.admit(carol)
    world.gateway.config["tunnel"]["listen"] = 51999
    done = world.gateway.reload(check=False)
    assert done.returncode != 0 and "tunnel.listen" in done.stderr
    names = {entry["name"] for entry in world.gateway.json("clients")["clients"]}
    assert names == {alice.name}, "nothing is applied"
    assert alice.host.probe("get", f"http://{SERVICE[4]}/")["status"] == 200


def test_a_broken_policy_changes_nothing(world):
    world = world()
    alice = world.joined("alice")
    world.gateway.policy["acls"].append({"action": "accept", "src": ["group:nobody"], "dst": ["billing:ssh"]})
    done = world.gateway.reload(check=False)
    assert done.returncode == 2
    lines = done.stderr.strip().splitlines()
    assert [line for line in lines if "policy.yaml:" in line and "group:nobody" in line]
    assert [line for line in lines if "policy.yaml:" in line and "ssh" in line], "all mistakes at once"
    assert alice.host.probe("get", f"http://{SERVICE[4]}/")["status"] == 200


def test_the_gateway_calls_its_clients_after_a_restart(world):
    """An idle client's session is set up again by us: what comes for it need not wait for it to speak."""
    world = world()
    alice = world.joined("alice")
    first = alice.handshake(world.gateway.key.public)
    time.sleep(1.1)
    world.gateway.restart()
    wait_for("handshake by the gateway", lambda: alice.handshake(world.gateway.key.public) > first, seconds=5)


def test_an_egress_address_that_is_not_there_yet_is_waited_for(world):
    world = world()
    gateway = world.net.gateway
    gateway.run("ip addr del 198.51.100.1/24 dev eth0")
    gateway.run("ip addr add 198.51.100.2/24 dev eth0")
    gateway.route("default", "via", "198.51.100.254")
    alice = world.client("alice")
    world.gateway.admit(alice)
    world.gateway.start()
    notes = world.gateway.json("status")["notes"]
    assert [note for note in notes if "198.51.100.1" in note and "eth0" in note]
    gateway.run("ip addr add 198.51.100.1/24 dev eth0")
    alice.join(world.gateway)
    settle(alice, world.gateway)
    wait_for("no notes", lambda: world.gateway.json("status")["notes"] == [])


# ---- starts that fail ---------------------------------------------------------------------------------------------

def port_in_use(world):
    world.net.gateway.popen("squatter", "socat -u UDP4-RECV:51820 /dev/null")
    wait_for("the squatter", lambda: world.net.gateway.out("ss -Hlun sport = :51820", quiet=True))


def name_taken(world):
    world.net.gateway.run("ip link add sluice0 type bridge")


def readable_key(world):
    (world.gateway.folder / "private.key").chmod(0o644)


def unknown_key(world):
    world.gateway.config["tunnel"]["lisen"] = 51820


def two_mistakes(world):
    world.gateway.config["tunnel"]["mtu"] = 100
    world.gateway.config["routes"] = ["203.0.113.0/33"]


def missing_policy(world):
    world.gateway.config["policy"] = "absent.yaml"


FAILURES = [  # what is wrong, exit status, words that the message needs
    (port_in_use, 1, ["51820", "in use"]),
    (name_taken, 1, ["sluice0"]),
    (readable_key, 1, ["private.key", "0644"]),
    (unknown_key, 2, ["gateway.yaml:", "lisen", "listen"]),
    (two_mistakes, 2, ["gateway.yaml:", "100", "203.0.113.0/33"]),
    (missing_policy, 2, ["gateway.yaml:", "absent.yaml cannot be read"]),
]


@pytest.mark.parametrize("cause, status, words", FAILURES, ids=[failure[0].__name__ for failure in FAILURES])
def test_failed_starts_say_why_and_leave_nothing(world, cause, status, words):
    world = world()
    cause(world)
    before = snapshot(world.net.gateway)
    got, said = world.gateway.run_to_end()
    assert got == status, said
    assert not [word for word in words if word not in said], said
    assert difference(before, snapshot(world.net.gateway)) == []


def test_fault_53_a_worker_that_cannot_start(world):
    """Each epoll_ctl of the start fails once, with all after it: a line that says so, and nothing is left. A worker's
    own were its end twice, by itself and by the device."""
    world = world(workers=2)
    world.gateway.admit(world.client("alice"))
    before, ended = snapshot(world.net.gateway), []
    for number in range(1, 13):
        world.gateway.under = ["strace", "-f", "-qq", "-o", "/dev/null",
                               "-e", f"inject=epoll_ctl:error=ENOSPC:when={number}+"]
        got, said = world.gateway.run_to_end()
        assert got == 1 and "No space left on device" in said, (number, got, said)
        ended.append("worker" in said)
        assert difference(before, snapshot(world.net.gateway)) == [], number
    assert ended.count(True) >= 8, ended


@pytest.mark.parametrize("command", ("run", "wireguard"))
def test_without_privilege(world, command):
    """One line that says what is missing, and none of what cannot be read without it."""
    world = world()
    world.gateway.start()
    world.gateway.stop()
    world.gateway.down()
    owner = "65534:65534"   # what the gateway remembers belongs to somebody else, and is for that one alone
    world.net.gateway.run(["chown", "-R", owner, world.gateway.config["state"]])
    before = snapshot(world.net.gateway)
    words = {"run": ["-c", str(world.gateway.folder / "gateway.yaml")], "wireguard": ["wg7"]}[command]
    done = world.net.gateway.run(["setpriv", "--bounding-set=-all", "--inh-caps=-all", str(SLUICE), command, *words],
                                 check=False)
    said = [line for line in done.stderr.strip().splitlines() if "warning: " not in line]
    assert done.returncode == 1 and len(said) == 1 and "CAP_" in said[0] and "root" in said[0], done.stderr
    assert difference(before, snapshot(world.net.gateway)) == []


def test_fault_53_a_client_without_a_peer_is_told(world):
    """The memory that can be locked ends among 400 clients: those that have some connect, the others are in status."""
    if "ASAN_OPTIONS" in os.environ:
        pytest.skip("under the address sanitizer mlock() is nothing")
    world = world()
    alice = world.joined("alice")
    for number in range(400):
        world.gateway.clients.append(stranger(number))
    world.gateway.stop()
    world.gateway.under = ["strace", "-f", "-qq", "--seccomp-bpf", "-o", str(world.lab.dir / "locked"), "-e",
                           "trace=mlock", "-e", "inject=mlock:error=ENOMEM:when=6+"]
    world.gateway.start()
    notes = world.gateway.json("status")["notes"]
    assert any("clients cannot connect, for want of memory" in note for note in notes), notes
    assert world.gateway.process.output().count("it has no peer") > 1
    settle(alice, world.gateway)
