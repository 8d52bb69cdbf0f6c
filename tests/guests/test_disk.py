# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian's own virtio_blk uses disk images of every kind; what it wrote is in
the image afterwards, by QEMU's account."""
import os
import subprocess
import time
from pathlib import Path

import images
import machine
import pytest
from qmp import Qmp

pytestmark = pytest.mark.usefixtures("anykvm_only")

BOOT_SECONDS = 60
MODULES = {"q35": ["virtio_pci", "virtio_blk"], "pc": ["virtio_pci", "virtio_blk"],
           "micro": ["virtio_mmio", "virtio_blk"]}
PATTERN = b"0123456789abcdef" * 65536  # 1 MiB

# Writes a pattern to the second and third MiB, and compares.
WRITE = """
cat /sys/block/vda/size /sys/block/vda/queue/write_cache
yes 0123456789abcdef | tr -d '\\n' | dd of=/dev/vda bs=64k seek=16 count=32 iflag=fullblock \
    conv=fsync 2>/dev/null
echo 3 > /proc/sys/vm/drop_caches
dd if=/dev/vda bs=64k skip=16 count=32 2>/dev/null | md5sum | sed s/^/SUM-/
head -c 1048576 /dev/vda | tr -d '\\000' | wc -c | sed s/^/REST-/
echo SCRIPT-DONE
"""


def run(*argv):
    r = subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, capture_output=True,
                       text=True, timeout=60)
    assert r.returncode == 0, r.stdout + r.stderr
    return r.stdout


def image(*args):
    return run(machine.anykvm_path(), "image", *args)


def md5(data):
    return subprocess.run(["md5sum"], input=data, capture_output=True).stdout.split()[0].decode()


def start(boot, disk, script=WRITE, kind="q35", **kw):
    return boot(script=script, modules=MODULES[kind],
                extra=["--machine", kind, "--disk", disk, *kw.pop("extra", [])], **kw)


def expect_written(guest):
    guest.expect(f"^SUM-{md5(PATTERN * 2)}", BOOT_SECONDS)
    guest.expect("^REST-0$", 10)
    guest.expect("SCRIPT-DONE", 10)
    assert guest.wait(20) == 0


def check_written(path, fmt):
    out = Path(str(path) + ".raw")
    run("qemu-img", "convert", "-f", fmt, "-O", "raw", path, out)
    data = out.read_bytes()
    out.unlink()
    assert data[1 << 20:3 << 20] == PATTERN * 2
    assert not any(data[:1 << 20]) and not any(data[3 << 20:])
    if fmt == "qcow2":
        run("qemu-img", "check", "-q", path)


@pytest.mark.parametrize("fmt", ["raw", "qcow2"])
@pytest.mark.parametrize("kind", ["q35", "pc", "micro"])
def test_write(boot, tmp_path, kind, fmt):
    disk = tmp_path / f"disk.{fmt}"
    image("create", disk, "32M")
    guest = start(boot, f"{disk},format={fmt}", kind=kind)
    guest.expect("^65536$", BOOT_SECONDS)
    guest.expect("^write back$", 10)
    expect_written(guest)
    check_written(disk, fmt)


@pytest.mark.parametrize("options", ["cache=none", "cache=writethrough", "cache=unsafe",
                                     "iothread=on", "packed=on", "num-queues=4,cache=none"])
def test_options(boot, tmp_path, options):
    disk = tmp_path / "disk.qcow2"
    image("create", disk, "32M")
    expect_written(start(boot, f"{disk},{options}", cpus=2))
    check_written(disk, "qcow2")


def test_short(boot, tmp_path):
    """Names before the options are disks."""
    for name in ("a.qcow2", "b.raw"):
        image("create", tmp_path / name, "32M")
    argv = machine.command("anykvm", images.kernel("cloud"), images.initrd("amd64"),
                           "console=ttyS0 anykvm.test=poweroff")
    argv[2:2] = [str(tmp_path / "a.qcow2"), f"{tmp_path}/b.raw,readonly=on"]
    with machine.Guest(argv) as guest:
        guest.expect("ANYKVM-INIT", BOOT_SECONDS)
        assert guest.wait(20) == 0


def test_threads(boot, tmp_path, monkeypatch):
    """As on hosts without io_uring."""
    monkeypatch.setenv("ANYKVM_IO_URING", "0")
    disk = tmp_path / "disk.qcow2"
    image("create", disk, "32M")
    expect_written(start(boot, f"{disk},cache=none"))
    check_written(disk, "qcow2")


