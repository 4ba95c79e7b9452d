# SPDX-License-Identifier: BSD-2-Clause
"""Fixtures of the lab. Run as root by /usr/bin/python3 -m pytest tests/lab; -s shows the commands as they happen."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

from lab import Lab, reap  # noqa: E402
from world import World  # noqa: E402


def pytest_configure(config):
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


@pytest.fixture
def world(lab):
    """A function that builds the World of a test."""
    return lambda *args, **options: World(lab, *args, **options)
