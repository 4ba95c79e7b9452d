# SPDX-License-Identifier: BSD-2-Clause
"""Independent judges: programs of others, which know nothing of us, say how the gateway maps and filters.

coturn (RFC 5780: turnutils_natdiscovery against a turnserver on two addresses) and stun-client (RFC 3489), on the
client; what they find is what the configuration promises. nftables masquerade is judged too: it shows that the judges
do tell differences.
"""
import pytest

from gateways import settle
from lab import wait_for
from net import OTHER, SERVICE

VERDICTS = {        # nat.filtering -> what coturn and stun-client call it
    "endpoint-independent": ("NAT with Endpoint Independent Filtering!", "Independent Filter"),
    "address-dependent": ("NAT with Address Dependent Filtering!", "Address Dependent Filter"),
    "address-and-port-dependent": ("NAT with Address and Port Dependent Filtering!", "Port Dependent Filter"),
}
INDEPENDENT = "NAT with Endpoint Independent Mapping!"


def turnserver(far):
    listen = [word for addresses in (SERVICE, OTHER) for version in (4, 6) for word in ("-L", addresses[version])]
    far.popen("turnserver", ["turnserver", "-n", "-S", "--no-tls", "--no-dtls", "--no-cli", "--log-file=stdout",
                             "--pidfile=/run/turnserver.pid", *listen])
    wait_for("turnserver", lambda: far.out("ss -Hlun sport = :3479", quiet=True).count("2001:db8:3::a"))


def judged(world):
    world.gateway.admit(world.client("alice"))
    world.gateway.start()
    alice = world.clients["alice"].join(world.gateway)
    settle(alice, world.gateway)
    turnserver(world.net.far)
    return alice


def natdiscovery(client, what, version):
    said = client.host.out(["turnutils_natdiscovery", what, SERVICE[version]], timeout=60)
    assert "No ALG: Mapped == XOR-Mapped" in said
    return said


def stun(client):
    """stun-client's exit status is its verdict, as bits."""
    return client.host.run(["stun", SERVICE[4]], check=False, timeout=60).stdout


@pytest.mark.parametrize("filtering", VERDICTS)
def test_what_is_configured_is_what_they_find(world, filtering):
    world = world()
    world.gateway.config["nat"] = {"filtering": filtering}
    world.gateway.allow(*OTHER.values())
    alice = judged(world)
    coturn, stun_client = VERDICTS[filtering]
    for version in (4, 6):
        assert INDEPENDENT in natdiscovery(alice, "-m", version)
        assert coturn in natdiscovery(alice, "-f", version)
    said = stun(alice)
    assert f"Independent Mapping, {stun_client}, random port" in said


def test_masquerade_is_found_to_differ(world):
    world = world("baseline")
    alice = judged(world)
    assert VERDICTS["address-and-port-dependent"][0] in natdiscovery(alice, "-f", 4)
    said = stun(alice)
    assert "Port Dependent Filter, preserves ports" in said
