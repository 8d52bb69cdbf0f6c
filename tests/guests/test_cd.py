# SPDX-License-Identifier: LGPL-2.1-or-later
"""Firmware boots CD images (El Torito): GRUB's rescue image by SeaBIOS and OVMF
on both machines, and from it memtest86+ and a 32-bit Debian kernel, whose own
drivers then read the CD; iPXE."""
import cds
import machine
import pytest

SECONDS = 90
pytestmark = pytest.mark.usefixtures("anykvm_only")


@pytest.fixture
def cd():
    guests = []

    def start(kind, firmware, image, *extra, memory=512, net="none"):
        guests.append(machine.Guest(machine.command(
            "anykvm", None, memory=memory, extra=("--machine", kind, "--firmware", firmware,
                                                  "--net", net, "--cdrom", str(image), *extra)),
            tty=True))
        return guests[-1]

    yield start
    for g in guests:
        g.kill()


def choose(guest, key):
    guest.search(cds.MARKER, SECONDS)
    guest.write(key)


@pytest.mark.parametrize("kind,firmware", [
    ("q35", "bios"), pytest.param("pc", "uefi", marks=pytest.mark.slow)])
def test_kernel_of_32_bits(cd, kind, firmware):
    guest = cd(kind, firmware, cds.rescue())
    choose(guest, "d")
    guest.expect("^MACHINE i686", SECONDS)
    guest.expect("^MENU-1", 30)
    assert guest.wait(30) == 0


def test_memtest(cd):
    guest = cd("pc", "bios", cds.rescue(), memory=64)
    choose(guest, "m")
    guest.search(r"Memtest86\+ v\d", SECONDS)
    guest.search(r"Memory  : +(\d+)MB", SECONDS)


@pytest.mark.parametrize("kind", ["q35", "pc"])
def test_grub_on_uefi(cd, kind):
    guest = cd(kind, "uefi", cds.rescue())
    choose(guest, "g")
    guest.search("vmlinuz", SECONDS)


def test_ipxe(cd, tmp_path):
    """Behind a disk that has nothing to boot, as before an installation."""
    (tmp_path / "empty").write_bytes(bytes(1 << 20))
    guest = cd("q35", "bios", cds.ipxe(), "--disk", f"{tmp_path}/empty,format=raw", net="user")
    guest.search("not a bootable disk", SECONDS)
    guest.search("iPXE initialising devices", SECONDS)
    guest.search(r"net0: 52:54:00|Features", SECONDS)
