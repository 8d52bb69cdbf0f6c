#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guest images, made from Debian's packages without root.

Kernels, memtest86+ and busybox come out of packages that apt downloads (and
verifies) with a package list of its own, so that i386 packages need no change
to the host. They are kept in a cache outside the tree: $ANYKVM_CACHE, or
~/.cache/anykvm. Initial RAM disks are put together here, in the "newc" format
of the kernel's Documentation/driver-api/early-userspace/buffer-format.rst.

    images.py kernel NAME      prints the path of a kernel
    images.py initrd ARCH [KERNEL MODULE...]
                               prints the path of an initramfs (amd64 or i386),
                               with modules of a kernel
    images.py memtest          prints the path of memtest86+
    images.py all              fetches everything the tests use
"""
import fcntl
import hashlib
import lzma
import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

# name: (architecture, package or meta package)
KERNELS = {
    "cloud": ("amd64", "linux-image-cloud-amd64"),
    "generic": ("amd64", "linux-image-amd64"),
    "6.12": ("amd64", "linux-image-6.12-amd64"),
    "686-pae": ("i386", "linux-image-686-pae"),
    "686": ("i386", "linux-image-686"),
}
NATIVE = "amd64"
HERE = Path(__file__).resolve().parent


class ImageError(Exception):
    """An image cannot be made; the text says why."""


def cache_dir():
    base = os.environ.get("ANYKVM_CACHE")
    if not base:
        xdg = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        base = Path(xdg) / "anykvm"
    path = Path(base) / "guests"
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextmanager
def locked(name):
    """One process at a time makes an image; the others then find it made."""
    with open(cache_dir() / f".{name}.lock", "w") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def run(argv, stdin=subprocess.DEVNULL, **kw):
    env = dict(os.environ, LC_ALL="C", DEBIAN_FRONTEND="noninteractive")
    p = subprocess.run(argv, stdin=stdin, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, env=env, text=True, **kw)
    if p.returncode:
        tail = "\n".join((p.stdout + p.stderr).strip().splitlines()[-5:])
        raise ImageError(f"{' '.join(argv[:2])} failed with status {p.returncode}:\n{tail}")
    return p.stdout


class Apt:
    """apt with package lists of its own, for one architecture."""

    def __init__(self, arch):
        self.arch = arch
        self.dir = cache_dir() / f"apt-{arch}"
        for d in ("lists/partial", "archives/partial", "etc"):
            (self.dir / d).mkdir(parents=True, exist_ok=True)
        (self.dir / "status").touch()
        self.options = [
            "-q", f"-oAPT::Architecture={arch}", f"-oAPT::Architectures={arch}",
            f"-oDir::State={self.dir}", f"-oDir::State::Lists={self.dir}/lists",
            f"-oDir::State::status={self.dir}/status", f"-oDir::Cache={self.dir}",
            f"-oDir::Cache::archives={self.dir}/archives", "-oAcquire::Languages=none",
            "-oAPT::Sandbox::User=", "-oAcquire::Retries=3",
        ]
        if arch != NATIVE:
            self.options += [f"-oDir::Etc::sourcelist={self.dir}/etc/sources.list",
                             "-oDir::Etc::sourceparts=/dev/null"]
        self.fresh = False
        self.problem = ""

    def sources(self):
        """The host's own Debian archives, as far as their lists are here."""
        release = dict(re.findall(r'^(\w+)="?(.*?)"?$', Path("/etc/os-release").read_text(), re.M))
        code = release.get("VERSION_CODENAME", "bookworm")
        fmt = "$(REPO_URI) $(RELEASE) $(COMPONENT)"
        out = run(["apt-get", *self.options, "indextargets", "Created-By: Packages",
                   "--format", fmt])
        return sorted({line for line in out.splitlines() if line.split()[1].startswith(code)})

    def update(self):
        if self.fresh:
            return
        if self.arch != NATIVE:
            native = apt_for(NATIVE)
            native.update()
            keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
            signed = f" signed-by={keyring}" if os.path.exists(keyring) else ""
            text = "".join(f"deb [arch={self.arch}{signed}] {s}\n" for s in native.sources())
            (self.dir / "etc/sources.list").write_text(text)
        try:
            run(["apt-get", *self.options, "update"])
        except ImageError as e:
            # One archive of several may be out of step with its mirror; what
            # the others offer is enough when the package is among it.
            self.problem = f"\n{e}"
        self.fresh = True

    def field(self, package, name):
        try:
            out = run(["apt-cache", *self.options, "show", "--no-all-versions", package])
        except ImageError as e:
            raise ImageError(f"{e}{self.problem}") from None
        m = re.search(rf"^{name}: (.*)$", out, re.M)
        return m.group(1) if m else ""

    def image_package(self, package):
        """The package with a kernel in it that a meta package stands for."""
        deps = re.findall(r"(linux-image-[^\s,(|]+)", self.field(package, "Depends"))
        return deps[0] if deps else package

    def extract(self, package, member, dest):
        """Downloads a package and copies one member (a path with *) to dest."""
        with tempfile.TemporaryDirectory(dir=self.dir) as tmp:
            run(["apt-get", *self.options, "download", f"{package}:{self.arch}"], cwd=tmp)
            deb, = Path(tmp).glob("*.deb")
            tar = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(deb)],
                                   stdout=subprocess.PIPE)
            run_in = subprocess.run(["tar", "-x", "-C", tmp, "--wildcards", member],
                                    stdin=tar.stdout, capture_output=True, text=True)
            tar.stdout.close()
            tar.wait()
            found = sorted(Path(tmp).glob(member))
            if run_in.returncode or not found:
                raise ImageError(f"{package} holds no {member}: {run_in.stderr.strip()}")
            os.chmod(found[-1], 0o755 if os.access(found[-1], os.X_OK) else 0o644)
            os.replace(found[-1], dest)

    def unpack(self, package, dest):
        """Downloads a package and unpacks it into a new directory, dest."""
        with tempfile.TemporaryDirectory(dir=self.dir) as tmp:
            run(["apt-get", *self.options, "download", f"{package}:{self.arch}"], cwd=tmp)
            deb, = Path(tmp).glob("*.deb")
            run(["dpkg-deb", "--extract", str(deb), f"{tmp}/tree"])
            os.replace(f"{tmp}/tree", dest)

    def extract_tree(self, package, member, dest):
        """Downloads a package and unpacks a folder of it below dest."""
        with tempfile.TemporaryDirectory(dir=self.dir) as tmp:
            run(["apt-get", *self.options, "download", f"{package}:{self.arch}"], cwd=tmp)
            deb, = Path(tmp).glob("*.deb")
            tar = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(deb)],
                                   stdout=subprocess.PIPE)
            run(["tar", "-x", "-C", str(dest), member], stdin=tar.stdout)
            tar.stdout.close()
            tar.wait()

    def extract_all(self, packages, dest):
        """Unpacks packages and all that they depend on into a directory."""
        archives = self.dir / "archives"
        run(["apt-get", *self.options, "install", "--download-only", "--no-install-recommends",
             "-y", *packages])
        for deb in sorted(archives.glob("*.deb")):
            run(["dpkg-deb", "--extract", str(deb), str(dest)])
            deb.unlink()


