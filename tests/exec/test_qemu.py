# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian's QEMU under `anykvm exec`, with its own accelerator kvm."""
import shutil
import time

import images
import machine
import pytest
from qemu import BOOT_SECONDS, OVMF


def linux(kind, cpus, mode="commands"):
    return ["-machine", kind, "-smp", cpus, "-m", 256, "-serial", "chardev:console",
            "-no-reboot", "-kernel", images.kernel("cloud"), "-initrd", images.initrd("amd64"),
            "-append", f"console=ttyS0 anykvm.test={mode} anykvm.cpus={cpus}"]


# QEMU 7.2 never withdraws the start-up interrupt that its own local APIC has
# delivered: the CPU's thread spins from its first HLT on. So there only one CPU.
@pytest.mark.parametrize("kind,cpus,model", [
    ("pc", 2, "host"),
    ("q35", 4, "host"),
    ("q35", 2, "EPYC"),
    ("microvm", 2, "host"),
    ("q35,kernel-irqchip=split", 4, "host"),
    ("q35,kernel-irqchip=off", 1, "host"),
])
def test_linux(qemu, kind, cpus, model):
    g = qemu("-cpu", model, *linux(kind, cpus))
    g.expect("ANYKVM-INIT", BOOT_SECONDS)
    g.expect("TESTS-DONE", BOOT_SECONDS)
    g.expect("ANYKVM-POWEROFF", 10)
    assert g.wait(30) == 0
    tests, _ = machine.parse_tests(g)
    bad = [f"{name}: {why}" for name, why in tests.items() if why]
    assert not bad and len(tests) >= 35, "\n".join(bad)


def test_trapped(qemu):
    """Without its C library's help: all of QEMU's system calls are trapped."""
    g = qemu("-cpu", "host", *linux("q35", 2), options=("--trap", "always"))
    g.expect("ANYKVM-INIT", BOOT_SECONDS)
    g.expect("TESTS-DONE", BOOT_SECONDS)
    assert g.wait(30) == 0
    tests, _ = machine.parse_tests(g)
    assert len(tests) >= 35 and not any(tests.values()), tests


def test_seabios(qemu):
    """Without anything to boot from."""
    g = qemu("-machine", "q35", "-m", 128, "-vga", "std", "-device",
             "isa-debugcon,iobase=0x402,chardev=console")
    g.search("No bootable device", 60)


def test_ovmf(qemu, tmp_path):
    """To the shell that its menu offers. This OVMF itself hangs, under TCG, too,
    on a CPU with more than 47 bits of physical address."""
    code, data = OVMF / "OVMF_CODE_4M.fd", OVMF / "OVMF_VARS_4M.fd"
    if not code.exists():
        pytest.skip("OVMF is not installed (package ovmf)")
    shutil.copy(data, tmp_path / "vars.fd")
    g = qemu("-machine", "q35", "-cpu", "host,host-phys-bits-limit=40", "-smp", 2, "-m", 256,
             "-vga", "std", "-serial", "chardev:console", "-drive",
             f"if=pflash,format=raw,readonly=on,file={code}", "-drive",
             f"if=pflash,format=raw,file={tmp_path}/vars.fd")
    g.search("UEFI Interactive Shell", 90)


def test_boot_time(qemu, record_property):
    """From start to init, beside QEMU's TCG, in turn."""
    seconds = {"kvm": [], "tcg": []}
    for _ in range(2):
        for accel, times in seconds.items():
            model = "host" if accel == "kvm" else "max"
            g = qemu("-cpu", model, *linux("q35", 2, "poweroff"), accel=accel)
            start = time.monotonic()
            g.expect("ANYKVM-INIT", BOOT_SECONDS)
            times.append(time.monotonic() - start)
            g.kill()
    kvm, tcg = min(seconds["kvm"]), min(seconds["tcg"])
    record_property("QEMU boots Debian's cloud kernel to init",
                    f"{kvm:.2f} s with kvm on anykvm, {tcg:.2f} s with tcg")
    assert kvm < 1.2 * tcg  # no slower, but for the noise of a shared host


def test_quits(qemu):
    """QEMU ends on SIGTERM while its guest runs."""
    g = qemu("-cpu", "host", *linux("q35", 2))
    g.expect("Linux version", BOOT_SECONDS)
    g.process.terminate()
    assert g.wait(20) == 0
