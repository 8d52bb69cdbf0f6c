# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the chosen workloads in all engines, turn and turn about, so that what
else the host does meets all alike, and keeps what was measured."""
import statistics
import sys
import time

import boot
import workloads
from session import BenchError, Engine, Session, machine

# A guest's clock may differ from the host's by this much, which includes the
# delay of the console, before it is told.
CLOCK_SLACK, CLOCK_RATIO = 0.05, 0.1


class Bench:
    """One run: sessions by engine, and what was measured."""

    def __init__(self, opt):
        self.opt = opt
        self.engines = [Engine.parse(e) for e in opt.engines.split(",")]
        self.sessions = {}
        self.place = None  # (needs, cpus) of the sessions
        self.values = {}  # workload or measure: {engine: [value]}
        self.first = {}  # the same for the first run of all, which finds nothing warm
        self.answers = {}  # the last line that each printed
        self.problems = []

    def note(self, text):
        if not self.opt.quiet:
            print(text, file=sys.stderr, flush=True)

    def problem(self, text):
        self.problems.append(text)
        print(f"bench: {text}", file=sys.stderr, flush=True)

    def close(self):
        for s in self.sessions.values():
            s.close()
        self.sessions = {}

    def session(self, e):
        if e.name not in self.sessions:
            start = time.monotonic()
            self.sessions[e.name] = Session(e, *self.place, self.opt)
            self.note(f"{e.name} ready in {time.monotonic() - start:.2f} s")
        return self.sessions[e.name]

    def once(self, w, e):
        """One run of w: its value, or None when it failed."""
        try:
            s = self.session(e)
            s.prepare(w.files, self.opt.limit)
            inside, outside, answer = s.run(w.name, w.command, self.opt.limit)
        except machine.GuestTimeout as error:
            self.problem(f"{w.name} under {e.name}: {error}")
            if e.name in self.sessions:
                self.sessions.pop(e.name).close()
            return None
        except BenchError as error:
            self.problem(str(error))
            return None
        if abs(inside - outside) > CLOCK_SLACK + CLOCK_RATIO * outside:
            self.problem(f"{w.name} under {e.name}: its clock says {inside:.3f} s, "
                         f"the host's {outside:.3f} s, which is taken")
            inside = outside
        if w.unit:
            return float(answer)
        if answer != self.answers.setdefault(w.name, answer):
            self.problem(f"{w.name} under {e.name} says '{answer}', not '{self.answers[w.name]}'")
            return None
        return inside

    def keep(self, name, e, value):
        if value is not None:
            self.first.setdefault(name, {}).setdefault(e.name, value)
            self.values.setdefault(name, {}).setdefault(e.name, []).append(value)

    def workload(self, w):
        engines = [e for e in self.engines if not (w.guests_only and e.kind == "native")]
        for n in range(self.opt.repeat + 1):
            for e in engines:
                # The first run warms up. One in three does not move the median: TCG's
                # are long, so that it does without.
                if n >= max(self.opt.repeat, 3) and e.kind == "tcg":
                    continue
                self.keep(w.name, e, self.once(w, e))
        for runs in self.values.get(w.name, {}).values():
            if len(runs) > self.opt.repeat:
                runs.pop(0)
        self.tell(w.name)

    def measure(self, name):
        _, function = boot.MEASURES[name]
        for _ in range(self.opt.repeat):
            for e in self.engines:
                if e.kind != "native":
                    self.keep(name, e, function(e, self.opt))
        self.tell(name)

    def tell(self, name):
        self.note(f"{name:18}" + "".join(f"  {e.name} {v:.3f}" for e in self.engines
                                         if (v := self.value(name, e.name)) is not None))

    def all(self, chosen, measures):
        """Everything, with one set of guests after the other."""
        kinds = list(workloads.PACKAGES)
        try:
            for cpus in sorted({w.cpus for w in chosen}):
                here = [w for w in chosen if w.cpus == cpus]
                self.place = (kinds[max(kinds.index(w.needs) for w in here)], cpus)
                for w in here:
                    self.workload(w)
                self.close()
        finally:
            self.close()
        for name in measures:
            self.measure(name)

    def value(self, name, engine):
        values = self.values.get(name, {}).get(engine)
        return statistics.median(values) if values else None