_apt = {}


def apt_for(arch):
    return _apt.setdefault(arch, Apt(arch))


def fetch(arch, package, member, name):
    """The cached file `name`, made of a package's member when it is not there."""
    dest = cache_dir() / name
    with locked(name):
        if dest.exists():
            return dest
        with locked("apt"):
            apt = apt_for(arch)
            print(f"guests: fetching {package} ({arch})", file=sys.stderr)
            apt.update()
            real = apt.image_package(package) if package.startswith("linux-image") else package
            apt.extract(real, member, dest)
            (cache_dir() / f"{name}.package").write_text(
                f"{real} {apt.field(real, 'Version')} {arch}\n")
    return dest


def kernel(name):
    if name not in KERNELS:
        raise ImageError(f"no kernel is called {name}; there are: {' '.join(KERNELS)}")
    arch, package = KERNELS[name]
    return fetch(arch, package, "./boot/vmlinuz-*", f"vmlinuz-{name}")


def kernel_arch(name):
    return KERNELS[name][0]


def module_tree(name):
    """The directory with all modules of a kernel, by the names of their files."""
    kernel(name)
    dest = cache_dir() / f"modules-{name}"
    with locked(f"modules-{name}"):
        if dest.exists():
            return dest
        package, version, arch = (cache_dir() / f"vmlinuz-{name}.package").read_text().split()
        tmp = cache_dir() / f"modules-{name}.tmp"
        shutil.rmtree(tmp, ignore_errors=True)
        tmp.mkdir()
        with locked("apt"):
            apt = apt_for(arch)
            print(f"guests: fetching the modules of {package} ({arch})", file=sys.stderr)
            apt.update()
            apt.extract_tree(f"{package}", "./lib/modules", tmp)
        os.replace(tmp, dest)
    return dest


