# SPDX-License-Identifier: LGPL-2.1-or-later
"""What disks and networks carry, by fio and iperf3 in the guest: 4 KiB requests
past the guest's page cache on virtio-blk with a raw image, a stream of TCP over
user networking to the host. And the quickest machine, and many of them."""
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from session import WORK, BenchError, images, machine

CPUS, MEMORY = 2, 1024
LIMIT = 120
SECONDS = 4
DISK_MIB = 512
MODULES = ("virtio_pci", "virtio_blk", "virtio_net")
FIO = ("fio --name=x --filename=/dev/vda --direct=1 --ioengine=libaio --iodepth=16 --bs=4k "
       f"--time_based --runtime={SECONDS} --size={DISK_MIB}M --output-format=terse --rw=")
IDLE_GUESTS, IDLE_MEMORY, IDLE_SECONDS = 50, 128, 10


def _needed(path):
    out = subprocess.run(["objdump", "-p", str(path)], capture_output=True, text=True).stdout
    return re.findall(r"NEEDED +(\S+)", out)


def _tools():
    """A directory with fio and iperf3, and the libraries that they load."""
    dest = WORK / "io"
    if dest.exists():
        return dest
    top = images.userland(["fio", "iperf3"])
    libs = {p.name: p for d in ("lib", "usr/lib") for p in (top / d).rglob("*.so*")}
    tmp = Path(f"{dest}.tmp")
    shutil.rmtree(tmp, ignore_errors=True)
    for d in ("usr/bin", "lib64", "lib/x86_64-linux-gnu"):
        (tmp / d).mkdir(parents=True)
    wanted = ["ld-linux-x86-64.so.2"]
    for name in ("fio", "iperf3"):
        shutil.copy(top / "usr/bin" / name, tmp / "usr/bin")
        wanted += _needed(top / "usr/bin" / name)
    done = set()
    while wanted:
        name = wanted.pop()
        if name in done:
            continue
        if name not in libs:
            raise BenchError(f"{name}, which fio or iperf3 needs, is in no package")
        done.add(name)
        shutil.copy(libs[name], tmp / "lib/x86_64-linux-gnu" / name)
        wanted += _needed(libs[name])
    shutil.copy(libs["ld-linux-x86-64.so.2"], tmp / "lib64")
    tmp.rename(dest)
    return dest


def _run(engine, opt, script, options, pattern):
    """What the script prints where the pattern says, in a guest with these options."""
    with tempfile.TemporaryDirectory() as tmp:
        path = Path(tmp) / "test.sh"
        path.write_text(script)
        initrd = images.initrd("amd64", [(path, "test.sh")], tree=_tools(),
                               kernel_modules=(opt.kernel, MODULES))
    argv = engine.command(images.kernel(opt.kernel), initrd,
                          "console=ttyS0 quiet anykvm.test=script", CPUS, MEMORY, options)
    with machine.Guest(argv, env=engine.env()) as guest:
        return float(guest.expect(pattern, LIMIT)[1][1])


def _image():
    """
    A new image, allocated on the host's disk and in its page cache by single
    pages. ext4 of Linux 6.16 and later keeps what was written, or read ahead, in
    large pieces in pages of up to 2 MiB, and each write of 4 KiB then visits every
    block of such a page: the figure would be the host's alone, for every engine.
    """
    WORK.mkdir(parents=True, exist_ok=True)
    image = WORK / "disk.raw"
    image.unlink(missing_ok=True)
    with open(image, "wb", buffering=0) as f:
        for _ in range(DISK_MIB << 8):
            f.write(b"anykvm--" * 512)
        os.fsync(f.fileno())
    return image


def _disk(how):
    def figure(engine, opt):
        """Thousands of requests a second."""
        image = _image()
        options = {"anykvm": ("--net", "none", "--disk", f"{image},format=raw"),
                   "tcg": ("-drive", f"file={image},format=raw,if=virtio")}[engine.kind]
        field = 8 if "read" in how else 49
        return _run(engine, opt, f"{FIO}{how} | cut -d';' -f{field} | sed s/^/IOPS-/\n", options,
                    r"^IOPS-(\d+)") / 1e3
    return figure


def network(engine, opt):
    """Gbit/s from the guest to the host."""
    if not shutil.which("iperf3"):
        raise BenchError("iperf3 is missing")
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
    options = {"anykvm": ("--net", "user"),
               "tcg": ("-netdev", "user,id=n", "-device", "virtio-net-pci,netdev=n")}[engine.kind]
    server = subprocess.Popen(["iperf3", "-s", "-1", "-B", "127.0.0.1", "-p", str(port)],
                              stdout=subprocess.DEVNULL)
    script = f"""
ip link set lo up; ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0; ip route add default via 10.0.2.2
iperf3 -c 10.0.2.2 -p {port} -t {SECONDS} -f m | sed -n 's/.* \\([0-9.]*\\) Mbits.*receiver/MBIT-\\1/p'
"""
    try:
        return _run(engine, opt, script, options, r"^MBIT-([\d.]+)") / 1e3
    finally:
        server.kill()
        server.wait()


def micro(engine, opt):
    """Seconds from the process's start to init, on the machine without PCI."""
    if engine.kind != "anykvm":
        return None
    argv = engine.command(images.kernel(opt.kernel), images.initrd("amd64"),
                          "console=ttyS0 quiet anykvm.test=poweroff", 1, 128,
                          ("--machine", "micro", "--net", "none"))
    with machine.Guest(argv, env=engine.env()) as guest:
        return guest.expect("ANYKVM-INIT", LIMIT)[0]


def _resident(pid):
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Pss: +(\d+)", text, re.M)[1]) / 1024


def idle(engine, opt):
    """Percent of one CPU that 50 idle guests take together; their memory is told."""
    if engine.kind != "anykvm":
        return None
    guests = []
    try:
        for _ in range(IDLE_GUESTS):
            argv = engine.command(images.kernel(opt.kernel), images.initrd("amd64"),
                                  "console=ttyS0 quiet", 1, IDLE_MEMORY,
                                  ("--machine", "micro", "--net", "none"))
            guests.append(machine.Guest(argv, tty=True, env=engine.env()))
            if len(guests) % 2 == 0:
                guests[-2].prompt(LIMIT)
        for g in guests:
            g.prompt(LIMIT)
        begun, before = time.monotonic(), sum(g.cpu_seconds() for g in guests)
        time.sleep(IDLE_SECONDS)
        used = sum(g.cpu_seconds() for g in guests) - before
        percent = 100 * used / (time.monotonic() - begun)
        memory = sum(_resident(g.process.pid) for g in guests)
        if not opt.quiet:
            print(f"{IDLE_GUESTS} idle guests of {IDLE_MEMORY} MiB: {memory:.0f} MiB of the "
                  f"host's memory, {percent:.0f} % of one CPU", flush=True)
        return percent
    finally:
        for g in guests:
            g.kill()


# name: (unit, function)
MEASURES = {
    "disk-read": ("k/s", _disk("read")),
    "disk-write": ("k/s", _disk("write")),
    "disk-randread": ("k/s", _disk("randread")),
    "disk-randwrite": ("k/s", _disk("randwrite")),
    "network": ("Gbit/s", network),
    "micro-to-init": ("s", micro),
    "idle-50": ("% CPU", idle),
}
