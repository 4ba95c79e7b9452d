# SPDX-License-Identifier: BSD-2-Clause
r"""Fault 54: every system call that may fail fails once, at each of its occurrences, while the gateway starts, loses a
client, gets a narrower policy, is asked for numbers, and goes down.

    strace -f -e inject=CALL:error=E:when=N   sluice run        N = 1, 2, ... as often as a whole life calls it

Whatever fails: no crash; a start that is refused says why and leaves nothing behind; one that is not refused answers,
and its down leaves nothing behind. check tries one occurrence of the calls that fail first on a
real machine, another one each day; check-long tries each occurrence of every call (SWEEP_EVERY=1), for hours.
"""
import collections
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from lab import wait_for
from net import SERVICE
from snapshot import difference, snapshot

EVERY = int(os.environ.get("SWEEP_EVERY", "0"))
SAMPLE = 1  # of each call, by default
# what each would say of a machine that has no more to give
CALLS = {"bpf": "ENOMEM", "ioctl": "ENOMEM", "openat": "EMFILE", "socket": "EMFILE", "bind": "EADDRINUSE",
         "setsockopt": "ENOMEM", "epoll_ctl": "ENOSPC", "epoll_create1": "EMFILE", "sendto": "ENOBUFS",
         "sendmsg": "ENOBUFS", "recvfrom": "ENOBUFS", "recvmsg": "ENOBUFS", "mmap": "ENOMEM", "mlock": "EPERM",
         "clone3": "EAGAIN", "clone": "EAGAIN", "eventfd2": "EMFILE", "signalfd4": "EMFILE", "timerfd_create": "EMFILE",
         "mkdir": "EACCES", "rename": "ENOSPC", "fsync": "EIO", "write": "ENOSPC", "flock": "ENOLCK",
         "getdents64": "EIO", "pidfd_open": "EMFILE", "madvise": "ENOMEM", "fstat": "EIO", "newfstatat": "EIO",
         "pipe2": "EMFILE"}
FIRST = {"bpf", "ioctl", "openat", "socket", "setsockopt", "epoll_ctl", "sendmsg", "mmap", "clone3", "rename", "write"}
ROWS = [call if call in FIRST else pytest.param(call, marks=pytest.mark.long) for call in CALLS]


def strace(output, *words):
    return ["strace", "-f", "-qq", "--seccomp-bpf", "-o", str(output), *words]


def insist(gateway, *words):
    """A command, once more if the gateway had no room for its connection: that it says so is all it can do."""
    done = gateway.command(*words, check=False)
    return gateway.command(*words, check=False) if "did not answer" in done.stderr else done


def kill(process):
    """strace ends without the program that it watches."""
    children = Path(f"/proc/{process.popen.pid}/task/{process.popen.pid}/children").read_text().split()
    process.stop(signal.SIGKILL)
    for pid in children:
        os.kill(int(pid), signal.SIGKILL)


def asked(gateway, *words):
    """The answer of a command, or None: it was refused, or the gateway is gone."""
    done = gateway.command(*words, "--json", check=False)
    answer = json.loads(done.stdout) if done.returncode in (0, 1) and done.stdout.startswith("{") else None
    return None if answer and answer.get("errors") else answer  # a refusal, in JSON


def changes(gateway, faults):
    """What a gateway goes through: a client is taken out, a policy is applied, numbers are asked for."""
    bob = gateway.clients.pop()
    gateway.write()
    reloaded = insist(gateway, "reload")
    for _ in range(30):  # a failed listing is tried again within a second
        left = asked(gateway, "clients")
        if left is None or not any(entry["name"] == bob["name"] and not entry["expired"] and not entry["removed"]
                                   for entry in left["clients"]):
            break
        time.sleep(0.1)
    else:
        if not (reloaded.returncode and "cannot be read" in reloaded.stderr):  # then nothing is known of who is out
            faults.append(f"{bob['name']} is still a client: {reloaded.stderr}")
    (gateway.folder / "narrow.yaml").write_text(json.dumps({"acls": []}))
    applied = insist(gateway, "policy", "apply", str(gateway.folder / "narrow.yaml"), "--allow-empty")
    verdict = gateway.command("explain", "alice@example.com", SERVICE[4], "tcp", "80", check=False)
    if applied.returncode == 0 and "allowed" in verdict.stdout:
        faults.append("what the policy took away is allowed")
    gateway.command("metrics", check=False)
    gateway.clients.append(bob)


