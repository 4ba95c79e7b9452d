# SPDX-License-Identifier: BSD-2-Clause
"""What a test of the lab happens in: an Internet, a gateway on it, clients that join."""
from gateways import Baseline, Sluice, greet, settle
from net import Internet
from wg import Client

GATEWAYS = {"baseline": Baseline, "sluice": Sluice}
USERS = {"alice": "alice@example.com", "bob": "bob@example.com", "carol": "carol@example.com"}


class World:
    """An Internet with a gateway on it and its clients."""

    def __init__(self, lab, kind="sluice", form="one-armed", wire_mtu=1500, offloads=True, **options):
        self.lab = lab
        self.net = Internet(lab, form, wire_mtu, offloads)
        self.service = self.net.service
        self.gateway = GATEWAYS[kind](self.net, **options)
        self.clients = {}

    def client(self, name="alice", **options):
        """A machine with a tunnel, known to the gateway, not joined yet."""
        client = Client(self.net.client(name), USERS[name], 5 + len(self.clients), **options)
        self.clients[name] = client
        return client

    def joined(self, *names, **options):
        """Admit these clients, start the gateway, join and wait: until the first passes, the others have a session."""
        clients = [self.client(name, **options) for name in names]
        for client in clients:
            self.gateway.admit(client)
        self.gateway.start()
        for client in clients:
            client.join(self.gateway)
        settle(clients[0], self.gateway)
        for client in clients[1:]:
            greet(client, self.gateway)
        return clients[0] if len(clients) == 1 else clients
