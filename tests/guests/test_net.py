# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian's own virtio_net driver on user networking: addresses from DHCP, files
from a server on the host's loopback, and a port of the host that leads into the
guest."""
import base64
import hashlib
import http.server
import os
import socket
import subprocess
import threading
import time

import images
import machine
import pytest

BOOT_SECONDS = 60
SIZE = 24 << 20

# busybox's DHCP client calls this for what it got.
DHCP = """
cat >/udhcpc.sh <<'END'
#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add $ip/24 dev $interface
ip route add default via $router
echo "DHCP $ip $router $dns" >/dev/console
END
chmod +x /udhcpc.sh
for i in /sys/class/net/*/device/driver; do
	readlink $i | grep -q virtio_net && IF=$(echo $i | cut -d/ -f5)
done
echo "CARD $IF $(cat /sys/class/net/$IF/address)"
ip link set lo up
ip link set $IF up
udhcpc -q -n -i $IF -s /udhcpc.sh >/dev/null 2>&1
"""
MODULES = {"q35": ["virtio_pci"], "pc": ["virtio_pci"], "micro": ["virtio_mmio"]}


class Server:
    """HTTP on an address of the host: GET gives random bytes, POST keeps what came."""

    def __init__(self):
        self.data = os.urandom(SIZE)
        self.posted = b""
        self.listen("127.0.0.1")

    def listen(self, address):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", str(len(outer.data)))
                self.end_headers()
                self.wfile.write(outer.data)

            def do_POST(self):
                outer.posted = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *args):
                pass

        self.http = http.server.ThreadingHTTPServer((address, 0), Handler)
        self.port = self.http.server_port
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()

    def digest(self):
        return hashlib.sha256(self.data).hexdigest()


@pytest.fixture
def server():
    s = Server()
    yield s
    s.close()


class Sink:
    """Takes one connection and digests what comes."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.digest, self.size = hashlib.sha256(), 0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        c, _ = self.socket.accept()
        while data := c.recv(1 << 20):
            self.digest.update(data)
            self.size += len(data)
        c.close()


@pytest.fixture
def sink():
    s = Sink()
    yield s
    s.socket.close()


@pytest.mark.parametrize("kind,options", [
    ("q35", ""), ("pc", ",packed=on"), ("micro", ",event-idx=off,indirect=off"),
    ("micro", ",mtu=9000")])
def test_transfer(boot, anykvm_only, server, sink, record_property, kind, options):
    script = DHCP + f"""
cat /sys/class/net/$IF/mtu
a=$(cut -d' ' -f1 /proc/uptime)
wget -q -O /tmp/file http://10.0.2.2:{server.port}/ && sha256sum /tmp/file
b=$(cut -d' ' -f1 /proc/uptime)
nc 10.0.2.2 {sink.port} </tmp/file
c=$(cut -d' ' -f1 /proc/uptime)
echo "TIMES $a $b $c"
echo SCRIPT-DONE
"""
    guest = boot(script=script, modules=MODULES[kind] + ["virtio_net"],
                 extra=["--machine", kind, "--net", "user,mac=52:54:00:AB:cd:ef" + options])
    guest.expect("^CARD eth0 52:54:00:ab:cd:ef$", BOOT_SECONDS)
    guest.expect(r"^DHCP 10\.0\.2\.15 10\.0\.2\.2 10\.0\.2\.3$", 20)
    guest.expect("^9000$" if "mtu" in options else "^1500$", 5)
    _, m = guest.expect(r"^([0-9a-f]{64})  /tmp/file$", 60)
    assert m[1] == server.digest()
    _, m = guest.expect(r"^TIMES (\S+) (\S+) (\S+)$", 60)
    guest.expect("SCRIPT-DONE", 10)
    assert guest.wait(20) == 0
    sink.thread.join(10)
    assert sink.size == SIZE and sink.digest.hexdigest() == server.digest()
    a, b, c = (float(x) for x in m.groups())
    record_property(f"{kind}{options}: MB/s to the guest", round(SIZE / 1e6 / (b - a)))
    record_property(f"{kind}{options}: MB/s from the guest", round(SIZE / 1e6 / (c - b)))


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def connect(port, seconds):
    """What the guest says on a forwarded port, when it does."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
            s.sendall(b"question\n")
            s.settimeout(5)
            try:
                if data := s.makefile("rb").readline():
                    return data
            except OSError:
                pass
        time.sleep(0.2)
    return b""


def test_forwards(boot, anykvm_only):
    """Two ports lead into the guest; they are the machine's even over its resets."""
    one, two = free_port(), free_port()
    script = DHCP + """
nc -l -p 22 -e sh -c 'read x; echo "one $x"' &
nc -l -p 80 -e sh -c 'read x; echo "two $x"' &
sleep 0.5
echo LISTENING
wait
echo SCRIPT-DONE
"""
    guest = boot(script=script, modules=["virtio_pci", "virtio_net"],
                 extra=["--net", f"user,hostfwd=tcp::{one}-:22,"
                                 f"hostfwd=tcp:127.0.0.1:{two}-10.0.2.15:80"])
    guest.expect("^LISTENING$", BOOT_SECONDS)
    assert connect(one, 10) == b"one question\n"
    assert connect(two, 10) == b"two question\n"
    guest.expect("SCRIPT-DONE", 10)
    assert guest.wait(20) == 0


def test_default_and_none(boot, anykvm_only):
    """Without any option there is a network; none takes it away."""
    script = "ls /sys/class/net\necho SCRIPT-DONE\n"
    for extra, found in (([], True), (["--net", "none"], False)):
        guest = boot(script=script, modules=["virtio_pci", "virtio_net"], extra=extra)
        guest.expect("SCRIPT-DONE", BOOT_SECONDS)
        assert guest.wait(20) == 0
        assert ("eth0" in guest.text) == found


@pytest.fixture
def tap():
    """An interface of the host with the address 10.99.87.1, deleted after the test."""
    name = f"anytap{os.getpid() % 100000}"
    commands = (f"ip tuntap add mode tap name {name}", f"ip addr add 10.99.87.1/24 dev {name}",
                f"ip link set {name} up")
    for c in commands:
        r = subprocess.run(c.split(), capture_output=True, text=True)
        if r.returncode:
            subprocess.run(["ip", "link", "del", name], capture_output=True)
            pytest.skip(f"no tap interface can be made here: {r.stderr.strip()}")
    yield name
    subprocess.run(["ip", "link", "del", name])


def test_tap(boot, anykvm_only, server, tap):
    server.close()
    server.listen("10.99.87.1")
    script = f"""
ip link set eth0 up
ip addr add 10.99.87.2/24 dev eth0
ping -c 3 -i 0.2 10.99.87.1 | tail -n 2
wget -q -O /tmp/file http://10.99.87.1:{server.port}/ && sha256sum /tmp/file
base64 /tmp/file >/tmp/text
wget -q -O - --post-file /tmp/text http://10.99.87.1:{server.port}/
echo SCRIPT-DONE
"""
    guest = boot(script=script, modules=["virtio_pci", "virtio_net"],
                 extra=["--net", f"tap,ifname={tap}"])
    guest.expect("3 packets transmitted, 3 packets received", BOOT_SECONDS)
    _, m = guest.expect(r"^([0-9a-f]{64})  /tmp/file$", 60)
    assert m[1] == server.digest()
    guest.expect("SCRIPT-DONE", 60)
    assert guest.wait(20) == 0
    assert base64.b64decode(server.posted) == server.data


@pytest.mark.parametrize("option,why", [
    ("tap,ifname=anynone0", "right to use"), ("tap,fd=0", "no tap interface"),
    ("user,hostfwd=tcp:203.0.113.1:80-:80", "cannot forward"), ("wire", "wire")])
def test_refused(anykvm_only, option, why):
    """As a user without rights, and with what does not exist."""
    argv = [machine.anykvm_path(), "run", "--engine", "soft", "--kernel", images.kernel("cloud"),
            "--net", option]
    if os.getuid() == 0:
        argv = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all", *argv]
    r = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
    assert r.returncode == 1
    assert why in r.stderr


def test_two_machines(boot, anykvm_only, tmp_path):
    """A wire between two machines; what one sends the other has."""
    wire = tmp_path / "wire"
    script = """
ip link set eth0 up
ip addr add 10.99.0.%d/24 dev eth0
echo UP
%s
echo SCRIPT-DONE
"""
    one = boot(script=script % (1, "nc -l -p 99 | sha256sum"),
               modules=["virtio_pci", "virtio_net"], extra=["--net", f"unix,path={wire},listen=on"])
    one.expect("^UP$", BOOT_SECONDS)
    two = boot(script=script % (2, "sleep 1; head -c 4000000 /dev/urandom >/tmp/f\n"
                                   "sha256sum /tmp/f\nping -c 2 10.99.0.1 | tail -n 2; "
                                   "nc 10.99.0.1 99 </tmp/f"),
               modules=["virtio_pci", "virtio_net"], extra=["--net", f"unix,path={wire}"])
    _, sent = two.expect("^([0-9a-f]{64})  /tmp/f", BOOT_SECONDS)
    two.expect("2 packets received", 20)
    _, got = one.expect("^([0-9a-f]{64})  -", 30)
    assert got[1] == sent[1]
    for guest in (one, two):
        guest.expect("SCRIPT-DONE", 10)
        assert guest.wait(20) == 0
    assert not wire.exists()


def test_iperf3(boot, anykvm_only, record_property):
    """Both ways over user networking, with a server on the host's loopback."""
    tree = images.userland(["iperf3"])
    port = free_port()
    libraries = f"{tree}/usr/lib/x86_64-linux-gnu:{tree}/lib/x86_64-linux-gnu"
    server = subprocess.Popen([tree / "usr/bin/iperf3", "-s", "-p", str(port), "-B", "127.0.0.1"],
                              env={"LD_LIBRARY_PATH": libraries}, stdout=subprocess.DEVNULL)
    script = DHCP + f"""
iperf3 -c 10.0.2.2 -p {port} -t 2 -f m
iperf3 -c 10.0.2.2 -p {port} -t 2 -f m -R
echo SCRIPT-DONE
"""
    try:
        guest = boot(script=script, modules=["virtio_pci", "virtio_net"], tree=tree,
                     extra=["--net", "user"])
        for name in ("from the guest", "to the guest"):
            _, m = guest.expect(r"(\S+) Mbits/sec +receiver", BOOT_SECONDS)
            assert float(m[1]) > 100
            record_property(f"iperf3 {name}", f"{m[1]} Mbit/s")
        guest.expect("SCRIPT-DONE", 10)
        assert guest.wait(20) == 0
    finally:
        server.kill()
        server.wait()


def test_reboots(boot, anykvm_only):
    """The network is there again after a reset, and the driver finds it as it was."""
    script = DHCP + "echo REBOOT\nreboot -f\n"
    guest = boot(script=script, modules=["virtio_pci", "virtio_net"], reboot=True)
    for _ in range(3):
        guest.expect("^CARD eth0 52:54:00:12:34:56$", BOOT_SECONDS)
        guest.expect(r"^DHCP 10\.0\.2\.15", 20)
        guest.expect("^REBOOT$", 10)
