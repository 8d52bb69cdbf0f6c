# SPDX-License-Identifier: LGPL-2.1-or-later
"""CD images that firmware boots: GRUB's rescue image with a menu of our own, a
32-bit kernel and memtest86+ on it, and iPXE's."""
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import images

MARKER = "GRUB on a CD"
GRUB_CFG = f"""
serial --unit=0 --speed=115200
terminal_input console serial
terminal_output console serial
set timeout=60
set default=0
menuentry "{MARKER}" --hotkey=g {{
	echo "files: (cd)/" ; ls /
	sleep 60
}}
menuentry "A 32-bit Debian" --hotkey=d {{
	linux /vmlinuz console=ttyS0 anykvm.test=script
	initrd /initrd
}}
menuentry "Memtest86+" --hotkey=m {{
	linux /memtest console=ttyS0,115200
}}
"""
SCRIPT = f"""
echo "MACHINE $(uname -m)"
mkdir /mnt
mount -t iso9660 /dev/sr0 /mnt && grep -c '{MARKER}' /mnt/boot/grub/grub.cfg | sed s/^/MENU-/
"""


def ipxe():
    return images.fetch("amd64", "ipxe", "./usr/lib/ipxe/ipxe.iso", "ipxe.iso")


def rescue():
    """The image with the menu above."""
    for tool in ("grub-mkrescue", "xorriso", "mformat"):
        if not shutil.which(tool):
            raise images.ImageError(f"{tool} is missing (packages grub-common, xorriso, mtools)")
    with tempfile.TemporaryDirectory() as tmp:
        (Path(tmp) / "test.sh").write_text(SCRIPT)
        initrd = images.initrd("i386", [(Path(tmp) / "test.sh", "test.sh")],
                               kernel_modules=("686-pae", ("ata_piix", "ahci", "sr_mod", "isofs")))
    made_of = {"vmlinuz": images.kernel("686-pae"), "initrd": initrd, "memtest": images.memtest()}
    digest = hashlib.sha256(b"".join(p.read_bytes() for p in made_of.values()) +
                            Path(__file__).read_bytes()).hexdigest()[:12]
    dest = images.cache_dir() / f"rescue-{digest}.iso"
    with images.locked("rescue"):
        if not dest.exists():
            with tempfile.TemporaryDirectory(dir=images.cache_dir()) as tmp:
                tree = Path(tmp) / "tree"
                (tree / "boot/grub").mkdir(parents=True)
                (tree / "boot/grub/grub.cfg").write_text(GRUB_CFG)
                for name, path in made_of.items():
                    shutil.copy(path, tree / name)
                images.run(["grub-mkrescue", "-o", f"{tmp}/iso", str(tree)])
                os.replace(f"{tmp}/iso", dest)
    return dest
