# SPDX-License-Identifier: BSD-2-Clause
"""The gateway under test, and the one it is measured against; both are driven in the same way.

  Sluice     build/sluice run -c gateway.yaml (SLUICE names another build of it, the sanitizers' for example)
  Baseline   wireguard-go and nftables masquerade: no users, no policy. It proves that topology, peers and service
             work, so that what fails with Sluice alone is Sluice's; and it is the other column of the bench.
"""
import json
import os
import pathlib
import signal
import socket
import time

from lab import ROOT, say, wait_for
from net import ROUTES, SERVICE, bare
from wg import Key, WireGuard

SLUICE = pathlib.Path(os.environ.get("SLUICE", ROOT / "build/sluice"))
ADDRESSES = ["100.64.0.1/10", "fd7a:115c:a1e0::1/48"]

POLICY = {
    "groups": {"group:eng": ["alice@example.com", "carol@example.com"]},
    "hosts": {"billing": SERVICE[4], "billing6": SERVICE[6], "gateway": "100.64.0.1", "gateway6": "fd7a:115c:a1e0::1"},
    "acls": [{"action": "accept", "src": ["group:eng"], "dst": ["billing:*", "billing6:*"]},
             {"action": "accept", "src": ["group:eng"], "dst": ["gateway:*", "gateway6:*"]}],
}


ALONE = ["chrt", "--rr", "10"]      # a machine of its own, whatever other tests run beside this one


