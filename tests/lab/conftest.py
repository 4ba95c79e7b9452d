# SPDX-License-Identifier: BSD-2-Clause
"""Fixtures of the lab. Run as root by /usr/bin/python3 -m pytest tests/lab; -s shows the commands as they happen."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

from gateways import Baseline, Sluice, settle  # noqa: E402
from lab import Lab, reap  # noqa: E402
from net import Internet  # noqa: E402
from wg import Client  # noqa: E402

GATEWAYS = {"baseline": Baseline, "sluice": Sluice}
USERS = {"alice": "alice@example.com", "bob": "bob@example.com", "carol": "carol@example.com"}


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes minutes, for a timer of the protocol has to pass")
    if os.geteuid() != 0:
        pytest.exit("the lab needs root: network namespaces, TUN devices, BPF", returncode=1)


def pytest_sessionstart(session):
    reap()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows what the programs of its lab wrote."""
    report = (yield).get_result()
    lab = item.funcargs.get("lab")
    if report.failed and lab:
        report.sections += [section for section in lab.logs() if section[1]]


@pytest.fixture
def lab():
    with Lab() as lab:
        yield lab


class World:
    """An Internet with a gateway on it and its clients."""

    def __init__(self, lab, kind="sluice", form="one-armed", wire_mtu=1500, offloads=True, **options):
        self.lab = lab
        self.net = Internet(lab, form, wire_mtu, offloads)
        self.service = self.net.service
        self.gateway = GATEWAYS[kind](self.net, **options)
        self.clients = {}

    def client(self, name="alice", **options):
        """A machine with a tunnel, known to the gateway, not joined yet."""
        client = Client(self.net.client(name), USERS[name], 5 + len(self.clients), **options)
        self.clients[name] = client
        return client

    def joined(self, *names, **options):
        """Admit these clients, start the gateway, join and wait until the allowed ones pass."""
        clients = [self.client(name, **options) for name in names]
        for client in clients:
            self.gateway.admit(client)
        self.gateway.start()
        for client in clients:
            client.join(self.gateway)
        settle(clients[0], self.gateway)
        return clients[0] if len(clients) == 1 else clients


@pytest.fixture
def world(lab):
    """A function that builds the World of a test."""
    return lambda *args, **options: World(lab, *args, **options)
