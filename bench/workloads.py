# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the bench runs: a table of workloads, each a command for busybox's shell
in /tmp/bench of a guest or of a chroot on the host, and the files that they
work on. Sizes are such that the host needs a tenth of a second to half a one."""
from dataclasses import dataclass

# The Debian packages behind each kind of image. What a workload does not use of
# them is left out, as the whole image lies in the guest's memory.
BASE = ["openssl", "xz-utils", "gzip", "zstd", "p7zip", "python3-minimal", "libpython3-stdlib",
        "sqlite3", "perl-base", "coreutils", "dash", "rt-tests"]
GCC = ["gcc", "libc6-dev"]
PACKAGES = {"": [], "base": BASE, "gcc": BASE + GCC}
LEFT_OUT = ["usr/bin/*lto-dump*", "usr/lib/gcc/*/*/lto1", "usr/lib/gcc/*/*/*.a",
            "usr/lib/*/lib?san.so*", "usr/lib/*/gconv", "usr/share/*", "usr/lib/*/libc.a",
            "usr/lib/*/gprofng", "usr/bin/*gp-*", "usr/bin/*dwp"]


@dataclass(frozen=True)
class Workload:
    name: str
    group: str
    command: str
    needs: str = ""  # a key of PACKAGES
    files: tuple = ()  # of FILES, made before
    kind: str = "user"  # which aim it is held against: user, exact, memory, kernel, short
    unit: str = ""  # of the number it prints; "": the seconds it takes are what counts
    cpus: int = 2
    guests_only: bool = False


FILES = {
    "zeros": "truncate -s 128M zeros",
    "more": "truncate -s 256M more",
    "numbers": "seq 1 400000 >numbers",
    "fewer": "seq 1 100000 >fewer",
    "binary": "head -c 3000000 /usr/bin/python3.11 >binary",
    "less": "head -c 500000 /usr/bin/python3.11 >less",
    "work.py": r"""cat >work.py <<'END'
import json
import re
words = {}
for i in range(300000):
    key = "k%d" % (i * 7919 % 5003)
    words[key] = words.get(key, 0) + i
text = json.dumps(words)
again = json.loads(text)
print(len(text), sum(again.values()), len(re.findall(r"k\d*7\"", text)))
END""",
    "objects.py": r"""cat >objects.py <<'END'
class Node:
    def __init__(self, key):
        self.key, self.left, self.right = key, None, None
    def insert(self, key):
        node = self
        while True:
            side = "left" if key < node.key else "right"
            child = getattr(node, side)
            if child is None:
                setattr(node, side, Node(key))
                return
            node = child
root = Node(20000)
for i in range(40000):
    root.insert(i * 7919 % 40009)
def depth(n):
    return 0 if n is None else 1 + max(depth(n.left), depth(n.right))
print(depth(root))
END""",
    "work.sql": r"""cat >work.sql <<'END'
create table t(a integer, b text);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 150000)
insert into t select i, 'row ' || (i * 7919 % 200000) from n;
create index tb on t(b);
select count(*), sum(x.a) from t x join t y on x.b = y.b where x.a % 3 = 0;
select substr(b, 5, 2), count(*) from t group by 1 order by 2 desc limit 3;
END""",
    "work.c": r"""cat >work.c <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
