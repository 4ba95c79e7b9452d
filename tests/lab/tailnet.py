# SPDX-License-Identifier: BSD-2-Clause
r"""A real tailnet: headscale with its relay and STUN, real clients, and our side.

    headscale  10.9.1.254 ─┐
    gateway    10.9.1.1   ─┼─ net (bridge)
    client     10.9.1.2   ─┤
    relay2     10.9.1.253 ─┘  (another headscale, only for its relay: region 998)

The gateway here is tests/tailnet_probe: our coordination client, disco and relays without a data path. It prints
what happens as JSON lines.
"""
import base64
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import time

import pytest
from gateways import Sluice
from lab import ROOT, say, wait_for
from wg import Key

PEERS = pathlib.Path(os.environ.get("SLUICE_PEERS", pathlib.Path.home() / ".cache/sluice-peers"))
PROBE = pathlib.Path(os.environ.get("SLUICE_PROBE", ROOT / "build/tests/tailnet_probe"))
SERVER = "https://headscale.test"
SECOND = "https://relay2.test"
ROUTE = "203.0.113.0/24"

CONFIG = """
server_url: {server}:443
listen_addr: {address}:443
metrics_listen_addr: 127.0.0.1:9090
grpc_listen_addr: 127.0.0.1:50443
tls_cert_path: {dir}/cert.pem
tls_key_path: {dir}/key.pem
noise: {{ private_key_path: {dir}/noise.key }}
prefixes: {{ v4: 100.64.0.0/10, v6: "fd7a:115c:a1e0::/48", allocation: sequential }}
derp:
  server: {{ enabled: true, region_id: {region}, region_code: {code}, region_name: {code}, {ipv4}
            stun_listen_addr: "{address}:3478", private_key_path: {dir}/derp.key, verify_clients: {verify},
            automatically_add_embedded_derp_region: true }}
  urls: []
  paths: {paths}
  auto_update_enabled: false
disable_check_updates: true
database: {{ type: sqlite, sqlite: {{ path: {dir}/db.sqlite }} }}
dns: {{ magic_dns: false, override_local_dns: false, base_domain: lab.test, nameservers: {{ global: [] }} }}
policy: {{ mode: file, path: {dir}/policy.json }}
unix_socket: {dir}/hs.sock
unix_socket_permission: "0770"
logtail: {{ enabled: false }}
cli: {{ timeout: 30s }}
"""

SECOND_REGION = """
regions:
  998: { regionid: 998, regioncode: far, regionname: far,
         nodes: [ { name: 998a, regionid: 998, hostname: HOST, IPV4 stunport: 3478, derpport: 443,
                    certname: "sha256-raw:HASH" } ] }
"""

POLICY = {
    "groups": {"group:eng": ["alice@"]},
    "tagOwners": {"tag:gw": ["alice@"]},
    "autoApprovers": {"routes": {ROUTE: ["tag:gw"]}},
    "acls": [{"action": "accept", "src": ["group:eng"], "dst": ["203.0.113.9/32:*", "tag:gw:*"]}],
}


def require(*more):
    """Skips, and says why, on a machine that has not built what is needed."""
    names = ("headscale", "tailscaled", "tailscale", *more)
    missing = [str(PEERS / name) for name in names if not (PEERS / name).exists()]
    if missing:
        pytest.skip(f"{', '.join(missing)}: not built; run tests/lab/tailnet_peers.sh")
    if not PROBE.exists():
        pytest.skip(f"{PROBE}: not built; run make {PROBE.relative_to(ROOT)}")


class Bridge:
    """The drawing above: all machines on one wire."""
    servers = {"headscale": "10.9.1.254", "relay2": "10.9.1.253"}

    def __init__(self, lab):
        self.lab, self.hosts, self.net = lab, 0, lab.host("net")
        self.net.run("ip link add br0 type bridge")
        self.net.run("ip link set br0 up")

    def machine(self, name, address):
        host = self.lab.host(name)
        self.hosts += 1
        self.lab.cable(host, "eth0", self.net, f"p{self.hosts}")
        self.net.run(f"ip link set p{self.hosts} master br0")
        host.address("eth0", f"{address}/24")
        return host


