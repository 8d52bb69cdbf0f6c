# SPDX-License-Identifier: LGPL-2.1-or-later
"""QEMU's monitor: its commands are calls of an object, and their results can be
waited for."""
import time

from qmp import Qmp, QmpError


class Monitor(Qmp):
    """A connection to the socket at path, which QEMU may still have to make."""

    def __call__(self, command, seconds=60, **arguments):
        """Its result. Underscores in names of arguments stand for hyphens."""
        arguments = {k.replace("_", "-"): v for k, v in arguments.items()}
        return self.execute(command, seconds, **arguments)

    def human(self, line, seconds=60, quiet=True):
        """A command of the human monitor. quiet: whatever it prints is an error."""
        out = self("human-monitor-command", seconds, command_line=line)
        if quiet and out.strip():
            raise QmpError("human", f"{line}: {out.strip()}")

    def until(self, command, done, seconds=60):
        """Repeats a query until done(its result): the result."""
        deadline = time.monotonic() + seconds
        while True:
            result = self(command)
            if done(result):
                return result
            if time.monotonic() > deadline:
                raise TimeoutError(f"{command} still says {result}")
            time.sleep(0.1)
