# SPDX-License-Identifier: BSD-2-Clause
"""A coordination server that turns bad: a clear word and another try, traffic goes on, nothing of ours ends or grows.

What each answer does to the protocol is in tests/unit/test_tailnet_coord.c; here all of the gateway stands, and the
server that it knew is replaced under its name and certificate.
"""
import pathlib
import sys

from hostile_control import MANNERS
from lab import HERE, wait_for
from net import ROUTES, SERVICE, Internet
from tailnet import Lan, Member, TailscaleClient, Tailnet, require
from test_tailnet_gateway import Download, await_service, down_and_up

GROWTH = 8192                   # KiB that a process may have grown by: far less than an answer of 64 MiB
SAYS = {
    "leaves": "broke off its answer",
    "speaks no HTTP": "does not speak HTTP",
    "is broken": "does not tell its key (HTTP status 500)",
    "never ends its header": "does not speak HTTP",
    "never ends": "does not speak HTTP",
    "sends half": "broke off its answer",
    "has the wrong types": "publicKey: found an object, expected a string",
    "has a short key": 'not a key of this kind: "mkey:1234"',
    "does not upgrade": "HTTP status 200: <html>",
    "forges the handshake": "does not hold the key that it told",
    "has a huge record": "too long",
    "refuses us": "too old",
}


def processes(gateway):
    """{pid: KiB resident} of the gateway and of its half that speaks with the world."""
    pids = [gateway.process.pid]
    for task in pathlib.Path(f"/proc/{pids[0]}/task").iterdir():
        pids += map(int, (task / "children").read_text().split())
    return {pid: int(next(line.split()[1] for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
                          if line.startswith("VmRSS"))) for pid in pids}


def meet(tailnet, gateway, manner):
    """The gateway tries again at once, by `up`, and says what it met."""
    seen = len(gateway.process.output())
    bad = tailnet.control.popen("hostile", [
        sys.executable, HERE / "hostile_control.py", tailnet.wire.servers["headscale"],
        tailnet.dir / "cert.pem", tailnet.dir / "key.pem", manner])
    wait_for("the server", lambda: "ready" in bad.output())
    gateway.command("up", "--timeout", "1", check=False)
    wait_for(manner, lambda: SAYS[manner] in gateway.process.output()[seen:], 20)
    text = gateway.process.output()[seen:]
    assert "\x1b" not in text
    assert gateway.state()["state"] in ("offline", "connecting", "refused")
    bad.popen.kill()
    bad.popen.wait()


def test_a_server_that_turns_bad(lab):
    require()
    net = Internet(lab)
    tailnet = Tailnet(lab, wire=Lan(net))
    tailnet.policy["autoApprovers"]["routes"] = {route: ["tag:gw"] for route in ROUTES}
    tailnet.policy["acls"] = [{"action": "accept", "src": ["group:eng"], "dst": [f"{SERVICE[4]}/32:*"]}]
    tailnet.reload_policy()
    gateway = Member(tailnet, net, tailnet.key("--tags", "tag:gw")).start()
    alice = TailscaleClient(tailnet, "alice")
    await_service(alice)
    tailnet.server.popen.kill()
    gateway.await_state("offline")
    download, before = Download(alice, 10), processes(gateway)
    for manner in MANNERS:
        meet(tailnet, gateway, manner)
    after = processes(gateway)
    assert after.keys() == before.keys() and all(after[pid] < before[pid] + GROWTH for pid in before), (before, after)
    download.check(silence=2)
    tailnet.serve()
    gateway.command("up", "--timeout", "30")
    gateway.await_state("connected")
    await_service(alice)        # headscale takes the routes of who is not back yet from who is
    down_and_up(alice, 4, megabytes=2)
