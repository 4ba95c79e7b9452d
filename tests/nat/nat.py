# SPDX-License-Identifier: BSD-2-Clause
"""The NAT under test: its stations, and what its configuration promises."""
import dataclasses
import random
import time

import pytest

from .flows import Echo, Tcp, Udp
from .packets import error, is_error

GRACE = 0.1         # seconds after a fence, for what a NAT answers by another way than it forwards


@dataclasses.dataclass
class Promise:
    """As configured. The times are those of the RFCs."""
    filtering: str = "address-dependent"        # or endpoint-independent, address-and-port-dependent
    tcp: str = "address-and-port-dependent"     # TCP mapping; or endpoint-independent
    udp: float = 300
    icmp: float = 60
    established: float = 7440
    transitory: float = 240
    slack: float = 1.5          # by how much state may outlive its time
    inside_mtu: int = 1500      # towards the client
    outside_mtu: int = 1500     # towards the remotes
    mss4: int = 0               # the TCP MSS that SYNs are lowered to; 0: none is promised
    mss6: int = 0
    first_port: int = 1024      # the external range
    last_port: int = 65535
    refused: tuple = ()         # addresses that the policy refuses to the client, answered by ICMP
    host_port: int = 0          # TCP on the NAT's external address, where it listens itself

    def mss(self, version):
        return self.mss4 if version == 4 else self.mss6

    def ports(self):
        return self.last_port - self.first_port + 1


class Nat:
    """Where the stations are, and conversations between them."""
    service_port = 5000         # of the remotes; nobody listens there

    def __init__(self, externals, client, remote, other, client2=None, promise=None, patience=600):
        self.externals, self.client, self.remote, self.other, self.client2 = externals, client, remote, other, client2
        self.promise, self.patience = promise or Promise(), patience
        self.fences, self.filled = {}, {}
        self.unused = random.sample(range(20000, 60000), 40000)

    def stations(self):
        return [station for station in (self.client, self.client2, self.remote, self.other) if station]

    def external(self, version):
        return [address for address in self.externals if (":" in address) == (version == 6)]

    def port(self):
        """A port of the client that no test has used."""
        return self.unused.pop()

    def udp(self, version, *args, **options):
        return Udp(self, version, *args, **options)

    def tcp(self, version, *args, **options):
        return Tcp(self, version, *args, **options)

    def echo(self, version, *args, **options):
        return Echo(self, version, *args, **options)

    def need(self, condition, why):
        """Skips a test that this NAT, as it is configured, cannot be asked."""
        if not condition:
            pytest.skip(why)

    def need_time(self, seconds):
        self.need(seconds <= self.patience, f"takes {seconds:.0f} s; --patience {self.patience}")

    def fill(self, make, version, dport):
        """
        As many conversations with one endpoint of the remote as the range has ports; make: self.udp or self.tcp.
        They stay for the tests that follow: a full range cannot be filled twice.
        """
        self.need(self.promise.ports() <= 4096, f"{self.promise.ports()} ports are too many to fill")
        flows = self.filled.setdefault((make, version, dport), [])
        while len(flows) < self.promise.ports():
            flow = make(version, dport=dport)
            flow.out(*(["S"] if make == self.tcp else []))
            flows.append(flow)
        return flows

    def fence(self, version):
        """Whatever was sent before has arrived, or has died: an echo has passed behind it, there and back."""
        echo = self.fences.setdefault(version, Echo(self, version))
        echo.out()
        echo.back()
        time.sleep(GRACE)

    def nothing(self, station, what, match, version):
        self.fence(version)
        seen = station.seen(match)
        assert not seen, f"{station}: {what} arrived: {[packet.summary() for packet in seen]}"

    def wait_past(self, seconds):
        """Until state that nothing refreshed since now is gone."""
        self.need_time(seconds)
        time.sleep(seconds + self.promise.slack)

    def until(self, condition, seconds, what):
        """Waits for a condition; fails, saying `what`, when it takes longer (and as long again, on a slow machine)."""
        end = time.monotonic() + 2 * seconds
        while not condition():
            assert time.monotonic() < end, f"{what}: still so after {2 * seconds} s"

    def within(self, limit, action, tries=5):
        """
        Something must hold when it is done sooner than `limit`. action(wait) does it, calling wait(seconds); what
        it asserts does not count when the machine was so slow that the limit had passed: then it is tried again.
        """
        self.need_time(limit)
        for _ in range(tries):
            start = time.monotonic()
            try:
                action(time.sleep)
                return
            except AssertionError:
                if time.monotonic() - start < limit:
                    raise
        pytest.fail(f"this machine is too slow for a limit of {limit} s")

    def survives_silence(self, make, seconds):
        """A conversation that is silent for most of the time it is promised goes on."""
        def silent_for_most_of_it(wait):
            flow = make()
            flow.out()
            wait(0.7 * seconds)
            flow.back()
        self.within(seconds, silent_for_most_of_it)

    def fades_under_errors(self, flow, sent, seconds):
        """Errors about `sent`, the packet that began a conversation, pass only until its time is over."""
        about = error(flow.version, flow.far, flow.external[0], "host unreachable", bytes(sent.original))

        def is_gone():
            self.client.forget()
            self.remote.send(about)
            self.fence(flow.version)
            return not self.client.seen(is_error)
        self.until(is_gone, seconds + self.promise.slack, "errors keep its state alive")

    def forget(self):
        for station in self.stations():
            station.forget()

    def judge(self):
        """After each test: nothing left with an inner source, nothing arrived with a wrong checksum."""
        inner = {a for station in (self.client, self.client2) if station for a in station.addresses}
        for station in self.stations():
            station.seen(lambda p: False)
            assert not station.damaged, f"{station}: {station.damaged}"
        for station in (self.remote, self.other):
            leaked = station.seen(lambda p: p.src in inner)
            assert not leaked, f"{station}: inner source: {[packet.summary() for packet in leaked]}"

    def close(self):
        for station in self.stations():
            station.close()
