# SPDX-License-Identifier: BSD-2-Clause
"""Options and fixtures of the suite, and the table at its end. README.md says how to run it.

Without --nat it runs against Sluice in the namespaces of our lab (lab_site.py), once for each configuration that a
test asks for by @pytest.mark.profile; with it, against whatever is there, and what that NAT does not promise is
skipped with the reason.
"""
import dataclasses
import os
import pathlib

import pytest

from .nat import Nat, Promise
from .rows import ROWS, cases, row_of
from .station import Station

PROFILES = ("default", "brief", "open", "strict", "tight")
PLACES = ("client", "client2", "remote", "other")


def pytest_addoption(parser):
    group = parser.getgroup("nat", "the NAT under test")

    def option(name, text, **more):
        group.addoption(f"--{name}", default=os.environ.get(f"NAT_{name.upper().replace('-', '_')}"), help=text, **more)

    option("nat", "external addresses, separated by commas; without it: Sluice in our lab")
    for place in PLACES:
        option(place, f"the {place}'s addresses, separated by commas")
        option(f"{place}-at", f"words that run a command on the {place}: \"ssh root@{place}\"; none: here")
    option("patience", "skip what takes more seconds than this (600)")
    option("promise", "what the NAT is configured for: filtering=endpoint-independent,udp=120,... (see Promise)")


def pytest_configure(config):
    config.addinivalue_line("markers", "profile(name): the configuration of our lab that shows this")


def promise_of(text):
    """ "udp=120,refused=192.0.2.1+2001:db8::1" """
    fields, given = {field.name: field for field in dataclasses.fields(Promise)}, {}
    for word in filter(None, (text or "").split(",")):
        name, _, value = word.partition("=")
        if name not in fields:
            raise pytest.UsageError(f"--promise: found {name}, expected one of: {', '.join(fields)}")
        kind = type(fields[name].default)
        given[name] = tuple(value.split("+")) if kind is tuple else kind(value)
    return Promise(**given)


class Sites:
    """The NATs of a run: the one of the options, or one of our lab for each profile."""

    def __init__(self, config):
        self.config, self.made, self.failed = config, {}, {}

    def get(self, profile):
        name = "given" if self.config.getoption("--nat") else profile
        if name in self.failed:
            pytest.fail(f"no NAT to test: {self.failed[name]}", pytrace=False)
        if name not in self.made:
            self.failed[name] = "its setup failed earlier"
            self.made[name] = self.given() if name == "given" else self.lab(profile)
            del self.failed[name]
        return self.made[name]

    def given(self):
        def option(name):
            return self.config.getoption(f"--{name}")

        external = option("nat").split(",")
        places = {place: option(place).split(",") for place in PLACES if option(place)}
        for place in ("client", "remote", "other"):
            if place not in places:
                raise pytest.UsageError(f"--nat also needs --{place}")
        stations = {}
        for place, addresses in places.items():
            peers = external + [a for other, more in places.items() if other != place for a in more]
            stations[place] = Station(place, option(f"{place}-at") or "", addresses, peers)
        patience = float(option("patience") or 600)
        return Nat(external, promise=promise_of(option("promise")), patience=patience, **stations)

    @staticmethod
    def lab(profile):
        from .lab_site import build
        return build(profile)

    def close(self):
        for site in self.made.values():
            site.close()


@pytest.fixture(scope="session")
def sites(request):
    sites = Sites(request.config)
    yield sites
    sites.close()


@pytest.fixture
def nat(request, sites):
    """The NAT that this test is about; what every packet must satisfy is judged at the end of the test."""
    marker = request.node.get_closest_marker("profile")
    site = sites.get(marker.args[0] if marker else "default")
    site.forget()
    yield site
    site.judge()


@pytest.fixture(params=(4, 6), ids=("ipv4", "ipv6"))
def version(request, nat):
    if not nat.external(request.param):
        pytest.skip(f"the NAT has no external IPv{request.param} address")
    return request.param


# ---- collection ----------------------------------------------------------------


def is_ours(item):
    return pathlib.Path(__file__).parent in item.path.parents


def pytest_collection_modifyitems(config, items):
    """Names are checked here; tests of one profile go to one worker, so that each NAT is made once."""
    for item in filter(is_ours, items):
        row_of(item.originalname)
        marker = item.get_closest_marker("profile")
        item.add_marker(pytest.mark.xdist_group("nat-" + (marker.args[0] if marker else "default")))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows what the programs of its lab wrote."""
    report = (yield).get_result()
    site = item.funcargs.get("nat")
    if report.failed and getattr(site, "lab", None):
        report.sections += [section for section in site.lab.logs() if section[1]]


# ---- the table -----------------------------------------------------------------


def results(reporter):
    """{ID: {is negative: [passed, failed, skipped]}} of the tests of this folder that ran."""
    table = {row: {False: [0, 0, 0], True: [0, 0, 0]} for row in ROWS}
    for place, outcomes in enumerate((("passed",), ("failed", "error"), ("skipped",))):
        for report in (report for outcome in outcomes for report in reporter.stats.get(outcome, ())):
            folder, _, name = report.nodeid.partition("::")
            if "tests/nat/" not in folder and not folder.startswith(("nat/", "test_")):
                continue
            try:
                row, negative = row_of(name.partition("[")[0])
            except ValueError:
                continue
            table[row][negative][place] += 1
    return table


def mark(counts):
    passed, failed, skipped = counts
    words = [f"{passed}"] if passed else []
    words += [f"{failed} FAILED"] if failed else []
    words += [f"{skipped} skipped"] if skipped else []
    return ", ".join(words) or "none"


def pytest_terminal_summary(terminalreporter):
    table = results(terminalreporter)
    if not any(sum(counts) for row in table.values() for counts in row.values()):
        return
    folder = pathlib.Path(__file__).parent.parent / "bpf"
    programs = cases(folder) if folder.is_dir() else dict.fromkeys(ROWS, 0)
    write = terminalreporter.write_line
    write("")
    write("| ID | requirement | positive | negative | named in tests/bpf |")
    write("| --- | --- | --- | --- | --- |")
    for row, text in ROWS.items():
        positive, negative = (mark(table[row][kind]) for kind in (False, True))
        write(f"| {row:8} | {text} | {positive} | {negative} | {programs[row] or '-'} |")