def test_readonly_and_snapshot(boot, tmp_path):
    disk = tmp_path / "disk.raw"
    disk.write_bytes(PATTERN * 4)
    before = disk.stat().st_mtime_ns
    guest = start(boot, f"{disk},format=raw,readonly=on,serial=my-serial", script="""
cat /sys/block/vda/ro /sys/block/vda/serial; echo
dd if=/dev/zero of=/dev/vda count=1 2>/dev/null || echo WRITE-REFUSED
md5sum /dev/vda | sed s/^/SUM-/
""")
    guest.expect("^1$", BOOT_SECONDS)
    guest.expect("my-serial", 10)
    guest.expect("^WRITE-REFUSED", 10)
    guest.expect(f"^SUM-{md5(PATTERN * 4)}", 10)
    assert guest.wait(20) == 0

    guest = start(boot, f"{disk},format=raw,snapshot=on", script="""
dd if=/dev/zero of=/dev/vda bs=64k count=16 conv=fsync 2>/dev/null
echo 3 > /proc/sys/vm/drop_caches
md5sum /dev/vda | sed s/^/SUM-/
""")
    guest.expect(f"^SUM-{md5(bytes(1 << 20) + PATTERN * 3)}", BOOT_SECONDS)
    assert guest.wait(20) == 0
    assert disk.read_bytes() == PATTERN * 4 and disk.stat().st_mtime_ns == before


def test_several(boot, tmp_path):
    """Disks keep their order; one is the overlay of another one's base."""
    base = tmp_path / "base.raw"
    base.write_bytes(PATTERN * 4)
    extra = []
    for i in range(3):
        image("create", "--backing", "base.raw", tmp_path / f"{i}.qcow2")
        extra += ["--disk", f"{tmp_path}/{i}.qcow2,serial=disk-{i}"]
    guest = boot(modules=MODULES["q35"], extra=extra, cpus=4, script="""
for d in vda vdb vdc; do
    echo "$d $(cat /sys/block/$d/serial)"
    echo "I am $d" | dd of=/dev/$d bs=64k seek=3 conv=fsync,notrunc 2>/dev/null
    md5sum /dev/$d
done
ls /sys/block/vda/mq | wc -l | sed s/^/QUEUES-/
""")
    for i, d in enumerate(("vda", "vdb", "vdc")):
        data = bytearray(PATTERN * 4)
        text = f"I am {d}\n".encode()
        data[3 * 65536:3 * 65536 + len(text)] = text
        guest.expect(f"^{d} disk-{i}$", BOOT_SECONDS)
        guest.expect(f"^{md5(bytes(data))}", 10)
    guest.expect("^QUEUES-4", 10)
    assert guest.wait(20) == 0
    for i in range(3):
        run("qemu-img", "check", "-q", tmp_path / f"{i}.qcow2")
    assert base.read_bytes() == PATTERN * 4


def test_discard(boot, tmp_path):
    """What the guest discards, the host gets back."""
    for name in ("disk.raw", "disk.qcow2"):
        disk = tmp_path / name
        image("create", disk, "64M")
        guest = start(boot, f"{disk},format={name.split('.')[1]}", script="""
dd if=/dev/urandom of=/dev/vda bs=1M count=64 conv=fsync 2>/dev/null
blkdiscard -o 16M -l 40M /dev/vda && sync && echo DISCARDED
head -c 16777216 /dev/zero | md5sum | sed s/^/ZERO-/
dd if=/dev/vda bs=1M skip=32 count=16 iflag=direct 2>/dev/null | md5sum | sed s/^/ZERO-/
""")
        guest.expect("^DISCARDED", BOOT_SECONDS)
        _, a = guest.expect("^ZERO-(.*)", 20)
        _, b = guest.expect("^ZERO-(.*)", 20)
        assert a[1] == b[1]
        assert guest.wait(20) == 0
        assert os.stat(disk).st_blocks * 512 < (26 << 20)
        if name == "disk.qcow2":
            run("qemu-img", "check", "-q", disk)


def test_reboot(boot, tmp_path):
    """The disk outlives a reset in the middle of writes."""
    disk = tmp_path / "disk.qcow2"
    image("create", disk, "32M")
    guest = start(boot, disk, reboot=True, script="""
n=$(dd if=/dev/vda bs=1 count=1 2>/dev/null | tr -d '\\000')
echo "LIFE-${n:-0}"
[ "$n" = 3 ] && exit 0
echo $((${n:-0} + 1)) | dd of=/dev/vda conv=fsync,notrunc 2>/dev/null
dd if=/dev/zero of=/dev/vda bs=1M seek=1 count=30 oflag=direct 2>/dev/null &
reboot -f
""")
    for i in range(4):
        guest.expect(f"^LIFE-{i}", BOOT_SECONDS)
    assert guest.wait(20) == 0
    run("qemu-img", "check", "-q", disk)


def test_in_use(boot, tmp_path):
    disk = tmp_path / "disk.qcow2"
    image("create", disk, "32M")
    guest = start(boot, disk, script="echo READY; read line < /dev/ttyS0", tty=True)
    guest.expect("^READY", BOOT_SECONDS)
    second = start(boot, disk)
    assert second.wait(20) == 1 and "is in use by another program" in second.errors
    r = subprocess.run(["qemu-img", "check", disk], capture_output=True, text=True)
    assert r.returncode and "lock" in r.stderr
    assert "qcow2" in image("info", disk)
    guest.write("\r")
    assert guest.wait(20) == 0


