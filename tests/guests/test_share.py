# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian's 9p file system on folders of the host."""
import hashlib
import os
import stat
import subprocess

import images
import machine
import pytest

pytestmark = pytest.mark.usefixtures("anykvm_only")

BOOT_SECONDS = 90
BULK = os.urandom(5 << 20)

# Prints `TEST name ok` or what was wrong; $1 is "mapped" or "none".
SCRIPT = """
equal() { if [ "$2" = "$3" ]; then echo "TEST $1 ok"; else echo "TEST $1 fail $2 $3"; fi; }
mkdir /a /b /m
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144 files /a || echo MOUNT-FAILED
mount -t 9p -o trans=virtio,version=9p2000.L,cache=loose share1 /b || echo MOUNT-FAILED
mount -t 9p -o trans=virtio,version=9p2000.L mapped /m || echo MOUNT-FAILED
cd /a
md5sum bulk | sed s/^/SUM-/
equal list "$(ls many | wc -l)" 1500
equal list-again "$(find many -type f | wc -l)" 1500
equal text "$(cat dir/text)" "from the host"
echo "from the guest" >dir/new
echo more >>dir/new
equal append "$(wc -c <dir/new)" 20
mkdir -p x/y/z && cp bulk x/y/copy
equal copy "$(md5sum <x/y/copy)" "$(md5sum <bulk)"
mv x/y/copy x/moved && mv x w
equal moved "$(ls w)" "$(printf 'moved\\ny')"
ln -s moved w/link && ln w/moved w/hard
equal symlink "$(readlink w/link)" moved
equal followed "$(md5sum <w/link)" "$(md5sum <bulk)"
equal links "$(stat -c %h w/moved)" 2
rm w/hard
truncate -s 1000 w/moved
equal truncate "$(stat -c %s w/moved)" 1000
chmod 640 w/moved
equal chmod "$(stat -c %a w/moved)" 640
chmod 4755 w/moved
equal setuid "$(stat -c %a w/moved)" 755
touch -d '2001-02-03 04:05:06' w/moved
equal touch "$(stat -c %Y w/moved)" 981173106
mkfifo w/fifo && [ -p w/fifo ] && equal fifo ok ok
mknod w/device c 1 3 2>/dev/null && equal device made refused || equal device ok ok
exec 5<w/moved && rm w/moved
equal unlinked "$(wc -c <&5)" 1000
exec 5<&-
rmdir w/y/z && rm -r w
equal removed "$(ls -d w 2>/dev/null)" ""
equal escape "$(cat outside 2>/dev/null)" ""
equal escape-dir "$(ls outdir/ 2>/dev/null)" ""
echo x 2>/dev/null >outfile/x
df /a | tail -n 1 | grep -q files && equal df ok ok
flock w.lock true 2>/dev/null
cat pipe-of-host 2>/dev/null & sleep 0.2; kill $! 2>/dev/null; echo "TEST pipe ok"

cd /b
equal read-only-text "$(cat text)" "read this"
echo x 2>/dev/null >new && equal read-only written refused || equal read-only ok ok
rm text 2>/dev/null && equal read-only-rm removed refused || equal read-only-rm ok ok
chmod 777 text 2>/dev/null; equal read-only-chmod "$(stat -c %a text)" 644

cd /m
[ -e no-xattr ] && { echo SCRIPT-DONE; exit; }
echo secret >f && chown 12:34 f && chmod 4711 f
equal mapped-owner "$(stat -c %u:%g:%a f)" 12:34:4711
ln -s /etc/passwd s
equal mapped-link "$(readlink s)" /etc/passwd
mknod d c 1 3
equal mapped-device "$(stat -c '%F %t %T' d)" "character special file 1 3"
equal mapped-null "$(echo x >d && cat d | wc -c)" 0
mkdir dd && chown 7:8 dd && chmod 1777 dd
equal mapped-folder "$(stat -c %u:%g:%a dd)" 7:8:1777
equal mapped-types "$(find . -type l)$(find . -type c)" ./s./d
echo SCRIPT-DONE
"""


@pytest.fixture
def folders(tmp_path):
    a, b, m = (tmp_path / n for n in ("a", "b", "m"))
    for d in (a, b, m, a / "dir", a / "many", tmp_path / "outdir"):
        d.mkdir()
    (a / "bulk").write_bytes(BULK)
    for i in range(1500):
        (a / "many" / f"a file with quite a long name {i}").touch()
    (a / "dir/text").write_text("from the host\n")
    (tmp_path / "secret").write_text("not for guests\n")
    (tmp_path / "outdir/file").write_text("not for guests\n")
    (a / "outside").symlink_to("../secret")
    (a / "outdir").symlink_to(tmp_path / "outdir")
    (a / "outfile").symlink_to("../outdir")
    os.mkfifo(a / "pipe-of-host")
    (b / "text").write_text("read this\n")
    (b / "text").chmod(0o644)
    try:
        os.setxattr(m, "user.anykvm", b"1")
    except OSError:
        (m / "no-xattr").touch()
    return a, b, m


def test_mount(boot, folders):
    a, b, m = folders
    xattr = not (m / "no-xattr").exists()
    guest = boot(kernel="generic", script=SCRIPT, cpus=2, memory=768,
                 modules=["virtio_pci", "9pnet_virtio", "9p"],
                 extra=["--share", f"{a},tag=files", "--share", f"{b},readonly=on", "--share",
                        f"{m},tag=mapped,security=" + ("mapped" if xattr else "none")])
    guest.expect("^SUM-" + hashlib.md5(BULK).hexdigest(), BOOT_SECONDS)
    machine.check_confined("anykvm-share")
    guest.expect("^SCRIPT-DONE", 60)
    assert guest.wait(20) == 0
    assert "MOUNT-FAILED" not in guest.text
    tests, _ = machine.parse_tests(guest)
    assert {n: r for n, r in tests.items() if r} == {}
    assert len(tests) == (31 if xattr else 25)
    assert (a / "dir/new").read_text() == "from the guest\nmore\n"
    assert os.listdir(a.parent / "outdir") == ["file"]
    if not xattr:
        return
    assert stat.S_IMODE((m / "f").stat().st_mode) == 0o600
    assert (m / "s").read_text() == "/etc/passwd" and not (m / "s").is_symlink()
    assert (m / "d").is_file() and (m / "d").stat().st_size == 0
    assert os.getxattr(m / "f", "user.virtfs.uid") == (12).to_bytes(4, "little")


@pytest.mark.parametrize("args,mention", [
    (["--share", "/nowhere"], "/nowhere"),
    (["--share", "/etc/passwd"], "/etc/passwd"),
    (["--share", "/tmp,security=some"], "some"),
    (["--share", "/tmp,tag=" + "x" * 65], "tag"),
    (["--share", "/tmp,colour=red"], "colour"),
    (["--device", "virtio-9p"], "share0"),
    (["--sandbox", "on", "--share", "/tmp,apart=off"], "--sandbox off"),
])
def test_wrong(args, mention):
    argv = machine.command("anykvm", images.kernel("cloud"), extra=args)
    r = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    assert r.returncode > 0 and mention in r.stderr and r.stderr.count("\n") == 1, r.stderr
