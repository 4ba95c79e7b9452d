# SPDX-License-Identifier: BSD-2-Clause
"""Another program in the place of the one that ran: its maps have another form, and users notice nothing (faults 4)."""
import json
import time

import before
import gateways
import pytest
from gateways import ALONE, settle
from lab import wait_for
from net import SERVICE
from test_life import SLOW, check_download

LAYOUT = "/sys/fs/bpf/sluice/layout"


def flows(gateway):
    """What each live flow leaves as."""
    return {(flow["from"], flow["service"], flow["proto"]): flow["as"] for flow in gateway.json("flows")["flows"]}


def map_id(gateway, name):
    return json.loads(gateway.host.out(f"bpftool -j map show pinned /sys/fs/bpf/sluice/{name}"))["id"]


def check_gone(gateway, numbers):
    """The old maps are freed, and with them the timer that walks them: nothing holds them any more."""
    for number in numbers:
        wait_for(f"the end of map {number}", lambda number=number: gateway.host.run(
            f"bpftool map show id {number}", check=False).returncode != 0)


def write_layout(gateway, number):
    gateway.host.run(f"bpftool map update pinned {LAYOUT} key 0 0 0 0 value {number} 0 0 0")


def checked(gateway):
    """`check --host` of this program."""
    done = gateway.command("check", "--host", str(gateway.folder / "gateway.yaml"), check=False)
    return done.returncode, done.stderr


def doctor_of_pins(gateway):
    [entry] = gateway.doctor("pins")
    return entry["result"], entry["text"]


@pytest.mark.long
def test_fault_4_upgrade_from_the_layout_before(world, monkeypatch):
    """A download goes on over it, and every flow keeps its port."""
    this = gateways.SLUICE
    monkeypatch.setattr(gateways, "SLUICE", before.program())
    world = world()
    later = {key: world.gateway.config.pop(key) for key in ("blocklist_folders",)}   # keys it does not know
    alice = world.joined("alice")
    job = alice.host.probing("get", "get", SLOW)
    talk = alice.host.probing("udp", "udp", SERVICE[4], "53", "--count", "60", "--interval", "0.1")
    had = wait_for("a flow of each protocol", lambda: {proto for _, _, proto in flows(world.gateway)} >= {
        "tcp", "udp", "icmp"} and flows(world.gateway))

    monkeypatch.setattr(gateways, "SLUICE", this)
    world.gateway.config.update(later)
    world.gateway.write()
    assert checked(world.gateway)[0] == 0, checked(world.gateway)
    result, text = doctor_of_pins(world.gateway)
    assert result == "ok" and "layout 6" in text and "takes them over" in text, text
    world.gateway.under = ALONE
    world.gateway.restart()
    check_download(job)
    assert talk.popen.wait(30) == 0
    result = json.loads(talk.output())
    assert result["intact"] and result["silence"] <= 2.0, result
    wait_for("its word about the maps", lambda: "maps of layout 6 were replaced: all their" in
             world.gateway.process.output())
    has = flows(world.gateway)
    assert {key: has.get(key) for key in had} == had, (had, has)
    assert world.gateway.json("status")["clients"]["active"] == 1
    world.gateway.down()
    assert world.net.gateway.run("find /sys/fs/bpf/sluice", check=False).returncode != 0


def test_fault_4_another_number_of_flows(world):
    world = world()
    world.gateway.config["nat"] = {"flows": 2048}
    alice = world.joined("alice")
    job = alice.host.probing("get", "get", SLOW)
    world.gateway.await_download(alice)
    had = flows(world.gateway)
    old = [map_id(world.gateway, name) for name in ("flows", "flow_index", "sweep", "layout")]
    kept = map_id(world.gateway, "clients")
    world.gateway.config["nat"] = {"flows": 8192}
    world.gateway.under = ALONE
    world.gateway.restart()
    check_download(job)
    check_gone(world.gateway, old)
    assert map_id(world.gateway, "clients") == kept
    has = flows(world.gateway)
    assert {key: has.get(key) for key in had} == had, (had, has)


