# SPDX-License-Identifier: BSD-2-Clause
"""The lab itself: what its other tests rely on."""
import os
import shutil
import signal
import subprocess
import sys

import lab as lab_module
from lab import HERE, Lab, marked, reap, space, wait_for
from snapshot import difference, snapshot

CRASHER = """
import sys
sys.path.insert(0, sys.argv[1])
from lab import Lab
lab = Lab()
host = lab.host("crash")
# loses its parent-death signal, as a daemon that changes its credentials does
host.popen("stray", "setpriv --reuid=65534 --clear-groups sleep 300")
print(lab.dir, flush=True)
sys.stdin.read()
"""


def test_a_snapshot_sees_what_a_gateway_would_leave(lab):
    host = lab.host("gateway")
    before = snapshot(host)
    assert before["rules"] and before["sysctl"] and before["offloads of lo"]
    changes = {
        "links": "ip link add left0 type bridge",
        "rules": "ip rule add iif lo priority 100 blackhole",
        "rules6": "ip -6 rule add iif lo priority 100 blackhole",
        "routes": "ip route add unreachable 100.64.0.0/10",
        "routes6": "ip route add unreachable fd7a:115c:a1e0::/48",
        "qdiscs": "tc qdisc add dev lo clsact",
        "pins": "mkdir /sys/fs/bpf/sluice",
        "sockets": "touch /run/left.sock",
        "sysctl": "sysctl -qw net.ipv4.ip_forward=1",
        "offloads of lo": "ethtool -K lo gso off",
        "firewall": "nft add table inet left",
    }
    for what, change in changes.items():
        host.run(change)
        assert [line for line in difference(before, snapshot(host)) if line.startswith(what)], what


def test_two_labs_do_not_meet():
    with Lab() as one, Lab() as two:
        a, b = one.host("gateway"), two.host("gateway")
        for host, net in ((a, "1"), (b, "2")):
            host.run("ip link add eth0 type bridge")
            host.address("eth0", f"10.0.0.{net}/24")
            host.run(f"mkdir -p /run/sluice /sys/fs/bpf/sluice/{net}")
        assert "10.0.0.2" not in a.out("ip addr") and "10.0.0.1" not in b.out("ip addr")
        assert a.out("ls /sys/fs/bpf/sluice") == "1\n" and b.out("ls /sys/fs/bpf/sluice") == "2\n"


def test_a_crashed_run_leaves_nothing_after_the_next_start():
    crashed = subprocess.Popen([sys.executable, "-c", CRASHER, str(HERE)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    folder = read_folder(crashed)
    run = lab_module.run_name(crashed.pid)
    wait_for("stray", lambda: [pid for pid, of in marked() if of == run])
    with Lab() as neighbour:
        host = neighbour.host("alive")
        crashed.send_signal(signal.SIGKILL)
        crashed.wait()
        reap()
        wait_for("strays gone", lambda: not [pid for pid, of in marked() if of == run])
        assert not os.path.exists(folder)
        assert host.run("true").returncode == 0 and neighbour.dir.exists()


def test_another_containers_run_is_left_alone():
    """Its numbers mean nothing here, nor ours there: neither side takes the other's run for a crashed one."""
    inside = subprocess.Popen(["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable, "-c",
                               CRASHER, str(HERE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    folder = read_folder(inside)
    theirs = {pid for pid, _ in marked() if space(pid) != space()}
    assert theirs
    with Lab() as neighbour:
        host = neighbour.host("alive")
        reap()
        subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c",
                        "import sys; sys.path.insert(0, sys.argv[1]); import lab; lab.reap()", str(HERE)], check=True)
        assert os.path.exists(folder) and theirs <= {pid for pid, _ in marked()}
        assert host.run("true").returncode == 0 and neighbour.dir.exists()
    inside.kill()
    inside.wait()
    shutil.rmtree(folder)


def read_folder(process):
    for line in process.stdout:
        if line.startswith("/"):
            return line.strip()
    raise AssertionError("the other run did not start")
