# SPDX-License-Identifier: LGPL-2.1-or-later
"""Drivers of Debian's linux-image-amd64 find and use the devices of a PC: SATA and
IDE drives, the e1000, the watchdog and the sound card. One guest a machine."""
import hashlib
import os
import struct
import wave

import images
import machine
import pytest
from qmp import Qmp
from test_disk import PATTERN, check_written, image, md5
from test_net import Server, Sink

pytestmark = pytest.mark.usefixtures("anykvm_only")

BOOT_SECONDS = 60

DRIVES = """
cat /sys/block/sda/size
for s in 16 32; do
    yes 0123456789abcdef | tr -d '\\n' | dd of=/dev/sda bs=64k seek=$s count=16 iflag=fullblock \
        conv=fsync 2>/dev/null &
done
wait
echo 3 >/proc/sys/vm/drop_caches
dd if=/dev/sda bs=64k skip=16 count=32 2>/dev/null | md5sum | sed s/^/SUM-/
for i in 0 1 2 3; do
    dd if=/dev/sda of=/dev/null bs=4k skip=$((i * 500)) count=500 iflag=direct 2>/dev/null &
done
wait
md5sum /dev/sr0 | sed s/^/CD-/
dd if=/dev/zero of=/dev/sr0 count=1 2>/dev/null || echo CD-READONLY
dmesg | grep -E 'ata[0-9.]+: (exception|failed|hard|error)' | grep -v sr0
echo DRIVES-DONE
"""
NET = """
cat >/udhcpc.sh <<'END'
#!/bin/sh
[ "$1" = bound ] && ip addr add $ip/24 dev $interface && ip route add default via $router
END
chmod +x /udhcpc.sh
echo "CARD $(cat /sys/class/net/eth0/address)"
ip link set eth0 up
udhcpc -q -n -i eth0 -s /udhcpc.sh >/dev/null 2>&1
wget -q -O /tmp/file http://10.0.2.2:{server}/ && sha256sum /tmp/file | sed s/^/FETCHED-/
nc 10.0.2.2 {sink} </tmp/file
cat /sys/class/net/eth0/statistics/*_errors | sort -u | tr '\\n' ' ' | sed 's/^/ERRORS /'
echo
echo NET-DONE
"""
SOUND = """
cat /proc/asound/cards
awk 'BEGIN {{ for (i = 0; i < 4000; i++) printf("%s", int(i / 40) % 2 ? "A" : "z") }}' >/tmp/tone
cat /tmp/tone >/dev/dsp
echo SOUND-DONE
"""
WATCHDOG = """
rmmod i6300esb
insmod /modules/*i6300esb.ko heartbeat=1
cat /sys/class/watchdog/watchdog0/identity
(for i in 1 2 3 4; do echo; usleep 500000; done; echo FED >/dev/console; sleep 60) >/dev/watchdog
"""


def write_tone_at(path):
    """How far apart the tone's edges are, in frames."""
    with wave.open(str(path)) as w:
        assert (w.getnchannels(), w.getsampwidth(), w.getframerate()) == (2, 2, 48000)
        n = w.getnframes()
        left = struct.unpack(f"<{2 * n}h", w.readframes(n))[::2]
    edges = [i for i in range(1, n) if (left[i] > -8000) != (left[i - 1] > -8000)]
    return [b - a for a, b in zip(edges, edges[1:])]


@pytest.fixture
def files(tmp_path):
    disk, cd = tmp_path / "disk.qcow2", tmp_path / "cd.iso"
    image("create", disk, "32M")
    cd.write_bytes(os.urandom(4 << 20))
    return disk, cd


def expect_drives(guest, cd):
    guest.expect("^65536$", BOOT_SECONDS)
    guest.expect(f"^SUM-{md5(PATTERN * 2)}", 30)
    guest.expect(f"^CD-{hashlib.md5(cd.read_bytes()).hexdigest()}", 30)
    guest.expect("^CD-READONLY", 30)
    _, m = guest.expect("^(DRIVES-DONE|.*ata.*)$", 10)
    assert m[1] == "DRIVES-DONE"


