# SPDX-License-Identifier: BSD-2-Clause
"""tests/nat as others run it: by options, against a NAT that is not ours. nftables' masquerade keeps much of what the
RFCs ask and misses some of it, and that is what the table has to say."""
import re
import shlex
import subprocess
import sys

from lab import HERE
from net import OTHER, SERVICE, STATIC

sys.path.insert(0, str(HERE.parent))
from nat.rows import ROWS, row_of  # noqa: E402

SUITE = HERE.parent / "nat"
PYTEST = ["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider"]


def test_each_row_has_a_positive_and_a_negative_test():
    names = re.findall(r"^def (test_\w+)", "".join(path.read_text() for path in SUITE.glob("test_*.py")), re.M)
    assert {row_of(name) for name in names} == {(row, negative) for row in ROWS for negative in (False, True)}


def run_suite(world, client, promise, select):
    """{ID: (positive, negative)} in the words of the table."""
    def place(name, host, addresses):
        return [f"--{name}", ",".join(addresses), f"--{name}-at", shlex.join(host.enter([]))]
    inner = [client.tunnel_address(version) for version in (4, 6)]
    done = subprocess.run([*PYTEST, str(SUITE), "--nat", ",".join(STATIC.values()), "--promise", promise,
                           *place("client", client.host, inner), *place("remote", world.net.far, SERVICE.values()),
                           *place("other", world.net.far, OTHER.values()), "-k", select],
                          capture_output=True, text=True, timeout=600, env=world.lab.env())
    rows = (line.split("|") for line in done.stdout.splitlines() if line.startswith("| "))
    return {fields[1].strip(): (fields[3].strip(), fields[4].strip()) for fields in rows}


def test_masquerade_by_options(world):
    world = world("baseline")
    alice = world.joined("alice")
    table = run_suite(world, alice, "filtering=address-and-port-dependent,inside_mtu=1420",
                      "4787_1_ or 4787_8 or 4787_11 or 5508_1 or 7857_not_predictable")
    assert table["4787-1"] == ("2, 2 skipped", "4"), "one mapping, while nobody else wants the port; not for TCP"
    # A stranger who knocks becomes a conntrack entry, and what the client sends there later gets another port.
    assert table["4787-8"] == ("2, 4 skipped", "2, 2 FAILED, 2 skipped"), "conntrack lets the one endpoint in"
    assert table["5508-1"] == ("2", "2")
    assert table["7857"] == ("none", "2 FAILED"), "it keeps the client's port"
    assert table["5382-2"] == ("none", "none"), "was not asked for"
    table = run_suite(world, alice, "filtering=endpoint-independent", "4787_8")
    assert table["4787-8"][0] == "2 FAILED, 4 skipped", "promised what it does not keep"
