# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian's virtio_balloon gives memory to the host by QMP, takes it back, reports
what is free, and tells how it uses its memory."""
import time
from pathlib import Path

import pytest
from qmp import Qmp, QmpError

pytestmark = pytest.mark.usefixtures("anykvm_only")

BOOT_SECONDS = 60
MIB = 1 << 20
BALLOON = {"path": "/machine/peripheral/b", "property": "guest-stats"}

# Fills most of the memory, so that the host has it, and waits for lines.
SCRIPT = """
mount -t tmpfs -o size=400m none /root
dd if=/dev/urandom of=/root/fill bs=1M count=300 2>/dev/null
echo FILLED
read line
rm /root/fill
echo REMOVED
read line
dd if=/dev/zero of=/root/fill bs=1M count=200 2>/dev/null
echo AGAIN $(tr -d '\\000' </root/fill | wc -c)
read line
[ "$line" = reboot ] && reboot -f
echo SCRIPT-DONE
"""


def resident(guest):
    text = Path(f"/proc/{guest.process.pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) // 1024


def until(what, seconds=20):
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def actual(qmp):
    return qmp.execute("query-balloon")["actual"] // MIB


def test_balloon(boot, tmp_path):
    guest = boot(script=SCRIPT, tty=True, reboot=True, modules=["virtio_pci", "virtio_balloon"],
                 extra=["--qmp", str(tmp_path / "qmp"), "--device", "virtio-balloon,id=b"])
    guest.expect("^FILLED", BOOT_SECONDS)
    with Qmp(tmp_path / "qmp") as qmp:
        assert actual(qmp) == 512
        full = resident(guest)
        assert full > 300
        first = qmp.execute("qom-get", **BALLOON)["last-update"]    # as the driver began
        time.sleep(1.1)
        assert qmp.execute("qom-get", **BALLOON)["last-update"] == first
        qmp.execute("qom-set", **dict(BALLOON, property="guest-stats-polling-interval", value=1))
        until(lambda: qmp.execute("qom-get", **BALLOON)["last-update"] > first)
        stats = qmp.execute("qom-get", **BALLOON)["stats"]
        assert 400 * MIB < stats["stat-total-memory"] < 512 * MIB
        assert 0 < stats["stat-free-memory"] < 200 * MIB

        # what is removed is reported as free, and the host has it
        guest.write("\r")
        guest.expect("^REMOVED", 20)
        until(lambda: resident(guest) < full - 200)
        until(lambda: qmp.execute("qom-get", **BALLOON)["stats"]["stat-free-memory"] > 300 * MIB)

        qmp.execute("balloon", value=256 * MIB)
        until(lambda: actual(qmp) == 256)
        qmp.execute("balloon", value=4096 * MIB)
        until(lambda: actual(qmp) == 512)
        guest.write("\r")
        guest.expect("^AGAIN 0", 20)

        # the wish outlives a reset
        qmp.execute("balloon", value=300 * MIB)
        until(lambda: actual(qmp) == 300, 30)
        guest.write("reboot\r")
        guest.expect("ANYKVM-INIT", BOOT_SECONDS)
        until(lambda: actual(qmp) == 300, 30)
        for args in ({"value": 0}, {"value": "1"}, {}):
            with pytest.raises(QmpError, match="value"):
                qmp.execute("balloon", **args)
        with pytest.raises(QmpError, match="x"):
            qmp.execute("qom-get", path="x", property="guest-stats")
        qmp.execute("quit")
    assert guest.wait(20) == 0


def test_mmio(boot, tmp_path):
    """Over MMIO, with packed rings and without reporting, whose queue is then not there."""
    guest = boot(script="read line", tty=True, memory=256, modules=[
        "virtio_mmio", "virtio_balloon"], extra=[
        "--machine", "micro", "--qmp", str(tmp_path / "qmp"),
        "--device", "virtio-balloon,id=b,packed=on,free-page-reporting=off,stats-interval=1"])
    guest.expect("ANYKVM-INIT", BOOT_SECONDS)
    with Qmp(tmp_path / "qmp") as qmp:
        qmp.execute("balloon", value=128 * MIB)
        until(lambda: actual(qmp) == 128)
        until(lambda: qmp.execute("qom-get", **BALLOON)["stats"]["stat-free-memory"] < 110 * MIB)
        qmp.execute("quit")
    assert guest.wait(20) == 0


def test_none(boot, tmp_path):
    guest = boot(mode="poweroff", extra=["--qmp", str(tmp_path / "qmp")], memory=128)
    with Qmp(tmp_path / "qmp") as qmp, pytest.raises(QmpError) as e:
        qmp.execute("query-balloon")
    assert e.value.args[0] == "DeviceNotActive"
    assert guest.wait(BOOT_SECONDS) == 0
