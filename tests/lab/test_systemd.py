# SPDX-License-Identifier: BSD-2-Clause
"""The unit under a real systemd: PID 1 of a container of Debian 12, with nothing of the unit left out.

The container's root is made once a machine, by debootstrap, and stays in the peers' folder; its network is its own.
"""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import pytest

from gateways import SLUICE
from lab import ROOT, wait_for
from tailnet import PEERS

MIRROR = "http://deb.debian.org/debian"
BASE = PEERS / "systemd-root"
# What systemd-nspawn leaves to a container that is to hold a gateway.
NSPAWN = ["--boot", "--register=no", "--keep-unit", "--private-network", "--capability=all", "--volatile=no",
          "--bind=/dev/net/tun", "--system-call-filter=bpf perf_event_open @mount @keyring", "--console=pipe"]
CONFIG = """version: 1
tunnel: {addresses: [100.64.0.1/10], underlay: [eth0]}
egress: {interface: eth0, addresses: [198.51.100.1]}
routes: [203.0.113.0/24]
clients:
  - {name: alice, user: alice@example.com, public_key: "3H3Xl7JIpTlwFX+Fiw9PL6GMVgngMlEX8ZwxDToP+zQ=",
     addresses: [100.64.0.5]}
"""


def nspawn():
    """The machine's own, or that of its release, unpacked beside the peers."""
    folder = PEERS / "systemd-container"
    if shutil.which("systemd-nspawn"):
        return "systemd-nspawn"
    if not (folder / "usr/bin/systemd-nspawn").exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", "systemd-container"], cwd=folder, check=True, capture_output=True)
        [package] = folder.glob("systemd-container_*.deb")
        subprocess.run(["dpkg-deb", "-x", str(package), str(folder)], check=True)
    return str(folder / "usr/bin/systemd-nspawn")


def base():
    """A Debian with systemd."""
    if not shutil.which("debootstrap"):
        pytest.skip("debootstrap is needed")
    if not (BASE / "usr/lib/systemd/systemd").exists():
        making = pathlib.Path(f"{BASE}.{os.getpid()}")
        subprocess.run(["debootstrap", "--variant=minbase", "--include=systemd,systemd-sysv,iproute2,nftables",
                        "bookworm", str(making), MIRROR], check=True, capture_output=True)
        making.rename(BASE)
    return BASE


def install(root):
    """The program with the libraries of this machine, its unit, a configuration."""
    (root / "usr/sbin").mkdir(parents=True, exist_ok=True)
    shutil.copy(SLUICE, root / "usr/sbin/sluice")
    shutil.copy(ROOT / "user/system/sluice.service", root / "etc/systemd/system/sluice.service")
    for library in re.findall(r"=> (/\S+)", subprocess.run(["ldd", SLUICE], capture_output=True, text=True,
                                                           check=True).stdout):
        if not (root / library[1:]).exists():
            (root / library[1:]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, root / library[1:])
    (root / "etc/sluice").mkdir(exist_ok=True)
    (root / "etc/sluice/gateway.yaml").write_text(CONFIG)


class Machine:
    def __init__(self, folder):
        self.root = folder / "root"
        subprocess.run(["cp", "-a", str(base()), str(self.root)], check=True)
        install(self.root)
        self.pins = folder / "bpffs"
        self.pins.mkdir()
        subprocess.run(["mount", "-t", "bpf", "bpf", str(self.pins)], check=True)
        self.nspawn = subprocess.Popen(
            [nspawn(), *NSPAWN, f"--directory={self.root}", f"--bind={self.pins}:/sys/fs/bpf"],
            env={**os.environ, "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "1"}, stdin=subprocess.DEVNULL,
            stdout=open(folder / "console", "wb"), stderr=subprocess.STDOUT)
        wait_for("systemd", self.is_up, seconds=60)
        self.run("ip link add eth0 type veth peer name peer0")
        self.run("ip addr add 198.51.100.1/24 dev eth0")
        self.run("ip link set peer0 up")
        self.run("ip link set eth0 up")

    def pid1(self):
        children = pathlib.Path(f"/proc/{self.nspawn.pid}/task/{self.nspawn.pid}/children").read_text().split()
        return children[0] if children else None

    def run(self, command, check=True):
        done = subprocess.run(["nsenter", f"--target={self.pid1()}", "--all", "--", "/bin/sh", "-c", command],
                              capture_output=True, text=True, check=False, timeout=60)
        assert not check or done.returncode == 0, (command, done.stdout, done.stderr)
        return done

    def is_up(self):
        return self.pid1() and self.run("systemctl is-system-running", check=False).stdout.strip() in (
            "running", "degraded")

    def unit(self, key):
        return self.run(f"systemctl show -p {key} --value sluice").stdout.strip()

    def configure(self, text):
        (self.root / "etc/sluice/gateway.yaml").write_text(text)

    def close(self):
        pid = self.pid1()
        if pid:
            os.kill(int(pid), signal.SIGKILL)
        self.nspawn.wait(30)
        subprocess.run(["umount", str(self.pins)], check=False)


@pytest.fixture
def machine(tmp_path):
    made = Machine(tmp_path)
    yield made
    made.close()


@pytest.mark.long
def test_the_unit_under_systemd(machine):
    machine.run("systemctl start sluice")
    assert machine.unit("ActiveState") == "active"
    assert "alice" in machine.run("sluice clients").stdout

    machine.configure(CONFIG.replace("alice", "carol"))
    machine.run("systemctl reload sluice")
    assert "carol" in machine.run("sluice clients").stdout
    machine.configure(CONFIG + "nonsense: 1\n")
    done = machine.run("systemctl reload sluice", check=False)
    assert done.returncode and machine.unit("ActiveState") == "active"

    # A crash is a restart, however often; and with mistakes in the files it is tried until they are mended.
    machine.configure(CONFIG)
    for _ in range(8):
        pid = machine.unit("MainPID")
        began = time.monotonic()
        machine.run(f"kill -9 {pid}")
        wait_for("another process", lambda pid=pid: machine.unit("MainPID") not in ("0", pid), every=0.05)
        assert time.monotonic() - began < 2
        wait_for("ready", lambda: machine.unit("ActiveState") == "active", seconds=20)
    machine.configure(CONFIG + "nonsense: 1\n")
    machine.run(f"kill -9 {machine.unit('MainPID')}")
    time.sleep(5)
    assert machine.unit("ActiveState") == "activating", "it is tried again"
    machine.configure(CONFIG)
    wait_for("ready", lambda: machine.unit("ActiveState") == "active", seconds=20)

    # What an administrator ends stays ended, and nothing is left; it starts again when asked to.
    machine.run("sluice down")
    time.sleep(3)
    assert machine.unit("ActiveState") == "inactive"
    assert machine.run("ip link show sluice0", check=False).returncode
    assert "sluice" not in machine.run("ls /sys/fs/bpf").stdout
    machine.run("systemctl start sluice")
    machine.run("systemctl stop sluice")
    time.sleep(1)
    assert machine.unit("ActiveState") == "inactive"
    machine.run("sluice down")

    # A gateway that never ran is not tried for ever with a file that has mistakes.
    machine.run("rm -rf /var/lib/sluice")
    machine.configure("nonsense: 1\n")
    assert machine.run("systemctl start sluice", check=False).returncode
    time.sleep(1)
    assert machine.unit("ActiveState") == "failed"
