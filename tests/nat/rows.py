# SPDX-License-Identifier: BSD-2-Clause
"""The requirements: RFC 4787 (UDP), 5382 (TCP), 5508 (ICMP), 7857 (updates), and what a gateway adds.

A test is named test_<ID>_<what>, a negative one test_<ID>_not_<what>; `-` is `_` in names. Each row has both kinds.
"""
import re

ROWS = {
    "4787-1": "one mapping of an endpoint for every remote",
    "4787-2": "a client keeps its external address",
    "4787-3": "no two mappings share a port; 1024-65535 stays there",
    "4787-5": "a UDP mapping lives its time (120 s at least)",
    "4787-6": "outbound packets refresh a mapping",
    "4787-8": "filtering as configured",
    "4787-9": "hairpin, with the external source",
    "4787-11": "deterministic, also when full",
    "4787-12": "ICMP neither refreshes nor ends a UDP mapping",
    "4787-13": "too big: ICMP with DF, fragments without",
    "4787-14": "fragments in any order, bounded",
    "5382-2": "every valid TCP sequence",
    "5382-4": "no answer to an unsolicited SYN for 6 s",
    "5382-5": "established 7440 s, transitory 240 s at least",
    "5382-8": "TCP hairpin",
    "5382-10": "ICMP ends no TCP connection",
    "5508-1": "echo both ways",
    "5508-2": "an echo's mapping lives its time (60 s at least)",
    "5508-3": "ICMP errors about echoes",
    "5508-4": "ICMP errors inward, the quote un-translated",
    "5508-5": "ICMP errors outward; dropped without a mapping",
    "5508-6": "ICMP neither refreshes nor ends an echo's mapping",
    "5508-7": "ICMP errors hairpin",
    "5508-8": "refusals are answered with ICMP, rate limited",
    "7857": "resets in sequence only; ports unpredictable",
    "TTL": "decremented; time exceeded at the end",
    "MSS": "clamped both ways",
    "CAPACITY": "the whole range is used, no live flow evicted",
    "HOST": "the NAT's own sockets and traffic are left alone",
    "LEAK": "nothing leaves with an inner source",
}

NAME = re.compile(r"test_(\d{4}(?:_\d+)?|[a-z]+)_(not_)?")
CASE = re.compile(r"\b(?:(?:4787|5382|5508)-\d+|7857|TTL|MSS|CAPACITY|HOST|LEAK)\b")


def row_of(name):
    """(ID, is negative) of a test function's name."""
    found = NAME.match(name)
    if not found:
        raise ValueError(f"{name}: a test of this suite is named test_<ID>_[not_]<what>")
    row = found[1].replace("_", "-").upper()
    if row not in ROWS:
        raise ValueError(f"{name}: no row {row}")
    return row, bool(found[2])


def cases(folder):
    """How often the sources of another suite name each row: {ID: number}."""
    counts = dict.fromkeys(ROWS, 0)
    for source in folder.glob("*.c"):
        for row in CASE.findall(source.read_text()):
            if row in counts:
                counts[row] += 1
    return counts
