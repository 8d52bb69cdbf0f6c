# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guests whose code does not fit into the code cache: the engine gives up what is
oldest, and what programs compute stays right."""
import hashlib
import os

import images
import machine
import pytest
from test_stats import counters

pytestmark = pytest.mark.usefixtures("anykvm_only")
LIMIT = 90
ROUNDS = 3
MEMORY = 1024
# Different programs by turns; each round must print the same.
WORK = r"""
round() {
    seq 1 4000 | md5sum
    seq 1 4000 | sha256sum
    seq 1 2000 | gzip -c | gunzip -c | sha1sum
    seq 1 3000 | awk '{ s = s + $1 * $1; t[$1 % 7] += s } END { print s, t[3] }'
    seq 1 800 | sed -e 's/\(.\)1/<\1>/g' | sort -r | tail -n 3 | tr '\n' ' '
    ls -lR /bin /sys/class | wc -l
    find /proc/sys/kernel | sort | wc -l
}
one=$(round); n=0; same=0
while [ $n -lt ROUNDS ]; do
    (round | sha1sum) & (round | sha512sum) & wait
    [ "$(round)" = "$one" ] && same=$((same + 1)); n=$((n + 1))
done >/dev/null
echo "$one"; echo same$same
"""


def work(guest):
    """Both sums that a round prints, after all rounds were alike."""
    for line in WORK.replace("ROUNDS", str(ROUNDS)).strip().splitlines():
        guest.write(line + "\n")
    guest.expect(rf"^same{ROUNDS}\b", LIMIT)
    guest.prompt(LIMIT)


@pytest.mark.parametrize("cpus", [1, 4])
def test_small_cache(cpus):
    # Programs at the same addresses each time: they touch the same parts of the TLB's tables.
    argv = machine.command("anykvm", images.kernel("cloud"), images.initrd("amd64"),
                           "console=ttyS0 quiet norandmaps", cpus, MEMORY,
                           extra=["--stats", "--code-cache", "4M"])
    with machine.Guest(argv, tty=True) as guest:
        guest.prompt(LIMIT)
        work(guest)
        work(guest)     # the engine's tables fill up
        before = machine.memory_overhead(guest.process.pid, MEMORY)[0]
        work(guest)
        after = machine.memory_overhead(guest.process.pid, MEMORY)[0]
        text = guest.text
        guest.write("poweroff -f\n")
        assert guest.wait(LIMIT) == 0
        table, = counters(guest.errors)
    for make, tool in ((4000, "md5"), (4000, "sha256")):
        data = "".join(f"{i}\n" for i in range(1, make + 1)).encode()
        assert hashlib.new(tool, data).hexdigest() in text
    assert "9004500500 " in text        # the sum of squares up to 3000
    assert table["evictions"] > 200, table
    assert table["cache_resets"] > 10, table
    # With several CPUs the tables of each fill up first.
    assert cpus > 1 or after < before + 2048, (before, after)


def test_environment():
    argv = machine.command("anykvm", images.kernel("cloud"), images.initrd("amd64"),
                           "console=ttyS0 quiet anykvm.test=poweroff", 1, 512, extra=["--stats"])
    with machine.Guest(argv, env=dict(os.environ, ANYKVM_SOFT="code-cache=4M")) as guest:
        assert guest.wait(LIMIT) == 0
        table, = counters(guest.errors)
    assert table["evictions"] > 20, table
