# SPDX-License-Identifier: BSD-2-Clause
"""A tailnet of any size: crowd_server in the place of headscale, which is slow from 1,000 nodes on.

Real clients and real gateways join it as they join headscale; the others, n01000 and on, never come.
"""
import pytest
from lab import wait_for
from tailnet import PEERS, SERVER, Tailnet, require

CROWD = PEERS / "crowd"


def require_crowd():
    require()
    if not CROWD.exists():
        pytest.skip(f"{CROWD}: not built; run tests/lab/tailnet_peers.sh")


class Crowd(Tailnet):
    def __init__(self, lab, peers):
        self.peers = peers
        super().__init__(lab)

    def serve(self, seconds=60):
        self.server = self.control.popen("crowd", [CROWD, "-listen", self.wire.servers["headscale"], "-cert",
                                                   self.dir / "cert.pem", "-key", self.dir / "key.pem", "-peers",
                                                   str(self.peers)])
        wait_for("the server", lambda: self.control.run(["curl", "-sk", f"{SERVER}/health"], check=False,
                                                        quiet=True).returncode == 0, seconds=seconds)

    # Who comes is let in, and its routes are approved.
    def hs(self, *_arguments):
        return None

    def key(self, *_arguments, **_options):
        return "tskey-auth-any"

    def reload_policy(self):
        """The rules are the server's own."""

    def tell(self, what, **fields):
        """A command of the server: {add, remove, rekey, move} n, rule text, only address, hold node cap,
        say text, leave."""
        form = [word for name, value in fields.items() for word in ("--data-urlencode", f"{name}={value}")]
        self.peers = int(self.control.out(["curl", "-sSf", *form, f"http://127.0.0.1:9000/{what}"]))
        return self.peers
