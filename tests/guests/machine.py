# SPDX-License-Identifier: LGPL-2.1-or-later
"""Starts guests under anykvm, or under QEMU's TCG as the yardstick, and follows
their serial console. Every line is kept with the host's time at which it came."""
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class GuestTimeout(Exception):
    """The guest did not print what was waited for."""


def anykvm_path():
    return os.environ.get("ANYKVM") or str(ROOT / "build" / "anykvm")


def command(runner, kernel, initrd=None, append="", cpus=1, memory=512, reboot=False, extra=()):
    """The argument vector that boots a kernel, or firmware (kernel None). memory in MiB."""
    if runner == "anykvm":
        argv = [anykvm_path(), "run", "--engine", os.environ.get("ANYKVM_ENGINE", "soft"),
                "--cpus", str(cpus), "--memory", f"{memory}M"]
        if kernel:
            argv += ["--kernel", str(kernel)]
        if initrd:
            argv += ["--initrd", str(initrd)]
        if append:
            argv += ["--append", append]
        if not reboot:
            argv += ["--no-reboot"]
    elif runner == "qemu":
        argv = [shutil.which("qemu-system-x86_64") or "qemu-system-x86_64", "-accel",
                "tcg,thread=multi", "-machine", "q35", "-cpu", "max", "-smp", str(cpus),
                "-m", str(memory), "-nographic", "-nodefaults", "-serial", "mon:stdio",
                "-kernel", str(kernel)]
        if initrd:
            argv += ["-initrd", str(initrd)]
        if append:
            argv += ["-append", append]
        if not reboot:
            argv += ["-no-reboot"]
    else:
        raise ValueError(f"no runner is called {runner}")
    return argv + list(extra)


def _own_signals():
    """A shell that starts the tests in its background has them ignore these."""
    for s in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(s, signal.SIG_DFL)


class Guest:
    """A running process with its console. Use as a context manager: it is
    ended on leaving. With tty=True its standard input and output are a
    terminal (self.tty, the master end), otherwise input is empty."""

    def __init__(self, argv, tty=False, env=None):
        self.start = time.monotonic()
        self.text = ""
        self.lines = []  # (seconds since start, line)
        self.seen = 0  # lines already consumed by expect()
        self.partial = ""
        self.tty = None
        if tty:
            self.tty, slave = pty.openpty()
            self.slave = slave
            self.process = subprocess.Popen(argv, stdin=slave, stdout=slave,
                                            stderr=subprocess.PIPE, env=env,
                                            start_new_session=True, preexec_fn=_own_signals)
            self.out = self.tty
        else:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, env=env,
                                            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                            start_new_session=True, preexec_fn=_own_signals)
            self.out = self.process.stdout.fileno()
        self.err = self.process.stderr.fileno()
        self.errors = ""
        self.open = {self.out, self.err}

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.kill()

    def kill(self):
        if self.process.poll() is None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait()
        self.process.stderr.close()
        if self.process.stdout:
            self.process.stdout.close()
        if self.tty is not None:
            os.close(self.tty)
            os.close(self.slave)
            self.tty = None

    def write(self, data):
        os.write(self.tty, data if isinstance(data, bytes) else data.encode())

    def pump(self, seconds):
        """Takes output that comes within the time; False at the end of all."""
        if not self.open:
            return False
        for fd in select.select(list(self.open), [], [], max(seconds, 0))[0]:
            try:
                data = os.read(fd, 65536)
            except OSError:
                data = b""
            if not data:
                self.open.discard(fd)
            elif fd == self.err:
                self.errors += data.decode(errors="replace")
            else:
                self._take(data.decode(errors="replace"))
        return True

    def _take(self, text):
        now = time.monotonic() - self.start
        self.text += text
        self.partial += text.replace("\r", "")
        *whole, self.partial = self.partial.split("\n")
        self.lines += [(now, line) for line in whole]

    def expect(self, pattern, seconds):
        """Waits for a new whole line that matches: (time, match). GuestTimeout
        with the console's end when it does not come."""
        deadline = time.monotonic() + seconds
        regex = re.compile(pattern)
        while True:
            while self.seen < len(self.lines):
                when, line = self.lines[self.seen]
                self.seen += 1
                m = regex.search(line)
                if m:
                    return when, m
            left = deadline - time.monotonic()
            if self.process.poll() is not None and not self.pump(0.05):
                self.fail(f"ended (status {self.process.returncode}) before '{pattern}' came")
            if left <= 0:
                self.fail(f"'{pattern}' did not come in {seconds} s")
            self.pump(min(left, 0.5))

    def search(self, pattern, seconds, start=0):
        """Waits for a match anywhere in all that came (from start on), for
        screens drawn with escape sequences: the match."""
        deadline = time.monotonic() + seconds
        while True:
            m = re.search(pattern, self.text[start:])
            if m:
                return m
            if time.monotonic() >= deadline or self.process.poll() is not None:
                self.fail(f"did not show '{pattern}' in {seconds} s")
            self.pump(0.5)

    def prompt(self, seconds, text="guest# "):
        """Waits until the last, unfinished line ends with a prompt (and with
        the question for the cursor's position that busybox adds)."""
        deadline = time.monotonic() + seconds
        while not re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.partial).endswith(text):
            if time.monotonic() >= deadline or self.process.poll() is not None:
                self.fail(f"did not come to its prompt in {seconds} s")
            self.pump(0.2)

    def wait(self, seconds):
        """Waits for the process to end: its status."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            if time.monotonic() >= deadline:
                self.fail(f"did not end in {seconds} s")
            if self.open:
                self.pump(0.2)
            else:
                time.sleep(0.05)
        while self.process.stdout and self.pump(0.05):
            pass
        before = -1
        while self.tty is not None and len(self.text) > before:
            before = len(self.text)
            self.pump(0.1)
        return self.process.returncode

    def fail(self, what):
        tail = "\n".join([line for _, line in self.lines[-25:]] + [self.partial])[-3000:]
        tail = re.sub(r"\x1b(c|\[[0-9;?]*[A-Za-z])", " ", tail)
        raise GuestTimeout(f"the guest {what}; its console ended with:\n{tail}\n"
                           f"standard error: {self.errors[-6000:]}")

    def cpu_seconds(self):
        """Processor time that the process has used so far."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


