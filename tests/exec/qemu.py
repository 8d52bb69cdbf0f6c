# SPDX-License-Identifier: LGPL-2.1-or-later
"""A QEMU with a guest on its serial console and a QMP connection."""
import re
import shutil
import tempfile
import time
from pathlib import Path

import disks
import machine
from monitor import Monitor

QEMU = shutil.which("qemu-system-x86_64")
OVMF = Path("/usr/share/OVMF")
BOOT_SECONDS = 120


class Qemu(machine.Guest):
    """Ended on leaving. sh() needs a guest at its shell's prompt."""

    def __init__(self, launcher, args, accel):
        self.dir = Path(tempfile.mkdtemp(prefix="anykvm-qemu-"))
        self._qmp = None
        self.commands = 0
        # Not to outlive these tests, however they end.
        argv = ["setpriv", "--pdeathsig", "KILL", *launcher, QEMU, "-accel", accel, "-nodefaults",
                "-no-user-config", "-display", "none", "-chardev",
                "stdio,id=console,signal=off", "-qmp", f"unix:{self.dir}/qmp,server=on,wait=off"]
        super().__init__([str(a) for a in [*argv, *args]], tty=True)

    @property
    def qmp(self):
        if not self._qmp:
            self._qmp = Monitor(self.dir / "qmp")
        return self._qmp

    def kill(self):
        if self._qmp:
            self._qmp.close()
        super().kill()
        shutil.rmtree(self.dir, ignore_errors=True)

    def fail(self, what):
        try:
            for command in ("info status", "info registers -a", "info lapic", "info pic"):
                said = self.qmp("human-monitor-command", 5, command_line=command)
                self.errors += "\n".join(line for line in ["", *said.splitlines()]
                                         if not re.match(r"[XYZ]MM|FPR|FCW|Opmask|DR", line))
        except Exception as e:  # it may be as dead as its guest
            self.errors += f"\nno registers: {e}"
        super().fail(what)

    def sh(self, command, seconds=30, check=True):
        """Runs a command in the guest's shell: what it printed, without the reports
        of /guest-memory. check: that it succeeds."""
        self.commands += 1
        n, quoted = self.commands, command.replace("'", "'\\''")
        # One line: what the terminal echoes all comes before what the command prints.
        self.write(f"echo BEGIN-$(({n})); eval '{quoted}'; echo END-$(({n}))-$?\n")
        self.expect(rf"^BEGIN-{n}$", seconds)
        first = self.seen
        _, m = self.expect(rf"END-{n}-(\d+)$", seconds)
        lines = [line for _, line in self.lines[first:self.seen - 1]
                 if not re.match(r"MEM \d", line)]
        out = "\n".join(lines)
        assert not check or m[1] == "0", f"'{command}' failed in the guest:\n{out}"
        return out

    def key(self, *names):
        """Presses and releases keys of the keyboard, one after the other."""
        for name in names:
            self.qmp("send-key", keys=[{"type": "qcode", "data": name}], hold_time=20)
            time.sleep(0.1)


def linux_args(*programs, append="", reboot=False):
    """Boots a kernel with virtio's modules and programs to a shell, or what
    append says (tests/guests/init.sh)."""
    initrd = disks.initrd([(p, p.name) for p in programs])
    ends = () if reboot else ("-no-reboot",)
    return (*ends, "-serial", "chardev:console", "-kernel", disks.kernel(), "-initrd", initrd,
            "-append", f"console=ttyS0 rdinit=/load {append}")


def picture(path):
    """(width, height, number of colours, share of the commonest) of a PPM
    file, netpbm's binary format."""
    data = path.read_bytes()
    m = re.match(rb"P6\s+(\d+)\s+(\d+)\s+255\s", data)
    assert m, f"{path} is no PPM file: {data[:20]}"
    width, height, pixels = int(m[1]), int(m[2]), data[m.end():]
    assert len(pixels) == 3 * width * height
    counts = {}
    for i in range(0, len(pixels), 3):
        colour = pixels[i:i + 3]
        counts[colour] = counts.get(colour, 0) + 1
    return width, height, len(counts), max(counts.values()) / (width * height)
