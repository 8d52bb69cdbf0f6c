#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs Linux's KVM selftests against libanykvm and compares with expect.txt.

    run.py --programs DIR --preload LIBRARY [--jobs N] [--show] [NAME ...]

A line for each test. The status is 0 when every one came out as the table
says. The tests' own convention: exit status 0 is a pass, 4 a skip."""
import argparse
import concurrent.futures
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

SKIP_STATUS = 4
HERE = Path(__file__).resolve().parent


def read_table(path):
    """name -> (expected, seconds, arguments, reason)"""
    table = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        text, _, reason = line.partition("#")
        words = text.split()
        if not words:
            continue
        if len(words) < 3 or words[1] not in ("pass", "skip", "either", "unsupported"):
            sys.exit(f"{path.name}:{number}: not: NAME pass|skip|either|unsupported SECONDS [ARGS]")
        table[words[0]] = (words[1], int(words[2]), words[3:], reason.strip())
    return table


def run_one(program, args, seconds, preload):
    """('pass'|'skip'|'fail', what the test said, seconds taken)"""
    env = dict(os.environ, LD_PRELOAD=str(preload)) if preload else dict(os.environ)
    start = time.monotonic()
    p = subprocess.Popen([program, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, env=env, start_new_session=True, cwd="/tmp")
    try:
        out, _ = p.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(p.pid, signal.SIGKILL)
        out, _ = p.communicate()
        return "fail", out.decode(errors="replace") + f"\nno end after {seconds} s", \
            time.monotonic() - start
    took = time.monotonic() - start
    text = out.decode(errors="replace")
    if p.returncode == 0:
        return "pass", text, took
    if p.returncode == SKIP_STATUS:
        return "skip", text, took
    how = f"signal {-p.returncode}" if p.returncode < 0 else f"status {p.returncode}"
    return "fail", f"{text}\n{how}", took


def last_words(text, count):
    return " / ".join([line.strip() for line in text.splitlines() if line.strip()][-count:])


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--programs", required=True, type=Path)
    ap.add_argument("--preload", type=Path)
    ap.add_argument("--jobs", type=int, default=2)
    ap.add_argument("--show", action="store_true", help="print what each test says")
    ap.add_argument("--scale", type=float, default=1, help="factor on the time limits")
    ap.add_argument("names", nargs="*")
    opt = ap.parse_args()

    table = read_table(HERE / "expect.txt")
    built = {str(p.relative_to(opt.programs)) for p in opt.programs.rglob("*")
             if p.is_file() and os.access(p, os.X_OK)}
    for name in sorted(built - set(table)):
        print(f"FAIL {name}: not in expect.txt")
    unknown = [n for n in opt.names if n not in table]
    if unknown:
        sys.exit(f"not in expect.txt: {' '.join(unknown)}")

    counts = {"passed": 0, "failed": len(built - set(table)), "skipped": 0, "unsupported": 0}

    def work(name):
        expected, seconds, args, _ = table[name]
        if expected == "unsupported" and not opt.names:
            return name, "unsupported", "", 0
        if name not in built:
            return name, "fail", "was not built", 0
        return (name, *run_one(opt.programs / name, args, seconds * opt.scale, opt.preload))

    with concurrent.futures.ThreadPoolExecutor(opt.jobs) as pool:
        for name, result, text, took in pool.map(work, opt.names or table):
            expected, _, _, reason = table[name]
            if result == "unsupported":
                counts["unsupported"] += 1
                print(f"unsupported {name}: {reason}", flush=True)
                continue
            good = result == expected or expected == "either" and result != "fail"
            if good and result == "pass":
                counts["passed"] += 1
                print(f"ok {name} ({took:.1f} s)", flush=True)
            elif good:
                counts["skipped"] += 1
                print(f"skip {name}: {reason or last_words(text, 1)}", flush=True)
            else:
                counts["failed"] += 1
                print(f"FAIL {name}: {result}, not {expected} ({took:.1f} s): "
                      f"{last_words(text, 8)[:600]}", flush=True)
            if opt.show and text:
                print("\n".join("    " + line for line in text.splitlines()), flush=True)
    print(f"api: {counts['passed']} passed, {counts['failed']} failed, "
          f"{counts['skipped']} skipped, {counts['unsupported']} unsupported")
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
