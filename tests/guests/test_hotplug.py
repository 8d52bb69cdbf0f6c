# SPDX-License-Identifier: LGPL-2.1-or-later
"""Devices that come and go by QMP under a stock kernel: disks, networks, entropy; and
what QMP tells of them."""
import os
import re
import socket
import subprocess
from pathlib import Path

import machine
import pytest
from qmp import Qmp, QmpError

BOOT_SECONDS = 120
pytestmark = pytest.mark.usefixtures("anykvm_only")

# Tells what there is whenever that changes, and writes to a disk that comes.
WATCH = r"""
last=
while :; do
	now="DISKS:$(cd /sys/block; echo vd*) NETS:$(cd /sys/class/net; echo eth*)"
	now="$now RNG:$(cat /sys/class/misc/hw_random/rng_available 2>/dev/null)"
	if [ "$now" != "$last" ]; then
		for d in /dev/vd?; do
			[ -b $d ] && [ ! -s /tmp/${d##*/} ] && {
				echo "written by the guest" | dd of=$d conv=fsync 2>/dev/null
				echo x >/tmp/${d##*/}
			}
		done
		echo "NOW $now"
		last=$now
	fi
	[ -b /dev/vda ] || rm -f /tmp/vda
	usleep 50000
done
"""
MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "virtio_rng")


def fails(qmp, kind, mention, command, **arguments):
    with pytest.raises(QmpError) as caught:
        qmp.execute(command, **arguments)
    assert caught.value.args[0] == kind
    assert mention in caught.value.args[1]


def find_pci(qmp, name):
    bridges = [d["pci_bridge"] for d in qmp.execute("query-pci")[0]["devices"]
               if "pci_bridge" in d]
    return [d for b in bridges for d in b["devices"] if d["qdev_id"] == name]


