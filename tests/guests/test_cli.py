# SPDX-License-Identifier: LGPL-2.1-or-later
"""The command line: help, version, and every user error in one clear line."""
import os
import re
import subprocess
from pathlib import Path

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


def options_of(*command):
    """The options that a command's help lists."""
    return re.findall(r"^  (--[a-z-]+)", anykvm(*command, "--help").stdout, re.M)


def commands():
    text = anykvm("--help").stdout
    return re.findall(r"^  ([a-z]+) ", text.split("commands:")[1].split("options:")[0], re.M)


def subcommands():
    yield from (c for c in commands() if c not in ("help", "image", "completion", "manual"))
    yield from (("image", c) for c in ("create", "info", "convert", "check", "resize"))


def test_pages():
    """Every command has a page in the manual, which names all of its options and is well-formed."""
    folder = Path(machine.anykvm_path()).parent / "docs/man"
    assert len(commands()) > 8 and len(options_of("run")) > 15
    for command in subcommands():
        words = (command,) if isinstance(command, str) else command
        path = folder / f"anykvm-{words[0]}.1"
        text = subprocess.run(["mandoc", "-T", "ascii", str(path)], capture_output=True, text=True,
                              check=True).stdout
        text = re.sub(".\b", "", text)
        for option in options_of(*words):
            assert re.search(rf"^ +{option}\b", text, re.M), (path, option)
    pages = sorted(folder.glob("*.1"))
    assert {p.name for p in pages} >= {"anykvm.1", "anykvm-run.1", "anykvm-image.1"}
    r = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", *map(str, pages)],
                       capture_output=True, text=True)
    assert (r.returncode, r.stdout) == (0, "")


def complete(*words):
    script = 'eval "$($0 completion bash)"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _anykvm; ' \
             'printf "%s\\n" "${COMPREPLY[@]}"'
    r = subprocess.run(["bash", "-c", script, machine.anykvm_path(), *words], text=True,
                       capture_output=True, timeout=20)
    assert (r.returncode, r.stderr) == (0, "")
    return r.stdout.split()


def test_completion(tmp_path):
    assert complete("anykvm", "") == [*commands(), "--help", "--version"]
    for command in subcommands():
        words = (command,) if isinstance(command, str) else command
        offered = set(complete("anykvm", *words, "--")) | {"--help"}
        assert set(options_of(*words)) <= offered, command
    assert complete("anykvm", "run", "--engine", "s") == ["soft"]
    assert complete("anykvm", "image", "c") == ["create", "convert", "check"]
    assert "virtio-blk" in complete("anykvm", "run", "--device", "")
    (tmp_path / "disk.qcow2").touch()
    for words in (("run", "--memory", "2G"), ("run", "--kernel"), ("image", "info")):
        assert complete("anykvm", *words, f"{tmp_path}/d") == [f"{tmp_path}/disk.qcow2"]
    assert complete("anykvm", "nonsense", "") == []


def test_install(tmp_path):
    build = Path(machine.anykvm_path()).parent
    r = subprocess.run(["meson", "install", "-C", str(build), "--no-rebuild", "--quiet",
                        "--destdir", str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert r.returncode == 0, r.stderr
    there = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    for name in ("bin/anykvm", "include/anykvm.h", "share/man/man1/anykvm-run.1",
                 "share/bash-completion/completions/anykvm", "libanykvm-shim.so", "libanykvm.so",
                 "pkgconfig/anykvm.pc"):
        assert any(path.endswith("/" + name) for path in there), (name, there)
    program, = (tmp_path / p for p in there if p.endswith("bin/anykvm"))
    assert subprocess.run([program, "--version"], capture_output=True).returncode == 0


def test_config(boot, kernel, tmp_path):
    """Options from a file, beside others; and what is wrong in it by file and line."""
    disk = tmp_path / "a disk.img"
    disk.write_bytes(bytes(1 << 20))
    good = tmp_path / "good"
    good.write_text(f"# remark\n\nmachine micro\ndisk {disk},format=raw\nname from-a-file\n")
    guest = boot(script="echo SIZE $(cat /sys/block/vda/size)", extra=("--config", str(good)),
                 modules=("virtio_mmio", "virtio_blk"))
    guest.expect("^SIZE 2048$", 60)
    assert guest.wait(20) == 0
    for text, mention in (("memory 2G\nfrobnicate\n", ":2: "), ("memory lots", "lots"),
                          ("--memory 2G", "dashes"), ("no-reboot yes", "no value")):
        bad = tmp_path / "bad"
        bad.write_text(text)
        one_line_error(anykvm("run", "--config", bad), f"{bad}:", mention)
    one_line_error(anykvm("run", "--config", tmp_path / "none"), tmp_path / "none")
    one_line_error(anykvm("run", "--config", tmp_path), tmp_path)
    bad.write_text(f"config {bad}\n")
    r = anykvm("run", "--config", bad)
    assert r.returncode == 2 and "name each other" in r.stderr


def test_nothing_to_boot(kernel):
    one_line_error(anykvm("run"), "disk image", "--kernel")
    # a disk may stand anywhere
    one_line_error(anykvm("run", "--engine", "soft", "/nonexistent/a", "--memory", "1G"),
                   "/nonexistent/a")
    one_line_error(anykvm("run", "--engine", "soft", "--memory", "1G", "/nonexistent/b"),
                   "/nonexistent/b")


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
    (["run", "--kernel", "/dev/null", "--engine", "kvm", "--code-cache", "8M"], "--code-cache"),
    (["run", "--engine", "soft", "--device", "teapot"], "teapot"),
    (["run", "--engine", "soft", "--device", "virtio-rng,colour=red"], "colour"),
    (["run", "--engine", "soft", "--device", "virtio-rng,addr=1f"], "1f"),
    (["run", "--engine", "soft", "--device", "pcie-port"], "id=NAME"),
    (["run", "--engine", "soft", "--machine", "pc", "--device", "pcie-port,id=a"],
     "no PCI Express: --machine q35"),
    (["run", "--engine", "soft", "--machine", "micro", "--kernel", "/dev/null", "--device",
      "pcie-port,id=a"], "no PCI Express: --machine q35"),
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
    ("--memory", "1M"), ("--engine", "warp"), ("--engine", ""), ("--code-cache", "3M"),
    ("--code-cache", "2G"), ("--code-cache", ""),
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
