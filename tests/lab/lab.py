# SPDX-License-Identifier: BSD-2-Clause
"""Hosts and cables of a lab, as network and mount namespaces without any global name.

A Host is a pair of namespaces held open by one sleeping process. Nothing of it has a name outside: the
namespaces are reached by the holder's pid, /run, /sys and /sys/fs/bpf are its own mounts, so programs use their
default paths, and two labs side by side cannot meet. When the processes are gone, so is everything else:
interfaces, rules, pins, sockets. Teardown therefore is killing processes, and each carries SLUICE_LAB=RUN in its
environment, so that the processes of a run that crashed are found and ended by the next one, and no others.

Every command is echoed as it could be typed: `alice(1234)# ip addr` is `nsenter -t 1234 -n -m ip addr`.
"""
import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
MARK = "SLUICE_LAB"
PREFIX = "sluice-lab-"

# What a host's holder does before it sleeps. A new network namespace needs its own /sys to show its own devices.
HOLD = """
mount -t sysfs sysfs /sys && mount -t bpf bpf /sys/fs/bpf && mount -t tmpfs tmpfs /run || exit 1
sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 || exit 1
sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 || exit 1
ip link set lo up && echo ready && exec -a "$0" sleep infinity
"""


def say(*words):
    print(*words, flush=True)


def words(command):
    return shlex.split(command) if isinstance(command, str) else [str(word) for word in command]


def start_time(pid):
    """When a process started, in clock ticks: with its number it names one process for ever. None if gone."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, *fields = stat.rpartition(")")[2].split()
    return None if state == "Z" else int(fields[18])


def run_name(pid=None):
    pid = pid or os.getpid()
    return f"{pid}.{start_time(pid)}"


def space(pid="self"):
    """In which PID namespace a process is: the numbers of a run in another container mean other processes."""
    return os.stat(f"/proc/{pid}/ns/pid").st_ino


def alive(run):
    pid, _, started = run.partition(".")
    return pid.isdigit() and str(start_time(int(pid))) == started


def marked():
    """All (pid, run) of processes that some lab started."""
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environ = (entry / "environ").read_bytes()
        except OSError:
            continue
        for item in environ.split(b"\0"):
            if item.startswith(MARK.encode() + b"="):
                yield int(entry.name), item.partition(b"=")[2].decode()


def reap():
    """End what crashed runs left: processes and folders whose run is no longer alive. Other containers' are theirs."""
    for pid, run in marked():
        if not alive(run):
            try:
                if space(pid) == space():
                    os.kill(pid, signal.SIGKILL)
            except (FileNotFoundError, ProcessLookupError):
                pass
    for folder in pathlib.Path(tempfile.gettempdir()).glob(PREFIX + "*"):
        owner = folder / "space"
        if owner.exists() and owner.read_text() != str(space()):
            continue
        if not alive(folder.name.removeprefix(PREFIX).rpartition("-")[0]):
            shutil.rmtree(folder, ignore_errors=True)


def wait_for(what, condition, seconds=20.0, every=0.02):
    """Poll until the condition returns something true, which is the result; an error names what was awaited. A
    time that is promised is given; the default is for what has to come, on a machine that does much else."""
    end = time.monotonic() + seconds
    while True:
        got = condition()
        if got:
            return got
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(every)


class Process:
    """A program in the background on a host; its output goes to a file."""

    def __init__(self, host, name, command, env=None):
        self.host, self.name = host, name
        self.log = host.lab.dir / f"{host.name}-{name}.log"
        say(f"{host}# {shlex.join(command)} &")
        with open(self.log, "ab") as out:
            self.popen = subprocess.Popen(host.enter(command), stdin=subprocess.DEVNULL, stdout=out,
                                          stderr=subprocess.STDOUT, env=host.lab.env(env))
        self.pid = self.popen.pid

    def alive(self):
        return self.popen.poll() is None

    def output(self):
        return self.log.read_text(errors="replace")

    def stop(self, sig=signal.SIGTERM, seconds=10):
        """End it by a signal, by force when that is not enough. Returns the exit status."""
        if self.alive():
            say(f"{self.host}# kill -{signal.Signals(sig).name} {self.pid}   ({self.name})")
            self.popen.send_signal(sig)
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            raise