def test_q35(boot, tmp_path, files):
    disk, cd = files
    server, sink = Server(), Sink()
    guest = boot("generic", cpus=2, reboot=True, script=DRIVES + """
blkdiscard -o 4M -l 8M /dev/sda && echo DISCARDED
cat /sys/block/sda/device/queue_depth | sed s/^/DEPTH-/
""" + NET.format(server=server.port, sink=sink.port) + SOUND.format() + WATCHDOG,
                 modules=("ahci", "sd_mod", "sr_mod", "e1000", "i6300esb", "snd_intel8x0",
                          "snd_pcm_oss"),
                 extra=("--disk", f"{disk},if=ahci,serial=own", "--cdrom", str(cd),
                        "--net", "user,if=e1000,mac=52:54:00:ab:cd:ef", "--audio",
                        f"wav,path={tmp_path}/out.wav", "--qmp", str(tmp_path / "qmp"),
                        "--device", "i6300esb,action=reset"))
    expect_drives(guest, cd)
    guest.expect("^DISCARDED", 10)
    guest.expect("^DEPTH-32", 10)
    guest.expect("^CARD 52:54:00:ab:cd:ef$", 10)
    guest.expect(f"^FETCHED-{server.digest()}", 60)
    guest.expect("^ERRORS 0 $", 60)
    guest.expect("^NET-DONE", 60)
    assert sink.size == len(server.data) and sink.digest.hexdigest() == server.digest()
    guest.expect("I82801AAICH", 10)
    guest.expect("^SOUND-DONE", 10)
    guest.expect("^i6300ESB", 10)
    guest.expect("^FED", 10)
    with Qmp(tmp_path / "qmp") as q:
        assert q.event("WATCHDOG", 20)["data"] == {"action": "reset"}
        assert q.event("RESET", 20)
    guest.kill()
    periods = write_tone_at(tmp_path / "out.wav")
    assert len(periods) > 50 and all(abs(p - 240) < 8 for p in periods[5:-5])
    check_written(disk, "qcow2")
    server.close()


def test_pc(boot, files, tmp_path):
    disk, cd = files
    guest = boot("generic", cpus=2, script=DRIVES + """
rmmod i6300esb; insmod /modules/*i6300esb.ko heartbeat=1
(echo; sleep 60) >/dev/watchdog
""", modules=("ata_piix", "sd_mod", "sr_mod", "i6300esb"),
                 extra=("--machine", "pc", "--net", "none", "--qmp", str(tmp_path / "qmp"),
                        "--disk", f"{disk},if=ide", "--cdrom", str(cd),
                        "--device", "i6300esb,action=pause"))
    expect_drives(guest, cd)
    with Qmp(tmp_path / "qmp") as q:
        assert q.event("WATCHDOG", 30)["data"] == {"action": "pause"}
        assert q.event("STOP", 5)
        assert q.execute("query-status")["status"] == "paused"
        q.execute("quit")
    assert guest.wait(20) == 0
    check_written(disk, "qcow2")


@pytest.mark.parametrize("options,reason", [
    (["--machine", "micro", "--device", "cdrom,drive=x"], "no PCI"),
    (["--disk", "FILE,if=ide"], "only the machine pc"),
    (["--disk", "FILE,if=floppy"], "if=floppy"),
    (["--device", "sata-disk,drive=none"], "no disk with the id"),
    (["--audio", "mp3"], "takes none or wav"),
    (["--device", "i6300esb,action=explode"], "explode"),
    (["--net", "user,if=none,id=n", "--device", "e1000,net=n,mac=x"], "no address")])
def test_refused(boot, tmp_path, options, reason):
    (tmp_path / "disk").write_bytes(bytes(1 << 20))
    extra = [o.replace("FILE", f"{tmp_path}/disk,format=raw") for o in options]
    guest = boot(mode="poweroff", extra=extra)
    assert guest.wait(20) == 1
    assert reason in guest.errors
