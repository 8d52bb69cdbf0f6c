# SPDX-License-Identifier: LGPL-2.1-or-later
"""A running Debian kernel steered through its control socket, by a QMP client
and by anykvm's own commands."""
import json
import os
import re
import signal
import socket
import subprocess
import termios
import time

import machine
import pytest
from qmp import Qmp, QmpError

BOOT_SECONDS = 120
pytestmark = pytest.mark.usefixtures("anykvm_only", "own_directory")


@pytest.fixture
def own_directory(tmp_path_factory, monkeypatch):
    """A directory for the sockets, apart from other machines of this user."""
    path = tmp_path_factory.mktemp("run", numbered=True)
    path.chmod(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(path))
    return path


@pytest.fixture
def ticking(boot, tmp_path):
    """A guest that counts on its console and shuts down by the power button."""
    path = tmp_path / "qmp"

    def start(*extra, wait=True, **kw):
        guest = boot(mode="button", modules=("button", "evdev"),
                     extra=("--qmp", str(path), *extra), **kw)
        if wait:
            guest.expect(r"TICK 10$", BOOT_SECONDS)
        return guest, path
    return start


def anykvm(*args, seconds=30):
    return subprocess.run([machine.anykvm_path(), *map(str, args)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=seconds)


def ticks(guest, seconds):
    """How many lines the guest prints in a time."""
    before = len(guest.lines)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        guest.pump(0.1)
    return len(guest.lines) - before


def test_stop_and_cont(ticking):
    guest, path = ticking(cpus=2)
    with Qmp(path) as qmp, Qmp(path) as other:
        assert qmp.execute("query-status") == {"status": "running", "running": True,
                                               "singlestep": False}
        assert qmp.execute("stop") == {}
        other.event("STOP", 5)
        assert qmp.execute("query-status")["status"] == "paused"
        ticks(guest, 0.5)
        spent = guest.cpu_seconds()
        assert ticks(guest, 2) == 0
        assert guest.cpu_seconds() - spent < 0.2
        assert qmp.execute("stop") == {}
        assert qmp.execute("cont") == {}
        other.event("RESUME", 5)
        assert ticks(guest, 2) >= 2
        assert other.execute("query-status")["status"] == "running"
        # the second stop changed nothing, so it was no event
        assert [e["event"] for e in qmp.events] == ["STOP", "RESUME"]


@pytest.mark.parametrize("kind", ["q35", "pc", "micro"])
def test_power_button(ticking, kind):
    guest, path = ticking("--machine", kind)
    with Qmp(path) as qmp:
        assert qmp.execute("system_powerdown") == {}
        qmp.event("POWERDOWN", 5)
        data = qmp.event("SHUTDOWN", 30)["data"]
        assert data == {"guest": True, "reason": "guest-shutdown"}
        qmp.at_end(10)
    assert guest.wait(10) == 0
    assert not path.exists()


def test_reset(ticking):
    guest, path = ticking(reboot=True)
    with Qmp(path) as qmp:
        assert qmp.execute("system_reset") == {}
        data = qmp.event("RESET", 20)["data"]
        assert data == {"guest": False, "reason": "host-qmp-system-reset"}
        guest.expect("Linux version", BOOT_SECONDS)
        guest.expect(r"TICK 1$", BOOT_SECONDS)
        # a machine that is stopped stays so: it comes back at its first instruction
        qmp.execute("stop")
        ticks(guest, 0.5)
        qmp.execute("system_reset")
        qmp.event("RESET", 20)
        assert ticks(guest, 2) == 0
        assert qmp.execute("query-status")["status"] == "paused"
        qmp.execute("cont")
        guest.expect("Linux version", BOOT_SECONDS)
        assert qmp.execute("quit") == {}
        assert qmp.event("SHUTDOWN", 10)["data"] == {"guest": False, "reason": "host-qmp-quit"}
    assert guest.wait(10) == 0


def test_reset_of_the_guest(boot, tmp_path):
    guest = boot(mode="reboot", reboot=True, extra=("--qmp", str(tmp_path / "s")))
    with Qmp(tmp_path / "s") as qmp:
        data = qmp.event("RESET", BOOT_SECONDS)["data"]
        assert data == {"guest": True, "reason": "guest-reset"}
        qmp.execute("stop")
        qmp.execute("quit")
        qmp.at_end(10)
    assert guest.wait(10) == 0


def test_no_reboot(boot, tmp_path):
    guest = boot(mode="reboot", extra=("--qmp", str(tmp_path / "s")))
    with Qmp(tmp_path / "s") as qmp:
        assert qmp.event("SHUTDOWN", BOOT_SECONDS)["data"]["reason"] == "guest-reset"
    assert guest.wait(10) == 0


def test_signal(ticking):
    guest, path = ticking(wait=False)
    with Qmp(path) as qmp:
        os.kill(guest.process.pid, signal.SIGTERM)
        assert qmp.event("SHUTDOWN", 10)["data"]["reason"] == "host-signal"
    assert guest.wait(10) == -signal.SIGTERM
    assert not path.exists()


def test_hostile_clients(ticking):
    """Malformed, endless and abandoned conversations: the guest goes on."""
    guest, path = ticking()
    with Qmp(path, negotiate=False) as qmp:
        assert qmp.greeting["version"]["qemu"].keys() == {"major", "minor", "micro"}
        for text in (b"nonsense\n", b"{" * 100 + b"\n", b'{"execute": "' + b"a" * 200000 + b'"}\n',
                     b'{"execute": 5}', b"[]", b"\x00\xff\n", b'{"execute": "stop"}'):
            qmp.socket.sendall(text)
            assert qmp.answer()["error"]["class"] in ("GenericError", "CommandNotFound")
        qmp.execute("qmp_capabilities")
        with pytest.raises(QmpError, match="CommandNotFound"):
            qmp.execute("device_explode")
        with pytest.raises(QmpError, match="GenericError"):
            qmp.execute("stop", now=True)
        assert qmp.execute("query-status")["running"]
    sockets = []
    for _ in range(40):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(5)
        while s.connect_ex(str(path)):
            time.sleep(0.01)  # too many are waiting to be let in
        sockets.append(s)
        try:
            s.sendall(b'{"execute": "qmp_capa')
        except (BrokenPipeError, ConnectionResetError):
            pass  # so many clients are not taken
    for s in sockets:
        s.close()
    ticks(guest, 1)
    flood = Qmp(path).socket
    flood.setblocking(False)
    try:
        while True:
            flood.send(b"{}" * 30000)
    except BlockingIOError:
        pass
    assert ticks(guest, 2) >= 2
    flood.close()
    with Qmp(path) as qmp:
        assert qmp.execute("query-status")["running"]


def test_commands(ticking, own_directory):
    """ps, qmp and stop, by name and by process id."""
    assert anykvm("ps").stdout == ""
    guest, path = ticking("--name", "first.1")
    pid = guest.process.pid
    r = anykvm("ps")
    assert r.returncode == 0 and re.search(rf"^first\.1 +{pid} +running$", r.stdout, re.M)
    assert json.loads(anykvm("qmp", "first.1", "query-name").stdout) == {"name": "first.1"}
    assert anykvm("qmp", pid, "stop").returncode == 0
    assert re.search(r"^first\.1 .* paused$", anykvm("ps").stdout, re.M)
    r = anykvm("qmp", "first.1", "no-such-command")
    assert r.returncode == 1 and r.stdout == "" and "no-such-command" in r.stderr
    r = anykvm("qmp", "first.1", "stop", '{"x": 1}')
    assert r.returncode == 1 and "'x'" in r.stderr
    for args in (("qmp", "second", "stop"), ("stop", "second"), ("stop", "1"), ("stop", "a/b")):
        r = anykvm(*args)
        assert r.returncode == 1 and len(r.stderr.splitlines()) == 1 and args[1] in r.stderr
    for args in (("qmp", "first.1"), ("qmp", "first.1", "stop", "[1]"), ("stop",),
                 ("stop", "first.1", "--timeout", "x"), ("ps", "x")):
        r = anykvm(*args)
        assert r.returncode == 2 and len(r.stderr.splitlines()) == 1
    # it is paused: it runs again so that it can shut down
    r = anykvm("stop", "first.1")
    assert (r.returncode, r.stderr) == (0, "")
    assert guest.process.poll() == 0
    assert "Power down" in guest.text or guest.wait(5) == 0 and "Power down" in guest.text
    assert anykvm("ps").stdout == ""
    assert list((own_directory / "anykvm").iterdir()) == []


def test_stop_of_a_deaf_guest(boot):
    """A guest that does not know power buttons is ended after the time."""
    guest = boot(mode="button")
    guest.expect(r"TICK 3$", BOOT_SECONDS)
    r = anykvm("stop", guest.process.pid, "--timeout", "2")
    assert r.returncode == 0 and "2 s" in r.stderr
    assert guest.wait(5) == 0
    assert "Power down" not in guest.text


def test_left_behind(boot, own_directory):
    """The socket of a killed machine is no machine, and its name is free again."""
    for _ in range(2):
        guest = boot(mode="button", extra=("--name", "again"))
        guest.expect(r"TICK 1$", BOOT_SECONDS)
        guest.kill()
    assert (own_directory / "anykvm" / "again.sock").exists()
    assert anykvm("ps").stdout == ""
    assert not (own_directory / "anykvm" / "again.sock").exists()


def test_sockets_that_cannot_be(ticking, tmp_path):
    guest, path = ticking("--name", "one")
    file = tmp_path / "file"
    file.write_text("kept")
    for option, value, mention in (
            ("--qmp", path, "taken"), ("--name", "one", "taken"), ("--qmp", file, "not a socket"),
            ("--qmp", tmp_path / ("x" * 110), "too long"),
            ("--qmp", tmp_path / "no" / "s", "no/s")):
        r = anykvm(*machine.command("anykvm", "/boot/none")[1:], option, value)
        assert r.returncode == 1
        assert len(r.stderr.splitlines()) == 1 and mention in r.stderr
    for name in ("", "12", "a/b", "-x", "x" * 49):
        r = anykvm("run", f"--name={name}")
        assert r.returncode == 2 and "--name" in r.stderr
    assert file.read_text() == "kept"
    assert ticks(guest, 1) >= 1


def test_no_directory(boot, own_directory):
    """Where there can be no directory a machine runs, unless it was given a name."""
    (own_directory / "anykvm").write_text("")
    guest = boot(mode="poweroff")
    assert guest.wait(BOOT_SECONDS) == 0
    assert str(own_directory) in guest.errors
    guest = boot(mode="poweroff", extra=("--name", "named"))
    assert guest.wait(20) == 1
    assert str(own_directory) in guest.errors


def test_console(boot, own_directory):
    """More terminals at the serial console: output, keys, Ctrl-], signals, the machine's end."""
    def modes(terminal):
        return termios.tcgetattr(terminal.slave)[:4]

    def attached(*args):
        terminal = machine.Guest([machine.anykvm_path(), "console", *args], tty=True)
        before = modes(terminal)
        deadline = time.monotonic() + 10
        while "Ctrl-]" not in terminal.errors and time.monotonic() < deadline:
            terminal.pump(0.1)
        terminal.pump(0.1)
        assert modes(terminal) != before
        return terminal, before

    r = anykvm("console")
    assert r.returncode == 1 and "no machine" in r.stderr
    guest = boot(extra=("--name", "one"), script="""exec </dev/ttyS0
stty -F /dev/ttyS0 -echo
echo READY
while read word; do echo "GOT $word"; [ "$word" = end ] && break; done
""")
    guest.expect("READY", BOOT_SECONDS)
    first, before = attached()
    with first:
        first.write("hello\r")
        first.expect("^GOT hello$", 10)
        guest.expect("^GOT hello$", 10)
        # beside it one without a terminal, whose last key is the escape
        r = subprocess.run([machine.anykvm_path(), "console", "one"], input="piped\n\x1dlost\n",
                           capture_output=True, text=True, timeout=20)
        assert (r.returncode, r.stderr) == (0, "")
        first.expect("^GOT piped$", 10)
        first.write(b"\x1d")
        assert first.wait(10) == 0
        assert modes(first) == before
    second, before = attached("one")
    with second:
        os.kill(second.process.pid, signal.SIGTERM)
        assert second.wait(10) == -signal.SIGTERM
        assert modes(second) == before
    third, before = attached(str(guest.process.pid))
    with third:
        third.write("x" * 3000 + "\rend\r")
        third.expect("^GOT x{3000}$", 20)
        third.expect("Power down", 20)
        assert third.wait(10) == 0
        assert "closed the connection" in third.errors
        assert modes(third) == before
    assert guest.wait(10) == 0
    # and nothing but that was typed
    assert [line for _, line in guest.lines if line.startswith("GOT")] == [
        "GOT hello", "GOT piped", f"GOT {'x' * 3000}", "GOT end"]
