# SPDX-License-Identifier: BSD-2-Clause
"""Safe as it comes: what is shipped opens nothing to anybody, and says what is missing."""
import shutil
import time

from gateways import SLUICE
from lab import ROOT, wait_for

# The private keys of RFC 7748, 6.1, and of wg(8): everybody has them.
PUBLISHED = {"rfc": "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=",
             "wg": "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="}


def shipped(world):
    """The two files that `make install` puts into /etc/sluice, in their places on the gateway of @world."""
    folder = world.net.lab.file("shipped")
    (folder / "policy").mkdir(parents=True)
    shutil.copy(ROOT / "gateway.yaml", folder)
    shutil.copy(ROOT / "policy/example.yaml", folder / "policy")
    text = (folder / "gateway.yaml").read_text()
    state = f"state: {world.net.lab.dir / 'shipped-state'}"
    (folder / "gateway.yaml").write_text(text.replace("#state: /var/lib/sluice ", state + " "))
    return folder / "gateway.yaml"


def test_fault_1_the_shipped_files_start_without_ipv6_and_let_nobody_in(world):
    world = world()
    host = world.net.gateway
    host.sysctl(net__ipv6__conf__all__disable_ipv6=1, net__ipv6__conf__default__disable_ipv6=1)
    file = shipped(world)
    checked = host.run([str(SLUICE), "check", "--host", str(file)], check=False)
    assert checked.returncode == 0, checked.stderr
    process = host.popen("sluice", [str(SLUICE), "run", "-c", str(file)])
    wait_for("ready", lambda: "ready:" in process.output() or not process.alive())
    assert process.alive(), process.output()
    status = host.json([str(SLUICE), "status", "--json"])
    assert status["clients"]["configured"] == 0
    assert [note for note in status["notes"] if "no client is configured" in note]
    assert host.json([str(SLUICE), "clients", "--json"])["clients"] == []
    process.stop()
    host.run([str(SLUICE), "down", "-c", str(file)])


def test_fault_1_a_key_that_everybody_has_is_refused(world):
    """Of a client, and of the gateway itself."""
    world = world()
    alice = world.client("alice")
    for name, private in PUBLISHED.items():
        public = world.net.gateway.out([str(SLUICE), "pubkey"], input=private + "\n").strip()
        world.gateway.clients = []
        world.gateway.admit(alice, public_key=public)
        status, said = world.gateway.run_to_end()
        assert status == 2 and public in said and "anybody could connect" in said, name
    world.gateway.clients = []
    (world.gateway.folder / "private.key").write_text(PUBLISHED["rfc"] + "\n")
    status, said = world.gateway.run_to_end()
    assert status == 1 and "everybody has it" in said
    checked = world.gateway.command("check", "--host", str(world.gateway.folder / "gateway.yaml"), check=False)
    assert checked.returncode == 1 and "everybody has it" in checked.stderr


def test_fault_1_doctor_lists_who_never_came(world):
    """Over a restart, too: who has been there once has come."""
    world = world()
    alice = world.joined("alice")
    world.gateway.admit(world.client("bob"))
    world.gateway.reload()

    def never():
        return [check["text"] for check in world.gateway.doctor("clients") if "never came" in check["text"]]

    assert never() == ["1 of 2 never came: bob-laptop"]
    alice.stop()
    world.gateway.restart()
    assert world.gateway.client_report(alice)["handshake"] is None
    assert never() == ["1 of 2 never came: bob-laptop"]
    time.sleep(2)  # what is saved in this run still knows it
    world.gateway.restart()
    assert never() == ["1 of 2 never came: bob-laptop"]
