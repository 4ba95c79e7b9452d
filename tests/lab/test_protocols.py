# SPDX-License-Identifier: BSD-2-Clause
"""Real protocols across the gateway, real programs at both ends, a real wireguard-go in between.

                alice ══ tunnel ══ gateway ── service
    HTTP/1.1    curl                          server.py
    HTTP/2      curl, h2load                  nghttpd
    QUIC        quic-go                       quic-go
    DNS         dig                           dnsmasq
    SSH         ssh                           dropbear
    FTP         curl, passive                 pyftpdlib
    WebSocket   websockets, idle              websockets
    SIP         sipp, UDP and TCP             sipp

The service's firewall admits the static address only, so what works here has been translated.
"""
import hashlib
import pathlib
import random

import pytest

import wg
from lab import HERE, wait_for
from net import SERVICE

DATA = random.Random(5).randbytes(3_000_000)
VERSIONS = pytest.mark.parametrize("version", (4, 6))


def host_of(version):
    return SERVICE[version] if version == 4 else f"[{SERVICE[version]}]"


def listening(far, port, kind="t"):
    wait_for(f"port {port}", lambda: far.out(["ss", f"-Hln{kind}", "sport", "=", f":{port}"], quiet=True))


def shared(far):
    """A folder with one large file, for servers."""
    folder = far.lab.file("shared")
    folder.mkdir()
    (folder / "data").write_bytes(DATA)
    folder.chmod(0o777)
    return folder


def same(path):
    return hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(DATA).digest()


@VERSIONS
def test_http1(world, version):
    """Several requests, both ways, on one connection."""
    world = world()
    alice = world.joined("alice")
    urls = [f"http://{host_of(version)}/bytes/{size}" for size in (1, 70_000, 2_000_000)]
    said = alice.host.out(["curl", "-sS", "--http1.1", "-w", "%{http_version} %{num_connects} %{size_download}\n",
                           *[word for url in urls for word in ("-o", "/dev/null", url)]])
    assert said.splitlines() == ["1.1 1 1", "1.1 0 70000", "1.1 0 2000000"]


@VERSIONS
def test_http2(world, version):
    """One large transfer, and many streams on few connections."""
    world = world()
    alice = world.joined("alice")
    far, got = world.net.far, world.net.lab.file("got")
    far.popen("nghttpd", ["nghttpd", "--no-tls", "-d", str(shared(far)), "8080"])
    listening(far, 8080)
    url = f"http://{host_of(version)}:8080/data"
    said = alice.host.out(["curl", "-sS", "--http2-prior-knowledge", "-o", str(got), "-w", "%{http_version}", url])
    assert said == "2" and same(got)
    said = alice.host.out(["h2load", "-n", "20", "-c", "2", "-m", "5", url])
    assert "20 succeeded, 0 failed, 0 errored, 0 timeout" in said


@VERSIONS
def test_quic(world, version):
    """HTTP/3: four streams of one connection, and what its path MTU discovery tries on the way."""
    world = world()
    alice = world.joined("alice")
    far, folder = world.net.far, wg.peers_folder()
    key, certificate = (str(world.net.lab.file(name)) for name in ("key", "certificate"))
    far.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
             "-subj", "/CN=billing.test", "-keyout", key, "-out", certificate])
    far.popen("quic", [str(folder / "quic-server"), "-bind", f"{host_of(version)}:6121",
                       "-cert", certificate, "-key", key])
    listening(far, 6121, "u")
    url = f"https://{host_of(version)}:6121/2000000"
    # The example reads a root certificate from its sources, built with -trimpath from where it stands.
    root = world.net.lab.file("quic")
    built = (folder / ".quic-client.version").read_text().strip()
    place = root / f"github.com/quic-go/quic-go@{built}/internal/testdata"
    place.mkdir(parents=True)
    (place / "ca.pem").write_text(pathlib.Path(certificate).read_text())
    done = alice.host.run(["env", "-C", str(root), str(folder / "quic-client"), "-insecure", "-q", url, url, url, url])
    assert (done.stdout + done.stderr).count("2000000 bytes") == 4, done


@VERSIONS
def test_dns(world, version):
    """Over UDP, over TCP, and an answer that UDP cannot hold."""
    world = world()
    alice = world.joined("alice")
    far = world.net.far
    strings = ",".join("x" * 200 for _ in range(20))
    far.popen("dnsmasq", ["dnsmasq", "--keep-in-foreground", "--port=5300", "--no-resolv", "--no-hosts",
                          "--conf-file=/dev/null", "--pid-file=/run/dnsmasq.pid", "--user=root",
                           "--address=/billing.test/203.0.113.9",
                          f"--txt-record=long.test,{strings}"])
    listening(far, 5300)

    def dig(*words):
        return alice.host.out(["dig", f"@{SERVICE[version]}", "-p", "5300", "+tries=1", "+time=5", *words])
    for transport in ("+notcp", "+tcp"):
        assert dig("+short", transport, "billing.test").strip() == "203.0.113.9"
    long = dig("long.test", "TXT")
    assert long.count("x" * 200) == 20 and "Truncated, retrying in TCP mode" in long


