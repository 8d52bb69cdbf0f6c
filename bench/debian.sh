#!/bin/busybox sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Workloads of Debian's own programs, the same in a guest and in a chroot on the
# host; see busybox.sh for the manner. ARG: how often each is run.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C

w_sha256() { openssl sha256 data; }
w_aes() { cat data data data data | openssl enc -aes-128-ctr -pass pass:x -nosalt -out /dev/null; }
w_gzip() { /bin/gzip -9 <numbers | /bin/gzip -d | wc -c; }
w_xz() { /usr/bin/xz -6 <fewer | /usr/bin/xz -d | wc -c; }
w_python() { /usr/bin/python3 work.py; }
w_perl() { perl -e 'for (1..1500000) { $h{$_ % 1000} .= "x"; $s += length $h{7} } print $s'; }
w_sqlite() { sqlite3 :memory: <work.sql; }
w_gcc() { for i in 1 2 3; do gcc -O2 -c -o work.o work.c; done; }
w_forkexec() {
	i=0
	while [ $i -lt 200 ]; do
		/bin/true.dynamic
		i=$((i + 1))
	done
}
w_syscalls() { /bin/dd.dynamic if=/dev/zero of=/dev/null bs=1 count=200000; }
w_hackbench() { hackbench -g 2 -l 200; }

cd /tmp || exit 1
# Coreutils' own, as busybox's shell prefers its applets.
cp /bin/true /bin/true.dynamic
cp /bin/dd /bin/dd.dynamic
/bin/busybox dd if=/dev/zero of=data bs=1M count=64 2>/dev/null
/bin/busybox seq 1 1000000 >numbers
/bin/busybox seq 1 200000 >fewer
cat >work.py <<'END'
import json
import re
words = {}
for i in range(300000):
    key = "k%d" % (i * 7919 % 5003)
    words[key] = words.get(key, 0) + i
text = json.dumps(words)
again = json.loads(text)
print(len(text), sum(again.values()), len(re.findall(r"k\d*7\"", text)))
END
cat >work.sql <<'END'
create table t(a integer, b text);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 200000)
insert into t select i, 'row ' || (i * 7919 % 200000) from n;
create index tb on t(b);
select count(*), sum(x.a) from t x join t y on x.b = y.b where x.a % 3 = 0;
select substr(b, 5, 2), count(*) from t group by 1 order by 2 desc limit 3;
END
cat >work.c <<'END'
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
END

for workload in sha256 aes gzip xz python perl sqlite gcc forkexec syscalls hackbench; do
	if ! w_$workload >/dev/null 2>err; then
		echo "FAILED $workload: $(head -n 1 err)"
		continue
	fi
	n=0
	while [ $n -lt "${ARG:-3}" ]; do
		echo "START $workload"
		w_$workload >/dev/null 2>&1
		echo "END $workload"
		n=$((n + 1))
	done
done
echo BENCH-DONE
