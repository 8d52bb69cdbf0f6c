# SPDX-License-Identifier: LGPL-2.1-or-later
"""A small Debian on a disk, made without root: GRUB for BIOS and for EFI, a
stock kernel with its modules and busybox. And an initramfs with the modules
alone, for guests whose kernel comes with the command line.

The disk has an MBR: GRUB's boot sector and core image before the first
partition, an EFI system partition with GRUB in the place for removable media,
and an ext4 file system, whose label the tests know."""
import hashlib
import os
import re
import shutil
import struct
import tempfile
from pathlib import Path

import images

GRUB = Path("/usr/lib/grub")
MIB = 1 << 20
ESP_AT, ESP_SIZE = 1 * MIB, 4 * MIB
ROOT_AT, ROOT_SIZE = 8 * MIB, 56 * MIB
LABEL = "anykvm-root"
MODULES = ("virtio_pci", "virtio_mmio", "virtio_blk", "virtio_scsi", "sd_mod", "virtio_net",
           "virtio_balloon", "button", "evdev")
MARKER = "Debian on a disk"

# Both consoles show the menu, and either one's keyboard moves in it. The entry
# that nobody chooses says so: what arrives must have been chosen.
GRUB_CFG = f"""
serial --unit=0 --speed=115200
terminal_input console serial
terminal_output console serial
set timeout=30
set default=0
menuentry "Not this one" {{
	echo "the wrong entry"
	sleep 60
}}
menuentry "{MARKER}" {{
	linux /boot/vmlinuz root=LABEL={LABEL} rdinit=/load console=ttyS0 anykvm.disk
	initrd /boot/initrd.img
}}
"""
FIND_CFG = f"search --no-floppy --label {LABEL} --set=root\nset prefix=($root)/boot/grub\n"
GRUB_MODULES = ("part_msdos", "ext2", "search", "search_label", "normal", "configfile", "linux",
                "serial", "terminal", "echo", "sleep", "minicmd", "ls", "test")


def module_files(tree, names):
    """The files of kernel modules and all they depend on, in the order to load them."""
    files = {p.stem.replace("-", "_"): p for p in tree.rglob("*.ko")}
    order = []

    def add(name):
        path = files.get(name)
        if not path:
            raise images.ImageError(f"{tree} holds no kernel module {name}")
        if path in order:
            return
        for field in re.findall(rb"\0depends=([^\0]*)\0", path.read_bytes()):
            for other in filter(None, field.decode().split(",")):
                add(other.replace("-", "_"))
        order.append(path)

    for n in names:
        add(n)
    return order


def kernel():
    """The cloud kernel's file, of the package that its modules come from."""
    path, = (images.package_tree("linux-image-cloud-amd64") / "boot").glob("vmlinuz-*")
    return path


def initrd(extra=()):
    """An initramfs with modules; rdinit=/load starts it. extra: as images.initrd's."""
    tree = images.package_tree("linux-image-cloud-amd64")
    with tempfile.TemporaryDirectory() as tmp:
        (Path(tmp) / "modules").mkdir()
        for i, path in enumerate(module_files(tree, MODULES)):
            shutil.copy(path, Path(tmp) / "modules" / f"{i:02}-{path.name}")
        load = (images.HERE / "load.sh", "load")
        return images.initrd("amd64", (load, *extra), Path(tmp))


def grub_image(platform, out, tmp, find=FIND_CFG):
    (tmp / "find.cfg").write_text(find)
    modules = (*GRUB_MODULES, "biosdisk") if platform == "i386-pc" else GRUB_MODULES
    images.run(["grub-mkimage", "-O", platform, "-d", str(GRUB / platform), "-p", "/boot/grub",
                "-c", str(tmp / "find.cfg"), "-o", str(out), *modules])
    return out


