# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian's vsock transport talks to programs of the host through unix sockets."""
import os
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import images
import machine
import pytest

pytestmark = pytest.mark.usefixtures("anykvm_only")

BOOT_SECONDS = 60
HERE = Path(__file__).resolve().parent
BULK = os.urandom(3 << 20)

SCRIPT = """
vsock refused 77
vsock sum 1234 3000000
vsock echo 5000 &
sleep 1
read line </dev/ttyS0
echo SCRIPT-DONE
"""


def build(path):
    """Makes the guest's program."""
    subprocess.run(["gcc", "-O1", "-static", "-o", path, HERE / "vsock.c"], check=True)


@pytest.fixture
def tree(tmp_path):
    """A directory with the guest's program."""
    path = tmp_path / "tree"
    (path / "usr/bin").mkdir(parents=True)
    build(path / "usr/bin/vsock")
    return path


def server(path):
    s = socket.socket(socket.AF_UNIX)
    s.bind(str(path))
    s.listen()
    s.settimeout(BOOT_SECONDS)
    return s


def connect(path, port, seconds=20):
    """A connection to a port of the guest, and the port that stands for it."""
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(seconds)
    s.connect(str(path))
    s.sendall(b"CONNECT %d\n" % port)
    answer = b""
    while not answer.endswith(b"\n"):
        byte = s.recv(1)
        if not byte:
            s.close()
            return None, answer
        answer += byte
    return s, answer


def exchange(path, data, results):
    s, answer = connect(path, 5000)
    assert answer.startswith(b"OK ")
    sender = threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR)))
    sender.start()
    back = b""
    while part := s.recv(1 << 16):
        back += part
    sender.join()
    s.close()
    results.append(back == data)


def swap(listener, count):
    """What the program's sum expects of the host: so many sevens come, twos go."""
    with listener.accept()[0] as peer:
        peer.settimeout(20)
        got = 0
        while part := peer.recv(1 << 16):
            got += part.count(7)
        assert got == count
        peer.sendall(b"\2" * 1000000)


@pytest.mark.parametrize("kind", ["q35", "micro"])
def test_both_ways(boot, tmp_path, tree, kind):
    path = tmp_path / "vsock"
    with server(f"{path}_1234") as s:
        guest = boot(script=SCRIPT, tree=tree, tty=True, cpus=2, modules=[
            "virtio_mmio" if kind == "micro" else "virtio_pci",
            "vmw_vsock_virtio_transport"],
            extra=["--machine", kind, "--vsock",
                   f"{path},cid=42" + (",packed=on" if kind == "micro" else "")])
        swap(s, 3000000)
        guest.expect("^VSOCK-REFUSED Connection reset by peer", 20)
        guest.expect("^VSOCK-SUM 1000000 2000000", 20)
    guest.expect("^VSOCK-LISTENS", 20)
    machine.check_confined("anykvm-vsock")
    assert connect(path, 5001) == (None, b"")
    assert connect(path, 1 << 32) == (None, b"")

    # slowly, so that credit and buffers run out
    s, _ = connect(path, 5000)
    s.settimeout(0.5)
    sent = 0
    with pytest.raises(TimeoutError):
        while True:
            sent += s.send(BULK[sent:])
    assert sent < len(BULK)
    s.settimeout(20)
    back = b""
    while len(back) < sent:
        back += s.recv(1 << 16)
    assert back == BULK[:sent]
    s.close()

    results = []
    start = time.monotonic()
    threads = [threading.Thread(target=exchange, args=(path, BULK, results)) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == [True] * 4
    print(f"{8 * len(BULK) / (time.monotonic() - start) / 1e6:.1f} MB/s")
    results = []
    for i in range(50):
        exchange(path, b"x" * i, results)
    assert results == [True] * 50

    # the machine tells the end of its helper, and goes on
    helper = int(re.search(r"^Pid:\t(\d+)$", machine.helpers("anykvm-vsock", guest)[0], re.M)[1])
    os.kill(helper, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while "anykvm-vsock" not in guest.errors and time.monotonic() < deadline:
        guest.pump(0.1)
    assert re.search("anykvm-vsock.* signal 9 ", guest.errors)
    assert not Path(f"/proc/{helper}").exists()
    results = []
    exchange(path, b"x", results)
    assert results == [True]
    guest.write("\r")
    guest.expect("^SCRIPT-DONE", 20)
    assert guest.wait(20) == 0
    assert not path.exists()


@pytest.mark.parametrize("args,mention", [
    (["--vsock", "x" * 97], "longer"),
    (["--vsock", "/tmp/x,cid=2"], "cid"),
    (["--vsock", "/tmp/x,colour=red"], "colour"),
    (["--vsock", "/nowhere/x"], "/nowhere/x"),
    (["--vsock", "/tmp/x", "--vsock", "/tmp/y"], "one --vsock"),
    (["--device", "virtio-vsock"], "vsock0"),
])
def test_wrong(args, mention):
    argv = machine.command("anykvm", images.kernel("cloud"), extra=args)
    r = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    assert r.returncode > 0 and mention in r.stderr and r.stderr.count("\n") == 1, r.stderr
