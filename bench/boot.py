# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a guest's start costs: seconds to init, milliseconds to the kernel's
first instruction, and memory that the process holds beside the guest's."""
import subprocess

import devices
from session import ROOT, WORK, BenchError, images, machine

CPUS, MEMORY = 1, 512
LIMIT = 60


def _boot(engine, opt, append):
    kernel = images.kernel(opt.kernel)
    initrd = images.initrd(images.kernel_arch(opt.kernel))
    argv = engine.command(kernel, initrd, append, CPUS, MEMORY)
    return machine.Guest(argv, tty=True, env=engine.env())


def kernel_to_init(engine, opt):
    """From the kernel's first line, printed as early as can be, to init's."""
    with _boot(engine, opt, "earlyprintk=ttyS0,115200 console=ttyS0") as guest:
        begun, _ = guest.expect("Linux version", LIMIT)
        return guest.expect("ANYKVM-INIT", LIMIT)[0] - begun


def process_to_init(engine, opt):
    with _boot(engine, opt, "console=ttyS0 quiet") as guest:
        return guest.expect("ANYKVM-INIT", LIMIT)[0]


def overhead(engine, opt):
    """MiB resident beyond the guest's memory, at the guest's prompt."""
    with _boot(engine, opt, "console=ttyS0 quiet") as guest:
        guest.expect("ANYKVM-INIT", LIMIT)
        guest.prompt(LIMIT)
        return machine.memory_overhead(guest.process.pid, MEMORY)[0] / 1024


def _first_image():
    dest, source = WORK / "first", ROOT / "bench/src/first.S"
    WORK.mkdir(parents=True, exist_ok=True)
    if not dest.exists() or dest.stat().st_mtime < source.stat().st_mtime:
        p = subprocess.run(["gcc", "-m32", "-nostdlib", "-static", "-Wl,-n",
                            "-Wl,-Ttext=0x100000", "-Wl,--section-start=.note.pvh=0x101000",
                            "-Wl,--build-id=none", "-o", str(dest), str(source)],
                           capture_output=True, text=True)
        if p.returncode:
            raise BenchError(f"{source.name} does not assemble:\n{p.stderr}")
    return dest


def first_instruction(engine, _opt):
    """Milliseconds from the process's start to what its guest's first instructions print."""
    argv = engine.command(_first_image(), cpus=CPUS, memory=MEMORY)
    with machine.Guest(argv, tty=True, env=engine.env()) as guest:
        return guest.expect("FIRST$", LIMIT)[0] * 1e3


# name: (unit, function)
MEASURES = {
    "kernel-to-init": ("s", kernel_to_init),
    "process-to-init": ("s", process_to_init),
    "first-instruction": ("ms", first_instruction),
    "overhead": ("MiB", overhead),
    **devices.MEASURES,
}
