# SPDX-License-Identifier: LGPL-2.1-or-later
"""The tables of a run, in Markdown, and how it stands against the aims."""
import math

import boot


def ratio(a, b):
    return a / b if a and b else None


def geomean(values):
    values = [v for v in values if v]
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None


def cell(value, unit=""):
    if value is None:
        return "–"
    if unit:
        return f"{value:.2f}{unit}"
    return f"{value:.3f}" if value < 100 else f"{value:.1f}"


def print_table(rows):
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    for n, row in enumerate(rows):
        print("| " + " | ".join(c.ljust(w) if i == 0 else c.rjust(w)
                                for i, (c, w) in enumerate(zip(row, widths))) + " |")
        if n == 0:
            print("|" + "|".join("-" * (w + 2) if i == 0 else "-" * (w + 1) + ":"
                                 for i, w in enumerate(widths)) + "|")
    print()


class Report:
    def __init__(self, bench, chosen):
        self.bench = bench
        self.names = [e.name for e in bench.engines]
        self.rivals = [n for n in self.names if n not in ("native", "anykvm", "tcg")]
        self.timed = [w for w in chosen if not w.unit]
        self.others = [(w.name, w.unit) for w in chosen if w.unit]
        self.others += [(n, boot.MEASURES[n][0]) for n in boot.MEASURES if n in bench.values]
        self.slower = {w.name: self.over(w.name, "anykvm", "native") for w in self.timed}
        self.faster = {w.name: self.over(w.name, "tcg", "anykvm") for w in self.timed}

    def value(self, name, engine):
        return self.bench.value(name, engine)

    def over(self, name, a, b):
        return ratio(self.value(name, a), self.value(name, b))

    def means(self, label, names):
        others = [geomean(self.over(n, "anykvm", e) for n in names) for e in self.rivals]
        return [label, *[""] * len(self.names), cell(geomean(self.slower[n] for n in names), " ×"),
                cell(geomean(self.faster[n] for n in names), " ×"),
                *(cell(r, " ×") for r in others)]

    def workloads(self):
        rows = [["seconds", *self.names, "anykvm / native", "tcg / anykvm",
                 *(f"anykvm / {e}" for e in self.rivals)]]
        groups = list(dict.fromkeys(w.group for w in self.timed))
        for group in groups:
            here = [w.name for w in self.timed if w.group == group]
            rows.append(self.means(f"**{group}**", here))
            for n in here:
                rows.append([n, *(cell(self.value(n, e)) for e in self.names),
                             cell(self.slower[n], " ×"), cell(self.faster[n], " ×"),
                             *(cell(self.over(n, "anykvm", e), " ×") for e in self.rivals)])
        if len(groups) > 1:
            rows.append(self.means("**geometric mean of all**", self.slower))
        if self.timed:
            print_table(rows)

    def figures(self):
        rows = [["figure", "unit", *self.names]]
        for name, unit in self.others:
            rows.append([name, unit, *(cell(self.value(name, e)) for e in self.names)])
        for label, one, other, times in (("throughput of 2 threads", "threads-1", "threads-2", 2),
                                         ("throughput of 4 threads", "threads-1", "threads-4", 4)):
            if other in self.bench.values and one in self.bench.values:
                rows.append([label, "× one", *(cell(self.scaling(e, one, other, times))
                                               for e in self.names)])
        if "lock-8-on-8" in self.bench.values and "lock-8-on-4" in self.bench.values:
            rows.append(["lost with 8 vCPUs on 4", "%", *(cell(self.lost(e)) for e in self.names)])
        for w in self.timed:
            if w.kind == "short":
                rows.append([f"{w.name}, first time", "s", *(
                    cell(self.bench.first.get(w.name, {}).get(e)) for e in self.names)])
        if len(rows) > 1:
            print_table(rows)

    def scaling(self, engine, one, other, times):
        r = ratio(self.value(one, engine), self.value(other, engine))
        return r and times * r

    def lost(self, engine):
        r = ratio(self.value("lock-8-on-4", engine), self.value("lock-8-on-8", engine))
        return r and 100 * (1 - r)

    def aims(self):
        rows = [["aim", "wanted", "measured", ""]]
        for label, value, sign, limit, unit in self.held_against():
            if value is not None:
                good = value >= limit if sign == "≥" else value <= limit
                rows.append([label, f"{sign} {limit:g} {unit}", f"{value:.2f} {unit}",
                             "yes" if good else "no"])
        if len(rows) > 1:
            print_table(rows)

    def worst(self, ratios, kinds, pick):
        values = [ratios[w.name] for w in self.timed if w.kind in kinds and ratios[w.name]]
        return pick(values) if values else None

    def held_against(self):
        """(what, value, which way, limit, unit)."""
        compute = [self.slower[w.name] for w in self.timed if w.kind in ("user", "exact", "memory")]
        yield "faster than TCG, geometric mean", geomean(self.faster.values()), "≥", 12, "×"
        yield ("faster than TCG, the least, but memory",
               self.worst(self.faster, ("user", "exact", "kernel", "short"), min), "≥", 4, "×")
        yield "faster than TCG, memory, the least", self.worst(self.faster, ("memory",), min), \
            "≥", 2.5, "×"
        yield "of native, geometric mean", geomean(self.slower.values()), "≤", 2, "×"
        yield "of native, user-mode compute", geomean(compute), "≤", 1.6, "×"
        yield ("of native, the worst, but kernel work",
               self.worst(self.slower, ("user", "exact", "memory", "short"), max), "≤", 4, "×")
        yield "of native, kernel work, the worst", self.worst(self.slower, ("kernel",), max), \
            "≤", 5, "×"
        yield ("of native, hashes, crypto, vectors, floating point, the worst",
               self.worst(self.slower, ("exact",), max), "≤", 1.15, "×")
        yield "kernel start to init", self.value("kernel-to-init", "anykvm"), "≤", 1, "s"
        yield "2 busy vCPUs", self.scaling("anykvm", "threads-1", "threads-2", 2), "≥", 1.9, "×"
        yield "4 busy vCPUs", self.scaling("anykvm", "threads-1", "threads-4", 4), "≥", 3.6, "×"
        yield "lost with 8 vCPUs on 4 CPUs", self.lost("anykvm"), "≤", 20, "%"
        yield "port I/O and back", self.value("port-io", "anykvm"), "≤", 500, "ns"
        yield "interrupt to a running vCPU", self.value("interrupt", "anykvm"), "≤", 50, "us"
        yield "translation", self.value("cold-code", "anykvm"), "≥", 2, "M/s"
        for w in self.timed:
            if w.kind == "short":
                yield f"{w.name}, of native", self.slower[w.name], "≤", 3, "×"
        yield "memory beside the guest's", self.value("overhead", "anykvm"), "≤", 64, "MiB"
        for name in ("disk-read", "disk-write", "disk-randread", "disk-randwrite"):
            yield f"{name}, of TCG's", self.over(name, "anykvm", "tcg"), "≥", 3, "×"
        yield "network, of TCG's", self.over("network", "anykvm", "tcg"), "≥", 2, "×"
        yield "the machine micro, process to init", self.value("micro-to-init", "anykvm"), \
            "≤", 0.8, "s"
        yield "to the first instruction", self.value("first-instruction", "anykvm"), "≤", 20, "ms"

    def print(self):
        self.workloads()
        self.figures()
        self.aims()
