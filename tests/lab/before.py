# SPDX-License-Identifier: BSD-2-Clause
"""The program as it was before this layout of the maps, built of the repository's own history, once a machine."""
import os
import pathlib
import shutil
import subprocess

import pytest

from gateways import ROOT
from tailnet import PEERS

COMMIT = "d9a7f0e"      # the last one of layout 6


def program():
    """The path of its `sluice`. Skips, saying why, where there is no history."""
    folder = PEERS / f"before-{COMMIT}"
    binary = folder / "build/sluice"
    if binary.exists():
        return binary
    if subprocess.run(["git", "-C", ROOT, "cat-file", "-e", COMMIT], capture_output=True, check=False).returncode:
        pytest.skip(f"{ROOT} has no history with commit {COMMIT} to build the earlier program of")
    making = pathlib.Path(f"{folder}.{os.getpid()}")
    making.mkdir(parents=True)
    archive = subprocess.run(["git", "-C", ROOT, "archive", COMMIT], stdout=subprocess.PIPE, check=True)
    subprocess.run(["tar", "-x", "-C", making], input=archive.stdout, check=True)
    compiler = ["CC=ccache gcc"] if shutil.which("ccache") else []
    subprocess.run(["make", "-s", "-j2", "-C", making, *compiler, "build/sluice"], check=True, capture_output=True)
    if not folder.exists():
        making.rename(folder)
    return binary
