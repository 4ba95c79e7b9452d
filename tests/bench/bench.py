#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
r"""What a packet costs the gateway: Sluice beside wireguard-go + nftables, in one run, in turns, under the same loads.

    client 192.0.2.44 eth0 ─── eth0 gateway eth1 ─── eth0 service 203.0.113.9
       core 1                      core 0                     core 1

The gateway's process and the NAPI threads of its two devices run on core 0 and nothing else does; the other ends, their
NAPI threads and their backlog on core 1 (a veth would make the receiver's stack the sender's cost). So the CPU time
of a packet is what these threads used (/proc/PID/schedstat), divided by the packets that arrived at the far end. The
senders' segmentation is off: packets reach the gateway one by one, as from a wire. Loads:

  iperf3   real TCP by a real wireguard-go client; a packet is one full segment delivered
  blast    packets sealed ahead (up) or made ahead (down), sent at a fixed rate in bursts of 1, 8 or 44, the flows
           alternating packet by packet; the far end counts them in its IP layer and drops them. Up, a burst is cut
           by the kernel from one send and arrives at once; down, sendmmsg puts it on the wire frame by frame, about
           1 us apart, which a gateway that is awake sees as single arrivals

Nothing is asserted; what was lost stands in the table. Run it on an idle machine.
"""
import argparse
import dataclasses
import json
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lab"))

from gateways import Baseline, Sluice, settle  # noqa: E402
from lab import ROOT, Lab, reap, say, wait_for  # noqa: E402
from wg import Client, Key  # noqa: E402

GATEWAY_CORE, OTHER_CORE = 0, 1
SEGMENT = 1368                  # payload of a TCP segment with timestamps in a tunnel of 1420
PORT = 9                        # of the blast
BLAST = ROOT / "build/tests/bench"


@dataclasses.dataclass(frozen=True)
class Cell:
    """One load."""
    tool: str                   # iperf3 or blast
    direction: str              # up: from the client
    proto: str = "tcp"
    size: int = 1420            # of the inner packet
    flows: int = 4
    burst: int = 44
    uso: bool = True            # UDP segmentation of the gateway's NICs

    def rate(self, base):
        """Packets a second: what neither gateway should have to drop. Single arrivals cost several times more."""
        return int(base * {44: 1, 8: 0.5, 1: 0.2}[self.burst] * (1 if self.direction == "up" else 0.5))

    def __str__(self):
        flows = f"{self.flows} flow{'s' * (self.flows > 1)}"
        if self.tool == "iperf3":
            return f"real TCP {self.direction}, {flows}"
        payload = self.size if self.proto == "tcp" else self.size - 28
        uso = "" if self.uso else ", USO off"
        return f"{self.proto.upper()} {payload} B {self.direction}, {flows}, bursts of {self.burst}{uso}"


def cells():
    yield from (Cell("iperf3", direction, flows=flows) for flows in (1, 4) for direction in ("up", "down"))
    for proto, size in (("tcp", 1420), ("udp", 92)):
        for direction in ("up", "down"):
            yield from (Cell("blast", direction, proto, size, burst=burst) for burst in (44, 8, 1))
            yield from (Cell("blast", direction, proto, size, flows=flows) for flows in (1, 16))
    yield from (Cell("blast", direction, "udp", 92, burst=burst, uso=False)
                for direction in ("up", "down") for burst in (44, 1))


