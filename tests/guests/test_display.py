# SPDX-License-Identifier: LGPL-2.1-or-later
"""What guests show, and what reaches them of keys and pointers: firmware, boot
loader and text console on the VGA by VNC, in a browser and in screenshots; the
graphics and input devices of virtio with Debian's own drivers; and Debian's
graphical installer."""
import gzip
import re
import shutil
import socket
import struct
import subprocess
import time

import disks
import images
import machine
import pytest
import rfb
from qmp import Qmp, QmpError

pytestmark = pytest.mark.usefixtures("anykvm_only", "own_directory")

SECONDS = 60


@pytest.fixture
def own_directory(tmp_path, monkeypatch):
    """A directory for the sockets, apart from other machines of this user."""
    path = tmp_path / "run"
    path.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(path))
    return path


@pytest.fixture
def start(runner):
    """start(argument...): a Guest; its control socket is qmp of its directory."""
    guests = []

    def run(*extra, kernel=None, tty=False, **kw):
        guests.append(machine.Guest(machine.command(runner, kernel, reboot=True,
                                                    extra=("--net", "none", *extra), **kw),
                                    tty=tty))
        return guests[-1]

    yield run
    for g in guests:
        g.kill()


def anykvm(*args):
    r = subprocess.run([machine.anykvm_path(), *map(str, args)], stdin=subprocess.DEVNULL,
                       capture_output=True, text=True, timeout=30)
    assert r.returncode == 0, r.stdout + r.stderr
    return r.stdout


def connect(path, seconds=20):
    deadline = time.monotonic() + seconds
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    return rfb.Vnc(path)


def free_display():
    """The number of a VNC display whose port is free."""
    for n in range(20, 99):
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", 5900 + n))
            except OSError:
                continue
            return n
    raise AssertionError("no port is free")


def des(key, block):
    r = subprocess.run(["openssl", "enc", "-des-ecb", "-nopad", "-K", key.hex(), "-provider",
                        "legacy", "-provider", "default"], input=block, capture_output=True)
    assert r.returncode == 0, r.stderr
    return r.stdout


# --- the VGA, everywhere at once -----------------------------------------------------

class Browser:
    """Debian's Chromium on a page."""

    def __init__(self, url, profile):
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service
        options = webdriver.ChromeOptions()
        for o in ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
                  "--no-first-run", "--disable-background-networking", "--disable-sync",
                  "--disable-component-update", "--window-size=1000,700",
                  f"--user-data-dir={profile}"):
            options.add_argument(o)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        self.driver.get(url)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.driver.quit()

    def element(self, name):
        return self.driver.find_element("id", name)

    def type(self, text):
        from selenium.webdriver.common.action_chains import ActionChains
        ActionChains(self.driver).send_keys(text).perform()

    def picture(self):
        """What the canvas of noVNC holds."""
        got = self.driver.execute_script("""
            const c = document.querySelector('#screen canvas');
            if (!c || !c.width) return null;
            const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
            let s = '';
            for (let i = 0; i < d.length; i += 4)
                s += String.fromCharCode(d[i], d[i + 1], d[i + 2]);
            return [c.width, c.height, btoa(s)];""")
        if not got:
            return rfb.Picture(1, 1, b"\0\0\0")
        import base64
        return rfb.Picture(got[0], got[1], base64.b64decode(got[2]))

    def complaints(self):
        return [e["message"] for e in self.driver.get_log("browser") if e["level"] == "SEVERE"]


def fetch(url):
    """The status of an HTTP request."""
    import urllib.error
    import urllib.request
    try:
        with urllib.request.urlopen(url, timeout=10) as r:
            return r.status
    except urllib.error.HTTPError as e:
        return e.code


def check_refusals(url):
    """Nothing is to be had without the token, nor outside the page's files."""
    base, token = re.match(r"(http://127\.0\.0\.1:\d+/)([0-9a-f]{32})/$", url).groups()
    assert fetch(url) == 200
    assert fetch(url + "novnc/core/rfb.js") == 200
    wrong = ("0" if token[0] != "0" else "1") + token[1:]
    for path in ("", wrong + "/", wrong + "/novnc/core/rfb.js", token + "/novnc/../../passwd",
                 token + "/novnc/..%2f..%2fpasswd", token + "/etc/passwd", token + "/novnc/no"):
        assert fetch(base + path) == 404, path
    port = int(re.search(r":(\d+)/", url)[1])
    for path, status in ((f"/{wrong}/screen", None), (f"/{token}/nothing", None),
                         (f"/{token}/screen", b"101")):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
            s.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nUpgrade: websocket\r\n"
                      "Connection: Upgrade\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
                      "Sec-WebSocket-Version: 13\r\n\r\n".encode())
            answer = s.recv(4096).split(b"\r\n")[0]
            assert (b" 101 " in answer) == bool(status), (path, answer)


