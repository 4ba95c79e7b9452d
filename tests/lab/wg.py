# SPDX-License-Identifier: BSD-2-Clause
"""Real WireGuard peers: wireguard-go and boringtun-cli, built by peers.sh, configured by wg of wireguard-tools."""
import functools
import os
import pathlib
import subprocess
import time

from lab import HERE, ROOT, say, wait_for
from net import ROUTES, family

IMPLEMENTATIONS = ("wireguard-go", "boringtun-cli")


def wg(*arguments, input=None):
    return subprocess.run(["wg", *arguments], input=input, capture_output=True, text=True, check=True).stdout.strip()


class Key:
    """A key pair, in the base64 that wg prints."""

    def __init__(self, private=None):
        self.private = private or wg("genkey")
        self.public = wg("pubkey", input=self.private)


@functools.cache
def peers_folder():
    """Builds what is missing, which takes minutes once a machine."""
    folder = pathlib.Path(os.environ.get("SLUICE_PEERS", pathlib.Path.home() / ".cache/sluice-peers"))
    subprocess.run([HERE / "peers.sh", folder], check=True, stdout=subprocess.DEVNULL)
    return folder


def program(implementation, device):
    """The command that runs an implementation in the foreground, and its environment."""
    if implementation == "sluice":
        return [os.environ.get("SLUICE", str(ROOT / "build/sluice")), "wireguard", "--foreground", device], {}
    path = str(peers_folder() / implementation)
    if implementation == "wireguard-go":
        return [path, "-f", device], {"LOG_LEVEL": "error", "WG_PROCESS_FOREGROUND": "1"}
    return [path, "-f", "--disable-drop-privileges", device], {"WG_LOG_LEVEL": "error"}


class WireGuard:
    """A WireGuard device of a userspace implementation on a host."""

    def __init__(self, host, implementation="wireguard-go", device="wg0", key=None, addresses=(), mtu=1420, port=0):
        self.host, self.implementation, self.device = host, implementation, device
        self.key, self.addresses, self.mtu, self.port = key or Key(), list(addresses), mtu, port
        self.peers = {}          # public key -> wg's words for it
        self.process, self.started, self.env = None, False, {}

    def start_program(self):
        """Returns once the device and its socket are there."""
        command, env = program(self.implementation, self.device)
        self.process = self.host.popen(self.implementation, command, {**env, **self.env})
        socket = self.host.path(f"/run/wireguard/{self.device}.sock")
        wait_for(f"{self.implementation} on {self.host.name}", lambda: socket.exists() or not self.process.alive())
        if not self.process.alive():
            raise RuntimeError(self.process.output())

    def start(self):
        self.start_program()
        self.started = True
        self.host.address(self.device, *self.addresses)
        self.host.run(f"ip link set {self.device} mtu {self.mtu} up")
        self.set("listen-port", self.port, "private-key", self.secret(self.key.private))
        for public, settings in self.peers.items():
            self.set("peer", public, *settings)
            self.route(settings)
        return self

    def stop(self):
        self.process.stop()
        self.started = False
        wait_for("device gone", lambda: self.host.run(f"ip link show {self.device}", check=False).returncode)

    def restart(self):
        self.stop()
        return self.start()

    def secret(self, text):
        """A file that wg can read a key from: it takes none on the command line."""
        path = self.host.lab.file("key")
        path.write_text(text + "\n")
        path.chmod(0o600)
        return path

    def set(self, *settings):
        self.host.run(["wg", "set", self.device, *settings])

    def peer(self, public, allowed=(), endpoint=None, psk=None, keepalive=None):
        """Add or change a peer, and lead its networks into the tunnel."""
        settings = ["allowed-ips", ",".join(allowed)]
        settings += ["endpoint", endpoint] if endpoint else []
        settings += ["preshared-key", str(self.secret(psk))] if psk else []
        settings += ["persistent-keepalive", str(keepalive)] if keepalive else []
        self.peers[public] = settings
        if self.started:
            self.set("peer", public, *settings)
            self.route(settings)
        return self

    def route(self, settings):
        for prefix in filter(None, settings[1].split(",")):
            self.host.route(prefix, "dev", self.device)

    def dump(self):
        """What `wg show` knows of each peer: {public: {"endpoint", "handshake", "received", "sent"}}."""
        lines = self.host.out(f"wg show {self.device} dump", quiet=True).splitlines()[1:]
        fields = [line.split("\t") for line in lines]
        return {f[0]: {"endpoint": f[2], "handshake": int(f[4]), "received": int(f[5]), "sent": int(f[6])}
                for f in fields}

    def handshake(self, public):
        """Unix time of the last one, 0: never. boringtun tells how many seconds ago it was instead."""
        told = self.dump()[public]["handshake"]
        return int(time.time()) - told if self.implementation == "boringtun-cli" else told


class Client(WireGuard):
    """A person's machine with a tunnel to a gateway. Its tunnel addresses follow its number: 100.64.0.5, ..."""

    def __init__(self, host, user, number, outer=4, **options):
        self.user, self.outer, self.psk = user, outer, None
        super().__init__(host, addresses=[f"100.64.0.{number}/32", f"fd7a:115c:a1e0::{number}/128"], **options)

    @property
    def name(self):
        return f"{self.host.name}-laptop"

    def tunnel_address(self, version=4):
        return next(a.partition("/")[0] for a in self.addresses if family(a) == version)

    def join(self, gateway, extra=(), keepalive=None):
        """Point the tunnel at a gateway and start it; the service's networks lead into it."""
        networks = [*ROUTES, "100.64.0.1/32", "fd7a:115c:a1e0::1/128", *extra]
        self.peer(gateway.key.public, networks, gateway.net.endpoint(self.outer), self.psk, keepalive)
        if not self.started:
            self.start()
        say(f"# {self.name} joined over IPv{self.outer} with {self.implementation}")
        return self