class Net:
    """The drawing above; what gateways.py wants of a net."""
    underlay, egress = "eth0", "eth1"
    ADDRESSES = {("client", "eth0"): ["192.0.2.44/24", "2001:db8:2::44/64"],
                 ("gateway", "eth0"): ["192.0.2.1/24", "2001:db8:2::1/64"],
                 ("gateway", "eth1"): ["198.51.100.1/24", "2001:db8:1::1/64"],
                 ("service", "eth0"): ["198.51.100.2/24", "2001:db8:1::2/64"],
                 ("service", "lo"): ["203.0.113.9/32", "2001:db8:3::9/128"]}

    def __init__(self, lab):
        self.lab = lab
        self.client, self.gateway, self.service = (lab.host(name) for name in ("client", "gateway", "service"))
        lab.cable(self.client, "eth0", self.gateway, "eth0")
        lab.cable(self.service, "eth0", self.gateway, "eth1")
        for (host, device), addresses in self.ADDRESSES.items():
            getattr(self, host).address(device, *addresses)
        self.gateway.route("default", "via", "198.51.100.2")
        self.gateway.run("ip -6 route add default via 2001:db8:1::2")
        for host, device, core in ((self.client, "eth0", OTHER_CORE), (self.service, "eth0", OTHER_CORE),
                                   (self.gateway, "eth0", GATEWAY_CORE), (self.gateway, "eth1", GATEWAY_CORE)):
            host.cpu = core
            napi = threaded(host, device, core)
            if host is self.gateway:
                setattr(self, f"napi_{device}", napi)
            else:
                host.offloads(device, tso="off", gso="off", tx_udp_segmentation="off")
                steered(host, device, core)
        self.service.nft(f"table ip blast {{ chain in {{ type filter hook prerouting priority raw; "
                         f"meta l4proto {{ tcp, udp }} th dport {PORT} drop; }}; }}\n")
        # the blast's service keeps no window: nothing acknowledges
        self.gateway.run("sysctl -qw net.netfilter.nf_conntrack_tcp_be_liberal=1", check=False)

    def egress_addresses(self):
        return [address.partition("/")[0] for address in self.ADDRESSES["gateway", "eth1"]]

    def endpoint(self, version=4, port=51820):
        return f"192.0.2.1:{port}"


def kernel_threads(prefix):
    found = set()
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "comm").read_text().startswith(prefix):
                found.add(int(entry.name))
        except OSError:
            pass
    return found


def threaded(host, device, core):
    """Give a device's NAPI threads of their own, bound to a core. Returns their pids."""
    before = kernel_threads(f"napi/{device}-")
    host.offloads(device, gro="on")              # what makes a veth use NAPI at all
    host.run(["sh", "-c", f"echo 1 > /sys/class/net/{device}/threaded"])
    new = wait_for("NAPI threads", lambda: kernel_threads(f"napi/{device}-") - before)
    for pid in new:
        subprocess.run(["taskset", "-p", "-c", str(core), str(pid)], check=True, stdout=subprocess.DEVNULL)
    return new


def steered(host, device, core):
    """What arrives without NAPI (a veth's, whose peer segments) is received by this core, not by the sender's."""
    host.run(["sh", "-c",
              f"for cpus in /sys/class/net/{device}/queues/rx-*/rps_cpus; do echo {1 << core:x} > $cpus; done"])


