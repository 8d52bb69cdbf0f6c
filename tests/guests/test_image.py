# SPDX-License-Identifier: LGPL-2.1-or-later
"""`anykvm image`, beside qemu-img."""
import json
import os
import pty
import subprocess

import machine
import pytest

pytestmark = pytest.mark.usefixtures("anykvm_only")


def run(*argv, cwd=None):
    return subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=60, cwd=cwd)


def qemu(*argv, cwd=None):
    r = run("qemu-img", *argv, cwd=cwd)
    assert r.returncode == 0, r.stderr
    return r.stdout


@pytest.fixture
def image(tmp_path):
    def call(*argv, status=0):
        r = run(machine.anykvm_path(), "image", *argv, cwd=tmp_path)
        assert r.returncode == status, r.stdout + r.stderr
        return r.stdout + r.stderr
    return call


def info(path):
    return json.loads(qemu("info", "--output=json", path))


@pytest.mark.parametrize("args,fmt,size", [
    (["a.qcow2", "2G"], "qcow2", 2 << 30),
    (["a.img", "100M"], "raw", 100 << 20),
    (["a.raw", "1T"], "raw", 1 << 40),
    (["a", "512"], "qcow2", 512),
    (["--format", "raw", "a.qcow2", "5M"], "raw", 5 << 20),
    (["a.qcow2", "1G", "--cluster-size", "4K", "--refcount-bits=1"], "qcow2", 1 << 30),
])
def test_create(image, tmp_path, args, fmt, size):
    image("create", *args)
    name = next(a for a in args if a.startswith("a"))
    i = info(tmp_path / name)
    assert i["virtual-size"] == size
    assert i["format"] == fmt
    ours = json.loads(image("info", "--json", "--format", fmt, name))
    for key in ("virtual-size", "format", "cluster-size", "dirty-flag"):
        assert ours.get(key) == i.get(key)


def test_create_over_another(image, tmp_path):
    image("create", "a.qcow2", "1G")
    assert "exists already" in image("create", "a.qcow2", "2G", status=1)
    image("create", "--force", "a.qcow2", "2G")
    assert info(tmp_path / "a.qcow2")["virtual-size"] == 2 << 30


def test_backing(image, tmp_path):
    (tmp_path / "base.img").write_bytes(os.urandom(3 << 20))
    image("create", "--backing", "base.img", "top.qcow2")
    i = info(tmp_path / "top.qcow2")
    assert i["virtual-size"] == 3 << 20 and i["backing-filename-format"] == "raw"
    qemu("compare", tmp_path / "base.img", tmp_path / "top.qcow2")
    assert "base.img (raw)" in image("info", "top.qcow2")
    chain = json.loads(image("info", "--chain", "--json", "top.qcow2"))
    assert [c["format"] for c in chain] == ["qcow2", "raw"]
    image("convert", "top.qcow2", "flat.qcow2")
    qemu("compare", tmp_path / "base.img", tmp_path / "flat.qcow2")
    assert "backing-filename" not in info(tmp_path / "flat.qcow2")


def test_convert(image, tmp_path):
    data = bytearray(20 << 20)
    data[1 << 20:3 << 20] = os.urandom(2 << 20)
    data[-512:] = b"x" * 512
    (tmp_path / "a.img").write_bytes(data)
    image("convert", "a.img", "b.qcow2")
    qemu("check", tmp_path / "b.qcow2")
    qemu("compare", tmp_path / "a.img", tmp_path / "b.qcow2")
    assert (tmp_path / "b.qcow2").stat().st_size < 3 << 20
    image("convert", "b.qcow2", "c.raw")
    assert (tmp_path / "c.raw").read_bytes() == data
    assert (tmp_path / "c.raw").stat().st_blocks * 512 < 3 << 20
    qemu("convert", "-c", "-O", "qcow2", tmp_path / "a.img", tmp_path / "d.qcow2")
    image("convert", "--cluster-size=2M", "d.qcow2", "e.qcow2")
    qemu("compare", tmp_path / "a.img", tmp_path / "e.qcow2")
    assert info(tmp_path / "e.qcow2")["cluster-size"] == 2 << 20
    assert "exists already" in image("convert", "a.img", "b.qcow2", status=1)


