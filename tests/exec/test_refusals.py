# SPDX-License-Identifier: LGPL-2.1-or-later
"""`anykvm exec` says plainly, in one line, what it cannot run, with the exit
statuses of env(1) and the shells."""
import os
import struct
import subprocess

import pytest
from conftest import ANYKVM, NOBODY, PROGRAMS, anykvm_exec, as_user, run

NOT_FOUND, CANNOT, OURS, USAGE = 127, 126, 125, 2


def refused(r, status, *words):
    assert r.status == status, r
    lines = r.err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("anykvm: "), r
    for w in words:
        assert w in lines[0], r
    assert r.out == ""


def elf(path, machine=62, bits=2, kind=2):
    """A file with the head of a program in it."""
    head = b"\177ELF" + bytes([bits, 1, 1]) + bytes(9) + struct.pack("<HHI", kind, machine, 1)
    path.write_bytes(head + bytes(200))
    path.chmod(0o755)
    return path


def test_not_found(tmp_path):
    refused(anykvm_exec("no-such-program"), NOT_FOUND, "no-such-program", "no such program")
    refused(anykvm_exec("/no/such/program"), NOT_FOUND, "no such program")
    refused(anykvm_exec(tmp_path / "x" / "y"), NOT_FOUND, "no such program")
    refused(anykvm_exec(""), NOT_FOUND, "no such program")
    refused(anykvm_exec("x" * 5000), CANNOT, "too long")


def test_not_executable(tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("text\n")
    refused(anykvm_exec(plain), CANNOT, "Permission denied")
    refused(anykvm_exec(tmp_path), CANNOT, "directory")
    plain.chmod(0o755)
    refused(anykvm_exec(plain), CANNOT, "no program")
    plain.write_text("")
    refused(anykvm_exec(plain), CANNOT, "no program")
    plain.write_text("#!\n")
    refused(anykvm_exec(plain), CANNOT, "no program")
    plain.write_text("#!/no/such/interpreter\n")
    r = anykvm_exec(plain)
    assert r.status in (CANNOT, NOT_FOUND) and r.err.count("\n") == 1, r


def test_other_processor(tmp_path):
    refused(anykvm_exec(elf(tmp_path / "arm", machine=183)), CANNOT, "another processor")
    refused(anykvm_exec(elf(tmp_path / "i386", machine=3, bits=1)), CANNOT, "32-bit")
    refused(anykvm_exec(elf(tmp_path / "x32", bits=1)), CANNOT, "32-bit")
    refused(anykvm_exec(elf(tmp_path / "object", kind=1)), CANNOT, "no program")
    refused(anykvm_exec(elf(tmp_path / "empty")), CANNOT, "no program")


@pytest.mark.parametrize("mode,word", [(0o4755, "set-user-ID"), (0o2755, "set-group-ID")])
def test_privileged(tmp_path_factory, mode, word):
    if os.geteuid() != 0:
        pytest.skip("making a program of another user takes root")
    where = tmp_path_factory.mktemp("privileged")
    for d in (where, *where.parents[:2]):
        d.chmod(0o755)
    program = where / "program"
    program.write_bytes((PROGRAMS / "program").read_bytes())
    program.chmod(mode)
    # As root nothing changes by executing it.
    assert anykvm_exec(program, "hello").out == "hello\n"
    if not reachable():
        pytest.skip("the build is in a directory that other users may not enter")
    refused(as_user([ANYKVM, "exec", program, "hello"]), CANNOT, word)


def reachable():
    return subprocess.run(["test", "-x", ANYKVM], user=NOBODY, group=NOBODY).returncode == 0


def test_any_user(tmp_path):
    """No privilege is needed."""
    if os.geteuid() == 0 and not reachable():
        pytest.skip("the build is in a directory that other users may not enter")
    for name in ("program", "program-static"):
        r = as_user([ANYKVM, "exec", PROGRAMS / name, "hello"])
        assert r.status == 0 and r.out == "hello\n", r


def test_library(tmp_path):
    """The library that goes with it must be there."""
    lonely = tmp_path / "anykvm"
    lonely.write_bytes(ANYKVM.read_bytes())
    lonely.chmod(0o755)
    program = PROGRAMS / "program"
    if not os.path.exists("/usr/local/lib/x86_64-linux-gnu/libanykvm-shim.so"):
        refused(run([lonely, "exec", program, "hello"]), OURS, "libanykvm-shim.so")
    shim = ANYKVM.parent / "libanykvm-shim.so"
    r = run([lonely, "exec", program, "hello"], env=dict(os.environ, ANYKVM_SHIM=str(shim)))
    assert r.status == 0 and r.out == "hello\n", r
    env = dict(os.environ, ANYKVM_SHIM="/no/such/library")
    refused(anykvm_exec(program, "hello", env=env), OURS, "ANYKVM_SHIM", "No such file")
    spaced = tmp_path / "a b.so"
    spaced.write_bytes(shim.read_bytes())
    spaced.chmod(0o755)
    refused(anykvm_exec(program, env=dict(os.environ, ANYKVM_SHIM=str(spaced))), OURS, "blank")


def test_usage():
    refused(run([ANYKVM, "exec"]), USAGE, "needs a program")
    refused(run([ANYKVM, "exec", "--"]), USAGE, "needs a program")
    refused(anykvm_exec("--nothing", "true"), USAGE, "--nothing")
    refused(anykvm_exec("--trap"), USAGE, "--trap")
    refused(anykvm_exec("--trap", "never", "true"), USAGE, "auto or always")
    r = anykvm_exec("--help")
    assert r.status == 0 and "usage: anykvm exec" in r.out and r.err == ""
    assert run([ANYKVM, "help", "exec"]).out == r.out
    assert "exec" in run([ANYKVM, "--help"]).out
    assert all(len(line) <= 80 for line in r.out.splitlines())


def test_preload_kept(tmp_path):
    """Other libraries in LD_PRELOAD stay there, and ours is there once."""
    env = dict(os.environ, LD_PRELOAD="libm.so.6")
    r = anykvm_exec("sh", "-c", "echo $LD_PRELOAD; exec sh -c 'echo $LD_PRELOAD'", env=env)
    a, b = r.out.splitlines()
    assert a == b and a.endswith("libanykvm-shim.so:libm.so.6"), r
