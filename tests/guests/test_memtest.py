# SPDX-License-Identifier: LGPL-2.1-or-later
"""memtest86+, a program for bare machines, starts from the Linux boot protocol
and completes its first tests without finding an error."""
import re

import images
import machine


def test_memtest(runner):
    argv = machine.command(runner, images.memtest(), append="console=ttyS0,115200", memory=64)
    with machine.Guest(argv) as guest:
        guest.search(r"Memtest86\+ v\d", 60)
        # Its tests have numbers, and the screen is drawn every two seconds only:
        # a later test than the fifth has begun, so the earlier ones are done.
        guest.search(r"#([6-9]|10) +\[", 300)
        errors = {int(n) for n in re.findall(r"Errors: (\d+)", guest.text)}
        assert errors == {0}


def test_memtest_finds_memory(runner):
    argv = machine.command(runner, images.memtest(), append="console=ttyS0,115200", memory=256)
    with machine.Guest(argv) as guest:
        m = guest.search(r"Memory  : +(\d+)MB", 60)
        assert 250 <= int(m[1]) <= 256
