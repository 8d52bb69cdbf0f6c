# SPDX-License-Identifier: LGPL-2.1-or-later
"""A Debian 12 system starts from its disk, through GRUB by either firmware, to a
login; it uses disk and network, one all that a machine may have besides, and shuts
down when the power button is pressed. Twenty reboots in a row, and the combinations
that differ less, come with --slow."""
import hashlib
import http.server
import os
import re
import subprocess
import threading
from types import SimpleNamespace

import debian
import images
import machine
import pytest
import test_vsock as vsock
from qmp import Qmp
from test_balloon import BALLOON, MIB, actual, until
from test_net import free_port

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

    def start(kind, firmware, cpus, disk="", extra=()):
        name = f"debian-{os.getpid()}-{len(guests)}"
        overlay = tmp_path / name
        subprocess.run([machine.anykvm_path(), "image", "create", "--format", "qcow2", "--backing",
                        str(debian.disk()), str(overlay)], check=True, stdout=subprocess.DEVNULL)
        guests.append(machine.Guest(machine.command(
            "anykvm", None, cpus=cpus, memory=512, reboot=True,
            extra=("--machine", kind, "--firmware", firmware, "--name", name,
                   "--disk", f"{overlay}{disk}", *extra)), tty=True))
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
    complaints = say(guest, r"dmesg | grep -E 'BUG:|Oops|WARNING:|Call Trace|lockup|\bstall' | cat")
    assert not complaints.strip()


def end(guest):
    press_button(guest)
    subprocess.run(["qemu-img", "check", "-q", guest.disk], check=True)


def drive(guest, cpus, server, note):
    log_in(guest)
    note(f"{guest.lines[-1][0]:.1f} s")
    use(guest, cpus, server)
    end(guest)


@pytest.fixture
def more(tmp_path):
    """What a machine may have besides: the options, and the paths in them."""
    m = SimpleNamespace(folder=tmp_path / "folder", vsock=tmp_path / "vsock",
                        qmp=tmp_path / "qmp", data=os.urandom(3 << 20))
    m.folder.mkdir()
    (m.folder / "data").write_bytes(m.data)
    vsock.build(m.folder / "vsock")
    m.options = ["--device", "virtio-balloon,id=b,stats-interval=1", "--device", "virtio-rng",
                 "--vsock", f"{m.vsock},cid=42", "--share", f"{m.folder},tag=files",
                 "--qmp", str(m.qmp)]
    return m


def memory(guest, what):
    """In MiB, as the kernel tells it."""
    return int(say(guest, f"awk '/^{what}:/ {{ print $2 }}' /proc/meminfo")) // 1024


def use_balloon(guest, path):
    free = memory(guest, "MemFree")
    with Qmp(path) as qmp:
        def told():
            return qmp.execute("qom-get", **BALLOON)["stats"]["stat-free-memory"] // MIB

        qmp.execute("balloon", value=(512 - 128) * MIB)
        until(lambda: actual(qmp) == 512 - 128)
        until(lambda: told() < free - 100)
        assert memory(guest, "MemFree") < free - 100
        qmp.execute("balloon", value=512 * MIB)
        until(lambda: actual(qmp) == 512)
        until(lambda: told() > free - 28)
        assert memory(guest, "MemFree") > free - 28


def use_rng(guest):
    assert say(guest, "cat /sys/class/misc/hw_random/rng_current").startswith("virtio_rng")
    say(guest, "for i in 1 2; do head -c 100000 /dev/hwrng >/root/r$i; done")
    assert say(guest, "stat -c %s /root/r1 /root/r2").split() == ["100000"] * 2
    assert len(set(re.findall("[0-9a-f]{32}", say(guest, "md5sum /root/r1 /root/r2")))) == 2


def use_share(guest, more):
    say(guest, "mount -t 9p -o trans=virtio,version=9p2000.L files /mnt")
    assert say(guest, "sha256sum /mnt/data").split()[0] == hashlib.sha256(more.data).hexdigest()
    say(guest, "mkdir /mnt/new && cp /mnt/data /root/file /mnt/new")
    assert (more.folder / "new/data").read_bytes() == more.data
    digest = say(guest, "sha256sum /root/file").split()[0]
    assert hashlib.sha256((more.folder / "new/file").read_bytes()).hexdigest() == digest


def use_vsock(guest, more):
    """Both ways, with a program that the shared folder has."""
    with vsock.server(f"{more.vsock}_1234") as s:
        at = len(guest.text)
        guest.write("/mnt/vsock sum 1234 1000000; /mnt/vsock echo 5000 &\n")
        vsock.swap(s, 1000000)
        guest.search(r"VSOCK-SUM 1000000 2000000\r", 20, at)
    guest.search("VSOCK-LISTENS", 20, at)
    results = []
    vsock.exchange(more.vsock, more.data, results)
    assert results == [True]
    say(guest, "kill %1; wait; umount /mnt")


def use_iperf3(guest):
    port = free_port()
    with subprocess.Popen(["iperf3", "-s", "-p", str(port), "-B", "127.0.0.1"],
                          stdout=subprocess.DEVNULL) as server:
        try:
            for way in ("", "-R"):
                out = say(guest, f"iperf3 -c 10.0.2.2 -p {port} -t 1 -f m {way}")
                assert float(re.search(r"(\S+) Mbits/sec +receiver", out)[1]) > 50
        finally:
            server.kill()


def test_debian(start, server, more, record_property):
    """By SeaBIOS on q35, with all that a machine may have, and by OVMF on pc, at the same
    time."""
    a, b = start("q35", "bios", 4, extra=more.options), start("pc", "uefi", 1)
    log_in(a)
    record_property("Debian to its login, q35, bios, 4 CPUs", f"{a.lines[-1][0]:.1f} s")
    use_balloon(a, more.qmp)
    use_rng(a)
    use(a, 4, server)
    use_share(a, more)
    use_vsock(a, more)
    use_iperf3(a)
    end(a)
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
