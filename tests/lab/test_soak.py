# SPDX-License-Identifier: BSD-2-Clause
"""Mixed churn for as long as SOAK_SECONDS says (make soak: 30 minutes), a short form in check.

Two clients open, use, abandon and reset connections of every kind over IPv4 and IPv6, while the policy changes, flows
are killed and the daemon is restarted, and killed. Afterwards the books must balance: each index entry has its flow and
its twin, each port its owner, what was counted by the packet is what the flows carried; and when the last flow has
expired, nothing is left. The daemon's memory and file descriptors do not grow.
"""
import json
import os
import pathlib
import sys
import time

from lab import HERE, say
from net import SERVICE
from tables import Tables, counters

SECONDS = float(os.environ.get("SOAK_SECONDS", 25))
TIMES = {"udp": "3s", "icmp": "3s", "tcp_transitory": "3s", "tcp_established": "15s", "unsafe": True}
FLOWS = 8192            # twice what is in use: 300 conversations a second, 9 s until a slot is free, 1.5 slots each
GROWTH = 4096                                   # KiB that the daemon may have grown by
ON_THE_WAY = 3          # packets that one CPU counts just when another ends their flow: the total's alone
EXPECTED = {"no_flow", "filtered", "fragment_timeout",     # of what was killed or given up
            "wg_index", "wg_handshake", "no_peer", "no_session", "no_endpoint"}        # while the daemon starts


def memory(pid):
    """(resident KiB, open files)."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    return resident, len(os.listdir(f"/proc/{pid}/fd"))


def quiet_clients(clients):
    """An error about an answer that nobody waits for any more belongs to no flow's count."""
    for client in clients:
        client.host.nft("table inet quiet {\n\tchain out {\n\t\ttype filter hook output priority 0;\n"
                        "\t\ticmp type destination-unreachable drop\n"
                        "\t\ticmpv6 type destination-unreachable drop\n\t}\n}\n")


class Trouble:
    """What happens to the gateway meanwhile, one thing after another."""

    def __init__(self, gateway):
        self.gateway, self.turn = gateway, 0

    def change_policy(self):
        rules = self.gateway.policy["acls"]
        if len(rules) > 2:
            rules.pop()
        else:
            rules.append({"action": "accept", "src": ["group:eng"], "dst": ["billing:1-65535"]})
        self.gateway.reload()

    def kill_flows(self):
        self.gateway.command("flows", "kill", "--user", "alice@example.com", check=False)

    def restart(self):
        self.gateway.restart()

    def kill_daemon(self):
        self.gateway.kill9()
        self.gateway.start()

    def next(self, early):
        """The daemon ends early only: then one lives long enough to show what it keeps."""
        troubles = [self.change_policy, self.restart, self.kill_flows, self.kill_daemon]
        trouble = troubles[self.turn % 4] if early else troubles[self.turn % 2 * 2]
        self.turn += 1
        say(f"# {trouble.__name__}")
        trouble()


def check_churn(jobs):
    for job in jobs:
        counts = json.loads(job.output())
        say(f"    {job.host.name}: {counts}")
        for kind, outcomes in counts.items():
            assert outcomes.get("intact", 0) > sum(outcomes.values()) // 2, f"{kind}: {outcomes}"
            assert "damaged" not in outcomes


def becomes_empty(what, read, seconds):
    """Waits until read() finds nothing; says what it still found when that takes too long."""
    end = time.monotonic() + seconds
    while found := read():
        assert time.monotonic() < end, f"{what}, after {seconds} s: {found}"
        time.sleep(0.5)


def settle_books(host):
    """Consistent while flows are still there, and empty when they have ended."""
    becomes_empty("tables that do not fit", lambda: Tables(host).faults()[:5], 20)
    becomes_empty("not gone with the last flow", lambda: {k: n for k, n in Tables(host).left().items() if n}, 60)
    for way, total, carried in zip(("out", "in"), *counters(host)):
        lost = total[0] - carried[0]
        assert 0 <= lost <= ON_THE_WAY, f"{way}: packets and bytes counted {total}, carried by flows {carried}"


def test_soak(world):
    world = world()
    world.gateway.config["nat"] = {**TIMES, "flows": FLOWS, "client_share": "100%"}
    clients = world.joined("alice", "carol")
    quiet_clients(clients)
    jobs = [client.host.popen("churn", [sys.executable, str(HERE / "churn.py"), str(SECONDS), SERVICE[4], SERVICE[6]])
            for client in clients]
    trouble, samples, start = Trouble(world.gateway), [], time.monotonic()
    while (passed := time.monotonic() - start) < SECONDS - 3:
        time.sleep(2)
        trouble.next(early=passed < SECONDS / 3)
        samples.append((world.gateway.process.pid, *memory(world.gateway.process.pid)))
    assert [job.popen.wait(60) for job in jobs] == [0, 0]
    check_churn(jobs)
    settle_books(world.gateway.host)
    say(f"    samples (pid, KiB, files) {samples}")
    drops = {reason for reason, packets in world.gateway.drops().items() if packets}
    assert not drops - EXPECTED, drops
    (pid, resident, files), last = samples[len(samples) // 2], samples[-1]
    assert pid == last[0] and last[1] < resident + GROWTH and last[2] <= files + 2
