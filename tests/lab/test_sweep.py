# SPDX-License-Identifier: BSD-2-Clause
r"""Fault 54: every system call that may fail fails once, at each of its occurrences, while the gateway starts, reloads,
applies a policy, and goes down.

    strace -f -e inject=CALL:error=E:when=N   sluice run        N = 1, 2, ... as often as a whole life calls it

Whatever fails: no crash; a start that is refused says why and leaves nothing behind; one that is not refused answers,
and its down leaves nothing behind. SWEEP_EVERY=1 (make check-long) tries each occurrence; by default a sample is
tried, another one each day.
"""
import os
import re
import signal
import subprocess
import time

import pytest

from lab import wait_for
from snapshot import difference, snapshot

EVERY = int(os.environ.get("SWEEP_EVERY", "0"))
SAMPLE = 4  # of each call, by default
# what each would say of a machine that has no more to give
CALLS = {"bpf": "ENOMEM", "ioctl": "ENOMEM", "openat": "EMFILE", "socket": "EMFILE", "bind": "EADDRINUSE",
         "setsockopt": "ENOMEM", "epoll_ctl": "ENOSPC", "epoll_create1": "EMFILE", "sendto": "ENOBUFS",
         "sendmsg": "ENOBUFS", "recvfrom": "ENOBUFS", "recvmsg": "ENOBUFS", "mmap": "ENOMEM", "mlock": "EPERM",
         "clone3": "EAGAIN", "clone": "EAGAIN", "eventfd2": "EMFILE", "signalfd4": "EMFILE", "timerfd_create": "EMFILE",
         "mkdir": "EACCES", "rename": "ENOSPC", "fsync": "EIO", "write": "ENOSPC", "flock": "ENOLCK",
         "getdents64": "EIO", "pidfd_open": "EMFILE", "madvise": "ENOMEM", "fstat": "EIO", "newfstatat": "EIO", "pipe2": "EMFILE"}


def strace(output, *words):
    return ["strace", "-f", "-qq", "--seccomp-bpf", "-o", str(output), *words]


def life(gateway):
    """Start, reload, down. Returns (was it ready, exit status, what it said)."""
    gateway.start(wait=False)
    process = gateway.process

    def answers():
        return not process.alive() or gateway.command("status", check=False).returncode == 0

    try:
        wait_for("an answer or the end", answers, seconds=30, every=0.1)
    except TimeoutError:
        process.stop(signal.SIGKILL)
        return False, "hangs", process.output()
    if process.alive():
        try:
            gateway.command("reload", check=False)
        except subprocess.TimeoutExpired:
            process.stop(signal.SIGKILL)
            return True, "reload hangs", process.output()
        down = gateway.command("down", "-c", str(gateway.folder / "gateway.yaml"), check=False)
        try:
            process.popen.wait(20)
        except subprocess.TimeoutExpired:
            process.stop(signal.SIGKILL)
            return True, "does not end", process.output() + down.stderr
        return True, process.popen.returncode, process.output()
    return False, process.popen.wait(), process.output()


def occurrences(gateway, folder):
    """How often a whole life makes each call, in any thread."""
    trace = folder / "count"
    gateway.under = strace(trace, "-e", "trace=" + ",".join(CALLS))
    ready, status, said = life(gateway)
    assert ready and status == 0, said
    counts = dict.fromkeys(CALLS, 0)
    threads = {}
    for line in trace.read_text(errors="replace").splitlines():
        match = re.match(r"(\d+)\s+(\w+)\(", line)
        if match:  # strace counts occurrences by thread
            key = match[1], match[2]
            threads[key] = threads.get(key, 0) + 1
            counts[match[2]] = max(counts.get(match[2], 0), threads[key])
    return counts


def chosen(count, call):
    if EVERY:
        return range(1, count + 1, EVERY)
    day = int(time.time()) // 86400
    return sorted({1 + (day * 7919 + hash_of(call) + n * 104729) % count for n in range(min(SAMPLE, count))})


def hash_of(text):
    return sum(byte * 31 ** place for place, byte in enumerate(text.encode())) % 1000003


@pytest.mark.parametrize("call", CALLS)
def test_fault_54_a_call_that_fails_once(world, call):
    world = world()
    gateway = world.gateway
    gateway.admit(world.client("alice"))
    gateway.env = {"ASAN_OPTIONS": "detect_leaks=0"}
    before = snapshot(world.net.gateway)
    count = occurrences(gateway, world.lab.dir)[call]
    assert difference(before, snapshot(world.net.gateway)) == []
    if not count:
        pytest.skip(f"{call}() is not called on this machine")
    faults = []
    for n in chosen(count, call):
        gateway.under = strace("/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:error={CALLS[call]}:when={n}")
        ready, status, said = life(gateway)
        what = f"{call} {n} of {count} ({CALLS[call]})"
        if status == 127:
            continue  # the dynamic loader's call, before the program's first
        if status not in (0, 1, 2):
            faults.append(f"{what}: ended with {status}: {said[-300:]}")
        if not ready and status == 0:
            faults.append(f"{what}: ended without a word of error")
        if not ready and "error" not in said and "yaml" not in said:
            faults.append(f"{what}: refused without saying why: {said[-300:]}")
        gateway.under = []
        left = difference(before, snapshot(world.net.gateway))
        if left:
            faults.append(f"{what}: left behind: {left[:5]}; {said[-300:]}")
            gateway.command("down", "-c", str(gateway.folder / "gateway.yaml"), check=False)
    assert not faults, "\n".join(faults)
