# SPDX-License-Identifier: LGPL-2.1-or-later
"""A Debian 12 system on a disk, made by debootstrap. Its second half runs in a
chroot, or, for who is not root or sets $ANYKVM_DEBIAN=machine, as the first
process of the disk in a machine, which takes four times as long. GRUB is there
for BIOS and for EFI, as disks.py has it."""
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import disks
import images
import machine

# the kernel for every machine, as the one for clouds has no 9p
PACKAGES = ("systemd-sysv", "udev", "dbus", "iproute2", "iperf3", "linux-image-amd64")
LABEL = "debian-root"
PASSWORD = "anykvm"
SIZE = 900 * disks.MIB		# of the root file system, which is sparse
SETUP_SECONDS = 300
GRUB_CFG = f"""
serial --unit=0 --speed=115200
terminal_input console serial
terminal_output console serial
set timeout=0
menuentry "Debian" {{
	linux /boot/vmlinuz root=LABEL={LABEL} ro console=ttyS0
	initrd /boot/initrd.img
}}
"""
FIND_CFG = f"search --no-floppy --label {LABEL} --set=root\nset prefix=($root)/boot/grub\n"


def mirror():
    """The host's archive of Debian itself."""
    apt = images.apt_for(images.NATIVE)
    if not (apt.dir / "lists").is_dir() or not apt.sources():
        apt.update()
    for line in apt.sources():
        uri, suite = line.split()[:2]
        if "-" not in suite and "debian-security" not in uri:
            return uri, suite
    raise images.ImageError("the host's package lists name no archive of Debian")


def unpack(tmp, image, chroot):
    """The system's files as an ext4 file system within the image."""
    uri, suite = mirror()
    (tmp / "grub.cfg").write_text(GRUB_CFG)
    script = tmp / "make.sh"
    script.write_text(f"""set -e
cd {tmp}
debootstrap --foreign --variant=minbase --include={",".join(PACKAGES)} {suite} tree {uri}
# in a container it makes a link to the host's
[ -d tree/proc ] && [ ! -L tree/proc ] || {{ rm -f tree/proc; mkdir tree/proc; }}
mkdir -p tree/boot/grub
cp grub.cfg tree/boot/grub/grub.cfg
cp {images.HERE}/debian-setup.sh tree/init
chmod 755 tree/init
{"chroot tree /init | tee setup >&2; grep -q '^DEBIAN-SETUP done' setup" if chroot else ":"}
mke2fs -q -F -t ext4 -L {LABEL} -d tree -E root_owner=0:0,offset={disks.ROOT_AT} {image} \
{SIZE // 1024}k
""")
    # where debootstrap can mount, nobody else sees it, and nothing stays
    alone = subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0
    around = ["fakeroot"] if not chroot else ["unshare", "-m"] if alone else []
    images.run([*around, "sh", str(script)])


def set_up(image):
    argv = machine.command("anykvm", disks.kernel(), disks.initrd(),
                           f"root=LABEL={LABEL} rdinit=/load console=ttyS0 panic=1", cpus=2,
                           memory=1024, extra=("--net", "none", "--disk",
                                               f"{image},format=raw,cache=unsafe"))
    with machine.Guest(argv) as guest:
        _, m = guest.expect("^DEBIAN-SETUP (.*)", SETUP_SECONDS)
        if m[1] != "done":
            guest.fail("could not be set up")
        guest.wait(60)


def assemble(path, tmp):
    core = disks.grub_image("i386-pc", tmp / "core.img", tmp, FIND_CFG).read_bytes()
    boot = (disks.GRUB / "i386-pc" / "boot.img").read_bytes()
    table = disks.partition(0xef, disks.ESP_AT, disks.ESP_SIZE) + \
        disks.partition(0x83, disks.ROOT_AT, SIZE, True)
    with open(path, "wb") as f:
        f.write(disks.boot_area(boot, core, table))
        f.seek(disks.ESP_AT)
        f.write(disks.esp(tmp, FIND_CFG, "DEBIAN-ESP"))
        f.truncate(disks.ROOT_AT + SIZE + disks.MIB)
    chroot = os.geteuid() == 0 and os.environ.get("ANYKVM_DEBIAN") != "machine"
    unpack(tmp, path, chroot)
    if not chroot:
        set_up(path)


def disk():
    """The raw image, sparse. Not to be written to: put a qcow2 file or snapshot=on over it."""
    for tool in ("debootstrap", "fakeroot"):
        if not shutil.which(tool) and not Path(f"/usr/sbin/{tool}").exists():
            raise images.ImageError(f"{tool} is missing")
    made_of = [Path(__file__), images.HERE / "debian-setup.sh", images.HERE / "load.sh"]
    digest = hashlib.sha256(b"".join(p.read_bytes() for p in made_of)).hexdigest()[:12]
    dest = images.cache_dir() / f"debian-{digest}.img"
    with images.locked("debian"):
        if not dest.exists():
            with tempfile.TemporaryDirectory(dir=images.cache_dir()) as tmp:
                assemble(Path(tmp) / "disk", Path(tmp))
                os.replace(Path(tmp) / "disk", dest)
    return dest


if __name__ == "__main__":
    print(disk())