class Lan:
    """Machines on the clients' network of an Internet (net.py), which numbers them; servers are the first two."""
    servers = {"headscale": "192.0.2.44", "relay2": "192.0.2.45"}

    def __init__(self, net):
        self.net = net

    def machine(self, name, _address):
        return self.net.client(name)


def certificate(folder, name):
    """A key, and a certificate by itself; its hash."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-days", "30", "-keyout", folder / "key.pem", "-out", folder / "cert.pem", "-subj", f"/CN={name}",
                    "-addext", f"subjectAltName=DNS:{name}"], check=True, capture_output=True)
    der = subprocess.run(["openssl", "x509", "-in", folder / "cert.pem", "-outform", "der"], check=True,
                         capture_output=True).stdout
    return hashlib.sha256(der).hexdigest()


class Tailnet:
    def __init__(self, lab, two_regions=False, by_name=False, derper=False, wire=None, headscale=PEERS / "headscale",
                 more=""):
        """by_name: the relays' addresses are not in the DERP map. derper: the second relay is Tailscale's own. more: of
        headscale's configuration."""
        self.lab, self.dir, self.by_name, self.wire = lab, lab.dir / "tailnet", by_name, wire or Bridge(lab)
        self.headscale, self.more = headscale, more
        self.dir.mkdir()
        self.control = self.machine("headscale", self.wire.servers["headscale"])
        certificate(self.dir, "headscale.test")
        (self.dir / "second").mkdir()
        pin = self.serve_derper() if derper else certificate(self.dir / "second", "relay2.test")
        address = "" if by_name else f"ipv4: {self.wire.servers['relay2']},"
        (self.dir / "regions.yaml").write_text(SECOND_REGION.replace("IPV4", address).replace("HASH", pin).replace(
            "HOST", self.wire.servers["relay2"] if derper else "relay2.test"))
        self.configure(self.dir, SERVER, self.wire.servers["headscale"], 999, "lab", "true",
                       [str(self.dir / "regions.yaml")] if two_regions or derper else [])
        if two_regions:
            self.second_relay()
        self.policy = json.loads(json.dumps(POLICY))
        self.write_policy()
        self.serve()
        self.hs("users", "create", "alice")

    def configure(self, folder, server, address, region, code, verify, paths):
        (folder / "hs.yaml").write_text(CONFIG.format(server=server, dir=folder, address=address, region=region,
                                                      code=code, verify=verify, paths=json.dumps(paths),
                                                      ipv4="" if self.by_name else f"ipv4: {address},") + self.more)

    def second_relay(self):
        """Nobody vouches for its certificate; the DERP map has its hash, as derper prints it for relays without a
        name."""
        (self.dir / "second" / "policy.json").write_text("{}")
        self.far = self.machine("relay2", self.wire.servers["relay2"])
        self.serve_second()

    def serve_second(self, verify="false"):
        """verify: whether it relays for the nodes of its own tailnet only, and it has none."""
        folder = self.dir / "second"
        self.configure(folder, SECOND, self.wire.servers["relay2"], 998, "far", verify, [])
        self.second = self.far.popen("relay2", [self.headscale, "-c", folder / "hs.yaml", "serve"])
        wait_for("relay2", lambda: self.far.run(["curl", "-sk", f"{SECOND}/health"], check=False,
                                                quiet=True).returncode == 0, seconds=20)

    def serve_derper(self):
        """As its documentation has it for a relay without a name. Returns the hash of the certificate that it makes."""
        folder, address = self.dir / "second", self.wire.servers["relay2"]
        self.far = getattr(self, "far", None) or self.machine("relay2", address)
        self.second = self.far.popen("derper", [PEERS / "derper", "-a", f"{address}:443", "-hostname", address,
                                                "-certmode", "manual", "-certdir", folder, "-http-port", "-1", "-c",
                                                folder / "derper.json"])
        return wait_for("derper", lambda: re.search(r'"sha256-raw:(\w+)"', self.second.output()))[1]

    def machine(self, name, address):
        """A host on the wire that knows the servers by name."""
        return self.introduce(self.wire.machine(name, address))

    def introduce(self, host):
        names = "".join(f"{address} {name}.test\n" for name, address in self.wire.servers.items())
        for file, text in (("hosts", "127.0.0.1 localhost\n" + names), ("resolv.conf", "")):
            path = self.dir / f"{host.name}.{file}"
            path.write_text(text)
            host.run(["mount", "--bind", path, f"/etc/{file}"])
        return host

    def serve(self, seconds=20):
        # Starved for 50 ms, headscale (0.28) leaves a node's session without updates, for good and in silence.
        self.server = self.control.popen("headscale", ["nice", "-n", "-15", self.headscale, "-c", self.dir / "hs.yaml",
                                                       "serve"])
        wait_for("headscale", lambda: self.control.run(["curl", "-sk", f"{SERVER}/health"], check=False,
                                                       quiet=True).returncode == 0, seconds=seconds)

    def write_policy(self):
        (self.dir / "policy.json").write_text(json.dumps(self.policy))

    def reload_policy(self):
        self.write_policy()
        self.server.popen.send_signal(1)

    def hs(self, *arguments):
        text = self.control.out([self.headscale, "-c", self.dir / "hs.yaml", *arguments, "-o", "json"])
        return json.loads(text[re.search(r"[\[{\"n]", text).start():]) if text.strip() else None

    def key(self, *arguments, user=1):
        return self.hs("preauthkeys", "create", "-u", str(user), "--reusable", "-e", "24h", *arguments)["key"]

    def node(self, name):
        return next(node for node in self.hs("nodes", "list") if node["name"] == name)


