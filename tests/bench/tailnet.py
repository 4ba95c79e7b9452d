#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
r"""The same download and upload through Sluice and through tailscaled as subnet routers of one real tailnet.

    client (tailscaled) ─── bridge with headscale ─── eth0 gateway eth1 ─── service 203.0.113.9
           core 1                                         core 0                 core 1

As bench.py does it: the gateway's processes and the NAPI threads of its devices have core 0 to themselves, what they
used is divided by the full segments delivered, and the two gateways take turns. Throughput stands beside it: here the
client, a tailscaled too, is often what limits it. Nothing is asserted. Run it on an idle machine.
"""
import argparse
import pathlib
import statistics
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "lab"), str(HERE)]

from bench import GATEWAY_CORE, OTHER_CORE, kernel_threads, run_time, steered, threaded  # noqa: E402
from lab import Lab, reap, say, wait_for  # noqa: E402
from tailnet import ROUTE, Member, Tailnet, TailscaleClient, TailscaleRouter, require  # noqa: E402

SERVICE = "203.0.113.9"
SEGMENT = 1280 - 20 - 32        # payload of a TCP segment with timestamps in a tunnel of 1280


class Bench:
    """Also what Member wants of a net."""
    underlay, egress = "eth0", "eth1"

    def egress_addresses(self):
        return ["198.51.100.1"]

    def __init__(self, lab, options):
        self.lab, self.options = lab, options
        self.tailnet = Tailnet(lab)
        self.gateway = self.tailnet.machine("gateway", "10.9.1.1")
        self.service = lab.host("service")
        lab.cable(self.service, "eth0", self.gateway, "eth1")
        self.gateway.address("eth1", "198.51.100.1/24")
        self.service.address("eth0", "198.51.100.2/24")
        self.service.address("lo", SERVICE + "/32")
        self.gateway.route("default", "via", "198.51.100.2")
        self.gateway.cpu = GATEWAY_CORE
        self.napi = threaded(self.gateway, "eth0", GATEWAY_CORE) | threaded(self.gateway, "eth1", GATEWAY_CORE)
        self.softirq = kernel_threads(f"ksoftirqd/{GATEWAY_CORE}")
        self.service.cpu = OTHER_CORE
        threaded(self.service, "eth0", OTHER_CORE)
        self.service.offloads("eth0", tso="off", gso="off", tx_udp_segmentation="off")
        steered(self.service, "eth0", OTHER_CORE)
        self.service.popen("iperf3", "iperf3 -s --forceflush")
        self.client = TailscaleClient(self.tailnet)
        self.client.host.cpu = OTHER_CORE

    def usage(self, pids):
        """ns of CPU so far: of the gateway's processes, and of the kernel's threads for its devices."""
        return {"process": sum(map(run_time, pids)), "devices": sum(map(run_time, [*self.napi, *self.softirq]))}

    def iperf3(self, gateway, direction):
        command = ["iperf3", "-c", SERVICE, "-J", "-t", self.options.seconds, *(["-R"] if direction == "down" else [])]
        pids = gateway.pids()
        before = self.usage(pids)
        received = self.client.host.json(command, timeout=60)["end"]["sum_received"]
        used = {part: (ns - before[part]) * SEGMENT / received["bytes"] for part, ns in self.usage(pids).items()}
        return {"ns": sum(used.values()), "gbit": received["bits_per_second"] / 1e9, **used}

    def round(self, make):
        gateway = make()
        try:
            wait_for("the route", seconds=30, condition=lambda: self.client.host.probe(
                "connect", SERVICE, 5201, "--timeout", 1)["connected"])
            return {direction: self.iperf3(gateway, direction) for direction in ("up", "down")}
        finally:
            gateway.leave()

    def member(self):
        member = Member(self.tailnet, self, self.tailnet.key("--tags", "tag:gw"))
        member.config |= {"routes": [ROUTE], "state": str(self.lab.file("state"))}
        return member.start()

    def columns(self):
        return {"tailscaled": lambda: TailscaleRouter(self.tailnet, self.gateway, [ROUTE]), "sluice": self.member}


def table(results):
    names = list(results)
    lines = ["gateway CPU: ns a packet (of them its devices' NAPI threads), and the ratio (target: at most 0.5)",
             f"{'':24}" + "".join(f"{name:>38}" for name in names)]
    for direction in ("up", "down"):
        line = f"{'real TCP ' + direction + ', 1 flow':24}"
        base = None
        for name in names:
            ns, gbit, devices = (statistics.median(r[direction][field] for r in results[name])
                                 for field in ("ns", "gbit", "devices"))
            ratio = f" {ns / base:.2f}" if base else ""
            base = base or ns
            line += f"{f'{gbit:.2f} Gbit/s {ns:7,.0f} ns ({devices:,.0f}){ratio}':>38}"
        lines.append(line)
    return "\n".join(lines)


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=float, default=3)
    options = options.parse_args()
    require()
    reap()
    results = {}
    for _ in range(options.rounds):
        with Lab() as lab:      # a new tailnet each time
            bench = Bench(lab, options)
            for name, make in bench.columns().items():
                results.setdefault(name, []).append(bench.round(make))
    say(table(results))


if __name__ == "__main__":
    main()
