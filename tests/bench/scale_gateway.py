#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What a packet costs the whole gateway with a thousand, a hundred thousand and a million flows in its table.

The drawing, the clocks and the client are bench.py's. All flows are UDP of one client (30,000 endpoints, each with
several remotes), opened by their packets through the tunnel; then packets of 64 bytes follow, of all of them in turn
(any), or of the first thousand (hot). Packets of one burst are then each of another flow, so nothing is coalesced.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import bench
from gateways import Sluice, settle
from lab import ROOT, Lab, reap, say, wait_for

SIZES = (1000, 100000, 1000000)
HOT = SIZES[0]
ENDPOINTS = 30000  # as blast_client has
TARGET = 1.3
TRIES = 8


class Scale(bench.Bench):
    def open_flows(self, gateway, flows):
        """A gateway that is short of time drops what would open some: again, until all are there."""
        for _ in range(TRIES):
            self.blast_flows(gateway, flows, 1)
            if gateway.json("status")["flows"]["used"] >= flows + min(flows, ENDPOINTS):
                return

    def blast_flows(self, gateway, flows, count):
        """Sends a packet of each of the flows, then times @count packets more."""
        client = self.net.client.popen("blast", [
            str(bench.BLAST / "blast_client"), str(self.keyfile), gateway.key.public, self.net.endpoint(), "100.64.0.6",
            "203.0.113.9", str(bench.PORT), "udp", "92", str(flows), "44", str(self.options.rate), str(count)])
        try:
            wait_for("blast ready", lambda: bench.stopped(client), seconds=120)
            sent, arrived, seconds, used = self.clock(gateway, client, client, self.net.service)
        finally:
            if client.alive():
                client.popen.kill()
            client.popen.wait()
            client.log.unlink(missing_ok=True)
        return {"ns": sum(used.values()) / max(arrived, 1), "lost": max(0.0, 1 - arrived / sent)}

    def clock(self, gateway, sender, other, sink):
        time.sleep(1)           # what opened the flows has been worked off
        return super().clock(gateway, sender, other, sink)


def measure(scale, options):
    """[{flows, used, load, rounds: [ns], lost}]"""
    gateway = Sluice(scale.net, scale.key, workers=1, xdp="off")
    gateway.config["nat"] = {"flows": 1 << 20, "client_share": "100%"}
    gateway.allow("203.0.113.0/24")
    gateway.admit(scale.client)
    gateway.admit(scale.blaster, name="blaster")
    gateway.start()
    scale.client.join(gateway)
    settle(scale.client, gateway)
    rows, count = [], int(options.rate * options.seconds)
    for flows in SIZES:
        scale.open_flows(gateway, flows)
        for load in ("any", "hot"):
            among = flows if load == "any" else HOT
            rounds = [scale.blast_flows(gateway, among, count) for _ in range(options.rounds)]
            row = {"flows": flows, "used": gateway.json("status")["flows"]["used"], "load": load, "rounds": rounds,
                   "ns": statistics.median(r["ns"] for r in rounds), "lost": max(r["lost"] for r in rounds)}
            print(f"  {flows} flows, {load}: {row['ns']:.0f} ns", file=sys.stderr, flush=True)
            rows.append(row)
    gateway.stop()
    gateway.down()
    return rows


def table(rows):
    lines = [f"the whole gateway: ns of its CPU a packet of 64 B (target: at most {TARGET})",
             f"{'flows':>10} {'slots used':>11}  {'packets of':12} {'ns':>7} {'ratio':>6} {'lost':>6}"]
    base = {row["load"]: row["ns"] for row in rows if row["flows"] == SIZES[0]}
    for row in rows:
        of = "any flow" if row["load"] == "any" else f"{HOT} of them"
        lines.append(f"{row['flows']:10,} {row['used']:11,}  {of:12} {row['ns']:7,.0f} "
                     f"{row['ns'] / base[row['load']]:6.2f} {row['lost']:6.1%}")
    return "\n".join(lines)


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=float, default=2)
    options.add_argument("--rate", type=int, default=100000, help="packets a second")
    options.add_argument("--json", type=pathlib.Path, default=ROOT / "build/scale_gateway.json")
    options.add_argument("--verbose", action="store_true")
    options = options.parse_args()
    if os.cpu_count() < 2:
        sys.exit("scale_gateway: two cores are needed, one for the gateway, one for the rest")
    subprocess.run(["make", "-s", "-C", ROOT, "build/tests/bench/blast_client"], check=True)
    reap()
    if not options.verbose:
        sys.stdout = open(os.devnull, "w")
    with Lab() as lab:
        rows = measure(Scale(bench.Net(lab), options), options)
    sys.stdout = sys.__stdout__
    say(table(rows))
    options.json.write_text(json.dumps({"machine": bench.machine(), "results": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
