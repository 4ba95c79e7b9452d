# SPDX-License-Identifier: BSD-2-Clause
"""What a user of the gateway's host tries who has a shell and no rights; each attack runs as `nobody`."""
import pytest

from gateways import SLUICE, settle
from lab import HERE, wait_for
from net import SERVICE
from test_service import capabilities

NOBODY = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"]
ATTACKER = [*NOBODY, "/usr/bin/python3", "-c", (HERE / "local_user.py").read_text()]


def open_tun(host):
    """/dev/net/tun as udev makes it, whatever it is on this machine."""
    host.run("mknod -m 666 /run/tun c 10 200")
    host.run("chmod 666 /run/tun")
    host.run("mount --bind /run/tun /dev/net/tun")


def attach(host, name):
    return host.out([*ATTACKER, "attach", name]).strip()


def tap(host, name="sluice0"):
    """What the kernel says of the interface: its index and, as "info_data", its owner and queues."""
    link = host.json(f"ip -d -j link show {name}")[0]
    return {"ifindex": link["ifindex"], **link["linkinfo"]["info_data"]}


def check_ours_alone(world):
    data = tap(world.net.gateway)
    assert data["user"] == "root" and data["group"] == "root", data
    assert data.get("numdisabled", 0) == 0, data
    assert data["numqueues"] == world.gateway.json("status")["tunnel"]["workers"], data


def test_fault_15_nobody_is_no_queue_of_a_tunnel(world):
    """Running, stopped (the TAP stays) and started again; a download goes on through it."""
    world = world()
    open_tun(world.net.gateway)
    alice = world.joined("alice")
    check_ours_alone(world)
    assert attach(world.net.gateway, "sluice0") == "EPERM"
    before = tap(world.net.gateway)["ifindex"]
    world.gateway.stop()
    assert attach(world.net.gateway, "sluice0") == "EPERM"
    world.gateway.start()
    settle(alice, world.gateway)
    assert tap(world.net.gateway)["ifindex"] == before                # a restart takes its own TAP over
    check_ours_alone(world)
    world.net.gateway.run("ip link del sluice0")                      # made anew while running
    settle(alice, world.gateway)
    assert attach(world.net.gateway, "sluice0") == "EPERM"


@pytest.mark.parametrize("form", ("held", "detached", "alone"))
def test_fault_15_a_tap_that_was_open_is_made_anew(world, form):
    """By an earlier version, or by hand: a queue that was attached before the owner was set would stay."""
    world = world()
    host = world.net.gateway
    open_tun(host)
    host.run("ip tuntap add dev sluice0 mode tap multi_queue vnet_hdr")
    attacker = None
    if form != "alone":
        attacker = host.popen("attacker", [*ATTACKER, "hold", "sluice0", *(["detach"] if form == "detached" else [])])
        wait_for("the attacker's queue", lambda: form.replace("held", "attached") in attacker.output())
    before = tap(host)["ifindex"]
    alice = world.joined("alice")
    check_ours_alone(world)
    assert tap(host)["ifindex"] != before
    assert "made anew" in world.gateway.process.output()
    if attacker:
        wait_for("the end of the attacker's queue", lambda: "dead" in attacker.output())
    assert alice.host.probe("get", f"http://{SERVICE[4]}/bytes/300000")["bytes"] == 300000


def test_fault_15_nobody_wins_the_race_for_a_new_tap(world):
    """Between the making of an interface and its owner's name everybody may attach: such a one is not used."""
    world = world()
    host = world.net.gateway
    open_tun(host)
    attackers = [host.popen(f"attacker{i}", [*ATTACKER, "hold", "sluice0"]) for i in range(3)]
    alice = world.joined("alice")
    check_ours_alone(world)
    for attacker in attackers:
        if "attached" in attacker.output():
            wait_for("the end of a queue", lambda a=attacker: "dead" in a.output())
    assert alice.host.probe("get", f"http://{SERVICE[4]}/bytes/300000")["bytes"] == 300000


def test_fault_15_a_plain_device_is_ours_alone_too(world):
    host = world().net.gateway
    open_tun(host)
    host.run([str(SLUICE), "wireguard", "wg7"])
    data = tap(host, "wg7")
    assert data["user"] == "root" and data["group"] == "root" and data["numqueues"] == 1, data
    assert attach(host, "wg7") == "EPERM"
    assert host.run([str(SLUICE), "wireguard", "wg7"], check=False).returncode == 1
    assert tap(host, "wg7")["ifindex"] == data["ifindex"]             # the first goes on
    host.run("ip tuntap add dev wg8 mode tap multi_queue vnet_hdr")
    before = tap(host, "wg8")["ifindex"]
    taken = host.run([str(SLUICE), "wireguard", "wg8"], check=False)
    assert taken.returncode == 1 and "choose another name" in taken.stderr, taken
    assert tap(host, "wg8")["ifindex"] == before                      # somebody's own stays as it is
    host.run("rm /run/wireguard/wg7.sock")
    wait_for("its end", lambda: host.run("ip link show wg7", check=False).returncode)


PEEK = "import sys; open(f'/proc/{sys.argv[1]}/mem', 'rb'); print('open')"


def test_fault_25_no_equal_reads_our_memory(world):
    """Another program of root's, with no more powers than ours: a service that was broken into, say."""
    world = world()
    powers = "-all," + ",".join("+" + name for name in capabilities())
    world.gateway.under = ["setpriv", "--no-new-privs", "--bounding-set", powers]
    world.joined("alice")
    host = world.net.gateway
    host.run([str(SLUICE), "wireguard", "wg7"])
    plain = host.out(["pgrep", "-f", "wireguard wg7"]).split()[-1]
    peek = ["setpriv", "--bounding-set", powers, "--", "/usr/bin/python3", "-c", PEEK]
    other = host.popen("other", ["setpriv", "--bounding-set", powers, "--", "sleep", "60"])
    wait_for("an open one", lambda: host.run([*peek, str(other.pid)], check=False).stdout == "open\n")
    for pid in (world.gateway.process.pid, plain):
        done = host.run([*peek, str(pid)], check=False)
        assert done.returncode and "Permission denied" in done.stderr, done
    host.run("rm /run/wireguard/wg7.sock")


@pytest.mark.parametrize("what", ("folder", "link"))
def test_fault_15_pins_in_a_folder_of_somebody_else(world, what):
    """A bpffs that was mounted without a mode is open to all: whoever owns the folder may exchange maps in it."""
    world = world()
    host = world.net.gateway
    world.gateway.config["pins"] = "/sys/fs/bpf/gw"
    make = {"folder": ["mkdir", "/sys/fs/bpf/gw"], "link": ["ln", "-s", "/sys/fs/bpf/theirs", "/sys/fs/bpf/gw"]}[what]
    host.run([*NOBODY, "mkdir", "/sys/fs/bpf/theirs"])
    host.run([*NOBODY, *make])
    status, said = world.gateway.run_to_end()
    assert status == 1 and "/sys/fs/bpf/gw" in said, said
    assert ("belongs to uid 65534" if what == "folder" else "not a folder") in said, said
    assert not host.out("ls /sys/fs/bpf/theirs")


def test_fault_15_a_control_socket_in_a_folder_of_somebody_else(world):
    world = world()
    host = world.net.gateway
    host.run("mkdir -m 1777 /run/shared")
    host.run([*NOBODY, "mkdir", "/run/shared/theirs"])
    world.gateway.config["socket"] = "/run/shared/theirs/control.sock"
    status, said = world.gateway.run_to_end()
    assert status == 1 and "belongs to uid 65534" in said, said
    assert not host.out("ls /run/shared/theirs")
