# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian's virtio_console: a console on the terminal, and named ports on every
kind of character device."""
import hashlib
import os
import socket
import subprocess
import threading
import time

import images
import machine
import pytest

pytestmark = pytest.mark.usefixtures("anykvm_only")

BOOT_SECONDS = 60
BULK = b"".join(b"%d\n" % i for i in range(1, 60001))

# The module comes after init's own console, so the script takes hvc0 itself.
SCRIPT = """
exec </dev/hvc0 >/dev/hvc0 2>&1
port() { echo /dev/$(basename $(dirname $(grep -lx "$1" /sys/class/virtio-ports/*/name))); }
echo "NAMES $(cat /sys/class/virtio-ports/*/name | sort | tr '\\n' ' ')"
seq 1 60000 >$(port org.test.file)
exec 3<>$(port org.test.socket)
read line <&3
echo "back: $line" >&3
seq 1 60000 >&3
head -c 348894 <&3 | md5sum | sed s/^/SUM-/
exec 4<>$(port org.test.pty)
read line <&4
echo "pty: $line" >&4
read line
echo "CONSOLE $line"
echo SCRIPT-DONE
sleep 1
"""


def connect(path):
    deadline = time.monotonic() + 20
    while True:
        s = socket.socket(socket.AF_UNIX)
        try:
            s.connect(str(path))
            s.settimeout(30)
            return s
        except (FileNotFoundError, ConnectionRefusedError):
            s.close()
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.05)


@pytest.mark.parametrize("kind", ["q35", "micro"])
def test_ports(boot, tmp_path, kind):
    packed = ",packed=on" if kind == "micro" else ""
    guest = boot(script=SCRIPT, tty=True, modules=[
        "virtio_mmio" if kind == "micro" else "virtio_pci", "virtio_console"], extra=[
        "--machine", kind, "--console", "none",
        "--chardev", f"file,id=a,path={tmp_path}/file",
        "--chardev", f"unix,id=b,path={tmp_path}/socket",
        "--chardev", f"pty,id=c,link={tmp_path}/pty", "--chardev", "null,id=d",
        "--device", "virtio-console,chardev=stdio,port1=a,name1=org.test.file,port2=b,"
        "name2=org.test.socket,port5=c,name5=org.test.pty,port15=d,name15=org.test.null" + packed])
    client = connect(tmp_path / "socket")
    guest.expect(r"^NAMES org.test.file org.test.null org.test.pty org.test.socket", BOOT_SECONDS)
    client.sendall(b"over the socket\n")
    with client.makefile("rb") as f:
        assert f.readline() == b"back: over the socket\n"
        time.sleep(1)       # the guest waits meanwhile
        assert f.read(len(BULK)) == BULK
    sender = threading.Thread(target=client.sendall, args=(BULK,))
    sender.start()
    guest.expect("^SUM-" + hashlib.md5(BULK).hexdigest(), 20)
    sender.join()
    client.close()
    fd = os.open(tmp_path / "pty", os.O_RDWR | os.O_NOCTTY)
    os.write(fd, b"over the terminal\n")
    assert os.read(fd, 100) == b"pty: over the terminal\n"
    os.close(fd)
    guest.write("typed\r")
    guest.expect("^CONSOLE typed", 20)
    guest.expect("^SCRIPT-DONE", 20)
    assert guest.wait(20) == 0
    assert (tmp_path / "file").read_bytes() == BULK
    assert not os.path.lexists(tmp_path / "pty") and not os.path.lexists(tmp_path / "socket")


def resize(guest, rows, columns):
    subprocess.run(["stty", "rows", str(rows), "columns", str(columns)], stdin=guest.slave,
                   check=True)


def test_console(boot):
    """--console virtio; a driver without multiport; the size of the terminal; a reboot."""
    guest = boot(tty=True, reboot=True, modules=["virtio_pci", "virtio_console"],
                 extra=["--console", "virtio"], script="""
exec </dev/hvc0 >/dev/hvc0 2>&1
echo "LIFE"
sleep 0.2
echo "SIZE $(stty size)"
cat /proc/consoles | grep -c hvc0 | sed s/^/HVC-/
read line
echo "GOT $line"
[ "$line" = again ] && reboot -f
""", append="console=hvc0")
    resize(guest, 33, 99)
    guest.expect("^SIZE 33 99", BOOT_SECONDS)
    guest.write("again\r")
    guest.expect("^GOT again", 20)
    resize(guest, 25, 80)
    guest.expect("^SIZE 25 80", BOOT_SECONDS)
    guest.expect("^HVC-1", 20)
    guest.write("enough\r")
    guest.expect("^GOT enough", 20)
    assert guest.wait(20) == 0


@pytest.mark.parametrize("args,mention", [
    (["--console", "vga"], "vga"),
    (["--chardev", "pipe,id=a"], "pipe"),
    (["--chardev", "file,id=a"], "path"),
    (["--chardev", "unix,path=/tmp/x"], "id"),
    (["--chardev", "null,id=stdio"], "stdio"),
    (["--device", "virtio-console"], "chardev"),
    (["--device", "virtio-console,chardev=stdio"], "another device"),
    (["--device", "virtio-console,port1=absent"], "absent"),
    (["--device", "virtio-console,name3=x"], "name3"),
])
def test_wrong(args, mention):
    argv = machine.command("anykvm", images.kernel("cloud"), extra=args)
    r = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    assert r.returncode > 0 and mention in r.stderr and r.stderr.count("\n") == 1, r.stderr