def sandboxed():
    """By default; builds with sanitizers are not."""
    r = subprocess.run([anykvm_path(), "run", "--help"], capture_output=True, text=True)
    return "(default: on)" in r.stdout


def helpers(name, beside=None):
    """What /proc tells of the processes called so beside machines of this program, or one."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            same = os.path.samefile(path / "exe", anykvm_path())
            status = (path / "status").read_text()
            if same and (path / "comm").read_text() == name + "\n" and (
                    not beside or f"\nPPid:\t{beside.process.pid}\n" in status):
                found.append(status)
        except OSError:
            continue
    return found


def check_confined(name):
    """There are such processes, and they have filters on system calls."""
    found = helpers(name)
    assert found
    for status in found if sandboxed() else ():
        assert re.search(r"^Seccomp:\t2$", status, re.M)
        assert re.search(r"^NoNewPrivs:\t1$", status, re.M)


def memory_overhead(pid, guest_mib):
    """(overhead, guest) in KiB: what the process keeps resident beyond the
    mappings that are the guest's memory, and what of those is resident. Memory
    that is mapped twice, as translated code is, counts once (Pss). The engine's
    tables, which the kernel joins to one mapping, reach for much more than they use."""
    total = guest = 0
    size = pss = 0
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        key, _, rest = line.partition(":")
        if key == "Size":
            size = int(rest.split()[0])
        elif key == "Pss":
            pss = int(rest.split()[0])
        elif key == "VmFlags":
            total += pss
            if size >= guest_mib * 1024 * 15 // 16:
                guest += pss
    return total - guest, guest


def parse_tests(guest):
    """What commands.sh printed: ({name: None or reason}, {name: (time, value)})."""
    tests, values = {}, {}
    for when, line in guest.lines:
        m = re.match(r"TEST (\S+) (ok|fail)(?: (.*))?$", line)
        if m:
            tests[m[1]] = None if m[2] == "ok" else m[3] or "failed"
        m = re.match(r"VALUE (\S+) (.*)$", line)
        if m:
            values[m[1]] = (when, m[2])
    return tests, values
