# SPDX-License-Identifier: BSD-2-Clause
"""The two tiers of the lab's tests: make check runs those that are not marked long, make check-long the others."""
import pytest


def pytest_configure(config):
    config.addinivalue_line("markers", "long: not a basic promise, and takes long; make check leaves it to check-long")


def pytest_deselected(items):
    """Under xdist the workers deselect, and nobody says how many: each tells the one that reports."""
    config = items[0].config
    if hasattr(config, "workeroutput"):
        config.workeroutput["left"] = config.workeroutput.get("left", 0) + len(items)


@pytest.hookimpl(optionalhook=True)  # of xdist
def pytest_testnodedown(node):
    node.config.sluice_left = max(getattr(node.config, "sluice_left", 0), node.workeroutput.get("left", 0))


def pytest_terminal_summary(terminalreporter, config):
    left = getattr(config, "sluice_left", len(terminalreporter.stats.get("deselected", ())))
    if left:
        terminalreporter.write_line(f"left out: {left}")
