# SPDX-License-Identifier: LGPL-2.1-or-later
"""The command line: help, version, and every user error in one clear line."""
import os
import re
import subprocess

import images
import machine
import pytest

pytestmark = pytest.mark.usefixtures("anykvm_only")


def anykvm(*args, seconds=20):
    return subprocess.run([machine.anykvm_path(), *map(str, args)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=seconds)


def one_line_error(result, *mentions):
    """Non-zero, nothing on standard output, one line that names the culprit."""
    assert result.returncode > 0, result.stderr
    assert result.stdout == ""
    lines = [line for line in result.stderr.splitlines() if not re.match(r".*engine: ", line)]
    assert len(lines) == 1, result.stderr
    for text in mentions:
        assert str(text).lower() in lines[0].lower()


@pytest.fixture
def kernel():
    return images.kernel("cloud")


@pytest.mark.parametrize("args", [["--help"], ["run", "--help"], ["info", "--help"]])
def test_help(args):
    r = anykvm(*args)
    assert r.returncode == 0 and r.stderr == ""
    assert "usage" in r.stdout.lower() and all(len(line) <= 100 for line in r.stdout.splitlines())


def test_run_help_names_the_options():
    text = anykvm("run", "--help").stdout
    for option in ("--engine", "--cpus", "--memory", "--kernel", "--initrd", "--append",
                   "--no-reboot"):
        assert option in text


def test_version():
    r = anykvm("--version")
    assert r.returncode == 0 and re.search(r"anykvm \d+\.\d+", r.stdout)


def test_info():
    r = anykvm("info", seconds=30)
    assert r.returncode == 0 and "soft" in r.stdout


@pytest.mark.parametrize("args,mention", [
    (["frobnicate"], "frobnicate"),
    (["--frobnicate"], "--frobnicate"),
    (["run", "--engine", "soft", "--machine", "micro"], "--kernel"),
    (["run", "--machine", "vax"], "vax"),
    (["run", "--initrd", "/dev/null"], "--kernel"),
    (["run", "--kernel", "/dev/null", "--firmware", "uefi"], "--firmware"),
    (["run", "--engine", "soft", "--device", "teapot"], "teapot"),
    (["run", "--engine", "soft", "--device", "virtio-rng,colour=red"], "colour"),
    (["run", "--engine", "soft", "--device", "virtio-rng,addr=1f"], "1f"),
    (["run", "--frobnicate"], "--frobnicate"),
    (["run", "--kernel"], "--kernel"),
    (["run", "--kernel", "/nonexistent/vmlinuz"], "/nonexistent/vmlinuz"),
    (["run", "--kernel", "/"], "/"),
    (["run", "--kernel", "/etc/os-release"], "/etc/os-release"),
    (["run", "--kernel", "/dev/null"], "/dev/null"),
])
def test_bad_arguments(args, mention):
    one_line_error(anykvm(*args), mention)


@pytest.mark.parametrize("option,value", [
    ("--cpus", "0"), ("--cpus", "-1"), ("--cpus", "two"), ("--cpus", "1x"), ("--cpus", "999999"),
    ("--cpus", ""), ("--memory", "0"), ("--memory", "-1"), ("--memory", "lots"),
    ("--memory", "1Q"), ("--memory", ""), ("--memory", "99999999999999999999G"),
    ("--memory", "1M"), ("--engine", "warp"), ("--engine", ""),
])
def test_bad_values(kernel, option, value):
    one_line_error(anykvm("run", "--engine", "soft", "--kernel", kernel, option, value))


def test_surplus_argument(kernel):
    one_line_error(anykvm("run", "--kernel", kernel, "surplus"), "surplus")


def test_missing_initrd(kernel):
    one_line_error(anykvm("run", "--engine", "soft", "--kernel", kernel, "--initrd",
                          "/nonexistent/initrd"), "/nonexistent/initrd")


def test_initrd_larger_than_memory(kernel, tmp_path):
    big = tmp_path / "initrd"
    with open(big, "wb") as f:
        f.truncate(600 << 20)
    one_line_error(anykvm("run", "--engine", "soft", "--memory", "512M", "--kernel", kernel,
                          "--initrd", big))


def test_long_command_line(kernel):
    one_line_error(anykvm("run", "--engine", "soft", "--kernel", kernel, "--append", "x" * 70000))


@pytest.mark.parametrize("size", [0, 1, 512, 1024, 4096, 100000])
def test_truncated_kernel(kernel, tmp_path, size):
    short = tmp_path / "vmlinuz"
    short.write_bytes(kernel.read_bytes()[:size])
    one_line_error(anykvm("run", "--engine", "soft", "--kernel", short), short)


@pytest.mark.parametrize("change", ["phoff", "phnum", "size", "machine"])
def test_damaged_elf(tmp_path, change):
    data = bytearray(open("/bin/true", "rb").read())
    at, value = {"phoff": (32, b"\xff" * 8), "phnum": (56, b"\xff\xff"), "size": (96, b"\xff" * 8),
                 "machine": (18, b"\x28\0")}[change]
    data[at:at + len(value)] = value
    bad = tmp_path / "vmlinux"
    bad.write_bytes(data)
    one_line_error(anykvm("run", "--engine", "soft", "--kernel", bad), bad)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable_kernel(kernel, tmp_path):
    hidden = tmp_path / "vmlinuz"
    hidden.write_bytes(kernel.read_bytes())
    hidden.chmod(0)
    one_line_error(anykvm("run", "--kernel", hidden), hidden)


def test_engine_kvm_without_device(kernel):
    """Either the kernel's KVM serves, or one line says why not."""
    if os.path.exists("/dev/kvm"):
        pytest.skip("/dev/kvm is there")
    one_line_error(anykvm("run", "--engine", "kvm", "--kernel", kernel), "/dev/kvm")
