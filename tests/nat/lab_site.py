# SPDX-License-Identifier: BSD-2-Clause
"""The suite against Sluice in the namespaces of our lab (tests/lab): real clients, the real daemon, real programs.

The two remotes are two addresses of one host there. Each profile is a configuration of the gateway.
"""
import pathlib
import shlex
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "lab"))

from lab import Lab, wait_for  # noqa: E402
from net import OTHER, SERVICE, STATIC  # noqa: E402
from gateways import settle  # noqa: E402
from world import World  # noqa: E402

from .nat import Nat, Promise  # noqa: E402
from .station import Station  # noqa: E402

REFUSED = ("203.0.113.77", "2001:db8:3::77")            # routed, and no rule allows it
SECOND = {4: "198.51.100.2", 6: "2001:db8:1::2"}        # external addresses of "strict"
HOST_PORT = 2222
TIGHT = (1024, 1087)                                    # what the host leaves to the NAT in "tight"

NAT_KEYS = {        # of gateway.yaml
    "brief": {"udp": "2s", "tcp_transitory": "2s", "tcp_established": "6s", "icmp": "2s", "unsafe": True},
    "open": {"filtering": "endpoint-independent", "tcp": "endpoint-independent"},
    "strict": {"filtering": "address-and-port-dependent"},
    "tight": {"client_share": "100%"},                  # so that one client can fill the range
}
MTU = 1420

PROMISES = {
    "default": {},
    "brief": {"udp": 2, "transitory": 2, "established": 6, "icmp": 2},
    "open": {"filtering": "endpoint-independent", "tcp": "endpoint-independent"},
    "strict": {"filtering": "address-and-port-dependent"},
    "tight": {"client_share": "100%"},                  # so that one client can fill the range
    "tight": {"first_port": TIGHT[0], "last_port": TIGHT[1]},
}


class LabNat(Nat):
    """Owns its lab."""

    def __init__(self, lab, world, *args, **options):
        super().__init__(*args, **options)
        self.lab, self.world = lab, world

    def close(self):
        super().close()
        self.lab.close()


def make_world(lab, profile):
    world = World(lab, "sluice", form="two-armed" if profile == "open" else "one-armed", mtu=MTU)
    host, config = world.net.gateway, world.gateway.config
    externals = list(STATIC.values())
    if profile == "strict":
        host.address("eth0", f"{SECOND[4]}/24", f"{SECOND[6]}/64")
        world.net.far.run(f"nft add rule inet allowlist input ip saddr {SECOND[4]} accept")
        world.net.far.run(f"nft add rule inet allowlist input ip6 saddr {SECOND[6]} accept")
        externals += SECOND.values()
    if profile == "tight":
        host.sysctl(net__ipv4__ip_local_port_range=f"{TIGHT[1] + 1} 65535")
    if profile in NAT_KEYS:
        config["nat"] = NAT_KEYS[profile]
    if profile == "open":       # for hairpin they are services, too
        config["routes"] = [*config["routes"], *externals]
    config["egress"]["addresses"] = externals
    world.gateway.allow(*OTHER.values(), *externals)         # the latter for each other
    return world, externals


def join(world, profile):
    clients = [world.client(name) for name in ("alice", "carol")]
    for client in clients:
        world.gateway.admit(client)
    world.gateway.start()
    for client in clients:
        # the external address by the tunnel, where the tunnel itself does not end there
        extra = [f"{STATIC[4]}/32", f"{STATIC[6]}/128"] if profile == "open" else []
        client.join(world.gateway, extra)
        settle(client, world.gateway)
    return clients


def listen_on_gateway(world):
    host = world.net.gateway
    host.popen("listener", ["socat", f"TCP6-LISTEN:{HOST_PORT},fork,reuseaddr,ipv6only=0", "SYSTEM:true"])
    wait_for("listener", lambda: f":{HOST_PORT}" in host.out("ss -Hltn", quiet=True))


def build(profile):
    lab = Lab()
    try:
        world, externals = make_world(lab, profile)
        clients = join(world, profile)
        listen_on_gateway(world)
        return stations_of(lab, world, clients, externals, profile)
    except BaseException:
        lab.close()
        raise


def stations_of(lab, world, clients, externals, profile):
    alice, carol = ([client.tunnel_address(version) for version in (4, 6)] for client in clients)
    remotes = [list(SERVICE.values()), list(OTHER.values())]
    mss = {"mss4": MTU - 40, "mss6": MTU - 60}
    promise = Promise(inside_mtu=MTU, refused=REFUSED, host_port=HOST_PORT, **mss, **PROMISES[profile])

    def station(name, host, addresses, peers):
        return Station(name, shlex.join(host.enter([])), addresses, peers, env=lab.env())

    return LabNat(lab, world, externals,
                  client=station("client", clients[0].host, alice, [*externals, *remotes[0], *remotes[1]]),
                  client2=station("client2", clients[1].host, carol, [*externals, *remotes[0], *remotes[1]]),
                  remote=station("remote", world.net.far, remotes[0], [*externals, *alice, *carol]),
                  other=station("other", world.net.far, remotes[1], [*externals, *alice, *carol]),
                  promise=promise)
