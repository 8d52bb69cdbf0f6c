# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/api.md is complete and true: every request and capability of
<linux/kvm.h> that concerns x86 has its row, absent ones fail as the row says,
capabilities answer what it says, and the table of selftests is that of
tests/api."""
import re
import sys
from pathlib import Path

from conftest import anykvm_exec

ROOT = Path(__file__).resolve().parents[2]
DOC = (ROOT / "docs/api.md").read_text()
HEADER = Path("/usr/include/linux/kvm.h").read_text()
FOREIGN = re.compile("PPC|S390|_ARM|MIPS|SPAPR|RMA|RISCV|BOOKE|SW_TLB|IRQ_MPIC|IRQ_XICS")
WORDS = {"pass": "pass", "skip": "skip", "either": "pass or skip", "unsupported": "not run"}

# Runs where /dev/kvm is ours: a VM with a vCPU, then requests from the command line.
ASK = r"""
import errno, fcntl, os, sys
sys_fd = os.open("/dev/kvm", os.O_RDWR)
vm = fcntl.ioctl(sys_fd, 0xae01, 0)
fds = {"System": sys_fd, "VM": vm, "vCPU": fcntl.ioctl(vm, 0xae41, 0)}
for word in sys.argv[1:]:
    where, request, arg = word.split(":")
    try:
        print(fcntl.ioctl(fds[where], int(request), int(arg)))
    except OSError as e:
        print(errno.errorcode[e.errno])
"""
CHECK_EXTENSION = 0xae03


def section(title):
    """The rows of the table under a heading, as lists of cells."""
    text = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", DOC, re.M | re.S).group(1)
    rows = [[c.strip() for c in line.strip("|").split("|")]
            for line in text.splitlines() if line.startswith("|")]
    return rows[2:]


def ask(words):
    r = anykvm_exec(sys.executable, "-c", ASK, *words)
    assert r.status == 0, r
    return r.out.split()


def request_number(name):
    """The number that the header's _IO, _IOR, _IOW or _IOWR makes of it."""
    m = re.search(rf"#define\s+{name}\s+_IO([WR]*)\(KVMIO,\s*(0x[0-9a-f]+)(?:,\s*([\w ]+))?",
                  HEADER)
    directions = {"": 0, "W": 1, "R": 2, "WR": 3}
    return directions[m[1]], int(m[2], 16), m[3]


def requests():
    names = re.findall(r"#define\s+(KVM_\w+)\s+_IO[WR]*\(KVMIO", HEADER)
    return [n for n in names if not FOREIGN.search(n)]


def rows_of_requests():
    """(kind of descriptor, names, what the row says)"""
    for kind in ("System", "VM", "vCPU"):
        for row in section(f"{kind} ioctls"):
            yield kind, re.findall(r"KVM_\w+", row[1]), row[2]


def test_every_request_has_a_row():
    documented = {n for _, names, _ in rows_of_requests() for n in names}
    missing = [n for n in requests() if n not in documented]
    assert not missing, missing


def test_rows_of_requests():
    for kind, names, text in rows_of_requests():
        assert re.match(r"works|differs: |absent: (EINVAL|ENOTTY)\b", text), (kind, names, text)


def test_absent_requests():
    """Refused as unknown, whatever the argument and its size."""
    words, expected = [], []
    for kind, names, text in rows_of_requests():
        m = re.match(r"absent: (\w+)", text)
        for name in names if m else []:
            if not re.search(rf"#define\s+{name}\s+_IO", HEADER):
                assert name in ("KVM_DEBUG_GUEST",), name
                continue
            direction, number, size = request_number(name)
            for bytes_ in (0, 8) if size else (0,):
                words.append(f"{kind}:{direction << 30 | bytes_ << 16 | 0xae << 8 | number}:0")
                expected.append(m[1])
    got = ask(words)
    assert list(zip(words, got)) == list(zip(words, expected))


def capabilities():
    found = re.findall(r"#define KVM_CAP_(\w+)\s+(\d+)\s*(?:/\*.*)?$", HEADER, re.M)
    return {n: int(v) for n, v in found if not FOREIGN.search(f"KVM_{n}")}


def test_every_capability_has_a_row():
    documented = [n for row in section("Capabilities") for n in row[0].split(", ")]
    assert sorted(documented) == sorted(capabilities())


def test_capabilities():
    numbers = capabilities()
    words, expected = [], []
    for names, answer, _ in section("Capabilities"):
        for name in names.split(", "):
            if not re.fullmatch(r"\d+|0x[0-9a-f]+", answer):
                continue
            for kind in ("System", "VM"):
                words.append(f"{kind}:{CHECK_EXTENSION}:{numbers[name]}")
                expected.append(f"{int(answer, 0)} {name}")
    got = [f"{g} {e.split()[1]}" for g, e in zip(ask(words), expected, strict=True)]
    assert got == expected


def test_unknown_capabilities():
    """Numbers that no capability has."""
    words = [f"VM:{CHECK_EXTENSION}:{n}" for n in (4000, 2 ** 31 - 1)]
    assert ask(words) == ["0", "0"]


def test_selftests():
    expected = []
    for line in (ROOT / "tests/api/expect.txt").read_text().splitlines():
        text, _, reason = line.partition("#")
        words = text.split()
        if words:
            expected.append([words[0], WORDS[words[1]], reason.strip()])
    assert section("The kernel's selftests") == expected