def modules(name, wanted):
    """Entries for write_cpio: modules of a kernel and what they depend on, as
    /modules/NN-NAME.ko in the order in which they load."""
    files = {}
    for path in module_tree(name).rglob("*.ko*"):
        files[path.name.split(".")[0].replace("-", "_")] = path
    order, data = [], {}

    def add(module):
        module = module.replace("-", "_")
        if module in data:
            return
        if module not in files:
            raise ImageError(f"the kernel {name} has no module {module}")
        raw = files[module].read_bytes()
        data[module] = lzma.decompress(raw) if files[module].suffix == ".xz" else raw
        m = re.search(rb"\0depends=([^\0]*)\0", data[module])
        for needed in m.group(1).decode().split(",") if m else ():
            if needed:
                add(needed)
        order.append(module)

    for module in wanted:
        add(module)
    return [(f"modules/{i:02}-{m}.ko", 0o100644, data[m], (0, 0)) for i, m in enumerate(order)]


def memtest():
    return fetch("amd64", "memtest86+", "./boot/memtest86+x64.bin", "memtest86+x64.bin")


def busybox(arch):
    return fetch(arch, "busybox-static", "./bin/busybox", f"busybox-{arch}")


def userland(packages, without=()):
    """A directory with Debian packages and their dependencies, unpacked but not
    configured; documentation and translations left out, and what matches the
    patterns without."""
    text = " ".join(sorted(packages)) + "".join(f" -{p}" for p in without)
    name = "userland-" + hashlib.sha256(text.encode()).hexdigest()[:12]
    dest = cache_dir() / name
    with locked(name):
        if dest.exists():
            return dest
        tmp = cache_dir() / f"{name}.tmp"
        shutil.rmtree(tmp, ignore_errors=True)
        tmp.mkdir()
        with locked("apt"):
            apt = apt_for(NATIVE)
            print(f"guests: fetching {' '.join(packages)} and what they need", file=sys.stderr)
            apt.update()
            apt.extract_all(packages, tmp)
        for useless in ("doc", "man", "locale", "info", "i18n", "perl"):
            shutil.rmtree(tmp / "usr/share" / useless, ignore_errors=True)
        for path in [p for pattern in without for p in tmp.glob(pattern)]:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        os.replace(tmp, dest)
    return dest


def package_tree(package):
    """A directory with one Debian package unpacked, without what it depends on."""
    dest = cache_dir() / f"tree-{package}"
    with locked(dest.name):
        if dest.exists():
            return dest
        with locked("apt"):
            apt = apt_for(NATIVE)
            print(f"guests: fetching {package}", file=sys.stderr)
            apt.update()
            real = apt.image_package(package) if package.startswith("linux-image") else package
            apt.unpack(real, dest)
    return dest


