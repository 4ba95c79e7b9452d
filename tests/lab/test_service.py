# SPDX-License-Identifier: BSD-2-Clause
"""user/system/sluice.service: the gateway's whole life with the powers of its unit; and what is installed."""
import os
import re
import subprocess

from gateways import SLUICE, settle
from lab import ROOT

UNIT = (ROOT / "user/system/sluice.service").read_text()


def capabilities():
    """As setpriv names them: cap_net_admin is net_admin."""
    names = " ".join(re.findall(r"^CapabilityBoundingSet=(.*)$", UNIT, re.M)).split()
    assert names and all(name.startswith("CAP_") for name in names)
    return [name.removeprefix("CAP_").lower() for name in names]


def effective(pid):
    return int(re.search(r"^CapEff:\s*(\w+)$", open(f"/proc/{pid}/status").read(), re.M)[1], 16)


def test_the_bounded_capabilities_are_enough(world):
    world = world()
    world.gateway.under = ["setpriv", "--no-new-privs",
                           "--bounding-set", ",".join(["-all", *("+" + name for name in capabilities())])]
    alice = world.joined("alice")
    assert effective(world.gateway.process.pid).bit_count() == len(capabilities())
    bob = world.client("bob")
    world.gateway.admit(bob)
    world.gateway.reload()
    bob.join(world.gateway)
    world.gateway.policy["groups"]["group:eng"].append("bob@example.com")
    world.gateway.write()
    world.gateway.command("policy", "apply", str(world.gateway.folder / "policy.yaml"))
    settle(bob, world.gateway)
    world.net.gateway.run("ip link del sluice0")
    settle(alice, world.gateway, version=6)
    world.gateway.restart()
    settle(alice, world.gateway)
    world.net.gateway.run(f"{SLUICE} doctor", check=False)
    world.gateway.down()


def test_fault_14_a_crash_is_a_restart():
    """At once, and however often; status 2 is for what no restart mends."""
    for line in ("Restart=always", "RestartSec=100ms", "StartLimitIntervalSec=0"):
        assert re.search(f"^{line}$", UNIT, re.M), line
    assert UNIT.index("StartLimitIntervalSec") < UNIT.index("[Service]"), "systemd looks for it in [Unit]"


def test_every_build_looks_up_its_commit():
    """`.SECONDARY` makes an absent FORCE no reason to: the program named the commit of the first build for ever."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(["make", "-n", "build/version"], cwd=ROOT, env=environment, capture_output=True, text=True,
                          check=True)
    assert "> build/version" in done.stdout, done.stdout