struct node { struct node *left, *right; int key; char name[32]; };
static struct node *insert(struct node *n, int key)
{
	if (!n) {
		n = calloc(1, sizeof(*n));
		n->key = key;
		snprintf(n->name, sizeof(n->name), "node %d", key);
	} else if (key < n->key)
		n->left = insert(n->left, key);
	else
		n->right = insert(n->right, key);
	return n;
}
static long walk(const struct node *n)
{
	return n ? walk(n->left) + n->key * (long)strlen(n->name) + walk(n->right) : 0;
}
int main(int argc, char **argv)
{
	struct node *root = NULL;
	for (int i = 0; i < (argc > 1 ? atoi(argv[1]) : 1000); i++)
		root = insert(root, rand());
	printf("%ld\n", walk(root));
	return 0;
}
END""",
    # Coreutils' own under a name that busybox's shell knows no applet of.
    "true.dynamic": "cp /usr/bin/true true.dynamic 2>/dev/null || cp /bin/true true.dynamic",
}



def enc(cipher):
    """Encryption of a file by openssl, in pieces large enough to be mostly that."""
    return (f"openssl enc -{cipher} -K 00112233445566778899aabbccddeeff -iv 01 -bufsize 262144 "
            "-in more -out /dev/null 2>/dev/null")


def table():
    w = Workload
    yield from (
        # First, so that their first runs find nothing translated.
        w("true-200", "short programs", "dash -c 'i=0; while [ $i -lt 200 ]; do ./true.dynamic; "
          "i=$((i + 1)); done'", "base", ("true.dynamic",), "short"),
        w("gcc-small", "short programs", "echo 'int f(int a) { return a * 3; }' >small.c; "
          "gcc -c -o small.o small.c", "gcc", (), "short"),

        w("sha256", "hashing and crypto", "openssl sha256 zeros", "base", ("zeros",), "exact"),
        w("sha512", "hashing and crypto", "openssl sha512 zeros", "base", ("zeros",), "exact"),
        w("aes", "hashing and crypto", enc("aes-128-ctr"), "base", ("more",), "exact"),
        w("chacha20", "hashing and crypto", enc("chacha20"), "base", ("more",), "exact"),
        w("bignum", "hashing and crypto", "openssl prime -checks 9 -hex 7" + "F" * 550, "base",
          (), "exact"),

        w("gzip", "compression", "/bin/gzip -6 <numbers | /bin/gzip -d | wc -c", "base",
          ("numbers",)),
        w("xz", "compression", "/usr/bin/xz -6 <fewer | /usr/bin/xz -d | wc -c", "base",
          ("fewer",)),
        w("zstd", "compression", "zstd -q -7 -T1 -c binary | zstd -q -d -c | wc -c", "base",
          ("binary",)),
        w("7z", "compression", "rm -f x.7z; /usr/lib/p7zip/7zr a -mmt1 x.7z less", "base",
          ("less",)),

        w("python", "interpreters", "/usr/bin/python3 work.py", "base", ("work.py",)),
        w("python-objects", "interpreters", "/usr/bin/python3 objects.py", "base",
          ("objects.py",)),
        w("perl", "interpreters", "/usr/bin/perl -e 'for (1..600000) { $h{$_ % 1000} .= \"x\"; "
          "$s += length $h{7} } print $s'", "base"),
        w("shell", "interpreters", "i=0; while [ $i -lt 120000 ]; do i=$((i + 1)); done"),
        w("awk", "interpreters",
          "busybox awk 'BEGIN { for (i = 0; i < 400000; i++) s += i * 1.5; print s }'"),

        w("sqlite", "databases", "sqlite3 :memory: <work.sql", "base", ("work.sql",)),
        w("sqlite-file", "databases", "rm -f work.db; sqlite3 work.db <work.sql", "base",
          ("work.sql",)),

        w("gcc", "compilers", "gcc -O2 -c -o work.o work.c && gcc -O1 -S -o work.s work.c", "gcc",
          ("work.c",)),

        w("matrix", "floating point and vectors", "/bench/float matrix 8", kind="exact"),
        w("matrix-avx2", "floating point and vectors", "/bench/float avx2 50", kind="exact"),
        w("nbody", "floating point and vectors", "/bench/float nbody 1500000", kind="exact"),
        w("fft", "floating point and vectors", "/bench/float fft 40", kind="exact"),

        w("chase-256k", "memory", "/bench/memory chase 256 30000000", kind="memory"),
        w("chase-16m", "memory", "/bench/memory chase 16384 1500000", kind="memory"),
        w("chase-256m", "memory", "/bench/memory chase 262144 1000000", kind="memory"),
        w("random-256k", "memory", "/bench/memory random 256 60000000", kind="memory"),
        w("random-16m", "memory", "/bench/memory random 16384 12000000", kind="memory"),
        w("random-256m", "memory", "/bench/memory random 262144 2000000", kind="memory"),
        w("memcpy-256k", "memory", "/bench/memory copy 256 30000", kind="memory"),
        w("memcpy-256m", "memory", "/bench/memory copy 262144 6", kind="memory"),

        w("virtual", "calls and indirect branches", "/bench/calls virtual 30000"),
        w("recursion", "calls and indirect branches", "/bench/calls recursion 38"),
        w("switch", "calls and indirect branches", "/bench/calls switch 10000000"),

        w("fork", "kernel work", "/bench/kernel fork 600", kind="kernel"),
        w("fork-exec", "kernel work", "/bench/kernel exec 250", kind="kernel"),
        w("pipe", "kernel work", "/bench/kernel pipe 20000", kind="kernel"),
        w("read-write", "kernel work", "/bench/kernel rw 300000", kind="kernel"),
        w("stat", "kernel work", "/bench/kernel stat 150000", kind="kernel"),
        w("page-faults", "kernel work", "/bench/kernel faults 100000", kind="kernel"),
        w("signals", "kernel work", "/bench/kernel signals 100000", kind="kernel"),
        w("files", "kernel work", "/bench/kernel files 6000", kind="kernel"),
        w("hackbench", "kernel work", "hackbench -g 2 -l 200 >/dev/null", "base", kind="kernel"),

        w("port-io", "single events", "/bench/latency port 100000", unit="ns", guests_only=True),
        w("interrupt", "single events", "/bench/latency interrupt 500", unit="us"),
        w("cold-code", "single events", "/bench/latency cold 500", unit="M/s"),

        *(w(f"threads-{n}", "parallel work", f"/bench/parallel work {n} 50000", unit="s", cpus=4)
          for n in (1, 2, 4)),
        w("lock-8-on-4", "parallel work", "/bench/parallel lock 8 80000", unit="s", cpus=4),
        w("lock-8-on-8", "parallel work", "/bench/parallel lock 8 80000", unit="s", cpus=8),
    )


ALL = {w.name: w for w in table()}
GROUPS = list(dict.fromkeys(w.group for w in ALL.values()))


def chosen(names):
    """The workloads that a list of names and of groups' first words means."""
    picked = []
    for name in names:
        by_group = [w for w in ALL.values() if name == w.group or name == w.group.split()[0]]
        if name in ALL:
            picked.append(ALL[name])
        elif by_group:
            picked += by_group
        else:
            raise KeyError(name)
    return [w for w in ALL.values() if w in picked]
