# SPDX-License-Identifier: LGPL-2.1-or-later
"""The bench itself: a short run measures, compares answers and writes its JSON."""
import json
import subprocess

import machine
import pytest

pytestmark = pytest.mark.usefixtures("anykvm_only")
RUN = machine.ROOT / "bench/run"


def bench(*args, seconds=240):
    return subprocess.run([RUN, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=seconds)


def test_list():
    r = bench("--list")
    assert r.returncode == 0 and len(r.stdout.splitlines()) >= 20


def test_unknown_names():
    for args in (["--only", "frobnicate"], ["--engines", "frobnicate"]):
        r = bench(*args)
        assert r.returncode == 1 and "frobnicate" in r.stderr and "Traceback" not in r.stderr


def test_short_run(tmp_path):
    out = tmp_path / "bench.json"
    r = bench("--only", "nbody,port-io", "--engines", "anykvm", "--repeat", "2", "--json", out)
    assert "Traceback" not in r.stderr, r.stderr
    assert "| nbody" in r.stdout and "| port-io" in r.stdout
    values = json.loads(out.read_text())["values"]
    assert len(values["nbody"]["anykvm"]) == 2
    assert all(0 < s < 60 for s in values["nbody"]["anykvm"])
    assert all(ns > 0 for ns in values["port-io"]["anykvm"])
