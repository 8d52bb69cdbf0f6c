# SPDX-License-Identifier: LGPL-2.1-or-later
"""The ways in which a machine ends: power-off, reboot, triple fault, and the
signals and keys of whoever started it."""
import os
import re
import signal
import termios
import time

import pytest

BOOT_SECONDS = 120
pytestmark = pytest.mark.usefixtures("anykvm_only")


def test_poweroff_ends_with_zero(boot):
    guest = boot(mode="poweroff", cpus=2)
    guest.expect("ANYKVM-POWEROFF", BOOT_SECONDS)
    assert guest.wait(30) == 0


@pytest.mark.parametrize("kernel,how", [("cloud", ""), ("cloud", "reboot=k"), ("686-pae", "")])
def test_reboot_starts_again(boot, kernel, how):
    guest = boot(kernel, mode="reboot", cpus=2, append=how, reboot=True)
    for _ in range(3):
        guest.expect("Linux version", BOOT_SECONDS)
        guest.expect("ANYKVM-REBOOT", BOOT_SECONDS)


@pytest.mark.parametrize("how", ["", "reboot=k"])
def test_no_reboot_ends(boot, how):
    guest = boot(mode="reboot", append=how)
    guest.expect("ANYKVM-REBOOT", BOOT_SECONDS)
    assert guest.wait(30) == 0


def test_triple_fault_is_told(boot):
    guest = boot(mode="reboot", append="reboot=t")
    guest.expect("ANYKVM-REBOOT", BOOT_SECONDS)
    assert guest.wait(30) > 0
    assert re.search("triple fault", guest.errors, re.I)
    assert re.search(r"rip[ =:]", guest.errors, re.I)


def test_panic_reboot(boot):
    """A kernel that finds no root panics, and with panic=-1 restarts at once."""
    guest = boot(append="panic=-1 rdinit=/nothing root=/dev/none")
    guest.expect("Kernel panic", BOOT_SECONDS)
    assert guest.wait(30) == 0


def test_end_of_input_is_no_end(boot):
    """Standard input is /dev/null here: the shell sees its end, not anykvm."""
    guest = boot(mode="commands")
    guest.expect("TEST sleep-date ok", BOOT_SECONDS)
    assert guest.process.poll() is None


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_end_it(boot, sig):
    guest = boot(mode="commands")
    guest.expect("ANYKVM-INIT", BOOT_SECONDS)
    os.kill(guest.process.pid, sig)
    assert guest.wait(10) != 0


def test_terminal(boot):
    """Raw while the guest runs, so that ^C and single keys reach it; as found
    afterwards."""
    guest = boot(tty=True)
    before = termios.tcgetattr(guest.slave)
    guest.prompt(BOOT_SECONDS)
    assert not termios.tcgetattr(guest.slave)[3] & (termios.ICANON | termios.ECHO | termios.ISIG)
    guest.write("expr 40 + 2\n")
    guest.expect("^42$", 20)
    guest.write("sleep 1000\n")
    guest.expect("sleep", 10)
    time.sleep(1)  # the shell leaves its line editor, which takes ^C itself
    guest.write("\x03")
    guest.prompt(20)
    guest.write("\x01h")
    guest.search(r"(?i)c-a x|ctrl-a x|\^a x", 10)
    # Ctrl-A twice sends one, which takes the shell's line editor to the start.
    guest.write("cho a\x01\x01e\n")
    guest.expect("^a$", 10)
    guest.write("\x01x")
    guest.wait(10)
    assert termios.tcgetattr(guest.slave) == before


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_terminal_restored_on_signal(boot, sig):
    guest = boot(tty=True)
    before = termios.tcgetattr(guest.slave)
    guest.prompt(BOOT_SECONDS)
    os.kill(guest.process.pid, sig)
    assert guest.wait(10) != 0
    assert termios.tcgetattr(guest.slave) == before


def test_terminal_restored_on_poweroff(boot):
    guest = boot(tty=True)
    before = termios.tcgetattr(guest.slave)
    guest.prompt(BOOT_SECONDS)
    guest.write("exit\n")
    assert guest.wait(30) == 0
    assert termios.tcgetattr(guest.slave) == before


def test_much_input(boot):
    """A paste of many lines loses nothing, in either direction."""
    guest = boot(tty=True)
    guest.prompt(BOOT_SECONDS)
    guest.write("stty -echo; cat >/tmp/in <<END\n")
    guest.expect("stty", 10)
    for i in range(400):
        guest.write(f"{i} the quick brown fox\n")
        if i % 20 == 19:
            guest.pump(0.05)
    guest.write("END\nstty echo; wc -l </tmp/in; cksum </tmp/in; seq 1 3000 | cksum; seq 1 3000\n")
    guest.expect("^400$", 60)
    guest.expect("^3000$", 60)
    numbers = [line for _, line in guest.lines if re.match(r"\d+$", line)]
    assert numbers[-3000:] == [str(i) for i in range(1, 3001)]


BUTTON = """
grep -A4 -i power /proc/bus/input/devices
for i in /sys/class/input/event*; do
	grep -qi "power button" $i/device/name && event=${i##*/}
done
head -c 48 /dev/input/$event >/dev/null &
while ! ls -l /proc/$!/fd | grep -q "input/$event"; do sleep 0.1; done
echo READY $event
wait $! && echo PRESSED
"""


@pytest.mark.parametrize("kind", ["q35", "pc", "micro"])
def test_power_button(boot, anykvm_only, kind):
    """Ctrl-A p presses the power button, of which the system hears by ACPI."""
    guest = boot("cloud", script=BUTTON, modules=["button", "evdev"], tty=True,
                 extra=["--machine", kind])
    guest.expect("READY event", 60)
    guest.write("\x01p")
    guest.expect("PRESSED", 20)
    assert guest.wait(30) == 0
