# SPDX-License-Identifier: LGPL-2.1-or-later
"""kill -9 of the machine while its guest writes to a qcow2 image, again and again
on the same image: it checks clean apart from leaked clusters, and what the guest
had flushed is there. $ANYKVM_KILL_ROUNDS says how often (2)."""
import os
import random
import re
import subprocess
import time

import machine
import pytest
from test_disk import image

pytestmark = pytest.mark.usefixtures("anykvm_only")

ROUNDS = int(os.environ.get("ANYKVM_KILL_ROUNDS", "2"))
BOOT_SECONDS = 60
SLOT, SLOTS = 32768, 2048		# what is watched: the first 64 MiB
SIZE = SLOT * SLOTS * 2

# Numbered writes, each flushed and then told; beside them others that nobody
# watches, and discards, so that clusters come and go.
SCRIPT = f"""
(while :; do
    at=$((1024 + RANDOM % 1000))
    dd if=/dev/urandom of=/dev/vda bs=64k seek=$at count=3 conv=notrunc 2>/dev/null
    [ $((RANDOM % 3)) = 0 ] && blkdiscard -o $((at * 65536)) -l 131072 /dev/vda
done) &
n=$ARG
while :; do
    yes $(printf %015d $n) | dd of=/dev/vda bs={SLOT} seek=$((n * 7919 % {SLOTS})) count=1 \
        iflag=fullblock conv=notrunc,fsync 2>/dev/null && echo "FLUSHED $n"
    n=$((n + 1))
done
"""


def last_flushed(guest):
    numbers = [int(n) for n in re.findall(r"^FLUSHED (\d+)\r?$", guest.text, re.M)]
    return numbers[-1] if numbers else None


def check(disk, raw):
    """Whether clusters are leaked; anything worse fails."""
    r = subprocess.run(["qemu-img", "check", str(disk)], capture_output=True, text=True)
    assert r.returncode in (0, 3), r.stdout + r.stderr
    ours = subprocess.run([machine.anykvm_path(), "image", "check", str(disk)],
                          capture_output=True, text=True)
    assert "0 errors" in ours.stdout or ours.returncode == 0, ours.stdout + ours.stderr
    subprocess.run(["qemu-img", "convert", "-O", "raw", str(disk), str(raw)], check=True)
    return r.returncode == 3


def compare(raw, first, last):
    """Each slot holds the last number that was flushed to it, or a later one."""
    wanted = {n * 7919 % SLOTS: n for n in range(first, last + 1)}
    with open(raw, "rb") as f:
        for slot, n in wanted.items():
            f.seek(slot * SLOT)
            found = {int(x) for x in f.read(SLOT).split()}
            assert all(x >= n for x in found), f"slot {slot} has {min(found)} after {n} was flushed"
            assert len(found) == 1 or max(found) > last, f"slot {slot} is torn: {found}"
    return len(wanted)


def test_kill(boot, tmp_path, record_property):
    disk, raw = tmp_path / "disk.qcow2", tmp_path / "raw"
    image("create", disk, str(SIZE))
    first = last = 1
    leaks = 0
    for _ in range(ROUNDS):
        guest = boot(script=SCRIPT, modules=("virtio_pci", "virtio_blk"), cpus=2,
                     append=f"anykvm.arg={last + 1}", extra=("--net", "none", "--disk", str(disk)))
        guest.expect("^FLUSHED", BOOT_SECONDS)
        end = time.monotonic() + random.uniform(0.05, 1.2)
        while time.monotonic() < end:
            guest.pump(0.01)
        guest.process.kill()
        guest.process.wait()
        while guest.pump(0.05):
            pass
        assert last_flushed(guest) > last
        last = last_flushed(guest)
        leaks += check(disk, raw)
        compared = compare(raw, first + 1, last)
        guest.kill()
    record_property("kill -9", f"{ROUNDS} rounds, {last} flushed writes, {compared} slots "
                    f"compared at the end, leaked clusters after {leaks} rounds")