def tree_entries(top):
    """Entries for write_cpio of a directory's contents."""
    for base, dirs, files in os.walk(top):
        dirs.sort()
        for name in sorted(dirs + files):
            path = Path(base) / name
            mode = path.lstat().st_mode
            if path.is_symlink():
                data = os.readlink(path).encode()
            elif path.is_file():
                data = path.read_bytes()
            elif path.is_dir():
                data = b""
            else:
                continue
            yield str(path.relative_to(top)), mode, data, (0, 0)


def cpio_entry(ino, name, mode, data=b"", rdev=(0, 0)):
    raw = name.encode() + b"\0"
    head = "070701" + "".join(f"{v:08x}" for v in (
        ino, mode, 0, 0, 1, 0, len(data), 0, 0, *rdev, len(raw), 0))
    out = head.encode() + raw
    out += b"\0" * (-len(out) % 4) + data
    return out + b"\0" * (-len(out) % 4)


def write_cpio(path, entries):
    """entries: (name, mode, data, (major, minor)); parents before children."""
    blob = b"".join(cpio_entry(i + 1, *e) for i, e in enumerate(entries))
    blob += cpio_entry(0, "TRAILER!!!", 0)
    path.write_bytes(blob + b"\0" * (-len(blob) % 512))


def initrd(arch, extra=(), tree=None, kernel_modules=None):
    """An initramfs with busybox, init and the scripts; extra: more files, each
    (path, name); tree: a directory that lies below it all; kernel_modules:
    (kernel, [module...]), which init loads with what they depend on."""
    files = [(busybox(arch), "bin/busybox", 0o755), (HERE / "init.sh", "init", 0o755),
             (HERE / "commands.sh", "commands.sh", 0o755)]
    files += [(Path(p), n, 0o755) for p, n in extra]
    entries = [(d, 0o040755, b"", (0, 0)) for d in
               ("bin", "sbin", "etc", "proc", "sys", "dev", "tmp", "root", "usr", "usr/bin",
                "usr/sbin", "modules")]
    entries += [("dev/console", 0o020600, b"", (5, 1)), ("dev/null", 0o020666, b"", (1, 3))]
    entries += [(n, 0o100000 | m, p.read_bytes(), (0, 0)) for p, n, m in files]
    if kernel_modules:
        entries += modules(*kernel_modules)
    if tree:
        made = {e[0] for e in entries}
        entries += [e for e in tree_entries(tree) if e[0] not in made]
    digest = hashlib.sha256(repr([(e[0], e[1], hashlib.sha256(e[2]).digest())
                                  for e in entries]).encode()).hexdigest()[:12]
    dest = cache_dir() / f"initrd-{arch}-{digest}.cpio"
    with locked("initrd"):
        if not dest.exists():
            tmp = dest.with_suffix(".tmp")
            write_cpio(tmp, entries)
            os.replace(tmp, dest)
    return dest


def main(argv):
    for tool in ("apt-get", "apt-cache", "dpkg-deb", "tar"):
        if not shutil.which(tool):
            raise ImageError(f"{tool} is missing: guest images are made of Debian packages")
    if argv[:1] == ["kernel"] and len(argv) == 2:
        print(kernel(argv[1]))
    elif argv[:1] == ["initrd"] and len(argv) != 3 and argv[1:2] in (["amd64"], ["i386"]):
        print(initrd(argv[1], kernel_modules=(argv[2], argv[3:]) if argv[3:] else None))
    elif argv == ["memtest"]:
        print(memtest())
    elif argv == ["all"]:
        for name in KERNELS:
            print(kernel(name))
        for arch in ("amd64", "i386"):
            print(initrd(arch))
        print(memtest())
        print(package_tree("debian-installer-12-netboot-amd64"))
    else:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except ImageError as e:
        print(f"guests: {e}", file=sys.stderr)
        sys.exit(1)
