# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian's libvirt, whose daemon runs under `anykvm exec` as an ordinary user:
it finds /dev/kvm, offers domains of type kvm, and the QEMU it starts is served
as everything that the daemon executes (docs/programs.md)."""
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import disks
import pytest
from conftest import ANYKVM, NOBODY, as_user
from qemu import QEMU

DOMAIN = """<domain type="kvm">
  <name>guest</name>
  <memory unit="MiB">256</memory>
  <vcpu>2</vcpu>
  <cpu mode="host-passthrough"/>
  <os>
    <type machine="q35">hvm</type>
    <kernel>{dir}/kernel</kernel>
    <initrd>{dir}/initrd</initrd>
    <cmdline>console=ttyS0 rdinit=/load anykvm.test=button</cmdline>
  </os>
  <features><acpi/><apic/></features>
  <devices>
    <emulator>{qemu}</emulator>
    <serial type="file"><source path="{dir}/console"/></serial>
    <video><model type="vga"/></video>
  </devices>
</domain>
"""


class Libvirt:
    """A session daemon of its own, with all it keeps below dir."""

    def __init__(self, directory, anykvm):
        self.dir = directory
        self.env = dict(os.environ, HOME=str(directory), XDG_RUNTIME_DIR=str(directory / "run"),
                        XDG_CONFIG_HOME=str(directory / "config"),
                        XDG_CACHE_HOME=str(directory / "cache"), LC_ALL="C",
                        LIBVIRT_AUTOSTART="0")
        user = dict(user=NOBODY, group=NOBODY, extra_groups=[]) if os.geteuid() == 0 else {}
        self.log = open(directory / "libvirtd.log", "w")
        self.daemon = subprocess.Popen([anykvm, "exec", shutil.which("libvirtd")], env=self.env,
                                       stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                       **user)

    def virsh(self, *args, check=True):
        """A command of virsh, which itself knows nothing of anykvm."""
        r = as_user(["virsh", "-q", "-c", "qemu:///session", *args], env=self.env)
        assert not check or r.status == 0, f"virsh {args}: {r}"
        return r.out.strip() if check else r

    def ready(self):
        deadline = time.monotonic() + 60
        while self.virsh("version", check=False).status:
            if self.daemon.poll() is not None or time.monotonic() > deadline:
                pytest.skip("libvirtd does not run here: " + self.errors())
            time.sleep(0.2)

    def errors(self):
        return (self.dir / "libvirtd.log").read_text()[-1000:]

    def console(self):
        path = self.dir / "console"
        return path.read_text(errors="replace") if path.exists() else ""

    def tick(self):
        """The number that the guest has counted to."""
        return max(map(int, re.findall(r"^TICK (\d+)\r?$", self.console(), re.M)), default=0)

    def end(self):
        self.virsh("destroy", "guest", check=False)
        self.daemon.terminate()
        self.daemon.wait(30)
        self.log.close()
        # It may have started a helper that would stay for minutes.
        for pid in (self.dir / "run").rglob("virtlogd.pid"):
            os.kill(int(pid.read_text()), signal.SIGTERM)


@pytest.fixture
def libvirt():
    for tool, package in (("virsh", "libvirt-clients"), ("libvirtd", "libvirt-daemon-system"),
                          (QEMU or "qemu-system-x86_64", "qemu-system-x86")):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed (package {package})")
    # Sockets have short names, and another user must come to all of it.
    directory = Path(tempfile.mkdtemp(prefix="anykvm-libvirt-"))
    for source, name in ((ANYKVM, "anykvm"), (ANYKVM.parent / "libanykvm-shim.so", None),
                         (disks.kernel(), "kernel"), (disks.initrd(), "initrd")):
        shutil.copy(source, directory / (name or source.name))
    (directory / "run").mkdir(mode=0o700)
    if os.geteuid() == 0:
        for path in (directory, directory / "run"):
            os.chown(path, NOBODY, NOBODY)
    daemon = Libvirt(directory, directory / "anykvm")
    try:
        daemon.ready()
        yield daemon
    finally:
        daemon.end()
        shutil.rmtree(directory, ignore_errors=True)


def wait(what, condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def test_life(libvirt):
    """Define, start, list, suspend, resume, save, restore, shut down."""
    assert "<domain type='kvm'/>" in libvirt.virsh("capabilities")
    (libvirt.dir / "guest.xml").write_text(DOMAIN.format(dir=libvirt.dir, qemu=QEMU))
    libvirt.virsh("define", str(libvirt.dir / "guest.xml"))
    libvirt.virsh("start", "guest")
    assert libvirt.virsh("list", "--name") == "guest"
    assert "type='kvm'" in libvirt.virsh("dumpxml", "guest")
    assert "enabled" in libvirt.virsh("qemu-monitor-command", "guest", "--hmp", "info kvm")
    maps = Path("/proc", qemu_pid(libvirt.dir), "maps").read_text()
    assert "libanykvm-shim.so" in maps
    wait("the guest does not boot", lambda: libvirt.tick() > 3)

    libvirt.virsh("suspend", "guest")
    assert libvirt.virsh("domstate", "guest") == "paused"
    before = libvirt.tick()
    time.sleep(1)
    assert libvirt.tick() == before
    libvirt.virsh("resume", "guest")
    assert libvirt.virsh("domstate", "guest") == "running"
    wait("the guest does not go on", lambda: libvirt.tick() > before + 3)

    libvirt.virsh("managedsave", "guest")
    assert libvirt.virsh("domstate", "guest") == "shut off"
    before = libvirt.tick()
    libvirt.virsh("start", "guest")  # with a new file for the console
    wait("the guest is not restored", lambda: libvirt.tick() > before + 3)
    assert "Linux version" not in libvirt.console()

    libvirt.virsh("shutdown", "guest")
    wait("the guest does not shut down", lambda: libvirt.virsh("domstate", "guest") == "shut off")
    assert libvirt.virsh("list", "--name") == ""


def qemu_pid(directory):
    """The process that libvirt started, from its file."""
    path, = directory.rglob("guest.pid")
    return path.read_text().strip()
