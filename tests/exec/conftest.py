# SPDX-License-Identifier: LGPL-2.1-or-later
"""Common to the tests of `anykvm exec`. $ANYKVM names the anykvm to test; its
build directory holds the test programs."""
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "guests")]
import machine  # noqa: E402
import qemu as qemu_module  # noqa: E402

ANYKVM = Path(machine.anykvm_path()).resolve()
PROGRAMS = ANYKVM.parent / "tests/exec"
NOBODY = 65534  # a user and a group without rights


class Result:
    """What a program printed, and its exit status (negative: the signal's number)."""

    def __init__(self, p):
        self.status, self.out, self.err = p.returncode, p.stdout, p.stderr

    def __repr__(self):
        return f"status {self.status}, output:\n{self.out}\nerrors:\n{self.err}"


def run(argv, seconds=60, **kw):
    """Runs a program to its end, within a time."""
    p = subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, text=True, timeout=seconds, **kw)
    return Result(p)


def anykvm_exec(*argv, seconds=60, **kw):
    return run([ANYKVM, "exec", *argv], seconds, **kw)


def as_user(argv, **kw):
    """As nobody, when these tests run as root."""
    if os.geteuid() == 0:
        kw["user"] = NOBODY
        kw["group"] = NOBODY
        kw["extra_groups"] = []
    return run(argv, **kw)


@pytest.fixture(scope="session", autouse=True)
def built():
    if not os.access(ANYKVM, os.X_OK) or not (PROGRAMS / "program").exists():
        pytest.fail(f"{ANYKVM} and its test programs are not there: run make everything first")
    # A crash is to be seen, not kept.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


@pytest.fixture
def qemu():
    """qemu(argument, ..., accel="kvm"): a Qemu, ended after the test."""
    if not qemu_module.QEMU:
        pytest.skip("qemu-system-x86_64 is not installed (package qemu-system-x86)")
    running = []

    def start(*args, accel="kvm"):
        launcher = [ANYKVM, "exec"] if accel.startswith("kvm") else []
        running.append(qemu_module.Qemu(launcher, args, accel))
        return running[-1]

    yield start
    for g in running:
        g.kill()


@pytest.fixture
def booted(qemu):
    """booted(argument, ...): a Qemu whose guest is at its shell's prompt, with
    virtio's modules and /guest-memory."""
    def start(*args):
        g = qemu(*args, *qemu_module.linux_args(PROGRAMS / "guest-memory"))
        g.expect("ANYKVM-INIT", qemu_module.BOOT_SECONDS)
        g.prompt(30)
        return g
    return start


def pytest_terminal_summary(terminalreporter):
    """The figures that tests recorded, a line each."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{name}: {value}")