@VERSIONS
def test_ssh(world, version):
    world = world()
    alice = world.joined("alice")
    far, key, home = world.net.far, world.net.lab.file("key"), world.net.lab.file("home")
    alice.host.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)])
    far.run(["dropbearkey", "-t", "ed25519", "-f", str(hostkey := world.net.lab.file("hostkey"))])
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    (home / ".ssh/authorized_keys").write_bytes(key.with_suffix(".pub").read_bytes())
    far.run(f"mount --bind {home} /root")                # in the mounts of this host alone
    far.popen("dropbear", ["dropbear", "-F", "-E", "-s", "-p", "2200", "-P", "/run/dropbear.pid", "-r", str(hostkey)])
    listening(far, 2200)
    ssh = ["ssh", "-i", str(key), "-p", "2200", "-F", "none", "-o", "StrictHostKeyChecking=no",
           "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes", f"root@{SERVICE[version]}"]
    text = "".join(f"{number}\n" for number in range(100_000))
    assert alice.host.run([*ssh, "cat"], input=text).stdout == text


@pytest.mark.parametrize("version, mode", ((4, "--disable-epsv"), (4, "--ftp-pasv"), (6, "--ftp-pasv")),
                         ids=("PASV", "EPSV", "EPSV-ipv6"))
def test_ftp_passive(world, version, mode):
    """Two connections, of which the second's port is agreed upon in the first."""
    world = world()
    alice = world.joined("alice")
    far, got, folder = world.net.far, world.net.lab.file("got"), shared(world.net.far)
    far.popen("ftpd", ["/usr/bin/python3", "-m", "pyftpdlib", "-i", SERVICE[version], "-p", "2121", "-w",
                       "-d", str(folder), "-r", "30000-30009"])
    listening(far, 2121)
    url = f"ftp://{host_of(version)}:2121"
    alice.host.run(["curl", "-sS", mode, "-o", str(got), f"{url}/data"])
    assert same(got)
    alice.host.run(["curl", "-sS", mode, "-T", str(got), f"{url}/back"])
    assert same(folder / "back")


@VERSIONS
def test_websocket_idle_for_longer_than_udp_and_transitory_times(world, version):
    """An established connection has a time of its own: silence that ends a UDP mapping leaves it alone."""
    world = world()
    world.gateway.config["nat"] = {"udp": "1s", "tcp_transitory": "1s", "tcp_established": "60s", "unsafe": True}
    alice = world.joined("alice")
    far = world.net.far
    far.popen("ws", ["/usr/bin/python3", str(HERE / "ws_peer.py"), "serve", "9000"])
    listening(far, 9000)
    alice.host.probe("udp", SERVICE[version], 7, "--count", 1)
    talk = alice.host.popen("talk", ["/usr/bin/python3", str(HERE / "ws_peer.py"), "talk",
                                     f"ws://{host_of(version)}:9000", "4"])

    def flows(proto):
        return [flow for flow in world.gateway.json("flows")["flows"] if flow["proto"] == proto]
    before = wait_for("the connection", lambda: "before" in talk.output() and flows("tcp"))
    wait_for("the end of the UDP flow", lambda: not flows("udp"))
    assert talk.popen.wait(20) == 0, talk.output()
    first, second = talk.output().splitlines()
    assert first.split() == ["before", first.split()[1]] and second.split() == ["after", first.split()[1]]
    assert before[0]["state"] == "established"


@pytest.mark.parametrize("transport", ("u1", "t1"), ids=("udp", "tcp"))
def test_sip(world, transport):
    """20 calls, each set up, held and ended."""
    world = world()
    alice = world.joined("alice")
    far = world.net.far
    far.popen("uas", ["sipp", "-sn", "uas", "-i", SERVICE[4], "-p", "5060", "-t", transport, "-nostdin"])
    listening(far, 5060, "u" if transport == "u1" else "t")
    done = alice.host.run(["sipp", "-sn", "uac", f"{SERVICE[4]}:5060", "-i", alice.tunnel_address(4), "-t", transport,
                           "-m", "20", "-r", "20", "-d", "200", "-nostdin", "-timeout", "20s"], timeout=60, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
