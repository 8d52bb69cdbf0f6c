#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every C and assembly source is named in a meson.build: none is forgotten."""
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
missing = []
for top in ("hv", "vmm", "shim", "tests/unit", "tests/native", "tests/exec", "tests/fuzz"):
    for source in sorted((ROOT / top).rglob("*.[cS]")):
        lists = [source.parent / "meson.build", source.parent.parent / "meson.build"]
        names = f"'{source.name}'", f"'{source.stem}'", f"'{source.parent.name}/{source.name}'"
        if not any(n in p.read_text() for p in lists if p.exists() for n in names):
            missing.append(str(source.relative_to(ROOT)))
print("\n".join(f"{m} is in no meson.build" for m in missing))
sys.exit(bool(missing))