class TailscaleClient:
    """The real daemon on a host of its own."""

    def __init__(self, tailnet, name="client", address="10.9.1.2", rules="", user=1, host=None, programs=PEERS):
        self.tailnet, self.name, self.user, self.programs = tailnet, name, user, programs
        self.host = host or tailnet.machine(name, address)
        if rules:
            self.host.nft(rules)
        self.socket = f"/run/{name}.sock"
        self.env = {"SSL_CERT_FILE": str(tailnet.dir / "cert.pem"), "TS_NO_LOGS_NO_SUPPORT": "true"}
        self.serve()
        self.join()

    def serve(self):
        self.host.path(self.socket).unlink(missing_ok=True)
        self.daemon = self.host.popen("tailscaled", [
            self.programs / "tailscaled", "--socket", self.socket, "--statedir", self.tailnet.dir / self.name, "--tun",
            "tailscale0", "--port", "41641"], env=self.env)
        wait_for("tailscaled", lambda: self.host.path(self.socket).exists())

    def join(self):
        self.up("--authkey", self.tailnet.key(user=self.user), "--accept-routes")

    def up(self, *arguments):
        self.ts("up", "--login-server", SERVER, "--timeout", "30s", "--hostname", self.name, *arguments)

    def ts(self, *arguments, check=True):
        return self.host.run([self.programs / "tailscale", "--socket", self.socket, *arguments],
                             env=self.env, check=check, timeout=60).stdout

    def peer(self, name):
        peers = json.loads(self.ts("status", "--json")).get("Peer") or {}
        return next((peer for peer in peers.values() if peer["HostName"] == name), None)

    def ping(self, name, *arguments):
        """By address: names are not always known as soon as the peer is."""
        return self.ts("ping", *arguments, self.peer(name)["TailscaleIPs"][0], check=False)

    def knock(self, address="203.0.113.9"):
        """Sends something into the tunnel; nobody answers."""
        self.host.run(["timeout", "1", "bash", "-c", f"echo x > /dev/tcp/{address}/80"], check=False)


class TailscaleRouter(TailscaleClient):
    """The real subnet router, which Sluice stands in for."""

    def __init__(self, tailnet, host, routes, name="router"):
        self.routes = routes
        host.sysctl(net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1)
        super().__init__(tailnet, name, host=host)

    def join(self):
        self.up("--authkey", self.tailnet.key("--tags", "tag:gw"), "--advertise-routes", ",".join(self.routes))

    def pids(self):
        return [self.daemon.pid]

    def leave(self):
        self.ts("logout")
        self.daemon.stop()


