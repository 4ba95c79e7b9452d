# SPDX-License-Identifier: BSD-2-Clause
"""The recipe policy/ci.yaml, run as written: in a git repository, against a gateway behind a stand-in for ssh."""
import copy
import json
import os
import shlex
import subprocess

import yaml

from gateways import SLUICE
from lab import ROOT
from net import ROUTES

INVENTORY = {
    "users": [{"name": "alice@example.com"}, {"name": "bob@example.com"}, {"name": "carol@example.com"}],
    "nodes": [{"name": "alice-laptop", "user": "alice@example.com", "addresses": ["100.64.0.5"]},
              {"name": "bob-laptop", "user": "bob@example.com", "addresses": ["100.64.0.6"]},
              {"name": "carol-laptop", "user": "carol@example.com", "addresses": ["100.64.0.7"]},
              {"name": "gw-1", "tags": ["tag:gateway"], "addresses": ["100.64.0.1"], "routes": ROUTES,
               "approved": ROUTES}],
}
GIT = {"GIT_AUTHOR_NAME": "ci", "GIT_AUTHOR_EMAIL": "ci@example.com", "GIT_COMMITTER_NAME": "ci",
       "GIT_COMMITTER_EMAIL": "ci@example.com", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}


class Repository:
    """A clone with the policy on main, where the steps of a job are run."""

    def __init__(self, world):
        self.recipe = yaml.safe_load((ROOT / "policy/ci.yaml").read_text())
        self.folder = world.lab.file("repository")
        bin_ = world.lab.file("bin")
        (self.folder / "policy").mkdir(parents=True)
        bin_.mkdir()
        (bin_ / "sluice").symlink_to(SLUICE.resolve())
        (bin_ / "ssh").write_text("#!/bin/sh\nshift\nexec " + shlex.join(world.net.gateway.enter([])) + ' "$@"\n')
        (bin_ / "ssh").chmod(0o755)
        self.summary = world.lab.file("summary")
        self.env = {**os.environ, **GIT, **self.recipe["env"], "PATH": f"{bin_}:{os.environ['PATH']}",
                    "GITHUB_BASE_REF": "main", "GITHUB_STEP_SUMMARY": str(self.summary)}
        self.git("init", "-q", "-b", "main")

    def git(self, *words):
        subprocess.run(["git", *words], cwd=self.folder, env=self.env, check=True, capture_output=True)

    def commit(self, policy):
        text = policy if isinstance(policy, str) else json.dumps(policy, indent=1) + "\n"
        (self.folder / self.env["POLICY"]).write_text(text)
        (self.folder / self.env["INVENTORY"]).write_text(json.dumps(INVENTORY))
        self.git("add", ".")
        self.git("commit", "-q", "-m", "policy")
        return text

    def run(self, job):
        """The steps of a job as Actions runs them. The first that fails, or None, and what they said."""
        said = ""
        for step in self.recipe["jobs"][job]["steps"]:
            if "run" not in step:
                continue
            done = subprocess.run(["bash", "-e", "-c", step["run"]], cwd=self.folder, env=self.env, timeout=60,
                                  capture_output=True, text=True)
            said += done.stdout + done.stderr
            if done.returncode:
                return step["name"], said
        return None, said


def with_bob(policy):
    other = copy.deepcopy(policy)
    other["groups"]["group:eng"].append("bob@example.com")
    return other


def test_the_recipe_runs_as_written(world):
    world = world()
    repository = Repository(world)
    world.joined("alice")
    policy = {**world.gateway.policy, "tests": [{"src": "alice@example.com", "accept": ["billing:443"]}]}
    world.gateway.policy = repository_policy = policy
    text = repository.commit(policy)
    world.gateway.write()
    (world.gateway.folder / "policy.yaml").write_text(text)
    world.gateway.command("reload")
    repository.git("update-ref", "refs/remotes/origin/main", "HEAD")
    repository.commit(with_bob(repository_policy))

    failed, said = repository.run("check")
    assert failed is None, said
    assert "+ bob@example.com" in repository.summary.read_text()
    assert "<html" in (repository.folder / "matrix.html").read_text().lower()

    failed, said = repository.run("apply")
    assert failed is None, said
    assert "not applied: a dry run" in said and "applied: policy" in said
    shown = world.gateway.json("policy", "show")
    assert shown["source"] == (repository.folder / repository.env["POLICY"]).read_text()

    failed, said = repository.run("apply")
    assert failed and "another policy runs" in said, "not the commit before any more"


