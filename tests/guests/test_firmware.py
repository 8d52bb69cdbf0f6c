# SPDX-License-Identifier: LGPL-2.1-or-later
"""SeaBIOS and OVMF start on the machines with PCI, find what the machine has,
and come to where they look for something to boot."""
import re

import machine
import pytest
import rfb
from qmp import Qmp

SECONDS = 90


@pytest.fixture
def firmware(runner, anykvm_only):
    """firmware(option...): a Guest without a kernel, and without a network, from which
    the firmware would try to boot for minutes."""
    guests = []

    def start(*extra, cpus=1, memory=512, reboot=False, tty=False):
        guests.append(machine.Guest(machine.command(
            runner, None, cpus=cpus, memory=memory, reboot=reboot,
            extra=("--net", "none", *extra)), tty=tty))
        return guests[-1]

    yield start
    for g in guests:
        g.kill()


@pytest.mark.parametrize("kind,chipset", [("q35", "q35"), ("pc", "i440fx")])
@pytest.mark.parametrize("cpus,memory", [(1, 512), (4, 5120)])
def test_seabios(firmware, kind, chipset, cpus, memory):
    guest = firmware("--machine", kind, "--debug-port", cpus=cpus, memory=memory)
    guest.search("No bootable device", SECONDS)
    log = guest.errors
    assert f"Running on QEMU ({chipset})" in log
    assert "QEMU fw_cfg DMA interface supported" in log
    assert f"Found {cpus} cpu(s) max supported {cpus} cpu(s)" in log
    assert "SMBIOS" in log
    # the tables are read back from where the firmware put them
    assert re.search(r"ACPI: parse DSDT at 0x[0-9a-f]+ \(len \d{4}\)", log)
    assert "PS2 keyboard initialized" in log
    ram = [tuple(int(x, 16) for x in m) for m in
           re.findall(r"qemu/e820: addr 0x([0-9a-f]+) len 0x([0-9a-f]+) \[RAM\]", log)]
    assert sum(size for _, size in ram) == memory << 20
    assert len(ram) == (1 if memory < 2048 else 2)


def boot_sector(path, text):
    """A disk whose boot sector prints a text by the BIOS and switches the machine off."""
    code = bytes.fromhex("31c08ed8 fc be207c ac84c07409b40ebb0700cd10ebf2 ba0406b80020eff4ebfd")
    sector = code.ljust(0x20, b"\0") + text.encode() + b"    \r\n\0"
    path.write_bytes((sector.ljust(510, b"\0") + b"\x55\xaa").ljust(1 << 20, b"\0"))
    return path


@pytest.mark.parametrize("kind", ["q35", "pc"])
def test_boot_disk(firmware, tmp_path, kind):
    """SeaBIOS boots the disk that comes first in the order, also behind a root port."""
    first = boot_sector(tmp_path / "first", "THE-FIRST-DISK")
    second = boot_sector(tmp_path / "second", "THE-SECOND-DISK")
    orders = [("", "", "FIRST"), (",bootindex=2", ",bootindex=1", "SECOND")]
    if kind == "q35":
        orders.append((",bootindex=2", ",bootindex=1,bus=port2", "SECOND"))
    for a, b, boots in orders:
        guest = firmware("--machine", kind, "--disk", f"{first},format=raw{a}",
                         "--disk", f"{second},format=raw{b}")
        guest.search(f"THE-{boots}-DISK", SECONDS)
        assert guest.wait(30) == 0
        assert guest.text.count("-DISK") == 1


def shell(guest):
    """Waits for the UEFI shell's prompt; an ESC ends its wait for startup.nsh."""
    guest.search("to skip", SECONDS)
    guest.write("\x1b")
    guest.prompt(30, "Shell> ")


def say(guest, line, answer, seconds=20):
    at = len(guest.text)
    guest.write(line + "\r")
    m = guest.search(answer, seconds, at)
    guest.prompt(20, "Shell> ")
    return m


@pytest.mark.parametrize("kind", ["q35", "pc"])
def test_ovmf(firmware, kind, tmp_path):
    """To the shell, with four CPUs; power-off by the runtime service ends the machine."""
    guest = firmware("--machine", kind, "--firmware", "uefi", "--vga", "std", "--qmp",
                     tmp_path / "qmp", "--allow", tmp_path, cpus=4, memory=3072, tty=True)
    shell(guest)
    # its driver of the VGA shows the shell, too
    with Qmp(tmp_path / "qmp") as qmp:
        qmp.execute("screendump", filename=str(tmp_path / "shell.ppm"))
    picture = rfb.read_ppm(tmp_path / "shell.ppm")
    assert picture.width >= 800 and 0.001 < picture.lit() < 0.1
    say(guest, "ver", "UEFI v2")
    # the system table names those that the firmware linked
    say(guest, "dmem", r"(?s)ACPI 2.0 Table +0*[1-9A-F].*SMBIOS Table +0*[1-9A-F]")
    say(guest, "smbiosview -t 1", "Virtual machine")
    say(guest, "pci", "8086" if kind == "q35" else "1237|7000")
    guest.write("reset -s\r")
    assert guest.wait(30) == 0


def test_ovmf_variables(firmware, tmp_path):
    """Variables outlive a reset of the machine and, with a file, its end."""
    store = tmp_path / "vars.fd"
    option = ["--firmware", f"uefi,vars={store}"]
    guest = firmware(*option, tty=True, reboot=True)
    shell(guest)
    say(guest, "setvar anykvm -guid 11112222-3333-4444-5555-666677778888 -bs -rt -nv =L\"kept\"",
        "Shell> ")
    guest.text = ""
    guest.write("reset\r")
    shell(guest)
    say(guest, "dmpstore anykvm -guid 11112222-3333-4444-5555-666677778888", "6B 00 65 00")
    guest.kill()
    guest = firmware(*option, tty=True)
    guest.search("Shell", SECONDS)
    second = firmware(*option)
    assert second.wait(20) == 1
    assert "in use by another machine" in second.errors
    shell(guest)
    say(guest, "dmpstore anykvm -guid 11112222-3333-4444-5555-666677778888", "6B 00 65 00")


def test_refused(firmware, tmp_path):
    odd = tmp_path / "odd"
    odd.write_bytes(b"x" * 5000)
    for option, reason in ((["--firmware", "/nowhere"], "cannot open the firmware"),
                           (["--firmware", str(odd)], "is no firmware"),
                           (["--firmware", "bios,vars=/tmp/x"], "keeps no variables"),
                           (["--firmware", f"uefi,vars={odd}"], "is no firmware"),
                           (["--firmware", "uefi,color=red"], "has no property 'color'"),
                           (["--machine", "micro"], "needs --kernel")):
        guest = firmware(*option)
        assert guest.wait(20) == 1
        assert reason in guest.errors
