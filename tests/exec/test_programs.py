# SPDX-License-Identifier: LGPL-2.1-or-later
"""Programs that use /dev/kvm find it under `anykvm exec`, whichever way they
make their system calls: through the preloaded library (program), or trapped
(program-static, raw, and program when told so)."""
import re

import pytest
from conftest import PROGRAMS, anykvm_exec, run

WAYS = {
    "preloaded": [PROGRAMS / "program"],
    "static": [PROGRAMS / "program-static"],
    "trapped": ["--trap", "always", PROGRAMS / "program"],
}


@pytest.fixture(params=WAYS)
def way(request):
    return WAYS[request.param]


@pytest.mark.parametrize("test", ["device", "descriptors", "fork", "foreign", "threads",
                                  "signals", "signal-mask", "handlers"])
def test_api(way, test):
    r = anykvm_exec(*way, test)
    assert r.status == 0, r


def test_guest(way):
    r = anykvm_exec(*way, "hello")
    assert r.status == 0 and r.out == "hello\n", r


def test_raw():
    """No C library at all."""
    r = anykvm_exec(PROGRAMS / "raw")
    assert r.status == 0 and r.out == "raw ok\n", r


def test_leaks(way, record_property):
    """2000 VMs made and destroyed leave nothing behind."""
    r = anykvm_exec(*way, "leaks", "2000", seconds=120)
    assert r.status == 0, r
    record_property("after 2000 VMs", r.out.strip())


@pytest.mark.parametrize("child", ["program", "program-static"])
def test_children(way, child):
    """What the program executes is served, too, however it does that."""
    r = anykvm_exec(*way, "children", PROGRAMS / child)
    assert r.status == 0 and r.out.endswith("served\n"), r


def test_script(way, tmp_path):
    """A script whose interpreter is the program; and one of the shell that starts it."""
    script = tmp_path / "script"
    script.write_text(f"#!{way[-1]} hello\n")
    script.chmod(0o755)
    r = anykvm_exec(*way[:-1], script)
    assert r.status == 0 and r.out == "hello\n", r
    script.write_text(f"#!/bin/sh\n{way[-1]} hello && exit 7\n")
    r = anykvm_exec(*way[:-1], script)
    assert r.status == 7 and r.out == "hello\n", r


def test_environment(way, tmp_path):
    """Arguments, environment, status and /proc/self/exe are those of the program."""
    import os
    env = dict(os.environ, EXEC_TEST="a value")
    r = anykvm_exec(*way, "environment", "42", "", "--trap", env=env)
    assert r.status == 42, r
    assert r.out == (f"exe {way[-1]}\nargument {way[-1]}\nargument environment\nargument 42\n"
                     "argument \nargument --trap\nvariable a value\nloader none\n")
    # Found by PATH, with a name of its own for itself.
    (tmp_path / "found").symlink_to(way[-1])
    env["PATH"] = f"/nosuch:{tmp_path}"
    r = anykvm_exec(*way[:-1], "--", "found", "environment", env=env)
    assert r.status == 0 and f"exe {way[-1]}\nargument found\n" in r.out, r


def test_signal_status(way, tmp_path):
    """A program that dies of a signal dies of it."""
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\n{' '.join(str(w) for w in way)} hello\nkill -USR2 $$\n")
    script.chmod(0o755)
    r = anykvm_exec(script)
    assert r.status == -12, r


def test_latency(way, record_property):
    r = anykvm_exec(*way, "latency")
    assert r.status == 0, r
    port, = re.findall(r"port I/O exit: (\d+) ns", r.out)
    vm, = re.findall(r"create, run, destroy: (\d+) us", r.out)
    preloaded = way == WAYS["preloaded"]
    record_property(f"{'preloaded' if preloaded else 'trapped'} program",
                    f"port I/O exit {port} ns, create-run-destroy {vm} us")
    # Medians, which other work on the host moves little.
    assert int(port) < (1_000 if preloaded else 10_000) and int(vm) < 2_000


def test_without():
    """The test programs themselves are not anykvm's."""
    r = run([PROGRAMS / "program", "missing"])
    assert r.status == 0 and r.out in ("none\n", "a device\n")