def test_hotplug(boot, tmp_path, monkeypatch):
    tmp_path.chmod(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    image = tmp_path / "disk, with a comma"
    image.write_bytes(bytes(1 << 20))
    guest = boot(script=WATCH, modules=MODULES, cpus=2, reboot=True,
                 extra=("--qmp", str(tmp_path / "qmp"), "--net", "user,if=none,id=first",
                        "--allow", str(image), "--name", "plugged"))
    guest.expect(r"NOW DISKS:vd\* NETS:eth\* RNG:$", BOOT_SECONDS)
    with Qmp(tmp_path / "qmp") as qmp:
        node = {"driver": "raw", "node-name": "d",
                "file": {"driver": "file", "filename": str(image)}}
        assert qmp.execute("blockdev-add", **node) == {}
        fails(qmp, "GenericError", "Duplicate", "blockdev-add", **node)
        fails(qmp, "GenericError", "'d2'", "device_add", driver="virtio-blk", drive="d2", id="x")
        fails(qmp, "GenericError", "colour", "device_add", driver="virtio-blk", drive="d",
              colour="red")
        # what was not allowed the sandbox keeps closed, and says so
        if machine.sandboxed():
            for task in Path(f"/proc/{guest.process.pid}/task").iterdir():
                status = (task / "status").read_text()
                assert re.search(r"^Seccomp:\t2$", status, re.M)
                assert re.search(r"^NoNewPrivs:\t1$", status, re.M)
                assert re.search(r"^CapEff:\t0+$", status, re.M)
                assert not re.search(r"^Uid:.*\b0\b", status, re.M)
        if machine.sandboxed() and os.geteuid() == 0:
            assert os.listdir(f"/proc/{guest.process.pid}/root") == []
        other = tmp_path / "other"
        other.write_bytes(bytes(1 << 20))
        if machine.sandboxed():
            fails(qmp, "GenericError", "--sandbox off", "blockdev-add", driver="file",
                  filename=str(other), **{"node-name": "o"})
            fails(qmp, "GenericError", "--sandbox off", "netdev_add", type="tap", id="t",
                  ifname="t0")
        # but a file that somebody else has opened will do
        fails(qmp, "GenericError", "SCM_RIGHTS", "add-fd")
        r = subprocess.run([machine.anykvm_path(), "qmp", "plugged", "add-fd", str(other)],
                           capture_output=True, text=True, timeout=20)
        assert (r.returncode, r.stderr) == (0, "")
        passed, = qmp.execute("query-fdsets")
        name = f"/dev/fdset/{passed['fdset-id']}"
        assert r.stdout == name + "\n"
        for _ in range(2):
            assert qmp.execute("blockdev-add", driver="file", filename=name,
                               **{"node-name": "o"}) == {}
            assert qmp.execute("query-block")[-1]["inserted"]["image"]["virtual-size"] == 1 << 20
            assert qmp.execute("blockdev-del", **{"node-name": "o"}) == {}
        assert qmp.execute("remove-fd", **{"fdset-id": passed["fdset-id"]}) == {}
        # but for one that only writes to the end, unless it is just read
        with open(other, "ab+") as f:
            socket.send_fds(qmp.socket, [b'{"execute": "add-fd"}'], [f.fileno()])
        end = qmp.answer()["return"]["fdset-id"]
        append = {"driver": "file", "filename": f"/dev/fdset/{end}", "node-name": "e"}
        fails(qmp, "GenericError", "O_APPEND", "blockdev-add", **append)
        assert qmp.execute("blockdev-add", **append, **{"read-only": True}) == {}
        assert qmp.execute("blockdev-del", **{"node-name": "e"}) == {}
        assert qmp.execute("remove-fd", **{"fdset-id": end}) == {}
        fails(qmp, "GenericError", name, "blockdev-add", driver="file", filename=name,
              **{"node-name": "o"})
        fails(qmp, "GenericError", "not found", "remove-fd", **{"fdset-id": 63})
        fails(qmp, "GenericError", "fdset-id", "remove-fd", **{"fdset-id": "0"})
        # a disk, under QEMU's name of the device
        assert qmp.execute("device_add", driver="virtio-blk-pci", drive="d", id="hot") == {}
        guest.expect(r"NOW DISKS:vda NETS:eth\* RNG:$", 30)
        assert image.read_bytes().startswith(b"written by the guest\n")
        disk, = qmp.execute("query-block")
        assert disk["device"] == "d" and disk["inserted"]["image"]["virtual-size"] == 1 << 20
        fails(qmp, "GenericError", "in use", "blockdev-del", **{"node-name": "d"})
        fails(qmp, "GenericError", "hot", "device_add", driver="virtio-rng", id="hot")
        function, = find_pci(qmp, "hot")
        assert function["id"] == {"vendor": 0x1af4, "device": 0x1042}
        assert any(r["address"] > 0 for r in function["regions"])
        # a network and entropy beside it, and all of them away
        assert qmp.execute("netdev_add", type="user", id="n",
                           restrict=True) == {}
        assert qmp.execute("device_add", driver="virtio-net", netdev="n", id="card",
                           mac="52:54:00:00:00:77") == {}
        guest.expect(r"NOW DISKS:vda NETS:eth0 RNG:$", 30)
        assert qmp.execute("device_add", driver="virtio-rng", id="r") == {}
        guest.expect(r"NOW DISKS:vda NETS:eth0 RNG:virtio_rng", 30)
        fails(qmp, "GenericError", "'n'", "netdev_del", id="n")
        # Linux waits 5 s after the button, so both at once
        for device in ("card", "r"):
            assert qmp.execute("device_del", id=device) == {}
        fails(qmp, "GenericError", "already", "device_del", id="r")
        gone = [qmp.event("DEVICE_DELETED", 30)["data"] for _ in range(2)]
        assert sorted(g["device"] for g in gone) == ["card", "r"]
        assert gone[0]["path"] == "/machine/peripheral/" + gone[0]["device"]
        assert qmp.execute("netdev_del", id="n") == {}
        fails(qmp, "DeviceNotFound", "'n'", "netdev_del", id="n")
        fails(qmp, "DeviceNotFound", "'r'", "device_del", id="r")
        guest.expect(r"NOW DISKS:vda NETS:eth\* RNG:$", 30)
        cpus = qmp.execute("query-cpus-fast")
        assert [c["cpu-index"] for c in cpus] == [0, 1] and all(c["thread-id"] for c in cpus)
        # a reset keeps what is there, where it can still go
        qmp.execute("system_reset")
        qmp.event("RESET", 20)
        guest.expect(r"NOW DISKS:vda NETS:eth\* RNG:$", BOOT_SECONDS)
        assert qmp.execute("device_del", id="hot") == {}
        assert qmp.event("DEVICE_DELETED", 30)["data"]["device"] == "hot"
        guest.expect(r"NOW DISKS:vd\* NETS:eth\* RNG:$", 30)
        assert qmp.execute("blockdev-del", **{"node-name": "d"}) == {}
        fails(qmp, "GenericError", "'d'", "blockdev-del", **{"node-name": "d"})
        assert qmp.execute("query-block") == []
        # the same image at once again, and a reset before Linux lets go of it
        assert qmp.execute("blockdev-add", **node) == {}
        assert qmp.execute("device_add", driver="virtio-blk", drive="d", id="late") == {}
        guest.expect(r"NOW DISKS:vda", 30)
        assert qmp.execute("device_del", id="late") == {}
        qmp.execute("system_reset")
        assert qmp.event("DEVICE_DELETED", 20)["data"]["device"] == "late"
        assert qmp.execute("blockdev-del", **{"node-name": "d"}) == {}
        names = {c["name"] for c in qmp.execute("query-commands")}
        assert {"device_add", "query-pci", "quit", "query-commands"} <= names
        qmp.execute("quit")
    assert guest.wait(10) == 0


def test_refused(boot, tmp_path):
    """Where there is no hot-plug, and arguments that are none."""
    guest = boot(mode="button", extra=("--machine", "micro", "--qmp", str(tmp_path / "qmp")))
    with Qmp(tmp_path / "qmp") as qmp:
        fails(qmp, "GenericError", "virtio-rng", "device_add", driver="virtio-rng")
        fails(qmp, "GenericError", "teapot", "device_add", driver="teapot")
        fails(qmp, "GenericError", "driver", "device_add")
        fails(qmp, "GenericError", "driver", "device_add", driver=1)
        fails(qmp, "GenericError", "id", "device_del")
        fails(qmp, "GenericError", "type", "netdev_add", id="n")
        fails(qmp, "GenericError", "wire", "netdev_add", type="wire", id="n")
        fails(qmp, "GenericError", "nested", "netdev_add", type="user", id="n", nested={})
        fails(qmp, "GenericError", "hostfwd", "netdev_add", type="user", id="n", hostfwd=[1])
        fails(qmp, "GenericError", "a,b", "netdev_add", **{"type": "user", "id": "n", "a,b": 1})
        for arguments in ({}, {"driver": "vmdk", "node-name": "x"}, {"driver": "raw"},
                          {"driver": "raw", "node-name": "x"},
                          {"driver": "raw", "node-name": "x", "file": "y"},
                          {"driver": "raw", "node-name": "x", "file": {"driver": "nbd"}},
                          {"driver": "file", "node-name": "x", "filename": "/nonexistent/i"}):
            fails(qmp, "GenericError", "", "blockdev-add", **arguments)
        assert qmp.execute("query-pci") == []
        qmp.execute("quit")
    assert guest.wait(10) == 0
