# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian's virtio_scsi with sd and sr on it: disks, and a CD drive."""
import subprocess

import debian
import disks
import images
import machine
import pytest
from test_disk import PATTERN, check_written, image, md5
from test_firmware import boot_sector

pytestmark = pytest.mark.usefixtures("anykvm_only")

BOOT_SECONDS = 60
MODULES = ["virtio_scsi", "sd_mod", "sr_mod", "isofs"]

SCRIPT = """
sleep 0.5
for d in /sys/class/scsi_device/*; do
    echo "UNIT ${d##*/} $(cat $d/device/model) $(cat $d/device/type)"
done
dev() { ls /sys/class/scsi_device/0:0:0:$1/device/block; }    # letters come in any order
a=$(dev 0) b=$(dev 3) c=$(dev 7) cd=$(dev 9)
for d in $a $b; do
    yes 0123456789abcdef | tr -d '\\n' | dd of=/dev/$d bs=64k seek=16 count=32 iflag=fullblock \
        conv=fsync 2>/dev/null
done
echo 3 >/proc/sys/vm/drop_caches
dd if=/dev/$b bs=64k skip=16 count=32 2>/dev/null | md5sum | sed s/^/SUM-/
cat /sys/block/$a/queue/write_cache /sys/block/$a/size
dd if=/dev/zero of=/dev/$c count=1 conv=fsync 2>/dev/null || echo WRITE-REFUSED
echo "RO $(cat /sys/block/$c/ro)"
blkdiscard -o 4M -l 20M /dev/$a && echo DISCARDED
dd if=/dev/$a bs=1M skip=4 count=20 iflag=direct 2>/dev/null | tr -d '\\000' | wc -c |
    sed s/^/ZERO-/
mount -t iso9660 /dev/$cd /root && md5sum /root/* | sed s/^/CD-/
dd if=/dev/$cd bs=2048 count=1 skip=100000 2>/dev/null | wc -c | sed s/^/CDEND-/
echo SCRIPT-DONE
"""


@pytest.mark.parametrize("kind", ["q35", "micro"])
def test_units(boot, tmp_path, kind):
    for name in ("a.qcow2", "b.raw", "c.raw"):
        image("create", tmp_path / name, "32M")
    (tmp_path / "file").write_bytes(PATTERN * 3)
    subprocess.run(["xorriso", "-as", "mkisofs", "-quiet", "-o", tmp_path / "cd.iso", "-V", "CD",
                    tmp_path / "file"], check=True, capture_output=True)
    options = ",packed=on,iothread=on" if kind == "micro" else ""
    guest = boot(script=SCRIPT, cpus=2, modules=[
        "virtio_mmio" if kind == "micro" else "virtio_pci", *MODULES],
        extra=["--machine", kind, "--disk", f"{tmp_path}/a.qcow2,if=none,id=a,serial=one",
               "--disk", f"{tmp_path}/b.raw,format=raw,if=none,id=b",
               "--disk", f"{tmp_path}/c.raw,format=raw,if=none,id=c,readonly=on",
               "--disk", f"{tmp_path}/cd.iso,format=raw,if=none,id=cd,readonly=on",
               "--device", "virtio-scsi,lun0=a,lun3=b,lun7=c,cd9=cd" + options])
    for line in (r"0:0:0:0 disk +0", r"0:0:0:3 disk +0", r"0:0:0:7 disk +0", r"0:0:0:9 CD-ROM +5"):
        guest.expect("^UNIT " + line, BOOT_SECONDS)
    guest.expect(f"^SUM-{md5(PATTERN * 2)}", 20)
    guest.expect("^write back$", 10)
    guest.expect("^65536$", 10)
    guest.expect("^WRITE-REFUSED", 10)
    guest.expect("^RO 1", 10)
    guest.expect("^DISCARDED", 10)
    guest.expect("^ZERO-0$", 10)
    guest.expect(f"^CD-{md5(PATTERN * 3)}", 10)
    guest.expect("^CDEND-0", 10)
    guest.expect("^SCRIPT-DONE", 10)
    assert guest.wait(20) == 0
    check_written(tmp_path / "a.qcow2", "qcow2")
    check_written(tmp_path / "b.raw", "raw")


@pytest.mark.parametrize("unit", [0, 10])
def test_boot(tmp_path, unit):
    """SeaBIOS starts from a unit that comes first in the order, not from the disk found first."""
    first = boot_sector(tmp_path / "first", "THE-FIRST-DISK")
    second = boot_sector(tmp_path / "second", "THE-SECOND-DISK")
    argv = machine.command("anykvm", None, memory=128, extra=[
        "--net", "none", "--disk", f"{second},format=raw,bootindex=2",
        "--disk", f"{first},format=raw,if=none,id=a",
        "--device", f"virtio-scsi,lun{unit}=a,addr=18,bootindex=1"])
    with machine.Guest(argv) as guest:
        guest.search("THE-FIRST-DISK", BOOT_SECONDS)
        assert guest.wait(30) == 0


@pytest.mark.parametrize("kind", ["q35", pytest.param("pc", marks=pytest.mark.slow)])
def test_boot_uefi(kind):
    """OVMF starts GRUB from a unit that comes first in the order, and not from the disk that
    it finds first; Linux has its root there, too."""
    argv = machine.command("anykvm", None, extra=[
        "--machine", kind, "--firmware", "uefi", "--net", "none", "--disk",
        f"{debian.disk()},snapshot=on,bootindex=2", "--disk",
        f"{disks.disk()},snapshot=on,if=none,id=a", "--device",
        "virtio-scsi,lun2=a,addr=18,bootindex=1"])
    with machine.Guest(argv, tty=True) as guest:
        guest.search(disks.MARKER, BOOT_SECONDS)
        guest.write("\x1b[B\r")
        guest.expect("ANYKVM-INIT", BOOT_SECONDS)
        guest.prompt(30)
        guest.write("test -d /sys/firmware/efi && echo ROOT $(findfs LABEL=%s)\n" % disks.LABEL)
        guest.expect("^ROOT /dev/sda2", 20)
        guest.write("poweroff -f\n")
        assert guest.wait(30) == 0


@pytest.mark.parametrize("args,mention", [
    (["--device", "virtio-scsi"], "lun0"),
    (["--device", "virtio-scsi,lun0=absent"], "absent"),
    (["--device", "virtio-scsi,lun0=a,cd0=a"], "unit 0"),
    (["--device", "virtio-scsi,lun16=a"], "lun0"),
])
def test_wrong(args, mention):
    argv = machine.command("anykvm", images.kernel("cloud"), extra=args)
    r = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    assert r.returncode > 0 and mention in r.stderr and r.stderr.count("\n") == 1, r.stderr