def test_resize(image, tmp_path):
    image("create", "a.qcow2", "1G")
    assert "6 GiB" in image("resize", "a.qcow2", "+5G")
    assert info(tmp_path / "a.qcow2")["virtual-size"] == 6 << 30
    assert "--shrink" in image("resize", "a.qcow2", "1G", status=1)
    image("resize", "--shrink", "a.qcow2", "1G")
    assert info(tmp_path / "a.qcow2")["virtual-size"] == 1 << 30
    image("create", "b.img", "1M")
    image("resize", "b.img", "3M")
    assert (tmp_path / "b.img").stat().st_size == 3 << 20


def test_check(image, tmp_path):
    image("create", "a.qcow2", "1G")
    assert "nothing is wrong" in image("check", "a.qcow2")
    with open(tmp_path / "a.qcow2", "r+b") as f:
        f.seek(2 * 65536 + 100 * 2)     # the count of cluster 100, which is not used
        f.write(b"\0\1")
        f.seek(2 * 65536)               # and that of the header
        f.write(b"\0\0")
    text = image("check", "a.qcow2", status=4)
    assert "error: cluster 0x0" in text and "1 errors, 1 leaks" in text
    image("check", "--repair", "leaks", "a.qcow2", status=4)
    assert "were repaired" in image("check", "--repair", "all", "a.qcow2")
    assert "No errors" in qemu("check", tmp_path / "a.qcow2")
    image("create", "b.img", "1M")
    assert "nothing to check" in image("check", "b.img", status=1)


def test_progress(image, tmp_path):
    """Only a terminal gets a progress line, and it is cleared at the end."""
    (tmp_path / "a.img").write_bytes(os.urandom(1 << 20) * 50)
    assert "%" not in image("convert", "a.img", "b.qcow2")
    ours, theirs = pty.openpty()
    p = subprocess.Popen([machine.anykvm_path(), "image", "convert", "a.img", "c.qcow2"],
                         cwd=tmp_path, stdin=subprocess.DEVNULL, stderr=theirs)
    assert p.wait(60) == 0
    os.close(theirs)
    text = b""
    try:
        while chunk := os.read(ours, 4096):
            text += chunk
    except OSError:
        pass
    os.close(ours)
    assert b"copying: 100% of 50 MiB" in text and text.endswith(b"\r\x1b[K")


@pytest.mark.parametrize("args,status,mention", [
    ([], 2, "command"), (["frob"], 2, "frob"), (["create"], 2, "FILE"),
    (["create", "a.qcow2"], 2, "size"), (["create", "a.qcow2", "much"], 2, "much"),
    (["create", "a.qcow2", "0"], 2, "0"), (["create", "a", "1G", "b"], 2, "'b'"),
    (["create", "--cluster-size", "3K", "a", "1G"], 2, "3K"),
    (["create", "--frob", "a", "1G"], 2, "--frob"),
    (["create", "--format", "vdi", "a", "1G"], 1, "vdi"),
    (["create", "--backing", "none", "a"], 1, "none"),
    (["create", "no/such/folder/a", "1G"], 1, "no/such/folder/a"),
    (["info", "none"], 1, "none"), (["check", "--repair", "some", "a"], 2, "some"),
    (["convert", "none", "b"], 1, "none"), (["resize", "none", "1G"], 1, "none"),
])
def test_wrong(image, args, status, mention):
    text = image(*args, status=status)
    assert mention in text and text.startswith("anykvm: ")


def test_help(image):
    assert "create" in image("--help")
    for name in ("create", "info", "convert", "check", "resize"):
        text = image(name, "--help")
        assert text.startswith(f"usage: anykvm image {name} ")
        assert all(len(line) <= 100 for line in text.splitlines())