def life(gateway, faults):
    """Start, changes, down. Returns (was it ready, exit status, what it said)."""
    gateway.start(wait=False)
    process = gateway.process

    def answers():
        return not process.alive() or gateway.command("status", check=False).returncode == 0

    try:
        wait_for("an answer or the end", answers, seconds=30, every=0.1)
        if process.alive():
            changes(gateway, faults)
    except (TimeoutError, subprocess.TimeoutExpired) as late:
        kill(process)
        return False, f"hangs: {late}", process.output()
    if not process.alive():
        return False, process.popen.wait(), process.output()
    down = insist(gateway, "down", "-c", str(gateway.folder / "gateway.yaml"))
    try:
        return True, process.popen.wait(20), process.output()
    except subprocess.TimeoutExpired:
        kill(process)
        return True, "does not end", process.output() + down.stderr


def occurrences(gateway, folder, call):
    """How often a whole life makes the call, in the thread that makes it most often: strace counts by thread."""
    trace = folder / "count"
    gateway.under = strace(trace, "-e", f"trace={call}")
    faults = []
    ready, status, said = life(gateway, faults)
    assert ready and status == 0 and not faults, (faults, said)
    threads = re.findall(rf"^(\d+)\s+{call}\(", trace.read_text(errors="replace"), re.MULTILINE)
    return max(collections.Counter(threads).values(), default=0)


def chosen(count, call):
    if EVERY:
        return range(1, count + 1, EVERY)
    day = int(time.time()) // 86400
    return sorted({1 + (day * 7919 + hash_of(call) + n * 104729) % count for n in range(min(SAMPLE, count))})


def hash_of(text):
    return sum(byte * 31 ** place for place, byte in enumerate(text.encode())) % 1000003


@pytest.mark.parametrize("call", ROWS)
def test_fault_54_a_call_that_fails_once(world, call):
    world = world()
    gateway = world.gateway
    gateway.admit(world.client("alice"))
    gateway.admit(world.client("bob"))
    gateway.env = {"ASAN_OPTIONS": "detect_leaks=0"}
    before = snapshot(world.net.gateway)
    count = occurrences(gateway, world.lab.dir, call)
    assert difference(before, snapshot(world.net.gateway)) == []
    shutil.rmtree(world.lab.dir / "state", ignore_errors=True)
    if not count:
        pytest.skip(f"{call}() is not called on this machine")
    faults = []
    for n in chosen(count, call):
        gateway.under = strace("/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:error={CALLS[call]}:when={n}")
        found = []
        ready, status, said = life(gateway, found)
        what = f"{call} {n} of {count} ({CALLS[call]})"
        faults += [f"{what}: {fault}" for fault in found]
        if status == 127 or (status == -signal.SIGSEGV and (call, n) == ("mmap", 1)):  # /bin/true crashes, too
            shutil.rmtree(world.lab.dir / "state", ignore_errors=True)
            continue  # the dynamic loader's call, before the program's first
        if status not in (0, 1, 2):
            faults.append(f"{what}: ended with {status}: {said[-300:]}")
        if not ready and status == 0:
            faults.append(f"{what}: ended without a word of error")
        if "processor time" in said:
            faults.append(f"{what}: a small policy is said to be large: {said[-300:]}")
        if not ready and "error" not in said and "yaml" not in said:
            faults.append(f"{what}: refused without saying why: {said[-300:]}")
        gateway.under = []
        left = difference(before, snapshot(world.net.gateway))
        if left:
            faults.append(f"{what}: left behind: {left[:5]}; {said[-300:]}")
            gateway.command("down", "-c", str(gateway.folder / "gateway.yaml"), check=False)
        shutil.rmtree(world.lab.dir / "state", ignore_errors=True)  # each life begins anew, with the file's policy
    assert not faults, "\n".join(faults)
