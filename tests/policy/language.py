#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What the language takes and what it refuses, with words of the refusal, for build/tests/conformance.

Written from the language's description. A case is a policy beside NAMES and None (accepted) or the words.
"""
import json

NAMES = {"groups": {"group:g": ["a@x.com"]}, "hosts": {"h": "10.0.0.1", "net": "10.1.0.0/16"},
         "tagOwners": {"tag:t": ["a@x.com"]}}
TOPOLOGY = {"users": [{"name": "a", "email": "a@x.com"}],
            "nodes": {"n": {"user": "a", "ipv4": "100.64.0.5", "ipv6": "fd7a:115c:a1e0::5"},
                      "t": {"tags": ["tag:t"], "ipv4": "100.64.0.9", "ipv6": "fd7a:115c:a1e0::9"}}}
FIRST_PORT = "port range \"0\": first port must be >0, or use '*' for wildcard"
SELF_USE = "autogroup:self can only be used with users, groups, or supported autogroups"
SRC_SELF = '"autogroup:self" not valid on the src side of a rule'
ALL_IPS = ': to allow all IP addresses, use "*" or "autogroup:internet"'
NEITHER = "ip and app can not both be empty"
DOMAIN = "capability name must not be in the tailscale.com domain"


def acl(**fields):
    return {"acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"], **fields}]}


def to(*dst, **fields):
    return acl(dst=list(dst), **fields)


def of(*src, **fields):
    return acl(src=list(src), **fields)


def grant(**fields):
    whole = {"src": ["*"], "dst": ["*"], "ip": ["*"], **fields}
    return {"grants": [{key: value for key, value in whole.items() if value is not None}]}


CASES = [
    # an acl's action
    (acl(action="deny"), 'action="deny" is not supported'),
    (acl(action="ACCEPT"), "is not supported"),
    ({"acls": [{"src": ["*"], "dst": ["*:*"]}]}, 'action="" is not supported'),
    # selectors
    (of("tag:x"), 'src=tag not found: "tag:x"'), (to("tag:x:22"), 'dst="tag:x": tag not found: "tag:x"'),
    (of("group:none"), "group:none"), (to("group:none:22"), "group:none"),
    (of("nohost"), "nohost"), (to("nohost:22"), "nohost"), (of("ipset:none"), "ipset:none"),
    (of("autogroup:nobody"), "autogroup:nobody"), (of(SRC_SELF.split('"')[1]), SRC_SELF),
    (of("autogroup:internet"), "autogroup:internet"), (of("autogroup:danger-all"), None),
    (to("autogroup:danger-all:*"), "cannot use autogroup:danger-all as a dst"), (to("autogroup:internet:*"), None),
    (of("10.0.0.1-10.0.0.9"), "10.0.0.1-10.0.0.9"), (of(" * "), None), (of(""), "src"), (acl(src="*"), "src"),
    (of("10.0.0.0/33"), "10.0.0.0/33"), (of("user:*@x.com"), None), (of("b@x.com"), None),
    # autogroup:self
    (of("autogroup:tagged", dst=["autogroup:self:*"]), SELF_USE), (of("tag:t", dst=["autogroup:self:*"]), SELF_USE),
    (of("h", dst=["autogroup:self:*"]), SELF_USE), (of("10.0.0.1", dst=["autogroup:self:*"]), SELF_USE),
    (of("autogroup:member", dst=["autogroup:self:*"]), None), (of("group:g", dst=["autogroup:self:*"]), None),
    (of("autogroup:admin", dst=["autogroup:self:*"]), None), (to("autogroup:self"), 'port range "self"'),
    (of("group:g", "tag:t", dst=["autogroup:self:*"]), SELF_USE),
    # ports
    (to("h:ssh"), 'port range "ssh": invalid first integer'), (to("h:0"), FIRST_PORT), (to("h:0-10"), None),
    (to("h:10-5"), 'port range "10-5"'), (to("h:80,"), 'port range ""'), (to("h:"), 'port range ""'),
    (to("h:65536"), 'port range "65536"'), (to("h:-5"), 'port range "-5"'), (to("h:80-"), 'port range "80-"'),
    (to("h:80,443,8000-8100"), None), (to("h"), "dst"), (to("h:65535"), None), (to("h:80,ssh"), 'port range "ssh"'),
    (to("h:+80"), 'port range "+80"'), (to("h:0x50"), 'port range "0x50"'),
    (to("h:99999999999999999999"), "port range"),
    # brackets
    (to("[fd7a::1]:22"), None), (to("[fd7a::]/64:22"), None), (to("fd7a::/64:22"), None), (to("fd7a::1:22"), None),
    (to("[10.0.0.1]:22"), "[10.0.0.1]"), (to("[h]:22"), "[h]"), (to("[fd7a::1:22"), "["), (to("[]:22"), "[]"),
    # protocols of an acl
    *((acl(proto=name), None) for name in (
        "", "icmp", "ICMP", "igmp", "ipv4", "ip-in-ip", "tcp", "egp", "igp", "udp", "gre", "esp", "ah", "ipv6-icmp",
        "sctp", "1", "6", "255")),
    *((acl(proto=name), "proto") for name in ("01", "0", "256", "-1", "foo", "tcp ", "6.0", "ipv6")),
    (to("h:80", proto="icmp"), "icmp"), (to("h:80", proto="gre"), "gre"), (to("h:80", proto="99"), "99"),
    (to("h:80", proto="sctp"), None), (to("h:80", proto="17"), None),
    # fields
    (acl(foo=1), "foo"), (acl(srcPosture=["posture:x"]), None), ({"Acls": []}, None), ({"acl": []}, "acl"),
    ({"ACLs": [{"Action": "accept", "Users": ["*"], "Ports": ["*:22"]}]}, None), ({"acls": [], "ACLs": []}, "ACLs"),
    ({"acls": [{"action": "accept", "users": ["*"], "ports": ["*:22"]}]}, None),
    ({"acls": [], "postures": {"posture:p": []}}, None), ({"acls": [], "attrConfig": {}}, None),
    ({"acls": [], "defaultSrcPosture": []}, None),
    ({"acls": [], "defaultSrcPosture": ["posture:p"]}, "defaultSrcPosture"),
    ({"acls": [], "sshTests": [], "randomizeClientPort": True, "disableIPv4": False, "OneCGNATRoute": "mac-always",
      "ssh": [{"action": "check", "src": ["a@x.com"], "dst": ["autogroup:self"], "users": ["root"]}],
      "nodeAttrs": [{"target": ["*"], "attr": ["funnel"]}], "derpMap": {"Regions": {"900": {}}}}, None),
    # groups, hosts, tags
    ({"groups": {"group:a": ["a@x.com"], "group:b": ["group:a"]}},
     'groups["group:b"]: "group:a": group members cannot be recursive'),
    ({"groups": {"a": ["a@x.com"]}}, "group:"), ({"groups": {"group:a": ["tag:t"]}}, "tag:t"),
    ({"groups": {"group:a": ["a"]}}, "group:a"), ({"groups": {"group:a": ["autogroup:member"]}}, "autogroup:member"),
    ({"hosts": {"a:b": "10.0.0.1"}}, "a:b"), ({"hosts": {"a@b": "10.0.0.1"}}, "a@b"),
    ({"hosts": {"a": "b"}}, "hosts"),
    ({"hosts": {"a": "10.0.0.1-10.0.0.5"}}, "hosts"), ({"hosts": {"a": "10.0.0.0/33"}}, "hosts"),
    ({"hosts": {"a": ["10.0.0.1"]}}, "hosts"), ({"hosts": {"a": "fd7a::1"}}, None),
    ({"tagOwners": {"tag:1a": []}}, "tag:1a"), ({"tagOwners": {"x": []}}, "x"), ({"tagOwners": {"tag:": []}}, "tag:"),
    ({"tagOwners": {"tag:a": ["tag:b"]}}, "tag:b"), ({"tagOwners": {"tag:a": ["tag:b"], "tag:b": []}}, None),
    ({"tagOwners": {"tag:a": ["group:n"]}}, "group:n"),
    # autoApprovers and ipsets
    ({"autoApprovers": {"routes": {"10.0.0.0/8": ["tag:q"]}}}, "tag:q"), ({"autoApprovers": {"foo": []}}, "foo"),
    ({"autoApprovers": {"routes": {"x": ["a@x.com"]}}}, "x"), ({"autoApprovers": {"exitNode": ["group:g"]}}, None),
    ({"ipsets": {"ipset:a": ["add ipset:b"], "ipset:b": ["add ipset:a"]}}, "ipset:"),
    ({"ipsets": {"ipset:a": ["add ipset:a"]}}, "ipset:a"), ({"ipsets": {"ipset:a": ["del 10.0.0.1"]}}, "del"),
    ({"ipsets": {"ipset:a": ["add tag:t"]}}, "tag:t"), ({"ipsets": {"a": []}}, "ipset"),
    ({"ipsets": {"ipset:a": ["add autogroup:internet", "remove 8.8.8.8"]}}, None),
    # grants
    (grant(ip=[]), NEITHER), (grant(ip=None), NEITHER), (grant(ip=[], app={}), NEITHER),
    (grant(ip=["icmp"]), 'port range "icmp": invalid first integer'), (grant(ip=["icmp:*"]), None),
    (grant(ip=["47"]), None), (grant(ip=["tcp:80", "udp:53", "1-5"]), None), (grant(ip=["0"]), FIRST_PORT),
    (grant(ip=["tcp"]), 'port range "tcp": invalid first integer'), (grant(ip=["icmp:80"]), "icmp"),
    (grant(ip=["foo:80"]), "foo"), (grant(ip=["6:80"]), None), (grant(ip=[""]), "port range"),
    (grant(via=["a@x.com"]), "via can only be a tag"), (grant(via=["group:g"]), "via can only be a tag"),
    (grant(via=["*"]), "via can only be a tag"), (grant(via=["tag:x"]), 'tag "tag:x" not found'),
    (grant(via=["tag:t"]), None), (grant(dst=["h:80"]), "h:80"), (grant(srcPosture=["posture:p"]), None),
    (grant(dst=["0.0.0.0/0"]), f'dst "0.0.0.0/0"{ALL_IPS}'), (grant(dst=["::/0"]), f'dst "::/0"{ALL_IPS}'),
    (to("0.0.0.0/0:*"), None), (grant(dst=["autogroup:danger-all"]), "cannot use autogroup:danger-all as a dst"),
    (grant(src=["autogroup:member"], dst=["autogroup:self"]), None),
    (grant(src=["tag:t"], dst=["autogroup:self"]), SELF_USE), (grant(src=["autogroup:self"]), SRC_SELF),
    (grant(src=["tag:x"]), 'src=tag not found: "tag:x"'), (grant(action="accept"), "action"),
    (grant(app={"example.com/x": [{}]}), None), (grant(ip=None, app={"example.com/x": []}), None),
    (grant(ip=None, app={"x": []}), "capability name must have the form {domain}/{path}"),
    (grant(ip=None, app={"tailscale.com/cap/foo": []}), DOMAIN),
    (grant(ip=None, app={"tailscale.com/cap/drive": [{}]}), None),
    (grant(ip=None, app={"tailscale.com/cap/tailsql": [], "tailscale.com/cap/secrets": []}), None),
    # what exists in a tailnet alone
    (grant(dst=["svc:db"]), None), (to("svc:db:443"), None), (grant(src=["svc:db"]), "svc:db"),
    (of("autogroup:shared"), None), (to("autogroup:shared:*"), "autogroup:shared"), (of("autogroup:members"), None),
    ({"autoApprovers": {"services": {"svc:db": ["tag:t"]}}}, None),
    ({"ipsets": {"ipset:a": ["10.0.0.1", "host:h", "remove host:net"]}}, None), (of("host:h"), None),
    (to("host:h:80"), None), (grant(dst=["host:h"]), None), (grant(dst=["host:none"]), "none"),
    # nothing at all
    ({}, None), ({"acls": []}, None), ({"grants": []}, None),
]


def tests(**fields):
    whole = {"src": "a@x.com", "accept": ["h:80"], **fields}
    return {**to("h:80", src=["group:g"]),
    "tests": [{key: value for key, value in whole.items() if value is not None}]}


FAILED = "test(s) failed"
CASES += [
    (tests(), None), (tests(accept=["10.0.0.1:80"]), None), (tests(accept=["h:81"]), FAILED),
    (tests(deny=["h:81"]), None),
    (tests(accept=None, deny=["h:80"]), FAILED), (tests(proto="udp"), None), (tests(proto="6"), None),
    (tests(proto="icmp", accept=["h:0"]), None), (tests(proto="1"), None),
    (tests(proto="icmp", accept=["h:*"]), FAILED),
    (tests(proto="icmp", accept=["10.0.0.9:0"]), FAILED), (tests(proto="sctp"), FAILED),
    (tests(src=None), FAILED), (tests(accept=None), FAILED), (tests(accept=[]), FAILED), (tests(src="*"), FAILED),
    (tests(src="10.0.0.0/8"), FAILED), (tests(src="tag:x"), FAILED), (tests(src="group:none"), FAILED),
    (tests(accept=["10.0.0.1/32:80"]), FAILED), (tests(accept=["net:80"]), FAILED), (tests(accept=["*:80"]), FAILED),
    (tests(accept=["h:*"]), FAILED), (tests(accept=["h:80,443"]), FAILED), (tests(accept=["h:80-81"]), FAILED),
    (tests(accept=["autogroup:internet:80"]), FAILED), (tests(src="tag:t"), FAILED),
    (tests(src="tag:t", accept=None, deny=["h:80"]), None), (tests(src="group:g"), None),
    (tests(src="100.64.0.5"), None),
    (tests(src="100.64.0.9", accept=None, deny=["h:80"]), None), (tests(accept=["nohost:80"]), FAILED),
    (tests(user="a@x.com", src=None), None), (tests(allow=["h:80"], accept=None), None),
    (tests(srcPostureAttrs={"node:os": "macos"}, accept=["h:81"]), None),
]


def main():
    for number, (policy, words) in enumerate(CASES):
        case = {"id": f"language-{number}", "code": 200 if words is None else 400, "topology": TOPOLOGY,
                "policy": {**NAMES, **policy}, "error": words}
        print(json.dumps({key: value for key, value in case.items() if value is not None}))


main()