def run_time(pid):
    """CPU time of all threads of a process, in ns."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except OSError:
            pass
    return total


def packets_in(host):
    """IPv4 packets that a host received, each segment of a super-packet counted (IpExt, ECN marks)."""
    names, values = re.findall(r"^IpExt: (.*)$", pathlib.Path(f"/proc/{host.holder.pid}/net/netstat").read_text(), re.M)
    counters = dict(zip(names.split(), map(int, values.split())))
    return sum(counters[name] for name in ("InNoECTPkts", "InECT1Pkts", "InECT0Pkts", "InCEPkts"))


class Bench:
    def __init__(self, net, options):
        self.net, self.options = net, options
        self.key, self.blast_key = Key(), Key()
        self.client = Client(net.client, "alice@example.com", 5)
        self.blaster = Client(net.client, "alice@example.com", 6, key=self.blast_key)
        self.keyfile = self.client.secret(self.blast_key.private)
        self.softirq = kernel_threads(f"ksoftirqd/{GATEWAY_CORE}")
        self.iperf = net.service.popen("iperf3", "iperf3 -s --forceflush")

    def columns(self):
        yield "wireguard-go", lambda: Baseline(self.net, self.key)
        yield "sluice", lambda: Sluice(self.net, self.key, workers=1, xdp="off")
        if self.options.front:
            yield "sluice, XDP front", lambda: Sluice(self.net, self.key, workers=1, xdp="native")

    def threads(self, gateway):
        """What is the gateway's: {part: pids}."""
        return {"process": gateway.pids(), "napi in": self.net.napi_eth0, "napi out": self.net.napi_eth1,
                "softirq": self.softirq}

    def usage(self, gateway):
        return {part: sum(map(run_time, pids)) for part, pids in self.threads(gateway).items()}

    def measure(self, gateway, cell):
        """One load, once: {"ns": a packet, "parts": of it, "packets", "pps", "lost": share}."""
        for device in ("eth0", "eth1"):
            self.net.gateway.offloads(device, tx_udp_segmentation="on" if cell.uso else "off")
        load = self.iperf3 if cell.tool == "iperf3" else self.blast
        sent, arrived, seconds, used = load(gateway, cell)
        if not arrived:
            return {"ns": None, "parts": {}, "packets": 0, "pps": 0, "lost": 1.0}
        parts = {part: ns / arrived for part, ns in used.items()}
        return {"ns": sum(parts.values()), "parts": parts, "packets": arrived, "pps": arrived / seconds,
                "lost": max(0.0, 1 - arrived / sent)}

    def iperf3(self, gateway, cell):
        reverse = ["-R"] if cell.direction == "down" else []
        command = ["iperf3", "-c", "203.0.113.9", "-J", "-t", self.options.seconds, "-P", cell.flows, *reverse]
        before = self.usage(gateway)
        result = self.net.client.json(command, timeout=60)["end"]
        used = {part: ns - before[part] for part, ns in self.usage(gateway).items()}
        packets = result["sum_received"]["bytes"] / SEGMENT
        return packets, packets, result["sum_received"]["seconds"], used

    def blast(self, gateway, cell):
        rate = cell.rate(self.options.rate)
        count = int(rate * self.options.seconds)
        up = cell.direction == "up"
        load = [cell.proto, cell.size, cell.flows, cell.burst, rate]
        service = self.net.service.popen("blast", [str(BLAST / "blast_service"), "eth0", "203.0.113.9", str(PORT),
                                                   *map(str, load), "0" if up else str(count)])
        output = len(service.output())
        wait_for("service", lambda: "listening" in service.output()[max(0, output - 20):])
        client = self.net.client.popen("blast", [
            str(BLAST / "blast_client"), str(self.keyfile), gateway.key.public, self.net.endpoint(), "100.64.0.6",
            "203.0.113.9", str(PORT), *map(str, load), str(count) if up else "0"])
        try:
            for process in (client, service):
                wait_for("blast ready", lambda p=process: stopped(p), seconds=60)
            return self.clock(gateway, *((client, service, self.net.service) if up else
                                         (service, client, self.net.client)))
        finally:
            for process in (client, service):
                if process.alive():
                    process.popen.kill()
                process.popen.wait()
                process.log.unlink(missing_ok=True)

    def clock(self, gateway, sender, other, sink):
        """Let go both, wait for the end, read the clocks and counters around it."""
        if other is not sender:
            other.popen.send_signal(signal.SIGCONT)
            time.sleep(0.1)
        before, packets = self.usage(gateway), packets_in(sink)
        sender.popen.send_signal(signal.SIGCONT)
        if sender.popen.wait(60):
            raise RuntimeError(sender.output())
        time.sleep(0.1)
        used = {part: ns - before[part] for part, ns in self.usage(gateway).items()}
        result = json.loads(sender.output().splitlines()[-1])
        return result["sent"], packets_in(sink) - packets, result["seconds"], used

    def round(self, name, make, wanted):
        """All loads on one gateway, started and removed: {cell: measurement}."""
        gateway = make()
        gateway.admit(self.client)
        gateway.admit(self.blaster, name="blaster")
        gateway.start()
        self.client.join(gateway)
        settle(self.client, gateway)
        results = {}
        for cell in wanted:
            results[cell] = self.measure(gateway, cell)
            ns = results[cell]["ns"]
            print(f"  {name:18} {str(cell):44} {ns or 0:6.0f} ns", file=sys.stderr, flush=True)
        self.client.set("peer", gateway.key.public, "remove")
        gateway.stop()
        gateway.down()
        return results

    def run(self, wanted):
        """{column: {cell: [measurement of each round]}}, the columns taking turns."""
        results = {name: {cell: [] for cell in wanted} for name, _ in self.columns()}
        for _ in range(self.options.rounds):
            for name, make in self.columns():
                for cell, measurement in self.round(name, make, wanted).items():
                    results[name][cell].append(measurement)
        return results


