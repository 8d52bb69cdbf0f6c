# SPDX-License-Identifier: LGPL-2.1-or-later
"""A Debian 12 system starts from its disk, through GRUB by either firmware, to a
login; it uses disk and network, and shuts down when the power button is pressed.
Twenty reboots in a row, and the combinations that differ less, come with --slow."""
import hashlib
import http.server
import os
import re
import subprocess
import threading

import debian
import images
import machine
import pytest

pytestmark = pytest.mark.usefixtures("anykvm_only")

BOOT_SECONDS = 180
DATA = os.urandom(8 << 20)


@pytest.fixture(scope="module")
def server():
    """HTTP on the host's loopback: its port."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(DATA)))
            self.end_headers()
            self.wfile.write(DATA)

        def log_message(self, *args):
            pass

    s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=s.serve_forever, daemon=True).start()
    yield s.server_port
    s.shutdown()
    s.server_close()


@pytest.fixture
def start(tmp_path):
    guests = []

    def start(kind, firmware, cpus, disk="", net="user"):
        name = f"debian-{os.getpid()}-{len(guests)}"
        overlay = tmp_path / name
        subprocess.run([machine.anykvm_path(), "image", "create", "--format", "qcow2", "--backing",
                        str(debian.disk()), str(overlay)], check=True, stdout=subprocess.DEVNULL)
        guests.append(machine.Guest(machine.command(
            "anykvm", None, cpus=cpus, memory=512, reboot=True,
            extra=("--machine", kind, "--firmware", firmware, "--name", name, "--net", net,
                   "--disk", f"{overlay}{disk}")), tty=True))
        guests[-1].name, guests[-1].disk = name, overlay
        return guests[-1]

    yield start
    for g in guests:
        g.kill()


def log_in(guest):
    at = len(guest.text)
    guest.search(r"debian login: $", BOOT_SECONDS, at)
    guest.write("root\n")
    guest.search("Password: ", 30, at)
    guest.write(debian.PASSWORD + "\n")
    guest.search(r"root@debian:~# ", 60, at)
    # from here on only what commands print
    guest.write("bind 'set enable-bracketed-paste off'; PS1=; stty -echo; echo LOGGED-\\IN\n")
    guest.search("LOGGED-IN", 30, at)


def say(guest, line, seconds=60):
    """A command's output, after its status 0."""
    at = len(guest.text)
    guest.write(f"{line}; echo DONE-$?\n")
    m = guest.search(r"(?s)(.*)DONE-(\d+)\r", seconds, at)
    assert m[2] == "0", m[1]
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", m[1])


def press_button(guest):
    subprocess.run([machine.anykvm_path(), "stop", guest.name], check=True, timeout=120,
                   stdout=subprocess.DEVNULL)
    assert guest.wait(90) == 0
    assert re.search("Reached target.*System Power Off", guest.text)


def use(guest, cpus, server):
    assert say(guest, "nproc").strip() == str(cpus)
    say(guest, "dd if=/dev/urandom of=/root/file bs=1M count=16 conv=fsync 2>/dev/null")
    before = say(guest, "sha256sum /root/file").split()[0]
    say(guest, "echo 3 >/proc/sys/vm/drop_caches")
    assert say(guest, "sha256sum /root/file").split()[0] == before
    say(guest, f"/usr/lib/apt/apt-helper download-file http://10.0.2.2:{server}/ /root/fetched "
               "2>/dev/null >/dev/null")
    assert say(guest, "sha256sum /root/fetched").split()[0] == hashlib.sha256(DATA).hexdigest()
    failed = say(guest, "systemctl --failed --no-legend --plain | cat").strip()
    assert not failed
    complaints = say(guest, "dmesg | grep -E 'BUG:|Oops|WARNING:|Call Trace|lockup|stall' | cat")
    assert not complaints.strip()


def drive(guest, cpus, server, note):
    log_in(guest)
    note(f"{guest.lines[-1][0]:.1f} s")
    use(guest, cpus, server)
    press_button(guest)
    subprocess.run(["qemu-img", "check", "-q", guest.disk], check=True)


def test_debian(start, server, record_property):
    """By SeaBIOS on q35 and by OVMF on pc, at the same time."""
    a, b = start("q35", "bios", 4), start("pc", "uefi", 1)
    drive(a, 4, server, lambda s: record_property("Debian to its login, q35, bios, 4 CPUs", s))
    drive(b, 1, server, lambda s: None)


@pytest.mark.slow
@pytest.mark.parametrize("cpus", [1, 4])
@pytest.mark.parametrize("firmware", ["bios", "uefi"])
@pytest.mark.parametrize("kind", ["q35", "pc"])
def test_each(start, server, record_property, kind, firmware, cpus):
    drive(start(kind, firmware, cpus), cpus, server,
          lambda s: record_property(f"Debian to its login, {kind}, {firmware}, {cpus} CPUs", s))


@pytest.mark.slow
@pytest.mark.parametrize("kind,firmware", [("q35", "bios"), ("pc", "uefi")])
def test_reboots(start, kind, firmware):
    """Twenty in a row, each of which the guest asks for."""
    guest = start(kind, firmware, 2)
    for n in range(20):
        log_in(guest)
        say(guest, f"echo {n} >>/root/boots; sync")
        guest.write("reboot\n")
    log_in(guest)
    assert say(guest, "cat /root/boots").split() == [str(n) for n in range(20)]
    press_button(guest)


@pytest.mark.slow
def test_ide(start, server):
    """The same disk on the IDE controller."""
    guest = start("pc", "bios", 2, ",if=ide")
    log_in(guest)
    assert "0000:00:01.1/ata1" in say(guest, "readlink -f /sys/block/sda")
    use(guest, 2, server)
    press_button(guest)
