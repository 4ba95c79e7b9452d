# SPDX-License-Identifier: BSD-2-Clause
"""Everything of a host that a gateway changes, as text, to be compared before and after."""
import re

COMMANDS = {
    "links": "ip -d -o link",
    "addresses": "ip -o addr",
    "rules": "ip -4 rule",
    "rules6": "ip -6 rule",
    "routes": "ip -4 route show table all",
    "routes6": "ip -6 route show table all",
    "qdiscs": "tc qdisc",
    "programs": "bpftool net",
    "firewall": "nft list ruleset",
    "pins": "find /sys/fs/bpf -mindepth 1 -not -name *.debug",
    "sockets": "find /run ( -type s -o -type f )",
    "listening": "ss -H -lntu",
    "sysctl": "sysctl -a -r ^net\\.(ipv4|ipv6)\\.(conf|ip_forward)|^net.core",
    "napi": "grep -r . /sys/class/net --include=gro_flush_timeout --include=napi_defer_hard_irqs --include=threaded",
}
VOLATILE = re.compile(r" (expires|age|preferred_lft|valid_lft) \S+")


def offloads(host):
    devices = host.out("ls /sys/class/net", quiet=True).split()
    return {f"offloads of {device}": host.out(f"ethtool -k {device}", quiet=True) for device in devices}


def snapshot(host):
    """{what: sorted text}. Two of them are equal when nothing was left behind."""
    taken = {what: host.run(command, check=False, quiet=True).stdout for what, command in COMMANDS.items()}
    taken |= offloads(host)
    return {what: sorted(VOLATILE.sub("", line).rstrip() for line in text.splitlines()) for what, text in taken.items()}


def difference(before, after):
    """What came and went, one line each: empty when nothing did."""
    lines = []
    for what in sorted(before.keys() | after.keys()):
        old, new = before.get(what, []), after.get(what, [])
        lines += [f"{what}: - {line}" for line in old if line not in new]
        lines += [f"{what}: + {line}" for line in new if line not in old]
    return lines
