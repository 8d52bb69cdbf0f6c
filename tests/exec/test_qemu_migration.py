# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guests that are moved to another QEMU while they work, or saved to a disk
and taken back: nothing in them may be lost. /guest-memory (memory.c) watches
memory, clocks and vector registers from within."""
import subprocess
import time

import pytest
from conftest import PROGRAMS
from qemu import linux_args

MIB = 128


def works_on(g, rounds=2):
    """The memory program reports, and what it reports is progress."""
    reports = []
    for _ in range(rounds + 1):
        _, m = g.expect(r"MEM (BAD.*|\d+ \d+)$", 20)
        assert not m[1].startswith("BAD"), m[1]
        reports.append([int(x) for x in m[1].split()])
    for a, b in zip(reports, reports[1:]):
        assert b[0] == a[0] + 1 and b[1] > a[1]


def healthy(g):
    assert g.sh("dmesg | grep -E 'BUG|WARNING|Oops|stall|lockup|clocksource.*unstable'",
                check=False) == ""


def memory(g):
    """The guest's memory, by QEMU's monitor."""
    path = g.dir / "memory"
    g.qmp("pmemsave", val=0, size=MIB << 20, filename=str(path))
    data = path.read_bytes()
    path.unlink()
    return data


def same_memory(source, target):
    """Of stopped guests. One thing the target has from KVM by then: the wall
    clock, 12 bytes, which are written when its MSR is."""
    a, b = memory(source), memory(target)
    other = [page for page in range(0, len(a), 4096) if a[page:page + 4096] != b[page:page + 4096]]
    if len(other) == 1:
        page, = other
        where = [i for i in range(page, page + 4096) if a[i] != b[i]]
        return where[-1] - where[0] < 12
    return not other


def migrate(source, target):
    """From a running QEMU to one that was started with -incoming defer and -S."""
    target.qmp("migrate-incoming", uri=f"unix:{target.dir}/migration")
    # Slow enough for the guest to write memory again that went over already.
    source.qmp("migrate-set-parameters", max_bandwidth=64 << 20, downtime_limit=1000)
    source.qmp("migrate", uri=f"unix:{target.dir}/migration")
    info = source.qmp.until("query-migrate", lambda r: r["status"] in ("completed", "failed"))
    assert info["status"] == "completed", info
    target.qmp.until("query-status", lambda r: r["status"] == "paused", 20)
    return info


@pytest.mark.parametrize("kind,accel", [
    ("pc", "kvm"),
    ("q35,kernel-irqchip=split", "kvm"),
    ("q35", "kvm,dirty-ring-size=4096"),
])
def test_live_migration(qemu, record_property, kind, accel):
    """There and back again, under load."""
    args = ("-machine", kind, "-cpu", "host", "-smp", 2, "-m", MIB,
            *linux_args(PROGRAMS / "guest-memory"))
    g = qemu(*args, accel=accel)
    g.expect("ANYKVM-INIT", 60)
    g.prompt(30)
    g.sh("/guest-memory 32 & uptime=$(cut -d. -f1 /proc/uptime); date=$(date +%s)")
    started = since = time.monotonic()
    ran = 0
    works_on(g)
    for way in ("there", "back"):
        target = qemu(*args, "-incoming", "defer", "-S", accel=accel)
        ran += time.monotonic() - since
        info = migrate(g, target)
        assert info["ram"]["dirty-sync-count"] >= 3
        assert same_memory(g, target)
        record_property(f"migration {way}, {kind}, {accel}", f"{info['total-time']} ms, down "
                        f"{info['downtime']} ms, {info['ram']['dirty-sync-count']} passes")
        g.kill()
        target.qmp("cont")
        since = time.monotonic()
        g = target
        works_on(g)
    # Both of the guest's clocks stood while it did, and no longer.
    up, day = (int(n) for n in g.sh("echo $(($(cut -d. -f1 /proc/uptime) - uptime)) "
                                    "$(($(date +%s) - date))").split())
    ran += time.monotonic() - since
    passed = time.monotonic() - started
    assert ran - 2 < up < passed + 3 and ran - 2 < day < passed + 3
    healthy(g)


def test_snapshots(qemu, tmp_path):
    """savevm and loadvm: memory, devices, the clock and the disk go back together,
    in the same QEMU and in another."""
    disk = tmp_path / "disk.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", disk, "64M"], check=True)
    args = ("-machine", "q35", "-cpu", "host", "-smp", 2, "-m", MIB, "-drive",
            f"if=none,id=disk,file={disk}", "-device", "virtio-blk-pci,drive=disk",
            *linux_args(PROGRAMS / "guest-memory"))
    g = qemu(*args)
    g.expect("ANYKVM-INIT", 60)
    g.prompt(30)
    g.sh("/guest-memory 32 & state=saved; echo saved | dd of=/dev/vda bs=512 conv=sync,fsync "
         "2>/dev/null")
    works_on(g)
    g.qmp.human("savevm first")
    works_on(g)
    for _ in range(3):
        g.sh("state=lost; echo lost | dd of=/dev/vda bs=512 conv=sync,fsync 2>/dev/null; "
             "uptime=$(cut -d. -f1 /proc/uptime)")
        g.qmp.human("loadvm first")
        works_on(g)
        # Nothing of the disk was in the guest's cache when it was saved but that.
        assert g.sh("echo $state; dd if=/dev/vda iflag=direct bs=512 count=1 2>/dev/null | "
                    "head -n 1; echo $uptime").split() == ["saved", "saved"]
    healthy(g)
    g.qmp("quit")
    assert g.wait(30) == 0
    other = qemu(*args, "-loadvm", "first")
    works_on(other)
    other.write("\n")
    assert other.sh("echo $state") == "saved"
    healthy(other)
