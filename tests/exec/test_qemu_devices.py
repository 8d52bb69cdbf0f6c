# SPDX-License-Identifier: LGPL-2.1-or-later
"""QEMU's devices that lean on KVM: a network by ioeventfd and irqfd, memory
and processors that come and go while the guest runs."""
import hashlib
import http.server
import random
import re
import threading
from pathlib import Path

import pytest


@pytest.fixture
def served():
    """(port on the loopback, SHA-256) of an HTTP server's /file, 12 MiB."""
    data = random.Random(1).randbytes(12 << 20)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/file" else 404)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.path == "/file":
                self.wfile.write(data)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port, hashlib.sha256(data).hexdigest()
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("kind,device", [
    ("pc", "virtio-net-pci"),
    ("microvm", "virtio-net-device"),
    ("q35,kernel-irqchip=split", "virtio-net-pci"),
])
def test_http(booted, served, kind, device):
    """The guest fetches a file over HTTP from the host's loopback."""
    port, digest = served
    g = booted("-m", 256, "-machine", kind, "-cpu", "host", "-smp", 2, "-netdev", "user,id=net",
               "-device", f"{device},netdev=net")
    g.sh("ip link set eth0 up && ip addr add 10.0.2.15/24 dev eth0")
    out = g.sh(f"wget -q -O - http://10.0.2.2:{port}/file | sha256sum", 60)
    assert out.split()[0] == digest
    assert int(g.sh("cat /sys/class/net/eth0/statistics/rx_errors")) == 0


def test_balloon(booted):
    """Memory that the balloon takes is the host's, and comes back as good as new."""
    g = booted("-m", 256, "-machine", "q35", "-cpu", "host", "-device", "virtio-balloon-pci")

    def total():
        return int(re.search(r"MemFree: *(\d+)", g.sh("cat /proc/meminfo"))[1]) >> 10

    def resident():
        status = Path(f"/proc/{g.process.pid}/status").read_text()
        return int(re.search(r"RssAnon:\s*(\d+)", status)[1]) >> 10

    g.sh("dd if=/dev/zero of=/tmp/all bs=1M count=100 && rm /tmp/all")
    full, before = total(), resident()
    g.qmp("balloon", value=96 << 20)
    g.qmp.until("query-balloon", lambda r: r["actual"] == 96 << 20)
    assert resident() < before - 80
    for mib in (96, 256, 128, 256):
        g.qmp("balloon", value=mib << 20)
        g.qmp.until("query-balloon", lambda r: r["actual"] == mib << 20)
        assert abs(total() - (full - (256 - mib))) < 24
    g.sh("dd if=/dev/urandom of=/tmp/a bs=1M count=40 && cp /tmp/a /tmp/b && cmp /tmp/a /tmp/b")
    assert g.sh("dmesg | grep -E 'BUG|WARNING|Oops'", check=False) == ""


@pytest.mark.parametrize("kind", ["pc", "q35"])
def test_cpu_hotplug(booted, kind):
    """A processor comes, works, goes, and comes again."""
    g = booted("-m", 256, "-machine", kind, "-cpu", "host", "-smp", "1,maxcpus=4")
    free = [c for c in g.qmp("query-hotpluggable-cpus") if "qom-path" not in c]
    assert len(free) == 3
    free.sort(key=lambda c: c["props"]["socket-id"])

    def add(n):
        g.qmp("device_add", driver=free[n]["type"], id=f"cpu{n + 1}", **free[n]["props"])
        g.sh(f"while ! test -d /sys/devices/system/cpu/cpu{n + 1}; do usleep 50000; done; "
             f"while ! echo 1 >/sys/devices/system/cpu/cpu{n + 1}/online; do usleep 50000; done",
             20)

    def busy(n):
        return g.sh(f"taskset {1 << n:x} sh -c 'seq 1 30000 | sha256sum'").split()[0]

    right = busy(0)
    for n in range(3):
        add(n)
        assert g.sh("nproc") == str(n + 2) and busy(n + 1) == right
    for _ in range(2):
        g.qmp("device_del", id="cpu2")
        g.qmp.event("DEVICE_DELETED", 30, device="cpu2")
        assert g.sh("nproc") == "3" and busy(3) == right
        add(1)
        assert g.sh("nproc") == "4" and busy(2) == right
    assert g.sh("dmesg | grep -E 'BUG|WARNING|Oops|stall'", check=False) == ""
