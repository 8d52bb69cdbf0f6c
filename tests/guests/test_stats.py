# SPDX-License-Identifier: LGPL-2.1-or-later
"""The engine's counters, at the end of a machine and when SIGUSR1 asks for them."""
import os
import re
import signal

import images
import machine
import pytest

pytestmark = pytest.mark.usefixtures("anykvm_only")
LIMIT = 60


def start(*extra, test="", cpus=2):
    argv = machine.command("anykvm", images.kernel("cloud"), images.initrd("amd64"),
                           f"console=ttyS0 quiet {test}", cpus, 512, extra=extra)
    return machine.Guest(argv, tty=not test)


def counters(text):
    """[{name: sum over the CPUs}], one for each table."""
    tables = []
    for line in text.splitlines():
        if line.startswith("anykvm: statistics"):
            tables.append({})
        elif m := re.match(r" +([a-z0-9_]+) +(\d+)( s|\b)", line):
            tables[-1][m[1]] = int(m[2])
    return tables


def test_at_the_end():
    with start("--stats", test="anykvm.test=poweroff") as guest:
        assert guest.wait(LIMIT) == 0
        table, = counters(guest.errors)
    for name in ("exits", "io_exits", "irq_injections", "blocks_translated", "tlb_misses",
                 "links", "stosq"):
        assert table.get(name, 0) > 0, name
    assert table["instructions_translated"] > table["blocks_translated"]


def test_none_unless_asked_for():
    with start(test="anykvm.test=poweroff") as guest:
        assert guest.wait(LIMIT) == 0
        assert "statistics" not in guest.errors


def test_signal():
    """SIGUSR1 prints them while the guest goes on, also when its CPUs wait."""
    with start() as guest:
        guest.prompt(LIMIT)
        for n in (1, 2):
            os.kill(guest.process.pid, signal.SIGUSR1)
            guest.write(f"echo alive$(({n} + 10))\n")
            guest.expect(f"^alive{n + 10}", LIMIT)
            guest.prompt(LIMIT)
        guest.write("poweroff -f\n")
        assert guest.wait(LIMIT) == 0
        first, second = counters(guest.errors)
    assert second["exits"] > first["exits"] > 0
    assert second["links"] >= first["links"] > 0