def check_passwords(number, picture):
    where = ("127.0.0.1", 5900 + number)
    with pytest.raises(rfb.Refused):
        rfb.Vnc(where, "wrong", des)
    with pytest.raises(rfb.Refused):
        rfb.Vnc(where)
    with rfb.Vnc(where, "secret", des) as vnc:
        assert vnc.picture().differs(picture) < picture.width * 20    # GRUB counts down


def check_password_of_all(number, unix):
    """That another server has no password is no way in, while a client has not chosen yet."""
    with socket.create_connection(("127.0.0.1", 5900 + number), timeout=10) as s:
        s.recv(12)
        s.sendall(b"RFB 003.0")
        time.sleep(0.2)     # in two parts
        s.sendall(b"08\n")
        assert s.recv(2) == b"\1\2"
        with rfb.Vnc(unix) as other:
            other.picture()
            s.sendall(b"\1")
            assert s.recv(4) == b""
    with socket.create_connection(("127.0.0.1", 5900 + number), timeout=10) as s:
        s.recv(12)
        s.sendall(b"RFB 003.008\n")
        assert s.recv(2) == b"\1\2"
        with rfb.Vnc(unix):
            s.sendall(b"\2")
            assert len(s.recv(16)) == 16


def check_stalled(unix):
    """Clients that take nothing, or stop in the middle of something, hold up nobody else."""
    with rfb.Vnc(unix) as deaf, rfb.Vnc(unix) as slow, socket.socket(socket.AF_UNIX) as new, \
            rfb.Vnc(unix) as good:
        for _ in range(3):      # more than a socket holds
            deaf.socket.sendall(struct.pack(">BBHHHH", 3, 0, 0, 0, deaf.width, deaf.height))
        slow.socket.sendall(b"\4\1\0")
        new.connect(str(unix))
        new.sendall(b"RFB")
        time.sleep(0.3)
        for _ in range(10):
            start = time.monotonic()
            good.update(incremental=False)
            assert time.monotonic() - start < 2
        start = time.monotonic()
        with rfb.Vnc(unix) as later:
            later.update(incremental=False)
        assert time.monotonic() - start < 2


def check_screenshots(qmp, vnc, tmp_path):
    """PNG, PPM and the command give what VNC shows."""
    png, ppm, third = tmp_path / "1.png", tmp_path / "2.ppm", tmp_path / "3.png"
    qmp.execute("screendump", filename=str(png), format="png")
    qmp.execute("screendump", filename=str(ppm))
    anykvm("screenshot", third)
    picture = vnc.picture()
    assert rfb.read_png(png).differs(picture) == 0
    assert rfb.read_ppm(ppm).differs(picture) == 0
    assert rfb.read_png(third).differs(picture) == 0
    for wrong in ({"filename": str(tmp_path / "no" / "1.png")}, {"format": "png"},
                  {"filename": str(png), "format": "gif"}, {"filename": 5}):
        with pytest.raises(QmpError):
            qmp.execute("screendump", **wrong)
    for wrong in ({}, {"keys": []}, {"keys": [{"type": "qcode", "data": "nothing"}]},
                  {"keys": [{"type": "number", "data": 0x7f}]}):
        with pytest.raises(QmpError):
            qmp.execute("send-key", **wrong)


