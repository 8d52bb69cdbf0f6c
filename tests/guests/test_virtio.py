# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian's own drivers find virtio devices on every machine and use them."""
import pytest

BOOT_SECONDS = 60
PCI = ["virtio_pci"]
MMIO = ["virtio_mmio"]

RNG = """
cat /sys/class/misc/hw_random/rng_current
head -c 100000 /dev/hwrng | wc -c
a=$(head -c 32 /dev/hwrng | md5sum)
b=$(head -c 32 /dev/hwrng | md5sum)
[ "$a" != "$b" ] && echo DIFFERENT
grep -E "virtio" /proc/interrupts
echo SCRIPT-DONE
"""


@pytest.mark.parametrize("options", ["", ",packed=on", ",event-idx=off,indirect=off"])
@pytest.mark.parametrize("machine", ["q35", "pc", "micro"])
def test_rng(boot, anykvm_only, machine, options):
    guest = boot(script=RNG, modules=(MMIO if machine == "micro" else PCI) + ["virtio-rng"],
                 extra=["--machine", machine, "--device", "virtio-rng" + options])
    guest.expect("^virtio_rng.0$", BOOT_SECONDS)
    guest.expect("^100000$", 20)
    guest.expect("^DIFFERENT$", 10)
    _, m = guest.expect(r"^ *\d+: +(\d+).*virtio0(-input.*)?$", 10)
    assert int(m[1]) > 0
    guest.expect("SCRIPT-DONE", 10)
    assert guest.wait(20) == 0


def test_rng_intx(boot, anykvm_only):
    """Without MSI-X the interrupt comes over the pin."""
    for machine in ("q35", "pc"):
        guest = boot(script=RNG, modules=PCI + ["virtio-rng"], append="pci=nomsi",
                     extra=["--machine", machine, "--device", "virtio-rng"])
        guest.expect("^100000$", BOOT_SECONDS)
        _, m = guest.expect(r"^ *(\d+): +(\d+) +IO-APIC.*virtio0", 10)
        assert int(m[2]) > 0
        guest.expect("SCRIPT-DONE", 10)
        assert guest.wait(20) == 0


def test_pic(boot, anykvm_only):
    """Nor does it need an IOAPIC: the chipset's registers route the pin to the PICs."""
    for machine in ("q35", "pc"):
        guest = boot(script=RNG, modules=PCI + ["virtio-rng"], append="pci=nomsi noapic",
                     extra=["--machine", machine, "--device", "virtio-rng"])
        guest.expect("^100000$", BOOT_SECONDS)
        guest.expect(r"^ *(10|11|5): +[1-9]\d* +XT-PIC.*virtio0", 10)
        guest.expect("SCRIPT-DONE", 10)
        assert guest.wait(20) == 0


def test_many(boot, anykvm_only):
    """More devices than lines, in slots of their own choice."""
    for machine, modules in (("q35", PCI), ("micro", MMIO)):
        extra = ["--machine", machine] + ["--device", "virtio-rng"] * 12
        guest = boot(script="ls -1 /sys/bus/virtio/drivers/virtio_rng\necho SCRIPT-DONE\n",
                     modules=modules + ["virtio-rng"], extra=extra)
        guest.expect(r"^virtio9$", BOOT_SECONDS)
        guest.expect("SCRIPT-DONE", 10)
        assert guest.wait(20) == 0
        assert guest.text.count("virtio11") == 1


TOGETHER = """
exec </dev/hvc0 >/dev/hvc0 2>&1
mkdir /a; mount -t 9p -o trans=virtio,version=9p2000.L share0 /a || echo MOUNT-FAILED
n=$(cat /a/life); echo $((n + 1)) >/a/life
ls /sys/bus/virtio/devices | wc -l | sed s/^/DEVICES-/
dd if=/dev/urandom of=/a/big bs=64k count=400 2>/dev/null &
dd if=/dev/zero of=/dev/vda bs=64k count=400 oflag=direct 2>/dev/null &
dd if=/dev/zero of=/dev/sda bs=64k count=400 oflag=direct 2>/dev/null &
seq 1 100000 >/dev/$(basename /sys/class/virtio-ports/vport*p1) &
head -c 200000 /dev/hwrng >/dev/null &
usleep 150000
echo "LIFE-$n"
[ "$n" = 1 ] || reboot -f
wait
echo SCRIPT-DONE
"""


def test_together(boot, anykvm_only, tmp_path):
    """All of them in one machine, which is reset while they are at work."""
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(bytes(32 << 20))
    (tmp_path / "life").write_text("0\n")
    guest = boot(kernel="generic", script=TOGETHER, tty=True, reboot=True, cpus=2, modules=[
        "virtio_mmio", "virtio_console", "virtio_blk", "virtio_scsi", "sd_mod", "virtio-rng",
        "virtio_balloon", "vmw_vsock_virtio_transport", "virtio_net", "9pnet_virtio", "9p"],
        extra=["--machine", "micro", "--console", "none", "--vsock", f"{tmp_path}/vsock",
               "--share", f"{tmp_path},packed=on,iothread=on",
               "--chardev", f"file,id=f,path={tmp_path}/out",
               "--device", "virtio-console,chardev=stdio,port1=f,name1=out",
               "--disk", f"{tmp_path}/a,format=raw",
               "--disk", f"{tmp_path}/b,format=raw,if=none,id=b",
               "--device", "virtio-scsi,lun0=b", "--device", "virtio-balloon",
               "--device", "virtio-rng"])
    for life in range(2):
        guest.expect("^DEVICES-8", BOOT_SECONDS)
        guest.expect(f"^LIFE-{life}", 20)
    guest.expect("^SCRIPT-DONE", 20)
    assert guest.wait(20) == 0
    assert "broke the protocol" not in guest.errors
    assert (tmp_path / "life").read_text() == "2\n"
    assert (tmp_path / "out").read_text().endswith("\n100000\n")