def esp(tmp, find=FIND_CFG, label="ANYKVM-ESP"):
    image, loader = tmp / "esp", grub_image("x86_64-efi", tmp / "bootx64.efi", tmp, find)
    with open(image, "wb") as f:
        f.truncate(ESP_SIZE)
    images.run(["mformat", "-i", str(image), "-T", str(ESP_SIZE // 512), "-h", "16", "-s", "63",
                "-v", label, "::"])
    images.run(["mmd", "-i", str(image), "::EFI", "::EFI/BOOT"])
    images.run(["mcopy", "-i", str(image), str(loader), "::EFI/BOOT/BOOTX64.EFI"])
    return image.read_bytes()


def root(tmp, initramfs):
    image, tree = tmp / "root.img", tmp / "root"
    for d in ("bin", "sbin", "dev", "proc", "sys", "tmp", "root", "usr/bin", "usr/sbin",
              "boot/grub"):
        (tree / d).mkdir(parents=True)
    (tree / "boot/grub/grub.cfg").write_text(GRUB_CFG)
    for source, name in ((kernel(), "boot/vmlinuz"), (initramfs, "boot/initrd.img"),
                         (images.busybox("amd64"), "bin/busybox"),
                         (images.HERE / "init.sh", "init"),
                         (images.HERE / "commands.sh", "commands.sh")):
        shutil.copy(source, tree / name)
        (tree / name).chmod(0o755)
    images.run(["mke2fs", "-q", "-t", "ext4", "-L", LABEL, "-d", str(tree), "-E", "root_owner=0:0",
                str(image), f"{ROOT_SIZE // 1024}k"])
    return image.read_bytes()


def partition(kind, start, size, active=False):
    none = b"\xfe\xff\xff"	# no cylinders: a sector number must do
    return struct.pack("<B3sB3sII", 0x80 if active else 0, none, kind, none, start // 512,
                       size // 512)


def boot_area(boot, core, table):
    """What lies before the first partition."""
    if 512 + len(core) > ESP_AT:
        raise images.ImageError("GRUB's core image does not fit before the first partition")
    return boot[:440] + struct.pack("<IH", 0x616b766d, 0) + table.ljust(64, b"\0") + \
        b"\x55\xaa" + core


def assemble(path, tmp, initramfs):
    core = grub_image("i386-pc", tmp / "core.img", tmp).read_bytes()
    boot = (GRUB / "i386-pc" / "boot.img").read_bytes()
    table = partition(0xef, ESP_AT, ESP_SIZE) + partition(0x83, ROOT_AT, ROOT_SIZE, True)
    with open(path, "wb") as f:
        f.write(boot_area(boot, core, table))
        for at, data in ((ESP_AT, esp(tmp)), (ROOT_AT, root(tmp, initramfs))):
            f.seek(at)
            f.write(data)
        f.truncate(ROOT_AT + ROOT_SIZE + MIB)


def disk():
    """The raw disk image, 65 MiB. Not to be written to: put a qcow2 file or
    snapshot=on over it."""
    for tool, package in (("grub-mkimage", "grub-common"), ("mformat", "mtools"),
                          ("mke2fs", "e2fsprogs"), (GRUB / "i386-pc/boot.img", "grub-pc-bin"),
                          (GRUB / "x86_64-efi/normal.mod", "grub-efi-amd64-bin")):
        if not shutil.which(tool) and not Path(tool).exists():
            raise images.ImageError(f"{tool} is missing (package {package})")
    initramfs = initrd()
    made_of = [Path(__file__), initramfs, kernel(), images.HERE / "init.sh",
               GRUB / "i386-pc" / "boot.img", GRUB / "x86_64-efi" / "normal.mod"]
    digest = hashlib.sha256(b"".join(p.read_bytes() for p in made_of)).hexdigest()[:12]
    dest = images.cache_dir() / f"disk-{digest}.img"
    with images.locked("disk"):
        if not dest.exists():
            with tempfile.TemporaryDirectory(dir=images.cache_dir()) as tmp:
                assemble(Path(tmp) / "disk", Path(tmp), initramfs)
                os.replace(Path(tmp) / "disk", dest)
    return dest