class Host:
    """One machine: a network and a mount namespace."""

    def __init__(self, lab, name):
        self.lab, self.name = lab, name
        self.cpu = None          # the core that its processes are bound to, if any
        self.holder = subprocess.Popen(
            ["unshare", "--net", "--mount", "--propagation=private", "setpriv", "--pdeathsig=KILL", "bash", "-c",
             HOLD, f"{PREFIX}{lab.run}:{name}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=lab.env(), text=True)
        if self.holder.stdout.readline() != "ready\n":
            raise RuntimeError(f"{name}: no namespaces (root is needed, and a chroot be a mount: mount --bind DIR DIR)")

    def __str__(self):
        return f"{self.name}({self.holder.pid})"

    def enter(self, command):
        core = ["taskset", "-c", str(self.cpu)] if self.cpu is not None else []
        return ["nsenter", f"--target={self.holder.pid}", "--net", "--mount", "--root", "--",
                "setpriv", "--pdeathsig=KILL", "--", *core, *command]

    def path(self, path):
        """A file of the host's own mounts, as this process can open it."""
        return pathlib.Path(f"/proc/{self.holder.pid}/root") / str(path).lstrip("/")

    def run(self, command, check=True, timeout=30, input=None, env=None, quiet=False):
        """Run a command to its end; its output, as text, is in the result's stdout and stderr."""
        command = words(command)
        if not quiet:
            say(f"{self}# {shlex.join(command)}")
        done = subprocess.run(self.enter(command), capture_output=True, text=True, errors="replace",
                              timeout=timeout, input=input, env=self.lab.env(env))
        if check and done.returncode:
            raise RuntimeError(f"{self}# {shlex.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def out(self, command, **options):
        return self.run(command, **options).stdout

    def json(self, command, **options):
        return json.loads(self.out(command, **options) or "[]")

    def popen(self, name, command, env=None):
        process = Process(self, name, words(command), env)
        self.lab.processes.append(process)
        return process

    def probe(self, *arguments, timeout=60):
        """One measurement by probe.py on this host; see there."""
        result = self.json([sys.executable, HERE / "probe.py", *arguments], timeout=timeout)
        say(f"    {result}")
        return result

    def probing(self, name, *arguments):
        """The same in the background; Process.output() is its JSON at the end."""
        return self.popen(name, [sys.executable, str(HERE / "probe.py"), *map(str, arguments)])

    def sysctl(self, **values):
        self.run(["sysctl", "-qw", *(f"{name.replace('__', '.')}={value}" for name, value in values.items())])

    def address(self, device, *addresses):
        for address in addresses:
            self.run(["ip", "addr", "add", address, "dev", device, *(["nodad"] if ":" in str(address) else [])])

    def route(self, prefix, *via):
        self.run(["ip", "-6" if ":" in str(prefix) else "-4", "route", "replace", prefix, *via])

    def nft(self, rules):
        say(f"{self}# nft -f - <<.\n{rules}.")
        self.run(["nft", "-f", "-"], input=rules, quiet=True)

    def offloads(self, device, **features):
        """offloads("eth0", tx="off"): dashes of ethtool's names are underscores here."""
        settings = [word for name, value in features.items() for word in (name.replace("_", "-"), value)]
        self.run(["ethtool", "-K", device, *settings])

    def capture(self, device, expression="", direction="inout"):
        return Capture(self, device, expression, direction)


class Capture:
    """Packets of one interface, while a with block lasts; .packets() parses them with scapy afterwards."""

    def __init__(self, host, device, expression, direction):
        self.host, self.device, self.expression, self.direction = host, device, expression, direction
        self.file = host.lab.file("capture.pcap")

    def __enter__(self):
        self.process = self.host.popen(f"tcpdump-{self.device}", [
            "tcpdump", "-i", self.device, "-Q", self.direction, "-w", str(self.file), "-U", "--immediate-mode", "-n",
            "-s", "256", "-B", "16384", "-Z", "root", *words(self.expression)])
        wait_for("tcpdump", lambda: "listening on" in self.process.output() or not self.process.alive())
        if not self.process.alive():
            raise RuntimeError(self.process.output())
        return self

    def __exit__(self, *_):
        """A signal would lose what tcpdump has not read yet. It has read all when it sleeps, on a busy machine too."""
        time.sleep(0.1)
        wait_for("tcpdump to have read all", self.sleeps, every=0.01)
        self.process.stop(signal.SIGINT)

    def sleeps(self):
        state = pathlib.Path(f"/proc/{self.process.pid}/stat")
        return not self.process.alive() or state.read_text().rpartition(")")[2].split()[0] == "S"

    def count(self):
        return len(self.packets())

    def packets(self):
        from scapy.layers import inet, inet6, l2  # noqa: F401: the layers that rdpcap is to know
        from scapy.utils import rdpcap
        return rdpcap(str(self.file))


class Lab:
    """All hosts of one test. Closing it ends every process that was started in it."""

    def __init__(self):
        self.run = run_name()
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix=f"{PREFIX}{self.run}-"))
        (self.dir / "space").write_text(str(space()))
        self.hosts, self.processes, self.files = {}, [], 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def env(self, more=None):
        return {**os.environ, MARK: self.run, "LC_ALL": "C.UTF-8", **(more or {})}

    def file(self, name):
        """A name for a new file of this lab."""
        self.files += 1
        return self.dir / f"{self.files}-{name}"

    def host(self, name):
        self.hosts[name] = Host(self, name)
        return self.hosts[name]

    def library(self, source):
        """C source as a library for LD_PRELOAD, whose functions a program gets instead of the C library's."""
        library = self.file(f"{source.stem}.so")
        subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", library, source], check=True)
        return library

    def cable(self, a, device_a, b, device_b, mtu=1500):
        say(f"# {a.name}:{device_a} --- {b.name}:{device_b}")
        subprocess.run(["ip", "link", "add", device_a, "mtu", str(mtu), "netns", str(a.holder.pid), "type", "veth",
                        "peer", "name", device_b, "mtu", str(mtu), "netns", str(b.holder.pid)], check=True)
        for host, device in ((a, device_a), (b, device_b)):
            host.run(f"ip link set {device} up")

    def logs(self):
        """What the background programs said, for the report of a failed test."""
        for process in self.processes:
            text = process.output().strip() if process.log.exists() else ""
            yield f"{process.host.name}: {process.name}", "\n".join(text.splitlines()[-60:])

    def close(self):
        for process in self.processes:
            if process.alive():
                process.popen.kill()
            process.popen.wait()
        inside = {os.stat(f"/proc/{host.holder.pid}/ns/net").st_ino: host.name for host in self.hosts.values()}
        for pid, run in marked():
            try:
                if run == self.run and os.stat(f"/proc/{pid}/ns/net").st_ino in inside:
                    os.kill(pid, signal.SIGKILL)
            except (FileNotFoundError, ProcessLookupError):
                pass
        for host in self.hosts.values():
            host.holder.wait()
        shutil.rmtree(self.dir, ignore_errors=True)