def stopped(process):
    if not process.alive():
        raise RuntimeError(process.output())
    stat = pathlib.Path(f"/proc/{process.pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "T"


def median(measurements, field):
    values = [m[field] for m in measurements if m[field] is not None]
    return statistics.median(values) if values else None


def table(results):
    """Rows of cells, columns of gateways: ns a packet, ratio to the first column, what was lost."""
    names = list(results)
    lines = [f"{'ns of gateway CPU a packet':46}" + "".join(f"{name:>26}" for name in names)]
    for cell in results[names[0]]:
        line = f"{str(cell):46}"
        base = median(results[names[0]][cell], "ns")
        for name in names:
            ns, lost = median(results[name][cell], "ns"), median(results[name][cell], "lost")
            if ns is None:
                line += f"{'nothing arrived':>26}"
                continue
            ratio = f"{ns / base:.2f}" if base and name != names[0] else ""
            loss = f"{lost:.0%} lost" if lost >= 0.005 else ""
            line += f"{ns:8,.0f} {ratio:>5} {loss:>11}"
        lines.append(line.rstrip())
    return "\n".join(lines)


def machine():
    model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return {"kernel": os.uname().release, "cpu": model.group(1) if model else "?", "cores": os.cpu_count()}


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=float, default=2)
    options.add_argument("--rate", type=int, default=150000,
                         help="packets a second of a blast up in bursts of 44; the others are slower, see Cell.rate")
    options.add_argument("--only", default="", help="a regular expression: the loads whose names match")
    options.add_argument("--no-front", dest="front", action="store_false", help="without the XDP column")
    options.add_argument("--baseline", action="store_true", help="only the baseline, to test the bench")
    options.add_argument("--json", type=pathlib.Path, default=ROOT / "build/bench.json")
    options.add_argument("--verbose", action="store_true")
    options = options.parse_args()
    if os.cpu_count() < 2:
        sys.exit("bench: two cores are needed, one for the gateway, one for the rest")
    subprocess.run(["make", "-s", "-C", ROOT, *(f"build/tests/bench/blast_{end}" for end in ("client", "service"))],
                   check=True)
    wanted = [cell for cell in cells() if re.search(options.only, str(cell))]
    reap()
    if not options.verbose:
        sys.stdout = open(os.devnull, "w")
    with Lab() as lab:
        bench = Bench(Net(lab), options)
        if options.baseline:
            bench.columns = lambda: [("wireguard-go", lambda: Baseline(bench.net, bench.key))]
        results = bench.run(wanted)
    sys.stdout = sys.__stdout__
    say(table(results))
    document = {"machine": machine(), "rate": options.rate, "seconds": options.seconds, "results": [
        {"gateway": name, **dataclasses.asdict(cell), "rounds": rounds}
        for name, column in results.items() for cell, rounds in column.items()]}
    options.json.parent.mkdir(exist_ok=True)
    options.json.write_text(json.dumps(document, indent=1) + "\n")
    say(f"\n{options.json}")


if __name__ == "__main__":
    main()