class Sluice:
    """`sluice run` on the gateway of an Internet. Its files are written from .config, .clients and .policy."""
    name = "sluice"
    tunnel = "sluice0"

    def __init__(self, net, key=None, **tunnel):
        self.net, self.host, self.key, self.process, self.env = net, net.gateway, key or Key(), None, {}
        self.under = []         # the command that the daemon runs under, as systemd would restrict it
        self.folder = net.lab.file("etc")
        self.folder.mkdir()
        self.clients, self.policy = [], json.loads(json.dumps(POLICY))
        self.config = {
            "version": 1, "name": "gw-1", "state": str(net.lab.dir / "state"),
            "tunnel": {"interface": self.tunnel, "listen": 51820, "private_key_file": "private.key",
                       "addresses": ADDRESSES, "underlay": [net.underlay], **tunnel},
            "egress": {"interface": net.egress, "addresses": net.egress_addresses(),
                       **({"public": net.public_addresses()} if net.public_addresses() else {})},
            "routes": ROUTES, "policy": "policy.yaml", "clients": "clients.d/",
            "blocklist_folders": ["."],            # for the policies that tests apply from standard input
        }
        (self.folder / "private.key").write_text(self.key.private + "\n")
        (self.folder / "private.key").chmod(0o600)

    def admit(self, client, **more):
        """Write a client into the inventory; a running gateway learns of it by reload()."""
        entry = {"name": client.name, "user": client.user, "public_key": client.key.public,
                 "addresses": [bare(address) for address in client.addresses], **more}
        if client.psk:
            entry["preshared_key_file"] = str(client.secret(client.psk))
        self.clients.append({key: value for key, value in entry.items() if value is not None})

    def allow(self, *addresses):
        """A rule more: group:eng may reach these addresses too, all of them."""
        names = [f"allowed{len(self.policy['hosts']) + number}" for number in range(len(addresses))]
        self.policy["hosts"].update(zip(names, addresses))
        self.policy["acls"].append({"action": "accept", "src": ["group:eng"], "dst": [f"{name}:*" for name in names]})

    def write(self):
        """The files of the configuration. They are JSON, which is YAML too."""
        (self.folder / "clients.d").mkdir(exist_ok=True)
        for name, content in (("gateway.yaml", self.config), ("policy.yaml", self.policy),
                              ("clients.d/all.yaml", self.clients)):
            (self.folder / name).write_text(json.dumps(content, indent=2) + "\n")

    def start(self, wait=True):
        """Run the daemon; with wait, until it says READY=1 as systemd would hear it."""
        if not SLUICE.exists():
            raise FileNotFoundError(f"{SLUICE}: run make first")
        self.write()
        path = self.net.lab.file("notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            ready.bind(str(path))
            ready.setblocking(False)
            self.process = self.host.popen(
                "sluice", [*self.under, str(SLUICE), "run", "-c", str(self.folder / "gateway.yaml")],
                {"NOTIFY_SOCKET": str(path), **self.env})
            if wait:
                wait_for("sluice ready", lambda: self.is_ready(ready), seconds=60)
        return self

    def is_ready(self, notices):
        if not self.process.alive():
            raise RuntimeError(f"sluice ended with {self.process.popen.returncode}:\n{self.process.output()}")
        try:
            return "READY=1" in notices.recv(4096).decode().split("\n")
        except BlockingIOError:
            return False

    def run_to_end(self, seconds=60):
        """For starts that must fail: exit status and what the daemon said."""
        self.start(wait=False)
        status = self.process.popen.wait(seconds)
        return status, self.process.output()

    def stop(self):
        """SIGTERM, as systemd does it: the programs and maps stay for the next start."""
        return self.process.stop(signal.SIGTERM)

    def kill9(self):
        return self.process.stop(signal.SIGKILL)

    def restart(self):
        self.stop()
        return self.start()

    def down(self):
        return self.command("down", "-c", str(self.folder / "gateway.yaml"))

    def reload(self, check=True):
        self.write()
        return self.command("reload", check=check)

    def command(self, *words, check=True, timeout=30):
        """`sluice WORDS` on the gateway."""
        return self.host.run([str(SLUICE), *words], check=check, timeout=timeout)

    def json(self, *words, check=True):
        """The answer of a command; its options go before --json."""
        return json.loads(self.command(*words, "--json", check=check).stdout)

    def doctor(self, check):
        """What the doctor says under this name."""
        answer = self.json("doctor", "-c", str(self.folder / "gateway.yaml"), check=False)
        return [entry for entry in answer["checks"] if entry["check"] == check]

    def drops(self):
        """Packets that died since the maps were made, by reason."""
        return {entry["reason"]: entry["packets"] for entry in self.json("drops")["drops"]}

    def client_report(self, client):
        return next(entry for entry in self.json("clients")["clients"] if entry["name"] == client.name)

    def flows_of(self, client, service=":80"):
        return self.json("flows", "--client", client.name, "--service", service)["flows"]

    def await_download(self, *clients):
        """Until data comes in for each of them, from a service on port 80."""
        for client in clients:
            wait_for(f"{client.name}'s download", lambda client=client: any(
                flow["bytes_in"] > 100000 for flow in self.flows_of(client)))

    def await_remembered(self, number):
        """Until the disk has where so many clients are: written once a second, and less often on a slow disk. A start
        after a kill calls those; the others come by themselves, 15 s later at the most."""
        path = pathlib.Path(self.config["state"]) / "state.json"
        wait_for(f"{number} endpoints on disk", lambda: path.exists() and number <= sum(
            "endpoint" in peer for peer in json.loads(path.read_text())["peers"]))

    def pids(self):
        """The daemon, and the process that speaks with a coordination server."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [self.process.pid, *map(int, children.split())]


class Baseline:
    """wireguard-go beside nftables masquerade, configured for the same clients."""
    name = "baseline"
    tunnel = "wg0"

    def __init__(self, net, key=None, mtu=1420):
        self.net, self.host = net, net.gateway
        self.device = WireGuard(self.host, device=self.tunnel, key=key, addresses=ADDRESSES, mtu=mtu, port=51820)
        self.key = self.device.key

    def admit(self, client, endpoint=None, keepalive=None, **_):
        self.device.peer(client.key.public, [*client.addresses], endpoint, client.psk, keepalive)

    def start(self, **_):
        self.host.sysctl(net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1)
        self.device.start()
        rules = "".join(f"\t\tiifname {self.tunnel} snat ip{'6' if ':' in address else ''} to {address}\n"
                        for address in self.net.egress_addresses())
        self.host.nft(f"table inet baseline {{\n\tchain out {{\n\t\ttype nat hook postrouting priority 100;\n"
                      f"\t\toifname != {self.net.egress} return\n{rules}\t}}\n}}\n")
        return self

    def client_report(self, client):
        return self.device.dump()[client.key.public]

    def stop(self):
        self.device.stop()
        self.host.run("nft delete table inet baseline")

    def down(self):
        """stop() leaves nothing."""

    def restart(self):
        self.device.restart()
        return self

    def pids(self):
        return [self.device.process.pid]


def greet(client, gateway):
    """Wait for the session of a client, whom the rules may let reach nothing: what it sends next waits for none."""
    wait_for(f"{client.name}'s session", every=0.1, condition=lambda: client.host.run(
        f"ping -c 1 -W 0.2 {SERVICE[4]}", check=False, quiet=True) and client.handshake(gateway.key.public))


def settle(client, gateway, version=4, seconds=10):
    """Wait until traffic of a client passes; a tunnel's first packets set up its session."""
    start = time.monotonic()
    wait_for(f"{client.name} through {gateway.name}", seconds=seconds, every=0.1, condition=lambda: client.host.run(
        f"ping -c 1 -W 1 {SERVICE[version]}", check=False, quiet=True).returncode == 0)
    say(f"# {client.name} through {gateway.name} after {time.monotonic() - start:.2f} s")