class Member(Sluice):
    """`sluice run` as a node of a tailnet, on the gateway of an Internet."""

    def __init__(self, tailnet, net, key=None, name="gw-1", **section):
        super().__init__(net)
        self.tailnet, self.name = tailnet, name
        tailnet.introduce(self.host)
        self.config["name"] = name
        self.config["tunnel"] = {"interface": self.tunnel, "underlay": [net.underlay]}
        self.config["tailnet"] = {"login_server": SERVER, "ca_file": str(tailnet.dir / "cert.pem"), **section}
        for key_of_static in ("clients", "policy"):
            del self.config[key_of_static]
        if key:
            self.config["tailnet"]["auth_key_file"] = "authkey"
            (self.folder / "authkey").write_text(key + "\n")
            (self.folder / "authkey").chmod(0o600)

    def state(self):
        return self.json("status")["tailnet"]

    def leave(self):
        self.stop()
        self.down()
        self.tailnet.hs("nodes", "delete", "-i", str(self.tailnet.node(self.name)["id"]), "--force")

    def await_state(self, state, seconds=15):
        return wait_for(f"tailnet {state}", lambda: self.state()["state"] == state, seconds)


class HostileNode:
    """Tells the server what it likes of itself (hostile_node)."""

    def __init__(self, tailnet, name="mallory", user=1):
        self.name, self.commands, self.key = name, tailnet.lab.file("claims"), Key()
        self.host = tailnet.machine(name, "10.9.1.3")
        os.mkfifo(self.commands)
        self.process = self.host.popen(
            name, ["bash", "-c", 'exec "$@" <> ' + str(self.commands), "node", PEERS / "hostile_node", "-server",
                   SERVER, "-key", tailnet.key(user=user), "-name", name, "-node",
                   "privkey:" + base64.b64decode(self.key.private).hex()],
            env={"SSL_CERT_FILE": str(tailnet.dir / "cert.pem")})
        wait_for(f"{name} is registered", lambda: "registered" in self.process.output())

    def claim(self, **fields):
        """Fields of a map request; the server has to take them."""
        told = self.process.output().count("told")
        with open(self.commands, "w", encoding="ascii") as out:
            out.write(json.dumps(fields) + "\n")
        wait_for("an answer", lambda: self.process.output().count("told") > told)
        assert self.process.output().splitlines()[-1] == "told 200", self.process.output()


class Probe:
    """Our node. Its events are read back from its output."""

    def __init__(self, tailnet, host, name="gw-1", port=41641, *arguments, key=None, state=None):
        state = state or tailnet.dir / f"state-{name}"
        state.mkdir(mode=0o700, exist_ok=True)
        shutil.copy(PROBE, tailnet.dir / "probe")  # the same program all through a test, whatever make does
        self.commands = tailnet.lab.file("commands")
        os.mkfifo(self.commands)
        self.state, self.seen = state, 0
        command = [str(tailnet.dir / "probe"), "--server", SERVER, "--ca", str(tailnet.dir / "cert.pem"), "--state",
                   str(state), "--hostname", name, "--listen", str(port), *arguments]
        if key:
            command += ["--auth-key", key]
        self.process = host.popen(name, ["bash", "-c", 'exec "$@" <> ' + str(self.commands), "probe", *command])

    def say(self, line):
        say(f"    probe <- {line}")
        with open(self.commands, "w", encoding="ascii") as out:
            out.write(line + "\n")
        time.sleep(0.1)

    def events(self):
        lines = self.process.output().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def mark(self):
        """await_event() looks only at what comes from here on."""
        self.seen = len(self.events())

    def await_event(self, event, seconds=15, **fields):
        def found():
            return next((e for e in self.events()[self.seen:] if e["event"] == event and
                         all(e.get(key) == value for key, value in fields.items())), None)
        return wait_for(f"{event} {fields}", found, seconds)

    def stop(self):
        self.process.stop()
