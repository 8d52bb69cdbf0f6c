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