def test_vga(start, tmp_path, own_directory):
    """SeaBIOS, GRUB's menu and Linux's text console; keys by VNC, browser and QMP."""
    (tmp_path / "password").write_text("secret\n")
    number, unix = free_display(), own_directory / "vnc"
    guest = start("--disk", f"{disks.disk()},snapshot=on", "--qmp", tmp_path / "qmp",
                  "--allow", tmp_path,
                  "--display", f"vnc=unix:{unix}", "--display", "web",
                  "--display", f"vnc=127.0.0.1:{number},password-file={tmp_path / 'password'}",
                  tty=True)
    reader = rfb.Reader()
    with connect(unix) as vnc, Qmp(tmp_path / "qmp") as qmp:
        assert unix.stat().st_mode & 0o777 == 0o600

        def shows(text):
            return lambda p: p.width == 720 and text in reader.text(p)

        grub = rfb.wait_for(vnc.picture, shows("*Not this one"), SECONDS, "GRUB's menu")
        assert (grub.width, grub.height) == (720, 400)
        assert "GNU GRUB" in reader.text(grub)
        check_passwords(number, grub)
        check_password_of_all(number, unix)
        check_stalled(unix)
        vnc.key("down")
        rfb.wait_for(vnc.picture, shows("*" + disks.MARKER), 10, "the second entry")
        qmp.execute("send-key", keys=[{"type": "qcode", "data": "up"}])
        rfb.wait_for(vnc.picture, shows("*Not this one"), 10, "the first entry")
        check_screenshots(qmp, vnc, tmp_path)

        # a reset makes new devices for the same viewers
        vnc.key("down")
        rfb.wait_for(vnc.picture, shows("*" + disks.MARKER), 10, "the second entry")
        qmp.execute("system_reset")
        rfb.wait_for(vnc.picture, shows("*Not this one"), SECONDS, "GRUB again")

        guest.pump(0)
        url = re.search(r"web: (http://\S+)", guest.errors)[1]
        check_refusals(url)
        with Browser(url, tmp_path / "profile") as browser:
            rfb.wait_for(browser.picture, shows("*Not this one"), 20, "GRUB in the browser")
            assert browser.element("status").text == "connected"
            browser.type("\ue015")    # down
            rfb.wait_for(vnc.picture, shows("*" + disks.MARKER), 10, "the browser's key")
            browser.type("\ue007")    # enter
            guest.prompt(SECONDS)
            browser.element("show-serial").click()
            time.sleep(1)
            browser.type("echo typed-$((6 * 7)) | tee /dev/tty1\ue007")
            guest.search("typed-42", 10)
            deadline = time.monotonic() + 10
            while "typed-42" not in browser.element("serial").text:
                assert time.monotonic() < deadline, browser.element("serial").text
                time.sleep(0.2)
            assert not browser.complaints()
        rfb.wait_for(vnc.picture, shows("typed-42"), 10, "the text console")
        # what is typed on the VGA's keyboard comes to its console
        guest.write("cat /dev/tty1\r")
        time.sleep(0.5)
        vnc.type("Shift & small\n")
        guest.search("\n *Shift & small", 10)
        qmp.execute("quit")
    assert guest.wait(20) == 0, guest.errors
    assert not unix.exists()


def test_refused(start, tmp_path):
    long, empty = tmp_path / "long", tmp_path / "empty"
    long.write_text("ninebytes\n")
    empty.write_text("\n")
    port = f"vnc=127.0.0.1:{free_display()}"
    for option, reason in (("vga", "takes none, vnc or web"),
                           (port, "needs a password-file=FILE"),
                           (f"{port},password-file={tmp_path}/none", "cannot read the password"),
                           (f"{port},password-file={long}", "too long"),
                           (f"{port},password-file={empty}", "holds no password"),
                           (f"{port},password-file={long},color=red", "no property 'color'"),
                           ("vnc=0.0.0.0:1,password-file=x", "cannot read the password"),
                           ("web=0.0.0.0:80", "can be reached from the network"),
                           ("web=[::1]:80", "no address"), ("web=127.0.0.1:x", "not ADDRESS"),
                           ("vnc=127.0.0.1:100,password-file=" + str(long), "too long"),
                           (f"vnc=unix:{tmp_path}/no/where", "No such file")):
        guest = start("--display", option)
        assert guest.wait(20) == 1, option
        assert reason in guest.errors, (option, guest.errors)
    long.write_text("secret")
    for option, reason in ((f"vnc=10.0.0.1:1,password-file={long}", "from the network"),
                           (f"vnc=:100,password-file={long}", "not ADDRESS:NUMBER")):
        guest = start("--display", option)
        assert guest.wait(20) == 1 and reason in guest.errors, (option, guest.errors)
    guest = start("--vga", "std", "--machine", "micro", kernel=images.kernel("cloud"))
    assert guest.wait(20) == 1 and "no PCI" in guest.errors


# --- Debian's graphical installer -------------------------------------------------------

INSTALLER = "usr/lib/debian-installer/images/12/amd64/gtk/debian-installer/amd64"
CONTINUE = (963, 742)       # the button
LIST = range(171, 706)      # rows of the screen in which the choices are
BANNER, TITLE = (0, 0, 1024, 75), (0, 80, 1024, 38)


