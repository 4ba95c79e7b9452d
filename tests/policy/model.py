#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""model.py SEED COUNT: random policies, and what a model of the language makes of them, for build/tests/conformance.

The model is written from the language's description alone and as plainly as that: sets of addresses, one question for
each node and destination. Each line is a case: a policy, who is there, and the rules that each node gets.
"""
import ipaddress
import json
import random
import sys

USERS = ("odin", "thor", "freya")
TAGS = ("tag:a", "tag:b", "tag:gw", "tag:exit")
GROUPS = {"group:one": ["odin"], "group:two": ["odin", "thor"], "group:none": []}
HOSTS = {"web": "10.33.5.9", "net": "10.33.0.0/16", "wide": "10.0.0.0/8", "out": "9.9.9.9", "six": "2001:db8::/32"}
ROUTES = ("10.33.0.0/16", "10.44.0.0/16", "10.33.5.0/24", "2001:db8:1::/48", "172.16.0.0/12", "8.8.0.0/16")
PREFIXES = (*ROUTES, "10.0.0.0/8", "10.33.5.9", "8.8.8.8", "8.0.0.0/6", "192.0.0.0/8", "2000::/3", "2001:db8::1",
            "100.64.0.0/10", "100.64.0.0/24", "fd7a:115c:a1e0::/48", "169.254.0.0/16", "224.0.0.5")
PORTS = ("*", "22", "80,443", "1000-2000", "53,1-10,65535")
PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1, "sctp": 132, "gre": 47, "ESP": 50, "99": 99, "ipv4": 4, "igmp": 2}
WITH_PORTS = ("tcp", "udp", "sctp")
EXITS = ("0.0.0.0/0", "::/0")
TAILNET = ("100.64.0.0-100.115.91.255", "100.115.94.0-100.127.255.255", "fd7a:115c:a1e0::/48")


def net(text):
    return ipaddress.ip_network(text)


def minus(prefixes, gone):
    for hole in gone:
        prefixes = [rest for prefix in prefixes for rest in (
            prefix.address_exclude(hole) if hole.subnet_of(prefix) else [] if prefix.subnet_of(hole) else [prefix])]
    return prefixes


INTERNET = minus([net("0.0.0.0/0")], [net(text) for text in (
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16")]) + [net("2000::/3")]


def same_family(a, b):
    return a.version == b.version


def overlaps(a, b):
    return same_family(a, b) and a.overlaps(b)


def within(a, b):
    return same_family(a, b) and a.subnet_of(b)


class Node:
    def __init__(self, rng, number):
        self.name = f"node{number}"
        self.ip = [f"100.64.{rng.randrange(2)}.{number + 1}", f"fd7a:115c:a1e0::{number + 1:x}"]
        self.tags = rng.sample(TAGS, rng.choice((0, 0, 1, 1, 2)))
        self.user = None if self.tags else rng.choice(USERS)
        self.routes = rng.sample(ROUTES, rng.choice((0, 0, 1, 2)))
        if rng.random() < 0.2:
            self.routes += EXITS
        self.approved = [route for route in self.routes if rng.random() < 0.7]
        if len(set(EXITS) & set(self.approved)) == 1:
            self.approved = [route for route in self.approved if route not in EXITS]

    def plain_routes(self):
        return [net(route) for route in self.approved if route not in EXITS]

    def has_exit(self):
        return any(route in EXITS for route in self.approved)

    def topology(self):
        entry = {"ipv4": self.ip[0], "ipv6": self.ip[1], "routable_ips": self.routes, "approved_routes": self.approved}
        return {**entry, **({"tags": self.tags} if self.tags else {"user": self.user})}


def people(selector):
    """The users that a selector names; None: it names something else."""
    if selector.endswith("@example.com"):
        return [selector.split("@")[0]]
    return USERS if selector == "autogroup:member" else GROUPS.get(selector)


def nodes_of(selector, nodes):
    if people(selector) is not None:
        return [node for node in nodes if node.user in people(selector)]
    if selector == "autogroup:tagged":
        return [node for node in nodes if node.tags]
    return [node for node in nodes if selector in node.tags] if selector.startswith("tag:") else None


def addresses(nodes):
    return [address for node in nodes for address in node.ip]


def source(selector, nodes):
    if selector == "*":
        return [*TAILNET, *(str(route) for node in nodes for route in node.plain_routes())]
    if selector == "autogroup:danger-all":
        return ["*"]
    found = nodes_of(selector, nodes)
    return [HOSTS.get(selector, selector)] if found is None else addresses(found)


def destination(selector, nodes):
    if selector == "autogroup:internet":
        return INTERNET
    found = nodes_of(selector, nodes)
    return [net(text) for text in ([HOSTS.get(selector, selector)] if found is None else addresses(found))]


def concerned(node, prefix, via, internet):
    if via:
        if not set(via) & set(node.tags):
            return False
        return node.has_exit() if internet else any(overlaps(prefix, route) for route in node.plain_routes())
    return (any(within(net(address), prefix) for address in node.ip)
            or any(overlaps(prefix, route) for route in node.plain_routes())
            or (node.has_exit() and any(within(prefix, whole) for whole in INTERNET)))


def kept(node, selector, via, nodes):
    if selector == "*":
        return ["*"]
    return [str(prefix) for prefix in destination(selector, nodes)
            if concerned(node, prefix, via, selector == "autogroup:internet")]


def ranges(ports):
    if ports == "*":
        return [(0, 65535)]
    return [(int(item.split("-")[0]), int(item.split("-")[-1])) for item in ports.split(",")]


def compiled(rule, node, nodes):
    """What a node gets of a rule: {src, via, parts: [(selector, ports, protocol)]}."""
    out = []
    for selector, ports, protocol in rule["parts"]:
        proto = [PROTOCOLS[protocol]] if protocol else []
        if selector != "autogroup:self":
            src = [address for item in rule["src"] for address in source(item, nodes)]
            dst = kept(node, selector, rule["via"], nodes)
        else:
            named = {user for item in rule["src"] for user in people(item)}
            src = addresses(other for other in nodes if node.user in named and other.user == node.user)
            dst = node.ip if node.user in named else []
        if src and dst:
            out.append({"src": src, "proto": proto,
                        "dst": [[d, first, last] for d in dst for first, last in ranges(ports)]})
    return out


# ---- making them up ------------------------------------------------------------------------------------------


def pick_sources(rng, own):
    some = [f"{user}@example.com" for user in USERS] + [*GROUPS, "autogroup:member"]
    more = [*TAGS, "autogroup:tagged", "*", "autogroup:danger-all", *HOSTS, *PREFIXES]
    return rng.sample(some, rng.choice((1, 2))) if own else rng.sample(some + more, rng.choice((0, 1, 1, 2, 3)))


def pick_destination(rng, via):
    targets = [*HOSTS, *PREFIXES, "autogroup:internet", *TAGS]
    return rng.choice(targets if via else targets + [f"{user}@example.com" for user in USERS]
                      + [*GROUPS, "autogroup:member", "autogroup:tagged", "*"])


def acl(rng):
    protocol, own = rng.choice((None, None, *PROTOCOLS)), rng.random() < 0.1
    src = pick_sources(rng, own)
    targets = ["autogroup:self"] if own else [pick_destination(rng, None) for _ in range(rng.choice((0, 1, 2)))]
    parts = [(target, rng.choice(PORTS) if protocol in (None, *WITH_PORTS) else "*", protocol) for target in targets]
    written = {"action": "accept", "src": src, "dst": [
        f"[{t}]:{p}" if ":" in t and t[0] in "2f" and "/" not in t and rng.random() < 0.5 else f"{t}:{p}"
        for t, p, _ in parts]}
    return {**written, **({"proto": protocol} if protocol else {})}, {"src": src, "via": [], "parts": parts}


def grant(rng):
    own = rng.random() < 0.1
    via = rng.sample(TAGS, rng.choice((1, 2))) if not own and rng.random() < 0.4 else []
    src = pick_sources(rng, own)
    targets = ["autogroup:self"] if own else [pick_destination(rng, via) for _ in range(rng.choice((1, 2)))]
    protocols = [None if rng.random() < 0.4 else name for name in rng.sample(list(PROTOCOLS), rng.choice((1, 2)))]
    ips = [(name, rng.choice(PORTS) if name in (None, *WITH_PORTS) else "*") for name in protocols]
    ip = [f"{protocol}:{ports}" if protocol else ports for protocol, ports in ips]
    written = {"src": src, "dst": targets, "ip": ip, **({"via": via} if via else {})}
    parts = [(target, ports, protocol) for target in targets for protocol, ports in ips]
    return written, {"src": src, "via": via, "parts": parts}


def case(rng, number):
    nodes = [Node(rng, i) for i in range(rng.randrange(1, 8))]
    acls = [acl(rng) for _ in range(rng.randrange(4))]
    grants = [grant(rng) for _ in range(rng.randrange(4))]
    policy = {
        "groups": {name: [f"{user}@example.com" for user in users] for name, users in GROUPS.items()},
        "hosts": HOSTS, "tagOwners": {tag: [] for tag in TAGS},
        "acls": [written for written, _ in acls], "grants": [written for written, _ in grants]}
    rules = {node.name: [part for _, rule in acls + grants for part in compiled(rule, node, nodes)] for node in nodes}
    topology = {"users": [{"name": user, "email": f"{user}@example.com"} for user in USERS],
                "nodes": {node.name: node.topology() for node in nodes}}
    return {"id": f"model-{number}", "code": 200, "policy": policy, "topology": topology, "rules": rules}


def main():
    seed, count = (int(word) for word in sys.argv[1:])
    for number in range(count):
        print(json.dumps(case(random.Random(f"{seed}-{number}"), number)))


main()
