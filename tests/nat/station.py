# SPDX-License-Identifier: BSD-2-Clause
"""A station of the suite as the tests see it: packets out, packets in. Its agent may run anywhere (see agent.py).

Every packet that arrives is judged before a test sees it: the IP header's checksum and the transport's must be right.
"""
import pathlib
import queue
import shlex
import struct
import subprocess
import threading
import time

from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6

from .packets import join
from .wire import fold, transport

AGENT = pathlib.Path(__file__).with_name("agent.py").read_text()
PATIENCE = 5.0          # seconds for what must come
CHECKSUM = {6: 16, 17: 6, 1: 2, 58: 2}


def damage(raw, filled):
    """What is wrong with the checksums of a packet; None: nothing."""
    four = raw[0] >> 4 == 4
    if four and fold(raw[:(raw[0] & 15) * 4]) != 0xFFFF:
        return "IP header checksum"
    found = transport(raw)
    if not found or not filled or found[0] not in CHECKSUM:
        return None
    proto, at, end = found
    if four and proto == 17 and raw[at + 6:at + 8] == b"\0\0":
        return None
    pseudo = b""
    if proto != 1:
        addresses = raw[12:20] if four else raw[8:40]
        pseudo = addresses + struct.pack("!II", end - at, proto)
    return None if fold(pseudo + raw[at:end]) == 0xFFFF else f"checksum of protocol {proto}"


class Station:
    """Where: the words that run a command there, "ssh root@client" for example; none: here."""

    def __init__(self, name, where, addresses, peers, env=None):
        self.name, self.addresses = name, addresses
        self.by_version = {6 if ":" in a else 4: a for a in addresses}
        self.inbox, self.arrived, self.damaged, self.refused = queue.Queue(), [], [], []
        program = ["python3", "-u", "-c", AGENT, ",".join(addresses), ",".join(peers)]
        words = shlex.split(where)
        if words and words[0] == "ssh":
            program = [shlex.join(program)]
        self.agent = subprocess.Popen([*words, *program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                      bufsize=1, env=env)
        if self.agent.stdout.readline() != "ready\n":
            raise RuntimeError(f"{name}: the agent did not start: {shlex.join(words)} python3 agent.py ...")
        threading.Thread(target=self.read, daemon=True).start()

    def __str__(self):
        return self.name

    def address(self, version):
        return self.by_version[version]

    def read(self):
        for line in self.agent.stdout:
            kind, _, rest = line.strip().partition(" ")
            if kind == "refused":
                self.refused.append(rest)
                continue
            filled, _, text = rest.partition(" ")
            raw = bytes.fromhex(text)
            wrong = damage(raw, filled == "1")
            if wrong:
                self.damaged.append(f"{wrong}: {text}")
            self.inbox.put(raw)

    def send(self, *packets):
        for packet in packets:
            self.agent.stdin.write(bytes(packet).hex() + "\n")
        self.agent.stdin.flush()

    def take(self, seconds):
        """The next packet that arrived, also into .arrived; None: none for so long."""
        try:
            raw = self.inbox.get(timeout=max(0, seconds)) if seconds > 0 else self.inbox.get_nowait()
        except queue.Empty:
            return None
        version = raw[0] >> 4
        packet = (IP if version == 4 else IPv6)(raw)
        self.arrived.append(packet)
        return packet

    def expect(self, what, match, seconds=PATIENCE):
        """The first packet that matches and that no earlier call took. Fails when there is none in time."""
        end = time.monotonic() + seconds
        for packet in list(self.arrived):
            if match(packet):
                self.arrived.remove(packet)
                return packet
        while (left := end - time.monotonic()) > 0:
            packet = self.take(left)
            if packet is not None and match(packet):
                self.arrived.remove(packet)
                return packet
        seen = "".join(f"\n    {packet.summary()}" for packet in self.arrived[-8:])
        raise AssertionError(f"{self.name}: no {what} within {seconds} s; arrived were:{seen or ' none'}"
                             + "".join(f"\n    not sent: {text}" for text in self.refused))

    def expect_whole(self, what, match, seconds=PATIENCE):
        """The transport header and payload of a packet that may come in fragments; match looks at these bytes."""
        end = time.monotonic() + seconds
        while True:
            found = next((data for data in self.whole() if match(data)), None)
            if found:
                return found
            assert time.monotonic() < end, f"{self.name}: no {what} within {seconds} s: {self.arrived}"
            time.sleep(0.01)

    def whole(self):
        """The transport bytes of all packets that have arrived in full, in fragments or not."""
        return list(join(self.seen(lambda p: True)))

    def seen(self, match):
        """All that has arrived by now and matches; nothing is taken."""
        while self.take(0) is not None:
            pass
        return [packet for packet in self.arrived if match(packet)]

    def forget(self):
        """Begin anew: a test does not see what another left."""
        while self.take(0) is not None:
            pass
        self.arrived.clear()
        self.damaged.clear()
        self.refused.clear()

    def close(self):
        self.agent.stdin.close()
        try:
            self.agent.wait(5)
        except subprocess.TimeoutExpired:
            self.agent.kill()
            self.agent.wait()
