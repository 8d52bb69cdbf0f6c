# SPDX-License-Identifier: LGPL-2.1-or-later
"""Stock kernels boot to their shell, where common commands give the right
answers, and power-off ends the machine with status 0."""
import time

import images
import machine
import pytest

CPUS = (1, 2, 4)
BOOT_SECONDS = 180
COMMANDS_SECONDS = 240
# The kernel without PAE that Debian builds has no SMP at all.
UNIPROCESSOR = {"686"}


@pytest.mark.parametrize("cpus", CPUS)
@pytest.mark.parametrize("kernel", images.KERNELS)
def test_commands(boot, kernel, cpus):
    seen = 1 if kernel in UNIPROCESSOR else cpus
    guest = boot(kernel, "commands", cpus, append=f"anykvm.cpus={seen}")
    guest.expect("ANYKVM-INIT", BOOT_SECONDS)
    # Two readings of the guest's clock against the host's when they arrive.
    skew = []
    for name in ("date", "date2"):
        _, m = guest.expect(rf"VALUE {name} (\d+)", COMMANDS_SECONDS)
        skew.append(int(m[1]) - time.time())
    guest.expect("TESTS-DONE", COMMANDS_SECONDS)
    guest.expect("ANYKVM-POWEROFF", 10)
    status = guest.wait(30)

    tests, _ = machine.parse_tests(guest)
    bad = [f"{name}: {why}" for name, why in tests.items() if why]
    assert not bad, "\n".join(bad)
    assert len(tests) >= 35
    assert all(-3 < s < 2 for s in skew), f"the guest's date is {skew} s ahead of the host's"
    assert status == 0


def test_memory_size(boot):
    """The guest finds the memory it was given, below and above 4 GiB."""
    for mib in (256, 5000):
        guest = boot("cloud", "commands", memory=mib)
        _, m = guest.expect(r"VALUE memory (\d+)", BOOT_SECONDS)
        assert 0.75 * mib < int(m[1]) / 1024 <= mib
        guest.kill()


def test_many_cpus(boot):
    """Eight vCPUs on however many the host has come up and go down."""
    guest = boot("cloud", "poweroff", cpus=8)
    guest.expect("ANYKVM-INIT", BOOT_SECONDS)
    assert guest.wait(60) == 0