def installer():
    """The kernel and the initial ramdisk of Debian's installer."""
    tree = images.package_tree("debian-installer-12-netboot-amd64") / INSTALLER
    return tree / "linux", tree / "initrd.gz"


def chosen(picture):
    """The rows of the screen that the marked choice takes; none: empty."""
    def marked(y):
        red, green, blue = picture.pixel(600, y)
        return red < 80 and green > 100 and blue > 90
    return [y for y in LIST if marked(y)] if (picture.width, picture.height) == (1024, 768) else []


def settled(vnc, wanted, seconds, what):
    """A picture of which wanted() is true, and which has not changed for a while."""
    last = [None, 0.0]

    def still(p):
        now = time.monotonic()
        if last[0] is None or last[0].rgb != p.rgb:
            last[:] = p, now
        return now - last[1] >= 0.6 and wanted(p)
    return rfb.wait_for(vnc.picture, still, seconds, what)


def click(vnc, x, y):
    for buttons in (0, 1, 0):
        vnc.pointer(x, y, buttons)
        time.sleep(0.1)


def test_installer(start, tmp_path, own_directory):
    """Debian's graphical installer: its first pages, by keyboard and pointer."""
    kernel, initrd = installer()
    start("--display", f"vnc=unix:{own_directory / 'vnc'}", "--qmp", tmp_path / "qmp",
          "--allow", tmp_path,
          kernel=kernel, initrd=initrd, append="vga=788 --- quiet", cpus=2, memory=1024)
    with connect(own_directory / "vnc") as vnc, Qmp(tmp_path / "qmp") as qmp:
        language = settled(vnc, chosen, SECONDS, "the first page")
        english = chosen(language)
        assert 15 < len(english) < 40
        vnc.key("down")
        rfb.wait_for(vnc.picture, lambda p: chosen(p) and min(chosen(p)) > max(english), 10,
                     "the next language")
        vnc.key("up")
        rfb.wait_for(vnc.picture, lambda p: p.rgb == language.rgb, 10, "English again")

        click(vnc, 300, 300)
        settled(vnc, lambda p: 300 in chosen(p), 10, "another language")
        click(vnc, 300, english[8])
        settled(vnc, lambda p: english[8] in chosen(p), 10, "English by the pointer")
        click(vnc, *CONTINUE)
        place = settled(vnc, lambda p: chosen(p) and p.crop(*TITLE).rgb !=
                        language.crop(*TITLE).rgb, 20, "the second page")
        assert place.crop(*BANNER).rgb == language.crop(*BANNER).rgb

        qmp.execute("send-key", keys=[{"type": "qcode", "data": "ret"}])
        keyboard = settled(vnc, lambda p: chosen(p) and p.crop(*TITLE).rgb not in
                           (language.crop(*TITLE).rgb, place.crop(*TITLE).rgb), 20,
                           "the third page")
        assert keyboard.crop(*BANNER).rgb == language.crop(*BANNER).rgb
        qmp.execute("screendump", filename=str(tmp_path / "page.png"), format="png")
        assert rfb.read_png(tmp_path / "page.png").differs(keyboard) == 0


# --- virtio's devices, with the installer's kernel ----------------------------------------

WATCH = """
watch() {
	while :; do
		echo EVENT $1 $(dd bs=24 count=1 2>/dev/null | od -An -v -td2 -j16)
	done <"$2"
}
cat /proc/fb
for e in /sys/class/input/event*; do
	name=$(sed 's/anykvm //' $e/device/name)
	echo "INPUT $name"
	watch "$name" /dev/input/${e##*/} &
done
strings /sys/class/drm/card0-Virtual-1/edid | sed 's/^/EDID /'
printf '\\033[2J\\033[HThe graphics card\\n' >/dev/tty1
echo READY
n=0
preferred() { head -n 1 /sys/class/drm/card0-Virtual-1/modes; }
until [ "$(preferred)" = 800x600 ] || [ $((n += 1)) = 300 ]; do
	usleep 100000
done
echo "MODE $(preferred)"
"""


def installer_initrd(tmp_path, modules, script):
    """An initramfs of the tests with modules of the installer's kernel."""
    tree = images.cache_dir() / "installer-modules"
    with images.locked("installer-modules"):
        if not tree.exists():
            tmp = tree.with_suffix(".tmp")
            shutil.rmtree(tmp, ignore_errors=True)
            tmp.mkdir()
            with gzip.open(installer()[1]) as f:
                subprocess.run(["cpio", "-idm", "--quiet", "lib/modules/*.ko"], cwd=tmp,
                               input=f.read(), check=True)
            tmp.rename(tree)
    (tmp_path / "tree" / "modules").mkdir(parents=True)
    for i, path in enumerate(disks.module_files(tree, modules)):
        shutil.copy(path, tmp_path / "tree" / "modules" / f"{i:02}-{path.name}")
    (tmp_path / "test.sh").write_text(script)
    return images.initrd("amd64", [(tmp_path / "test.sh", "test.sh")], tmp_path / "tree")


