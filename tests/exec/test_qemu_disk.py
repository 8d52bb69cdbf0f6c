# SPDX-License-Identifier: LGPL-2.1-or-later
"""QEMU's guests from firmware to GRUB's menu and on to Linux, from a
virtio disk; and what the graphical display shows meanwhile."""
import shutil
import time

import disks
import pytest
from qemu import BOOT_SECONDS, OVMF, picture


@pytest.fixture
def from_disk(qemu, tmp_path):
    """Starts a machine with the disk; what the guest writes is lost."""
    def start(*args, firmware="bios"):
        if firmware == "efi":
            code, variables = OVMF / "OVMF_CODE_4M.fd", OVMF / "OVMF_VARS_4M.fd"
            if not code.exists():
                pytest.skip("OVMF is not installed (package ovmf)")
            shutil.copy(variables, tmp_path / "vars.fd")
            args += ("-drive", f"if=pflash,format=raw,readonly=on,file={code}",
                     "-drive", f"if=pflash,format=raw,file={tmp_path}/vars.fd")
        return qemu("-smp", 2, "-m", 256, "-vga", "std", "-serial", "chardev:console",
                    "-drive", f"if=none,id=disk,format=raw,snapshot=on,file={disks.disk()}",
                    "-device", "virtio-blk-pci,drive=disk,bootindex=0", *args)
    return start


def screen(g, path, different_from=None):
    """A picture of the display, taken again until it differs from another."""
    deadline = time.monotonic() + 20
    while True:
        g.qmp("screendump", filename=str(path))
        if not different_from or path.read_bytes() != different_from.read_bytes():
            return picture(path)
        assert time.monotonic() < deadline, "the display still shows the same"
        time.sleep(0.2)


# This OVMF hangs, under TCG, too, on a CPU with more than 47 bits of physical address.
@pytest.mark.parametrize("kind,model,firmware", [
    ("pc", "host", "bios"),
    ("q35", "Skylake-Server", "bios"),
    ("q35", "host,host-phys-bits-limit=40", "efi"),
])
def test_grub(from_disk, tmp_path, kind, model, firmware):
    """By the keyboard to the menu's second entry, which boots Linux."""
    g = from_disk("-machine", kind, "-cpu", model, firmware=firmware)
    g.search(disks.MARKER, 60)
    menu, chosen, text = (tmp_path / n for n in ("menu.ppm", "chosen.ppm", "text.ppm"))
    width, height, colours, common = screen(g, menu)
    assert width >= 640 and height >= 400 and colours >= 2 and common < 0.995
    g.key("down")
    screen(g, chosen, different_from=menu)
    g.key("ret")
    g.expect("ANYKVM-INIT", BOOT_SECONDS)
    g.prompt(30)
    assert "ext4" in g.sh("mount | grep ' / '")
    assert g.sh("test -d /sys/firmware/efi && echo efi || echo bios") == firmware
    g.sh("echo 'This is the display' >/dev/tty1")
    screen(g, text, different_from=chosen)
    # The disk, to and fro, past the guest's page cache.
    g.sh("dd if=/dev/urandom of=/file bs=64k count=128 && sha256sum /file >/sum && sync && "
         "echo 3 >/proc/sys/vm/drop_caches && sha256sum -c /sum", 60)
    assert g.sh("dmesg | grep -E 'I/O error|EXT4-fs error|BUG|WARNING'", check=False) == ""
    g.write("poweroff -f\n")
    assert g.wait(30) == 0
