# SPDX-License-Identifier: BSD-2-Clause
"""`sluice metrics` on a gateway with traffic, as Prometheus' own client library reads it."""
import signal
import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateways import SLUICE
from lab import ROOT, wait_for
from net import SERVICE, STATIC

AT = "127.0.0.1:9586"


def samples(text):
    """{name: {labels: value}}; counters must say that they are some, gauges too."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            assert family.type == ("counter" if sample.name.endswith("_total") else "gauge"), sample
            series = found.setdefault(sample.name, {})
            labels = tuple(sorted(sample.labels.items()))
            assert labels not in series, sample
            series[labels] = sample.value
    return found


def scrape(gateway, path="/metrics", *options):
    return gateway.host.run(["curl", "-sS", "-m", "5", *options, f"http://{AT}{path}"]).stdout


@pytest.fixture
def busy(world):
    world = world()
    world.alice = world.joined("alice")
    assert world.alice.host.probe("get", f"http://{SERVICE[4]}/bytes/1000000")["intact"]
    return world


def test_numbers(busy):
    gateway = busy.gateway
    found = samples(gateway.command("metrics", "--clients").stdout)
    assert found["sluice_up"][()] == 1 and found["sluice_degraded"][()] == 0
    status = gateway.json("status")
    assert found["sluice_flows_max"][()] == status["flows"]["max"]
    assert found["sluice_bytes_in_total"][()] >= 1000000
    assert found["sluice_egress_address_present"] == {(("address", STATIC[version]),): 1 for version in (4, 6)}
    assert {dict(labels)["reason"] for labels in found["sluice_drops_total"]} == gateway.drops().keys()
    alice = (("client", "alice-laptop"), ("user", "alice@example.com"))
    assert found["sluice_client_sent_bytes_total"][alice] >= 1000000
    assert set(found["sluice_client_flows"]) == {alice}
    assert not any(name.startswith("sluice_client_") for name in samples(gateway.command("metrics").stdout))


def test_served(busy):
    """The gateway goes and comes back; strange requests get no more than an answer."""
    gateway = busy.gateway
    server = gateway.host.popen("metrics", [str(SLUICE), "metrics", "--listen", AT])
    wait_for("metrics", lambda: gateway.host.run(["curl", "-s", f"http://{AT}/metrics"], check=False).returncode == 0)
    assert samples(scrape(gateway))["sluice_up"][()] == 1
    assert "text/plain; version=0.0.4" in scrape(gateway, "/metrics", "-I")
    for path, options, status in (("/", (), 404), ("/metrics/", (), 404), ("/%00/metrics", (), 404),
                                  ("/" + "x" * 100000, (), 414), ("/metrics", ("-X", "POST", "-d", "x"), 405)):
        code = scrape(gateway, path, *options, "-o", "/dev/null", "-w", "%{http_code}")
        assert int(code) == status, (path[:20], code)
    gateway.stop()
    wait_for("no gateway", lambda: samples(scrape(gateway)) == {"sluice_up": {(): 0}})
    gateway.start()
    wait_for("a gateway", lambda: samples(scrape(gateway))["sluice_up"][()] == 1)
    assert server.stop(signal.SIGTERM) == 0


def test_refused(busy):
    """A mistake, an address that is not here, and a gateway that is not there."""
    run = busy.gateway.command
    for word in ("9586", "127.0.0.1", "127.0.0.1:0", "localhost:9586", "127.0.0.1:65536"):
        done = run("metrics", "--listen", word, check=False)
        assert done.returncode == 2 and "expected ADDRESS:PORT" in done.stderr, word
    done = run("metrics", "--listen", "192.0.2.200:9586", check=False)
    assert done.returncode == 1 and "Cannot assign requested address" in done.stderr
    busy.gateway.stop()
    done = run("metrics", check=False)
    assert done.returncode == 3 and done.stdout.endswith("sluice_up 0\n") and "no gateway runs" in done.stderr


def test_install(tmp_path):
    """What the units run is where it was put. Nothing is built: other tests run the program meanwhile."""
    subprocess.run(["make", "-s", "-o", "all", "-C", ROOT, "install", f"DESTDIR={tmp_path}"], check=True)
    for unit in ("sluice", "sluice-metrics"):
        for line in (tmp_path / f"lib/systemd/system/{unit}.service").read_text().splitlines():
            if line.startswith("Exec"):
                assert (tmp_path / line.split("=")[1].split()[0].lstrip("/")).exists(), line
