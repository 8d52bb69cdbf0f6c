# SPDX-License-Identifier: LGPL-2.1-or-later
"""What an idle guest costs its host. The limits are wide, for busy machines;
the figures go to the report, where the goals are under 3 % of a core and under
100 MiB beyond the guest's own memory."""
import time

import machine
import pytest

pytestmark = pytest.mark.usefixtures("anykvm_only")


@pytest.mark.parametrize("cpus", (1, 4))
def test_idle(boot, cpus, record_property):
    guest = boot(tty=True, cpus=cpus)
    guest.prompt(120)
    time.sleep(2)
    before, start = guest.cpu_seconds(), time.monotonic()
    time.sleep(8)
    percent = 100 * (guest.cpu_seconds() - before) / (time.monotonic() - start)
    overhead, touched = machine.memory_overhead(guest.process.pid, 512)
    record_property(f"idle, {cpus} vCPUs", f"{percent:.1f} % of a core")
    record_property(f"resident, {cpus} vCPUs", f"{overhead // 1024} MiB beside the "
                    f"{touched // 1024} MiB that the guest touched")
    assert percent < 15
    assert overhead < 200 * 1024


def test_untouched_memory_stays_untouched(boot):
    """4 GiB for the guest are no 4 GiB of the host's."""
    guest = boot(tty=True, memory=4096)
    guest.prompt(120)
    _, touched = machine.memory_overhead(guest.process.pid, 4096)
    assert touched < 700 * 1024