def test_a_pull_request_with_a_mistake_or_a_failing_test_is_stopped(world):
    world = world()
    repository = Repository(world)
    policy = world.gateway.policy
    repository.commit(policy)
    repository.git("update-ref", "refs/remotes/origin/main", "HEAD")
    repository.commit({**policy, "groups": {}})
    failed, said = repository.run("check")
    assert failed == "All mistakes, each with its line" and "group:eng" in said
    repository.commit({**policy, "tests": [{"src": "bob@example.com", "accept": ["billing:443"]}]})
    failed, said = repository.run("check")
    assert failed == "The policy's own tests" and "test(s) failed" in said


def test_fault_23_a_pull_request_whose_policy_is_a_link(world):
    """To a file of the runner's, whose lines would be printed as mistakes for the author to read."""
    repository = Repository(world())
    repository.commit("acls: []\n")
    secret = repository.folder / "secret"
    secret.write_text("-----BEGIN PRIVATE KEY-----\n")
    path = repository.folder / repository.env["POLICY"]
    path.unlink()
    path.symlink_to(secret)
    repository.git("add", ".")
    repository.git("commit", "-q", "-m", "a link")
    failed, said = repository.run("check")
    assert failed.startswith("No links") and "PRIVATE" not in said, said


def test_what_is_tested_is_what_runs(world):
    """policy test --maps: the assertions as packets through the real programs."""
    world = world()
    alice = world.client("alice")
    gateway = world.gateway
    gateway.admit(alice)
    gateway.policy["tests"] = [
        {"src": "alice@example.com", "accept": ["billing:443"], "deny": ["203.0.113.10:443"]},
        {"src": "alice@example.com", "proto": "udp", "accept": ["billing6:53"]}]
    gateway.policy["acls"].append({"action": "accept", "src": ["alice@example.com"], "dst": ["192.0.2.9:80"]})
    gateway.policy["tests"].append({"src": "alice@example.com", "accept": ["192.0.2.9:80"]})
    gateway.write()
    files = ["-c", str(gateway.folder / "gateway.yaml"), str(gateway.folder / "policy.yaml")]
    answer = json.loads(gateway.command("policy", "test", "--maps", "--json", *files).stdout)
    assert (answer["passed"], answer["failed"], answer["elsewhere"]) == (3, 0, 1), "192.0.2.9 is no route of ours"
    (gateway.folder / "drop.txt").write_text("203.0.113.8/30\n")
    gateway.policy["blocklists"] = [{"name": "drop", "file": "drop.txt"}]
    gateway.write()
    done = gateway.command("policy", "test", *files, check=False)
    assert done.returncode == 2 and "a block list has it" in done.stderr, "block lists are a part of the policy"
    done = gateway.command("policy", "test", "--maps", *files, check=False)
    assert done.returncode == 2 and "block list" in done.stderr and "1 failed" in done.stdout
    assert not (world.net.gateway.path("/sys/fs/bpf/sluice")).exists(), "a scratch instance pins nothing"


def test_fault_06_a_test_that_cannot_run_is_a_failure(world):
    """It said "0 passed, 0 failed" where the kernel loads nothing."""
    world = world()
    gateway = world.gateway
    gateway.admit(world.client("alice"))
    gateway.policy["tests"] = [{"src": "alice@example.com", "deny": ["203.0.113.10:443"]}]
    gateway.write()
    files = ["-c", str(gateway.folder / "gateway.yaml"), str(gateway.folder / "policy.yaml")]
    powerless = ["setpriv", "--bounding-set", "-bpf,-sys_admin"]
    test = [*powerless, str(SLUICE), "policy", "test", "--maps"]
    done = gateway.host.run([*test, *files], check=False)
    assert done.returncode == 1 and "CAP_BPF" in done.stderr and "could not be run" in done.stdout, done
    assert "passed" not in done.stdout
    done = gateway.host.run([*test, "--json", *files], check=False)
    assert done.returncode == 1 and json.loads(done.stdout)["ran"] is False
    gateway.policy.pop("tests")
    gateway.write()
    assert gateway.command("policy", "test", *files).stdout == "tests: the policy has none\n"
