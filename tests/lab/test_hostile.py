# SPDX-License-Identifier: BSD-2-Clause
"""What neighbours, strangers and clients try who mean no good, each where the host's kernel would help them."""
import json
import os
import time

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.layers.inet6 import (HBHOptUnknown, ICMPv6DestUnreach, ICMPv6EchoReply, ICMPv6EchoRequest, IPv6,
                                IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, fragment6)
from scapy.packet import Raw

from gateways import SLUICE, settle
from lab import HERE, wait_for
from net import SERVICE, STATIC
from test_failclosed import forwarding
from test_host import SSH, TUNNEL, ssh_like

ALICE = "192.0.2.44"        # the first client, outside the tunnel
SEND = "import socket, sys\n" \
       "v6 = ':' in sys.argv[1]\n" \
       "raw = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)\n" \
       "for packet in sys.stdin:\n    raw.sendto(bytes.fromhex(packet), (sys.argv[1], 0))"


def send(host, *packets):
    """IP packets as they are, to the destination of the first."""
    host.run(["/usr/bin/python3", "-c", SEND, packets[0].dst], input="\n".join(bytes(p).hex() for p in packets))


FORGE = ["/usr/bin/python3", HERE / "forge.py"]
ICMP_ECHO = {4: ICMP(id=7), 6: ICMPv6EchoRequest(id=7)}
ICMP_REPLY = {4: ICMP(type=0, id=7), 6: ICMPv6EchoReply(id=7)}


def ip(v, **fields):
    return (IP if v == 4 else IPv6)(**fields)


def too_big(source, destination, client, mtu=600):
    """A router's word, or a liar's, that the gateway's datagrams to a client do not fit."""
    port = int(client.host.out("wg show wg0 listen-port"))
    quoted = IP(src=STATIC[4], dst=ALICE) / UDP(sport=51820, dport=port, len=1400) / Raw(bytes(20))
    return IP(src=source, dst=destination) / ICMP(type=3, code=4, nexthopmtu=mtu) / quoted


@pytest.mark.parametrize("form", ("one-armed", "two-armed"))
def test_nobody_outside_reaches_a_client(world, form):
    """The host forwards (Docker, a router) and knows the way to its clients; a neighbour, or the service itself,
    sends to their addresses."""
    world = world(form=form)
    forwarding(world)
    alice = world.joined("alice")
    gateway = {4: "198.51.100.1", 6: "2001:db8:1::1"} if form == "one-armed" else {4: "198.18.0.1", 6: "2001:db8:18::1"}
    with alice.host.capture("wg0", "icmp[icmptype] = icmp-echo or (icmp6 and ip6[40] = 128)") as capture:
        for v in (4, 6):
            address = alice.tunnel_address(v)
            world.net.router.run(f"ip -{v} route add {address} via {gateway[v]}")
            assert world.net.far.run(f"ping -c 3 -i 0.1 -W 1 {address}", check=False).returncode
        assert world.gateway.drops()["forwarded"] >= 6
        assert capture.count() == 0
        for v in (4, 6):                                       # the gateway itself does
            world.net.gateway.run(f"ping -c 1 -W 2 {alice.tunnel_address(v)}")
    assert alice.host.probe("get", f"http://{SERVICE[4]}/bytes/3000000")["bytes"] == 3000000


def test_a_client_cannot_narrow_another_ones_tunnel(world):
    """An ICMP error from inside the tunnel, about what the gateway sends to another client outside of it."""
    world = world()
    alice, bob = world.joined("alice", "bob")
    before = world.gateway.drops()["no_flow"]
    send(bob.host, too_big(bob.tunnel_address(4), "100.64.0.1", alice))
    wait_for("the drop", lambda: world.gateway.drops()["no_flow"] > before)
    assert "mtu" not in world.net.gateway.out(f"ip route get {ALICE}")


def test_a_stranger_cannot_narrow_a_tunnel(world):
    """The same from outside, in a router's name: the tunnel goes on in whole datagrams."""
    world = world()
    alice = world.joined("alice")
    send(world.net.router, too_big("198.51.100.254", STATIC[4], alice))
    wait_for("its arrival", lambda: world.net.gateway.json("nstat -asj")["kernel"]["IcmpInDestUnreachs"])
    with world.net.gateway.capture("eth0", "ip[6:2] & 0x3fff != 0", "out") as fragments:
        assert alice.host.probe("get", f"http://{SERVICE[4]}/bytes/3000000")["bytes"] == 3000000
    assert fragments.count() == 0


