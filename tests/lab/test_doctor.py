# SPDX-License-Identifier: BSD-2-Clause
"""`sluice doctor` on a host where something is wrong: one line that says what, and what to do about it."""
import pytest
from gateways import settle
from net import SERVICE, Service


def no_tun(world):
    world.net.gateway.run("mount -t tmpfs tmpfs /dev/net")


def small_mtu(world):
    world.net.gateway.run("ip link set eth0 mtu 1400")
    world.gateway.config["tunnel"]["mtu"] = 1420


def small_mtu_of_the_default(world):
    small_mtu(world)
    del world.gateway.config["tunnel"]["underlay"]


def nic_down(world):
    world.net.gateway.run("ip link set eth0 down")


def no_such_nic(world):
    world.gateway.config["egress"]["interface"] = "eth7"


def address_gone(world):
    world.net.gateway.run("ip addr del 198.51.100.1/24 dev eth0")


def own_address_exclusive(world):
    world.gateway.config["egress"]["exclusive"] = True


def no_route(world):
    world.net.gateway.run("ip route del default")


def foreign_filter(world):
    world.net.gateway.run("tc qdisc add dev eth0 clsact")
    world.net.gateway.run(["tc", "filter", "add", "dev", "eth0", "ingress", "bpf", "bytecode", "1,6 0 0 0,"])


def offloads_off(world):
    world.net.gateway.offloads("eth0", gro="off", gso="off")


def key_for_all(world):
    (world.gateway.folder / "private.key").chmod(0o644)


def port_taken(world):
    Service(world.net.gateway, http=(), udp=(51820,), name="other")


def few_ports(world):
    world.net.gateway.sysctl(net__ipv4__ip_local_port_range="1024 60999")


def no_name_server(world):
    world.gateway.config["stun"] = "stun.example.com:3478"


def no_stun_server(world):
    world.gateway.config["stun"] = f"{SERVICE[4]}:3478"


def broken_policy(world):
    world.gateway.policy["acls"][0]["action"] = "maybe"


CASES = (       # harm, the check that tells, its result, what is said, what is advised
    (no_tun, "tun", "fail", "/dev/net/tun: No such file or directory", "modprobe tun"),
    (small_mtu, "interfaces", "warn", "found 1420, which with 80 bytes around it exceeds the 1400 of eth0: expected "
     "at most 1320", None),
    (small_mtu_of_the_default, "interfaces", "warn", "exceeds the 1400 of eth0", None),
    (nic_down, "interfaces", "fail", "tunnel.underlay: interface eth0 is down: ip link set eth0 up", None),
    (no_such_nic, "interfaces", "fail", "found no interface eth7 on this machine", None),
    (address_gone, "egress", "fail", "egress address is not on the interface: found 198.51.100.1, eth0 has", None),
    (own_address_exclusive, "egress", "warn", "this machine's own connections leave from 198.51.100.1", None),
    (no_route, "routes", "fail", "203.0.113.0/24", None),
    (foreign_filter, "foreign", "warn", "ingress of eth0 has the filter bpf of somebody else",
     "it sees packets before or after Sluice"),
    (offloads_off, "offloads", "warn", "eth0: off: GRO, GSO, which costs", "ethtool -K eth0 gro on gso on"),
    (key_for_all, "keys", "fail", "private.key", None),
    (port_taken, "port", "fail", "51820", None),
    (few_ports, "ports", "warn", "ports are left for translation", "narrow net.ipv4.ip_local_port_range"),
    (no_name_server, "outside", "fail", "the STUN server stun.example.com:3478: ", "/etc/resolv.conf"),
    (no_stun_server, "outside", "fail", "no answer of the STUN server 203.0.113.9:3478", "UDP to the outside"),
    (broken_policy, "policy", "fail", "maybe", None),
)


def doctor(world):
    world.gateway.write()
    answer = world.gateway.json("doctor", "-c", str(world.gateway.folder / "gateway.yaml"), check=False)
    return {entry["check"] + " " + entry["text"]: entry for entry in answer["checks"] if entry["result"] != "ok"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0].__name__)
def test_what_is_wrong_is_said(world, case):
    """Alone, in the words of the table; a sound host shows none of it."""
    harm, check, result, text, advice = case
    world = world()
    world.net.gateway.run("mount --bind /dev/null /etc/resolv.conf")
    before = doctor(world)
    harm(world)
    new = [entry for key, entry in doctor(world).items() if key not in before]
    said = [entry for entry in new if entry["check"] == check and text in entry["text"]]
    assert len(said) == 1 and said[0]["result"] == result, new
    assert (advice or "") in (said[0]["advice"] or ""), said


def test_without_a_gateway_it_says_how_to_start_one(world):
    world = world()
    world.gateway.write()
    done = world.gateway.command("doctor", "-c", str(world.gateway.folder / "gateway.yaml"), check=False)
    assert done.returncode == 1
    assert "fail  gateway" in done.stdout and "-> sluice run, or systemctl start sluice" in done.stdout


def test_strict_settings_of_the_kernel_do_not_matter(world):
    """No forwarding, strict reverse paths: everything works, and the doctor finds nothing to say."""
    world = world()
    world.net.gateway.sysctl(net__ipv4__ip_forward=0, net__ipv6__conf__all__forwarding=0)
    for device in ("all", "default", "eth0"):
        world.net.gateway.sysctl(**{f"net__ipv4__conf__{device}__rp_filter": 1})
    alice = world.joined("alice")
    for version in (4, 6):
        settle(alice, world.gateway, version)
        assert alice.host.probe("connect", SERVICE[version], 80)["connected"]
    alice.host.run("ping -c 2 -i 0.2 -W 1 100.64.0.1")
    assert {entry["result"] for entry in world.gateway.doctor("forwarding")} == {"ok"}


@pytest.mark.parametrize("harm", (no_tun, key_for_all, port_taken),
                         ids=lambda harm: harm.__name__)
def test_a_start_that_cannot_be_says_so_in_one_line_and_leaves_nothing(world, harm):
    world = world()
    harm(world)
    before = world.net.gateway.out("ip rule")
    status, text = world.gateway.run_to_end()
    said = [line for line in text.splitlines() if "warning: " not in line]
    assert status in (1, 2) and len(said) == 1, text
    assert world.net.gateway.out("ip rule") == before
    assert "sluice0" not in world.net.gateway.out("ip link")
    assert world.net.gateway.run("find /sys/fs/bpf/sluice", check=False).returncode != 0
