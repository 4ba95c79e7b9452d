# SPDX-License-Identifier: BSD-2-Clause
"""The programs' tables as they lie in the kernel, read by bpftool, and what must hold between them (bpf/contract.h)."""
import collections
import json
import struct

PINS = "/sys/fs/bpf/sluice"
FREE, NEW, RESET, MAPPING = 0, 1, 4, 5          # enum flow_state

Flow = collections.namedtuple("Flow", "out back serial client state mapping egress sharers")
USE_DEAD = 0x80000000


def number(raw):
    return int.from_bytes(raw, "little")


class Tables:
    """A snapshot. It is of one moment only when nothing moves."""

    def __init__(self, host):
        self.host = host
        self.flows = {number(key): self.flow(value) for key, value in self.dump("flows")}
        self.index = {key: (number(value[:4]), number(value[4:])) for key, value in self.dump("flow_index")}
        self.pairs = {key: number(value[:4]) for key, value in self.dump("pairs")}
        self.used = number(self.dump("flow_table")[0][1][4:8])
        self.live = {slot: flow for slot, flow in self.flows.items() if NEW <= flow.state <= MAPPING}

    def json(self, *words):
        return json.loads(self.host.out(["bpftool", "-j", *words], quiet=True, timeout=120))

    def dump(self, name):
        entries = self.json("map", "dump", "pinned", f"{PINS}/{name}")
        return [(raw(entry["key"]), raw(entry["value"])) for entry in entries]

    @staticmethod
    def flow(value):
        life, client, _, _, mapping, egress, sharers = struct.unpack_from("=Q4IH6xI", value, 80)
        return Flow(value[:40], value[40:80], life >> 8 & 0xffffffff, client, life & 255, mapping, egress, sharers)

    def faults(self):
        """What does not fit, in words; none when each entry has its twin and each port its owner."""
        want, pairs, sharers, faults = {}, collections.Counter(), collections.Counter(), []
        for slot, flow in self.live.items():
            want[flow.out] = slot, flow.serial
            first, _ = self.index.get(flow.back, (slot, 0))     # the one whose entry is the permission, live or dead
            shared = flow.mapping and first in self.flows and self.flows[first].back == flow.back
            want[flow.back] = (first, self.flows[first].serial) if shared else (slot, flow.serial)
            sharers[first] += bool(flow.mapping)
            if not flow.mapping:
                remote, port, proto = flow.back[:16], flow.back[32:34], flow.back[36:37]
                pairs[remote + port + proto + b"\0" + struct.pack("=I", flow.egress)] += 1
            elif self.flows[flow.mapping].state != MAPPING:
                faults.append(f"flow {slot}: its mapping {flow.mapping} is gone")
        for slot, flow in self.flows.items():
            counted = 0 if flow.sharers & USE_DEAD or flow.state == FREE else flow.sharers
            if counted != sharers[slot]:
                faults.append(f"slot {slot}: {sharers[slot]} flows share its permission, {counted} counted")
        for key in want.keys() | self.index.keys():
            if want.get(key) != self.index.get(key):
                faults.append(f"tuple {key.hex()}: slot and serial {want.get(key)}, index {self.index.get(key)}")
        for key in pairs.keys() | self.pairs.keys():
            if pairs[key] != self.pairs.get(key, 0):
                faults.append(f"pair {key.hex()}: {pairs[key]} ports in use, {self.pairs.get(key)} counted")
        return faults

    def left(self):
        """What there is; all zero when everything has ended."""
        return {"live": len(self.live), "index": len(self.index), "pairs": len(self.pairs), "used": self.used}


def raw(words):
    return bytes(int(word, 16) for word in words)


def sums(entry):
    """A per-CPU value of 64-bit counters, added up."""
    values = [struct.unpack(f"={len(value) // 8}Q", value) for value in (raw(v["value"]) for v in entry["values"])]
    return [sum(column) for column in zip(*values)]


def counters(host, rules=64):
    """(total, by_rule): packets and bytes out and in, as counted by the packet and as the ended flows carried them."""
    total = [sums(entry) for entry in json.loads(
        host.out(["bpftool", "-j", "map", "dump", "pinned", f"{PINS}/totals"], quiet=True))][:2]
    lines = "".join(f"map lookup pinned {PINS}/rule_use key {n & 255} {n >> 8} 0 0\n" for n in range(rules))
    answers = json.loads(host.run(["bpftool", "-j", "batch", "file", "-"], input=lines, quiet=True).stdout)
    used = [sums(answer.get("output", answer)) for answer in answers]
    columns = [sum(column) for column in zip(*used)]
    return total, [columns[2:4], columns[4:6]]
