# SPDX-License-Identifier: LGPL-2.1-or-later
"""Common to the tests of whole guests. --runner qemu tries the guests and the
tests themselves under QEMU's TCG."""
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
import images  # noqa: E402
import machine  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--runner", choices=("anykvm", "qemu"), default="anykvm")
    parser.addoption("--slow", action="store_true", help="with the tests that take minutes")


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: left out without --slow")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--slow"):
        items[:] = [i for i in items if not i.get_closest_marker("slow")]


@pytest.fixture(scope="session")
def runner(request):
    name = request.config.getoption("--runner")
    if name == "anykvm" and not os.access(machine.anykvm_path(), os.X_OK):
        pytest.fail(f"{machine.anykvm_path()} is not there: run make first")
    return name


@pytest.fixture
def anykvm_only(runner):
    if runner != "anykvm":
        pytest.skip("about anykvm's own command line")


@pytest.fixture
def boot(runner, tmp_path):
    """boot(kernel='cloud', mode='commands', ...): a Guest, ended after the test."""
    guests = []

    def start(kernel="cloud", mode=None, cpus=1, memory=512, append="", reboot=False, tty=False,
              extra=(), modules=(), script=None, tree=None):
        """extra: more options of the runner; modules: of the kernel, loaded by
        init; script: what mode="script" runs; tree: a directory that its files come with."""
        files = []
        if script is not None:
            path = tmp_path / "test.sh"
            path.write_text(script)
            files = [(path, "test.sh")]
            mode = mode or "script"
        arch = images.kernel_arch(kernel)
        initrd = images.initrd(arch, files, tree=tree,
                               kernel_modules=(kernel, modules) if modules else None)
        words = ["console=ttyS0", append]
        if mode:
            words.append(f"anykvm.test={mode} anykvm.cpus={cpus}")
        guests.append(machine.Guest(machine.command(
            runner, images.kernel(kernel), initrd,
            " ".join(w for w in words if w), cpus, memory, reboot, extra), tty=tty))
        return guests[-1]

    yield start
    for g in guests:
        g.kill()


def pytest_terminal_summary(terminalreporter):
    """The figures that tests recorded, a line each."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{name}: {value}")