@pytest.mark.parametrize("mark", ("02:53:00:00:00:01", "02:4e:00:00:00:01", "02:50:00:01:05:dc"))
def test_a_link_address_says_nothing(world, mark):
    """A router whose link address is as the daemon writes them on the TAP: cut off is neither the host, nor a client,
    nor anything that comes in fragments."""
    world = world()
    ssh_like(world)
    world.net.router.run(f"ip link set gw0 address {mark}")
    world.net.router.run("ip -6 addr add 2001:db8:1::fe/64 dev gw0 nodad", check=False)    # is lost with the address
    alice, admin = world.joined("alice"), world.net.client("admin")
    for v in (4, 6):
        assert admin.probe("connect", STATIC[v], 22)["connected"]
        admin.run(f"ping -c 2 -i 0.1 -W 1 {STATIC[v]}")
        for host in (world.net.gateway, alice.host):
            assert host.probe("udp", SERVICE[v], 7, "--size", 3000)["received"] == 20
    assert alice.host.probe("get", f"http://{SERVICE[4]}/bytes/3000000")["bytes"] == 3000000


def behind_options(source, size, ends, number):
    """A datagram to the service in two IPv6 fragments, each behind a hop-by-hop header of @size bytes, whose option
    everybody skips."""
    options = IPv6ExtHdrHopByHop(options=[HBHOptUnknown(otype=0x1e, optdata=bytes(size - 4))])
    whole = bytes(IPv6(src=source, dst=SERVICE[6]) / UDP(sport=ends[0], dport=ends[1]) / Raw(bytes(1750)))[40:]
    for at, end in ((0, 1104), (1104, len(whole))):
        yield (IPv6(src=source, dst=SERVICE[6]) / options /
               IPv6ExtHdrFragment(nh=17, id=number, offset=at // 8, m=end < len(whole)) / Raw(whole[at:end]))


@pytest.mark.parametrize("size", (8, 16, 24, 64, 200))
def test_fault_14_fragments_behind_options(world, size):
    """A client's packet that has to be cut again behind long options. It ended the gateway at the next frame for
    anybody."""
    world = world(workers=1)
    alice, carol = world.joined("alice", "carol")
    before = len(world.service.seen())
    for number in range(3):
        send(alice.host, *behind_options(alice.tunnel_address(6), size, (40000 + number, 7), number))
        for client in (carol, alice):
            client.host.run(f"ping -c 2 -i 0.05 -W 2 {SERVICE[4]}")
    wait_for("all that was cut", lambda: len(world.service.seen()) == before + 3)
    assert world.gateway.process.alive()
    assert carol.host.probe("get", f"http://{SERVICE[4]}/bytes/3000000")["bytes"] == 3000000


# ---- who may write a policy, a list or a client's file, and no more than that -----------------------------------

def listing(gateway, file):
    """The gateway's policy, with a block list of this name."""
    return json.dumps({**gateway.policy, "blocklists": [{"name": "drop", "file": file}]})


def test_fault_23_a_policy_names_no_file_but_lists(world):
    """A pull request's author reads what CI prints, and what the gateway says."""
    world = world()
    alice = world.joined("alice")
    gateway = world.gateway
    folder = gateway.folder
    (folder / "repository").mkdir()
    (folder / "repository/policy.json").write_text(listing(gateway, "../private.key"))
    done = gateway.command("policy", "check", str(folder / "repository/policy.json"), check=False)
    assert done.returncode == 2 and "leads out of the folders" in done.stderr, done
    assert gateway.key.private[:4] not in done.stdout + done.stderr
    (folder / "repository/secret.txt").write_text(gateway.key.private + "\n")      # a list's name, a secret's text
    (folder / "repository/policy.json").write_text(listing(gateway, "secret.txt"))
    done = gateway.command("policy", "check", str(folder / "repository/policy.json"), check=False)
    assert done.returncode == 2 and "secret.txt:1: expected an address or a CIDR" in done.stderr, done.stderr
    assert gateway.key.private[:4] not in done.stdout + done.stderr
    os.mkfifo(folder / "pipe.txt")
    for file, why in (("../../../etc/passwd", "leads out of the folders"), ("/proc/1/environ", "leads out of"),
                      (str(folder / "pipe.txt"), "no regular file"), ("pipe.txt", "no regular file")):
        done = gateway.host.run([str(SLUICE), "policy", "apply", "-"], input=listing(gateway, file), check=False)
        assert done.returncode == 2 and why in done.stderr, done
    settle(alice, gateway)


@pytest.mark.parametrize("file", ("policy.yaml", "clients.d/pipe.yaml"))
def test_fault_23_a_pipe_holds_no_reload(world, file):
    world = world()
    alice = world.joined("alice")
    path = world.gateway.folder / file
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    done = world.gateway.command("reload", check=False)
    assert done.returncode and f"{file}" in done.stderr and "no regular file" in done.stderr, done
    settle(alice, world.gateway)


def test_fault_23_a_link_in_the_clients_folder(world):
    world = world()
    world.joined("alice")
    (world.gateway.folder / "clients.d/link.yaml").symlink_to(world.gateway.folder / "private.key")
    done = world.gateway.command("reload", check=False)
    assert done.returncode and "link.yaml: cannot be read: it leads out of the folders" in done.stderr, done
    assert world.gateway.key.private[:4] not in done.stderr


# ---- what the gateway itself takes -------------------------------------------------------------------------------

def heard(ssh, client):
    """What the gateway's own services had from a client's tunnel addresses."""
    return [entry for entry in ssh.seen() if entry["client"] in [client.tunnel_address(v) for v in (4, 6)]]


def test_fault_16_port_zero_opens_no_socket(world):
    """A socket without a peer calls its peer's port 0: whoever sends from there is not whom it waits for."""
    world = world()
    ssh = ssh_like(world)
    alice, bob = world.joined("alice", "bob")
    for v in (4, 6):
        for port in (0, 1):
            before = world.gateway.drops()["reserved"]
            send(bob.host, ip(v, src=bob.tunnel_address(v), dst=TUNNEL[v]) / UDP(sport=port, dport=123) / b"x")
            wait_for("the drop", lambda: world.gateway.drops()["reserved"] > before)
        assert alice.host.probe("udp", TUNNEL[v], 123)["received"] == 20
    assert heard(ssh, alice) and not heard(ssh, bob)


def test_fault_17_answers_that_nobody_asked_for(world):
    """An echo reply, and a segment of a connection, that the host knows nothing of are for the policy."""
    world = world()
    ssh_like(world)
    alice, bob = world.joined("alice", "bob")
    for v in (4, 6):
        for packet in (ICMP_REPLY[v], TCP(sport=4000, dport=SSH, flags="A"), TCP(sport=0, dport=SSH, flags="A")):
            before = world.gateway.drops()["reserved"]
            send(bob.host, ip(v, src=bob.tunnel_address(v), dst=TUNNEL[v]) / packet)
            wait_for("the drop", lambda: world.gateway.drops()["reserved"] > before)
        for client in (alice, bob):                     # whom the host asks may answer, whatever the rules say
            world.net.gateway.run(f"ping -c 2 -i 0.1 -W 1 {client.tunnel_address(v)}")
            world.net.gateway.run(f"ping -c 1 -s 3000 -W 1 {client.tunnel_address(v)}")


def third_interface(world):
    """A network card more, that comes while the gateway runs."""
    neighbour = world.lab.host("neighbour")
    world.lab.cable(neighbour, "eth0", world.net.gateway, "eth7")
    for host, last in ((world.net.gateway, 1), (neighbour, 2)):
        host.address({1: "eth7", 2: "eth0"}[last], f"10.9.9.{last}/24", f"fd09::{last}/64")
    number = world.net.gateway.json("ip -j link show eth7")[0]["ifindex"]
    fence = world.net.gateway.path(f"/sys/fs/bpf/sluice/link_nic_fence_{number}")
    wait_for("the fence", lambda: fence.exists() or world.net.gateway.out("tc filter show dev eth7 ingress"))
    return neighbour, {4: "10.9.9.1", 6: "fd09::1"}


def by_router(world):
    if world.net.form == "one-armed":
        return world.net.router, STATIC
    return world.net.router, {4: "198.18.0.1", 6: "2001:db8:18::1"}


@pytest.mark.parametrize("form, way", (("one-armed", by_router), ("two-armed", by_router),
                                       ("one-armed", third_interface)))
def test_fault_17_nobody_outside_speaks_for_a_client(world, form, way):
    """By the egress, by the underlay, by any other card: neither a service hears it, nor does the host answer it into
    the tunnel. Alice, for whom the forger speaks, may reach all of it."""
    world = world(form=form)
    ssh = ssh_like(world)
    alice = world.joined("alice")
    forger, via = way(world)
    with alice.host.capture("wg0", "src host 100.64.0.1 or src host fd7a:115c:a1e0::1") as answers:
        for v in (4, 6):
            forger.run(f"ip -{v} route add {TUNNEL[v]} via {via[v]}")
            for packet in (TCP(sport=4000, dport=SSH, flags="S"), UDP(sport=4000, dport=123) / b"x", ICMP_ECHO[v]):
                for source, target in ((alice.tunnel_address(v), TUNNEL[v]), (alice.tunnel_address(v), via[v]),
                                       (TUNNEL[v], TUNNEL[v])):
                    before = world.gateway.drops()["forged"]
                    send(forger, ip(v, src=source, dst=target) / packet)
                    wait_for("the drop", lambda: world.gateway.drops()["forged"] > before)
    assert answers.count() == 0 and not heard(ssh, alice)
    assert alice.host.probe("connect", TUNNEL[4], SSH)["connected"]


@pytest.mark.parametrize("v", (4, 6))
def test_fault_17_a_half_open_connection_knows_nobody(world, v):
    """A SYN in bob's name by a way that has no fence, another tunnel of the host's; the rest by his own. No rule lets
    him connect."""
    world = world()
    ssh = ssh_like(world)
    alice, bob = world.joined("alice", "bob")
    bob.host.nft("table inet quiet { chain out { type filter hook output priority 0; tcp flags rst drop; }; }\n")
    job = bob.host.popen("complete", [str(word) for word in FORGE] + ["complete", "wg0", "4000"])
    wait_for("the forger", lambda: "open" in job.output())
    world.net.gateway.run(f"ping -c 1 -W 1 {bob.tunnel_address(v)}", check=False)
    bob.host.run(f"ping -c 1 -W 1 {TUNNEL[v]}", check=False)        # now the gateway knows where he is
    before = world.gateway.drops()
    syn = ip(v, src=bob.tunnel_address(v), dst=TUNNEL[v]) / TCP(sport=4000, dport=SSH, flags="S", seq=1)
    world.net.gateway.run([*FORGE, "tun", "tun9", bytes(syn).hex()])
    wait_for("the answer to it", lambda: "answered" in job.output())
    wait_for("the drop", lambda: world.gateway.drops()["reserved"] > before["reserved"])
    time.sleep(0.5)
    assert world.gateway.drops()["forged"] == before["forged"], "that tunnel may own the address"
    assert not heard(ssh, bob)
    assert "ESTAB" not in world.net.gateway.out(f"ss -Htn sport = {SSH}")


def test_fault_17_what_is_taken_back_ends(world):
    """A connection to the gateway that a rule allowed ends with the rule."""
    world = world()
    ssh_like(world)
    alice = world.joined("alice")
    job = alice.host.probing("get", "get", f"http://{TUNNEL[4]}:{SSH}/slow/20000000/500000", "--timeout", 2)
    wait_for("the download", lambda: world.gateway.client_report(alice)["sent"] > 500000)
    world.gateway.policy["acls"] = world.gateway.policy["acls"][:1]
    world.gateway.reload()
    assert job.popen.wait(20) == 0 and "ECONNRESET" in job.output(), "and its client hears of it"
    wait_for("the gateway's own end", lambda: "ESTAB" not in world.net.gateway.out(f"ss -Htn sport = {SSH}"))


INSIDE = {4: "100.64.7.7", 6: "[fd7a:115c:a1e0::7:7]"}
HOLD = """
table inet hold {
	chain c {
		type filter hook forward priority 0;
		udp dport 51820 drop
	}
}
"""


@pytest.mark.parametrize("version", (4, 6))
@pytest.mark.parametrize("whose", ("its own", "another's"))
def test_fault_45_a_loop_through_the_tunnel(world, whose, version):
    """One authenticated packet with an outer source inside the tunnel: the gateway sent to the client by its own
    tunnel, 100,000 packets a second, for minutes."""
    world = world(workers=1)
    alice, carol = world.joined("alice", "carol")
    inner = (alice if whose == "its own" else carol).tunnel_address(version)
    world.net.router.nft(HOLD)                      # the gateway never sees these
    with alice.host.capture("eth0", "udp dst port 51820", "out") as capture:
        alice.host.run(f"ping -c 3 -i 0.1 -W 1 {SERVICE[4]}", check=False)
        wait_for("its packets", lambda: capture.count() >= 3)
    world.net.router.run("nft delete table inet hold")
    to = STATIC[version]
    outer = IP(src=inner, dst=to) if version == 4 else IPv6(src=inner, dst=to)
    forged = [outer / UDP(sport=51820, dport=51820) / Raw(bytes(p["UDP"].payload)) for p in capture.packets()]
    sent = world.gateway.client_report(alice)["sent"]
    send(world.net.router, *forged)
    time.sleep(1)
    report = world.gateway.client_report(alice)
    assert ALICE in report["endpoint"] and report["sent"] < sent + 100000, report
    settle(alice, world.gateway, version)


@pytest.mark.parametrize("version", (4, 6))
def test_fault_45_the_tunnels_own_datagrams_stay_out(world, version):
    """Wherever an endpoint inside the tunnel came from: an address that becomes a client's later, here. What is sent
    there is dropped at the TAP, and counted."""
    world = world(workers=1)
    alice = world.client("alice")
    world.gateway.admit(alice, endpoint=f"{INSIDE[version]}:41641", keepalive=1)
    world.gateway.start()
    before = world.gateway.drops()["loop"]
    world.net.gateway.run(["ip", f"-{version}", "route", "add", INSIDE[version].strip("[]"), "dev", "sluice0"])
    wait_for("its end", lambda: world.gateway.drops()["loop"] > before, seconds=20)
    alice.join(world.gateway)
    settle(alice, world.gateway)
    assert ALICE in world.gateway.client_report(alice)["endpoint"]


# ---- by which interface ------------------------------------------------------------------------------------------

def forge(world, device, packet, vlan=0):
    """In front of the gateway's interface, as its router or anybody on that wire can."""
    mac = world.net.gateway.json(f"ip -j link show {device}")[0]["address"]
    world.net.router.run([*FORGE, "frame", device.replace("eth", "gw"), mac, vlan, bytes(packet).hex()])


def flow_of(world, client, v):
    """A UDP flow of the client's: the process that prints what arrives, and the external port."""
    at = 5000 + v
    job = client.host.popen("hear", ["/usr/bin/python3", str(HERE / "pieces.py"), "hear", client.tunnel_address(v),
                                     str(at), SERVICE[v], "7"])
    wait_for("the flow", lambda: "open" in job.output())
    return job, next(entry["port"] for entry in reversed(world.service.seen()) if entry["client"] == STATIC[v])


@pytest.mark.parametrize("v", (4, 6))
def test_fault_19_answers_by_another_interface(world, v):
    """Both interfaces have egress addresses; rp_filter is strict. What the service would send by eth1 is forged by
    eth0, by a VLAN on eth1's wire, in fragments, as an error; until the configuration has answers come there."""
    world = world(form="two-armed")
    world.net.gateway.sysctl(net__ipv4__conf__all__rp_filter=1)
    world.net.gateway.route("203.0.113.8/30", "via", "198.51.100.254")
    world.gateway.config["egress"]["pools"] = {"other": {"interface": "eth0"}}
    alice = world.joined("alice")
    job, port = flow_of(world, alice, v)

    def heard():
        return job.output().count("spoilt")

    def datagram(text):
        return ip(v, src=SERVICE[v], dst=STATIC[v]) / UDP(sport=7, dport=port) / text

    forge(world, "eth1", datagram(b"by its own"))
    wait_for("what cannot be told from an answer", lambda: heard() == 1)
    forge(world, "eth0", datagram(b"by the other"))
    wait_for("the drop", lambda: world.gateway.drops()["wrong_way"] == 1)
    quoted = ip(v, src=STATIC[v], dst=SERVICE[v]) / UDP(sport=port, dport=7) / b"x"
    error = ICMP(type=3, code=3) if v == 4 else ICMPv6DestUnreach(code=4)
    forge(world, "eth0", ip(v, src=SERVICE[v], dst=STATIC[v]) / error / quoted)
    wait_for("the drop", lambda: world.gateway.drops()["wrong_way"] == 2)
    forge(world, "eth1", datagram(b"by a VLAN"), vlan=5)
    in_two = IPv6(src=SERVICE[6], dst=STATIC[6]) / IPv6ExtHdrFragment(id=7) / UDP(sport=7, dport=port) / bytes(1600)
    for piece in fragment(datagram(bytes(1600)), 1000) if v == 4 else fragment6(in_two, 1000):
        forge(world, "eth0", piece)
    time.sleep(0.5)
    assert heard() == 1 and "Error" not in job.output()
    assert alice.host.probe("udp", SERVICE[v], 7, "--size", 3000)["received"] == 20      # the true ones do come
    forge(world, "eth1", datagram(b"priority alone"), vlan=0x6000)                       # VLAN 0: no VLAN
    wait_for("what has no VLAN's number", lambda: heard() == 2)
    world.gateway.config["egress"]["answers_by"] = ["eth0", "eth9"]
    world.gateway.restart()
    settle(alice, world.gateway)
    forge(world, "eth0", datagram(b"as configured"))
    wait_for("what may come there", lambda: heard() == 3)
    notes = world.gateway.json("status")["notes"]
    assert [note for note in notes if "eth9" in note] == ["pool default: no answers come by eth9: it is absent"]


def test_fault_19_neighbours_do_not_speak_for_clients_to_each_other(world):
    """Two clients talk by their external endpoints (hairpin). A neighbour sends in the name of one."""
    world = world(form="two-armed")
    gateway = world.gateway
    gateway.config["routes"] = [*gateway.config["routes"], f"{STATIC[4]}/32"]
    gateway.config["nat"] = {"filtering": "endpoint-independent"}
    gateway.allow(STATIC[4])
    alice = world.joined("alice")
    alice.join(gateway, [f"{STATIC[4]}/32"])
    job, port = flow_of(world, alice, 4)
    before = gateway.drops()["forged"]
    forge(world, "eth1", ip(4, src=STATIC[4], dst=STATIC[4]) / UDP(sport=7777, dport=port) / b"x")
    wait_for("the drop", lambda: gateway.drops()["forged"] > before)
    forge(world, "eth1", ip(4, src=SERVICE[4], dst=STATIC[4]) / UDP(sport=7777, dport=port) / b"x")
    wait_for("what is no client's", lambda: job.output().count("spoilt") == 1)


def live_ids(gateway):
    """The ids of the flows that live."""
    return {entry["value"].split()[1] for entry in gateway.json("map", "dump", "--limit", "10000", "flows")["entries"]
            if any(f"state {state} " in entry["value"] for state in ("NEW", "ESTABLISHED", "CLOSING", "RESET"))}


def test_fault_24_what_is_killed_stays_dead(world):
    """A client that sends on, as fast as it can, on what was killed: it may open new flows, but none comes back."""
    world = world()
    alice = world.joined("alice")
    job = alice.host.probing("many", "many", SERVICE[4], "53", "--flows", "200", "--count", "6000",
                             "--interval", "0.01")
    wait_for("its flows", lambda: len(live_ids(world.gateway)) >= 200)
    killed = set()
    for _ in range(12):
        before = live_ids(world.gateway)
        assert world.gateway.json("flows", "kill", "--client", alice.name)["killed"] >= len(before) / 2
        killed |= before
        wait_for("new flows", lambda: len(live_ids(world.gateway)) >= 200)
        assert not killed & live_ids(world.gateway)
    assert len(killed) >= 2000
    job.stop()