def test_killed(boot, tmp_path):
    """kill -9 in the middle of writes: the image is whole, what was synced is there."""
    disk = tmp_path / "disk.qcow2"
    image("create", disk, "64M")
    for i in range(3):
        guest = start(boot, disk, script=f"""
echo round {i} | dd of=/dev/vda bs=512 seek={i} conv=fsync,notrunc 2>/dev/null
echo SYNCED
while :; do dd if=/dev/urandom of=/dev/vda bs=1M seek=1 count=60 2>/dev/null; done
""")
        guest.expect("^SYNCED", BOOT_SECONDS)
        time.sleep(0.3 + 0.4 * i)
        guest.kill()
        r = subprocess.run([machine.anykvm_path(), "image", "check", disk], capture_output=True)
        assert r.returncode in (0, 3), r.stdout
    raw = tmp_path / "raw"
    run("qemu-img", "convert", "-O", "raw", disk, raw)
    data = raw.read_bytes()
    for i in range(3):
        assert data[512 * i:].startswith(f"round {i}\n".encode())


def test_full(boot, tmp_path):
    """A full host disk pauses the machine, and nothing is lost."""
    small = tmp_path / "small"
    small.mkdir()
    argv = machine.command("anykvm", images.kernel("cloud"), images.initrd(
        "amd64", [(tmp_path / "test.sh", "test.sh")] if (tmp_path / "test.sh").write_text("""
yes 0123456789abcdef | tr -d '\\n' | dd of=/dev/vda bs=64k count=256 iflag=fullblock \
    oflag=direct 2>/dev/null && echo WRITTEN
echo 3 > /proc/sys/vm/drop_caches
dd if=/dev/vda bs=64k count=256 2>/dev/null | md5sum | sed s/^/SUM-/
""") else (), kernel_modules=("cloud", MODULES["q35"])),
        "console=ttyS0 anykvm.test=script", extra=["--disk", f"{small}/disk.qcow2", "--qmp",
                                                    str(tmp_path / "qmp")])
    probe = subprocess.run(["unshare", "-rm", "true"], capture_output=True)
    if probe.returncode:
        pytest.skip("this host lets nobody mount a small file system")
    guest = machine.Guest(["unshare", "-rm", "sh", "-c", """
mount -t tmpfs -o size=24m none "$0" && head -c 18M /dev/zero >"$0/filler" &&
"$1" image create "$0/disk.qcow2" 32M >/dev/null && shift || exit
(until [ -e "$0.go" ]; do sleep 0.1; done; rm "$0/filler") </dev/null >/dev/null 2>&1 &
exec "$@"
""", str(small), machine.anykvm_path(), *argv])
    with guest, Qmp(tmp_path / "qmp") as qmp:
        deadline = time.monotonic() + BOOT_SECONDS
        while "no space left" not in guest.errors and time.monotonic() < deadline:
            guest.pump(0.5)
        assert "the host has no space left" in guest.errors
        data = qmp.event("BLOCK_IO_ERROR", 10)["data"]
        assert (data["device"], data["action"], data["nospace"]) == ("disk0", "stop", True)
        qmp.event("STOP", 10)
        assert qmp.execute("query-status")["status"] == "io-error"
        assert qmp.execute("query-block")[0]["io-status"] == "nospace"
        assert "WRITTEN" not in guest.text
        time.sleep(3)       # it tries again in vain
        guest.pump(0.1)
        assert "there is space again" not in guest.errors
        (tmp_path / "small.go").touch()
        qmp.event("RESUME", 20)
        guest.expect("^WRITTEN", 20)
        guest.expect(f"^SUM-{md5(PATTERN * 16)}", 20)
        assert guest.wait(20) == 0
        assert guest.errors.count("the host has no space left") == 1
        assert "there is space again" in guest.errors


@pytest.mark.parametrize("args,mention", [
    (["--disk", "absent.qcow2"], "absent.qcow2"),
    (["--disk", "{disk},format=vdi"], "vdi"),
    (["--disk", "{disk},cache=sometimes"], "sometimes"),
    (["--disk", "{disk},readonly=perhaps"], "perhaps"),
    (["--disk", "{disk},colour=red"], "colour"),
    (["--disk", "{disk},serial=123456789012345678901"], "serial"),
    (["--disk", "{disk},id=a", "--disk", "{disk},id=a,readonly=on"], "another program"),
    (["--device", "virtio-blk"], "drive"),
    (["--device", "virtio-blk,drive=none"], "none"),
    (["--disk", "{disk},id=x,if=none", "--device", "virtio-blk,drive=x",
      "--device", "virtio-blk,drive=x"], "another device"),
])
def test_wrong(tmp_path, args, mention):
    disk = tmp_path / "disk.qcow2"
    image("create", disk, "1M")
    argv = machine.command("anykvm", images.kernel("cloud"),
                           extra=[a.replace("{disk}", str(disk)) for a in args])
    r = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    assert r.returncode > 0 and mention in r.stderr and r.stderr.count("\n") == 1, r.stderr