@pytest.mark.parametrize("layout", (5, 99))
def test_fault_4_a_layout_nobody_reads(world, layout):
    """Said before anything stops; and then a gateway that starts without the flows, rather than none."""
    world = world()
    alice = world.joined("alice")
    write_layout(world.gateway, layout)
    status, text = checked(world.gateway)
    assert status == 1 and f"layout {layout}" in text and "end when it starts" in text, text
    result, text = doctor_of_pins(world.gateway)
    assert result == "fail" and f"layout {layout}" in text, text
    world.gateway.restart()
    settle(alice, world.gateway)
    assert f"maps of layout {layout} were replaced, and their" in world.gateway.process.output()
    assert checked(world.gateway)[0] == 0
    assert doctor_of_pins(world.gateway)[0] == "ok"


@pytest.mark.parametrize("after", [pytest.param(after, marks=[] if after in (0.0, 0.2) else pytest.mark.long)
                                   for after in (0.0, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4)])
def test_fault_4_killed_in_the_middle(world, after):
    """Wherever the start is killed while it takes flows over: the next one has them."""
    world = world()
    world.gateway.config["nat"] = {"flows": 2048}
    alice = world.joined("alice")
    job = alice.host.probing("get", "get", SLOW)
    world.gateway.await_download(alice)
    had = flows(world.gateway)
    world.gateway.stop()
    world.gateway.config["nat"] = {"flows": 8192}
    world.gateway.start(wait=False)
    time.sleep(after)
    world.gateway.kill9()
    world.gateway.start()
    assert job.popen.wait(30) == 0
    result = json.loads(job.output())
    assert result.get("error") is None and result["bytes"] == 40000000 and result["intact"], result
    has = flows(world.gateway)
    assert {key: has.get(key) for key in had} == had, (had, has)


def fails_for(gateway, name):
    """Starts the gateway while the kernel has no memory for the map @name, once: its number among the calls of bpf() is
    that of a start before."""
    trace = gateway.net.lab.dir / "calls"
    gateway.under = ["strace", "-f", "-qq", "-o", str(trace), "-e", "trace=bpf"]
    gateway.start()
    gateway.down()
    gateway.process.popen.wait(10)
    [main, *_] = trace.read_text().split()
    calls = [line for line in trace.read_text().splitlines() if line.split()[0] == main]
    [number] = [n for n, line in enumerate(calls, 1) if f'map_name="{name}"' in line and "BPF_MAP_CREATE" in line]
    return ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"inject=bpf:error=ENOMEM:when={number}"]


@pytest.mark.parametrize("form", ("another size", "another layout"))
def test_fault_4_no_memory_for_two_tables(world, form):
    """The machine that has none is served all the same: with the table as it was, or without its flows."""
    world = world()
    world.gateway.config["nat"] = {"flows": 2048}
    alice = world.joined("alice")
    had = flows(world.gateway)

    def change():
        if form == "another size":
            world.gateway.config["nat"] = {"flows": 8192}
        else:
            write_layout(world.gateway, 5)
        world.gateway.stop()

    change()
    under = fails_for(world.gateway, "flows")
    world.gateway.under, world.gateway.config["nat"] = [], {"flows": 2048}
    world.gateway.start()
    settle(alice, world.gateway, seconds=30)
    had = flows(world.gateway)
    change()
    world.gateway.under = under
    world.gateway.start()
    settle(alice, world.gateway, seconds=30)
    said, status = world.gateway.process.output(), world.gateway.json("status")
    if form == "another size":
        assert set(had) <= set(flows(world.gateway)), had
        assert "no memory for a table of 8192 flows" in said
        assert any("nat.flows" in note for note in status["notes"]), status["notes"]
    else:
        assert "flows and mappings ended: Cannot allocate memory" in said