def test_bochs(start, tmp_path, own_directory):
    """The VGA with a driver of its own, on both chipsets."""
    initrd = installer_initrd(tmp_path, ("bochs",), "cat /proc/fb\nmodes=/sys/class/drm/*/modes\n"
                              "head -n 1 $modes\nprintf '\\033[2J\\033[Hbochs' >/dev/tty1\n"
                              "echo READY\nsleep 10\n")
    for kind in ("q35", "pc"):
        guest = start("--machine", kind, "--display", f"vnc=unix:{own_directory / kind}",
                      "--qmp", tmp_path / kind, "--no-reboot",
                      kernel=installer()[0], initrd=initrd, append="console=tty0 console=ttyS0 "
                      "anykvm.test=script")
        guest.expect("^0 bochs-drmdrmfb$", SECONDS)
        guest.expect("^1024x768$", 10)
        guest.expect("^READY", 10)
        reader = rfb.Reader()
        with connect(own_directory / kind) as vnc:
            rfb.wait_for(vnc.picture, lambda p: p.width == 1024 and
                         "bochs" in reader.text(p.crop(0, 0, 1024, 32), 8), 10, "the text")
        guest.kill()


def test_virtio(start, tmp_path, own_directory):
    """The graphics card, keyboard, mouse and tablet of virtio, on MMIO."""
    initrd = installer_initrd(tmp_path, ("virtio_mmio", "virtio_gpu", "virtio_input", "evdev"),
                              WATCH)
    devices = [o for d in ("gpu", "keyboard", "mouse", "tablet")
               for o in ("--device", f"virtio-{d}")]
    guest = start("--machine", "micro", "--display", f"vnc=unix:{own_directory / 'vnc'}", *devices,
                  "--qmp", tmp_path / "qmp", "--no-reboot", kernel=installer()[0], initrd=initrd,
                  append="console=tty0 console=ttyS0 anykvm.test=script")
    guest.expect("^0 virtio_gpudrmfb$", SECONDS)
    for name in ("keyboard", "mouse", "tablet"):
        assert f"INPUT {name}" in guest.text or guest.expect(f"^INPUT {name}$", 10)
    guest.expect("^EDID .*anykvm", 10)
    guest.expect("^READY", 10)
    reader = rfb.Reader()
    with connect(own_directory / "vnc") as vnc, Qmp(tmp_path / "qmp") as qmp:
        rfb.wait_for(vnc.picture, lambda p: p.width == 1024 and
                     "graphics card" in reader.text(p.crop(0, 0, 1024, 32), 8), 10, "the text")
        vnc.key("a")
        guest.expect("^EVENT keyboard 1 30 1 0", 10)
        guest.expect("^EVENT keyboard 0 0 0 0", 10)
        guest.expect("^EVENT keyboard 1 30 0 0", 10)
        vnc.pointer(512, 767, 4)
        x, y = 512 * 0x7fff // 1023, 0x7fff
        guest.expect(f"^EVENT tablet 3 0 {x} 0", 10)
        guest.expect(f"^EVENT tablet 3 1 {y} 0", 10)
        guest.expect("^EVENT tablet 1 273 1 0", 10)
        qmp.execute("input-send-event", events=[
            {"type": "rel", "data": {"axis": "x", "value": 7}},
            {"type": "rel", "data": {"axis": "y", "value": -9}}])
        guest.expect("^EVENT mouse 2 0 7 0", 10)
        guest.expect("^EVENT mouse 2 1 -9 -1", 10)
        for wrong in ([{"type": "rel", "data": {"axis": "z", "value": 7}}],
                      [{"type": "abs", "data": {"axis": "x", "value": 7}}],
                      [{"type": "btn", "data": {"button": "no", "down": True}}], 5):
            with pytest.raises(QmpError):
                qmp.execute("input-send-event", events=wrong)
        vnc.resize(800, 600)
        guest.expect("^MODE 800x600", 30)
    guest.expect("ANYKVM-POWEROFF", 10)
    assert guest.wait(20) == 0, guest.errors
