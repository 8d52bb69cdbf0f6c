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


def start(*extra, test="", cpus=2, memory=512):
    argv = machine.command("anykvm", images.kernel("cloud"), images.initrd("amd64"),
                           f"console=ttyS0 quiet {test}", cpus, memory, extra=extra)
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


def test_forks():
    """A program's page that is flushed, as forks do it, leaves what is known of others:
    the kernel maps memory by pages of 2 MiB and 1 GiB, and has its own jumps."""
    with start(cpus=1, memory=4096) as guest:
        guest.prompt(LIMIT)
        os.kill(guest.process.pid, signal.SIGUSR1)
        guest.write("n=0; while [ $n -lt 500 ]; do (:); n=$((n + 1)); done; echo done$n\n")
        guest.expect("^done500", LIMIT)
        guest.prompt(LIMIT)
        os.kill(guest.process.pid, signal.SIGUSR1)
        guest.write("poweroff -f\n")
        assert guest.wait(LIMIT) == 0
        first, second = counters(guest.errors)
    more = {name: n - first.get(name, 0) for name, n in second.items()}
    assert more["tlb_flushes_of_page"] > 500, more
    assert more["tlb_flushes"] < 100, more
    assert more["jump_cache_flushes"] < 4 * 500, more


@pytest.mark.parametrize("switch", [
    "exact-flags", "no-apart", "no-far", "no-inner", "no-links", "no-past-calls", "no-returns",
    "no-sharing", "no-sites", "no-spaces", "no-steady", "no-such",
    "check-always,no-again,no-crossing,no-early,no-hints,no-prefetch,no-split,no-system"])
def test_switches(switch):
    """A guest runs without any one of the things by which the engine is fast."""
    argv = machine.command("anykvm", images.kernel("cloud"), images.initrd("amd64"),
                           "console=ttyS0 quiet anykvm.test=poweroff", 1, 512)
    with machine.Guest(argv, env=dict(os.environ, ANYKVM_SOFT=switch)) as guest:
        assert guest.wait(LIMIT) == 0
        assert "ANYKVM-INIT" in guest.text
        assert ("there is no switch 'no-such'" in guest.errors) == (switch == "no-such")
