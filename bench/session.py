# SPDX-License-Identifier: LGPL-2.1-or-later
"""Places where workloads run: the host itself (in a chroot) and guests under
anykvm and QEMU, each with the same programs and bench/src/agent.c, which runs
what it is sent over the console."""
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import workloads

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/guests"))
import images  # noqa: E402
import machine  # noqa: E402

WORK = ROOT / "build" / "bench"
READY_LIMIT = 120
CFLAGS = ["-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror", "-static"]


class BenchError(Exception):
    """The bench cannot go on; the text says why."""


def end_with_guests():
    """Has SIGTERM end the program as an exception does, which ends its guests, too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))


@dataclass(frozen=True)
class Engine:
    """native, anykvm or tcg; or another anykvm, with its path and switches."""
    name: str
    kind: str
    path: str = ""
    switches: str = ""

    @classmethod
    def parse(cls, text):
        name, _, other = text.partition("=")
        if not other:
            kind = {"qemu": "tcg"}.get(name, name)
            if kind not in ("native", "anykvm", "tcg"):
                raise BenchError(f"no engine is called {name}: native, anykvm, tcg, or "
                                 "NAME=PATH@SWITCHES for another anykvm")
            return cls(kind, kind)
        path, _, switches = other.partition("@")
        return cls(name, "anykvm", path, switches.replace("+", ","))

    def env(self):
        env = dict(os.environ)
        if self.switches:
            env["ANYKVM_SOFT"] = self.switches
        return env

    def command(self, kernel, initrd=None, append="", cpus=1, memory=512, extra=()):
        runner = "qemu" if self.kind == "tcg" else "anykvm"
        if "perf-map" in (self.switches or ""):  # perf looks for it in the machine's own root
            extra = (*extra, "--sandbox", "off")
        argv = machine.command(runner, kernel, initrd, append, cpus, memory, extra=extra)
        if self.path:
            argv[0] = self.path
        return argv

    def version(self):
        if self.kind == "native":
            return ""
        argv = (["qemu-system-x86_64"] if self.kind == "tcg" else
                [self.path or machine.anykvm_path()]) + ["--version"]
        out = subprocess.run(argv, capture_output=True, text=True).stdout
        return out.splitlines()[0] if out else f"{argv[0]} does not run"


def build_programs():
    """bench/src/*.c, static, so that they run in every image: their directory."""
    dest = WORK / "programs"
    dest.mkdir(parents=True, exist_ok=True)
    for source in sorted((ROOT / "bench/src").glob("*.c")):
        program = dest / source.stem
        if program.exists() and program.stat().st_mtime > source.stat().st_mtime:
            continue
        p = subprocess.run(["gcc", *CFLAGS, "-o", str(program), str(source), "-lm", "-lpthread"],
                           capture_output=True, text=True)
        if p.returncode:
            raise BenchError(f"{source.name} does not compile:\n{p.stderr}")
    (dest / "bench.sh").write_text("#!/bin/sh\n" + AGENT_SH)
    return dest


AGENT_SH = """export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
exec /bench/agent
"""


def tree(needs):
    """The root directory of the host's side, and of the images."""
    packages = workloads.PACKAGES[needs]
    if packages:
        top = images.userland(packages, workloads.LEFT_OUT)
    else:
        top = WORK / "root"
    for d in ("bin", "tmp", "dev", "proc", "bench"):
        (top / d).mkdir(parents=True, exist_ok=True)
    busybox = top / "bin/busybox"
    if not busybox.exists():
        shutil.copy(images.busybox("amd64"), busybox)
    return top


def initrd(needs):
    """The image's archive with that of the bench's own files behind it: the
    kernel unpacks one after the other."""
    programs = build_programs()
    base = images.initrd("amd64", tree=tree(needs) if needs else None)
    files = [(f"bench/{p.name}", 0o100755, p.read_bytes(), (0, 0))
             for p in sorted(programs.iterdir()) if p.name != "bench.sh"]
    script = ("bench.sh", 0o100755, (programs / "bench.sh").read_bytes(), (0, 0))
    entries = [("bench", 0o040755, b"", (0, 0)), *files, script]
    digest = hashlib.sha256(base.name.encode() + repr(entries).encode()).hexdigest()[:12]
    dest = WORK / f"initrd-{needs or 'none'}-{digest}.cpio"
    if not dest.exists():
        for old in WORK.glob(f"initrd-{needs or 'none'}-*.cpio"):
            old.unlink()
        with tempfile.NamedTemporaryFile(dir=WORK, delete=False) as out:
            with open(base, "rb") as f:
                shutil.copyfileobj(f, out, 1 << 20)
            tail = Path(out.name + ".tail")
            images.write_cpio(tail, entries)
            out.write(tail.read_bytes())
            tail.unlink()
        os.replace(out.name, dest)
    return dest


def native_argv(needs, cpus):
    """A chroot in the image's tree, on as many CPUs as the guests have."""
    programs, top = build_programs(), tree(needs)
    script = ("mount -t tmpfs tmp $0/tmp && mount --rbind /dev $0/dev && "
              "mount --rbind /proc $0/proc && mount --bind $1 $0/bench && "
              "exec chroot $0 /bin/busybox sh /bench/bench.sh")
    allowed = sorted(os.sched_getaffinity(0))[:cpus]
    return ["taskset", "-c", ",".join(map(str, allowed)), "unshare", "--map-root-user", "--mount",
            "sh", "-c", script, str(top), str(programs)]


def scheduling(cpus):
    """
    What comes before the command of a guest when the bench itself runs with
    real-time priority: vCPUs that wait for each other and leave no CPU free
    would keep the others, and the bench, from running for ever.
    """
    policy = os.sched_getscheduler(0)
    if policy not in (os.SCHED_FIFO, os.SCHED_RR) or cpus < len(os.sched_getaffinity(0)):
        return []
    if cpus == len(os.sched_getaffinity(0)):
        return ["chrt", "--rr", str(os.sched_getparam(0).sched_priority)]
    return ["chrt", "--other", "0"]


class Session:
    """An engine with the agent ready in it."""

    def __init__(self, engine, needs, cpus, opt):
        self.engine = engine
        self.made = set()
        if engine.kind == "native":
            argv = native_argv(needs, cpus)
            env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        else:
            argv = engine.command(images.kernel(opt.kernel), initrd(needs),
                                  "console=ttyS0 quiet anykvm.test=bench", cpus, opt.memory)
            env = engine.env()
        self.guest = machine.Guest(scheduling(cpus) + argv, tty=True, env=env)
        try:
            self.guest.expect("^READY", READY_LIMIT)
        except BaseException:
            self.close()
            raise

    def run(self, name, command, limit):
        """Runs one command: (seconds by the agent's clock, by the host's, last line)."""
        self.guest.write(f"{name} set -o pipefail; {command}\n")
        start, _ = self.guest.expect(rf"^START {name}$", limit)
        end, m = self.guest.expect(rf"^END {name} (\d+) ([0-9.]+) ?(.*)$", limit)
        if m[1] != "0":
            raise BenchError(f"{name} failed under {self.engine.name} with status {m[1]}: {m[3]}")
        return float(m[2]), end - start, m[3]

    def prepare(self, files, limit):
        for f in files:
            if f not in self.made:
                self.many_lines(workloads.FILES[f], f, limit)
                self.made.add(f)

    def many_lines(self, text, name, limit):
        """A command of several lines goes as one, by printf of its escapes."""
        if "\n" in text:
            quoted = text.replace("\\", "\\\\").replace("\n", "\\n").replace("%", "%%") \
                .replace("'", "'\\''").replace("\t", "\\t")
            text = f"printf '{quoted}\\n' >.make && sh .make"
        self.run("prepare." + name.replace(".", "-"), text, limit)

    def close(self):
        self.guest.kill()
