# SPDX-License-Identifier: LGPL-2.1-or-later
"""QEMU's guests under a debugger's hand, and reset again and again."""
import re
import shutil
import subprocess
import time

import pytest
from qemu import BOOT_SECONDS, linux_args


def symbols(g, *names):
    """Addresses in the guest's kernel."""
    out = g.sh(f"grep -E ' ({'|'.join(names)})$' /proc/kallsyms")
    found = {line.split()[2]: line.split()[0] for line in out.splitlines()}
    return [int(found[n], 16) for n in names]


def gdb(socket, *commands):
    """Runs gdb on a stopped guest, which goes on afterwards: all that it printed."""
    if not shutil.which("gdb"):
        pytest.skip("gdb is not installed (package gdb)")
    argv = ["gdb", "-nx", "-q", "-batch", "-ex", "set architecture i386:x86-64", "-ex",
            f"target remote {socket}"]
    for c in (*commands, "detach"):
        argv += ["-ex", c]
    p = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, timeout=60)
    assert p.returncode == 0, p.stdout
    return p.stdout


def test_gdb(booted):
    """Hardware breakpoints, single steps, a watchpoint, a software breakpoint; and
    the guest goes on as if nothing had been."""
    g = booted("-machine", "q35", "-cpu", "host", "-smp", 2, "-m", 256)
    socket = g.dir / "gdb"
    g.qmp.human(f"gdbserver unix:{socket},server=on,wait=off", quiet=False)
    uname, jiffies = symbols(g, "__x64_sys_newuname", "jiffies_64")
    g.sh("(while :; do uname -r; usleep 10000; done) >/dev/null &")
    out = gdb(socket, f"hbreak *{uname:#x}", "continue", "printf \"at %lx\\n\", $rip",
              "stepi", "stepi", "printf \"then %lx\\n\", $rip", "continue",
              "printf \"again %lx\\n\", $rip", "delete",
              f"watch *(unsigned long *){jiffies:#x}", "continue", "delete",
              f"break *{uname:#x}", "continue", "printf \"and %lx\\n\", $rip", "delete")
    assert f"at {uname:x}" in out and f"again {uname:x}" in out and f"and {uname:x}" in out, out
    then = int(re.search("then (\\w+)", out)[1], 16)
    assert uname < then <= uname + 30, out
    old, new = (int(re.search(rf"{w} value = (\d+)", out)[1]) for w in ("Old", "New"))
    assert old < new < old + 250, out  # a busy host makes it catch up
    assert g.sh("uname -s") == "Linux"
    before = g.sh("cat /proc/uptime").split()[0]
    assert float(g.sh("sleep 1; cat /proc/uptime").split()[0]) > float(before) + 0.9


def test_resets(qemu):
    """The guest reboots 20 times; then system_reset takes it away at any moment."""
    g = qemu("-machine", "q35", "-cpu", "host", "-smp", 2, "-m", 256,
             *linux_args(append="quiet anykvm.test=reboot", reboot=True))
    for _ in range(20):
        g.expect("ANYKVM-REBOOT", BOOT_SECONDS)
    for delay in (0, 0.05, 0.1, 0.3, 0.6, 0.9):
        time.sleep(delay)
        g.qmp("system_reset")
    g.seen = len(g.lines)
    g.expect("ANYKVM-REBOOT", BOOT_SECONDS)
    g.expect("ANYKVM-REBOOT", BOOT_SECONDS)
    g.qmp("quit")
    assert g.wait(30) == 0
