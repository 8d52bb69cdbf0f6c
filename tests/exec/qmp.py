# SPDX-License-Identifier: LGPL-2.1-or-later
"""A client of the QEMU Machine Protocol (QEMU's docs/interop/qmp-spec.txt), as
much as the tests need: commands, events, and jobs to be waited for."""
import json
import socket
import time


class QmpError(Exception):
    """QEMU refused a command, or what was waited for did not come."""


class Qmp:
    """A connection to the socket at path, which QEMU may still have to make."""

    def __init__(self, path, seconds=30):
        deadline = time.monotonic() + seconds
        while True:
            self.socket = socket.socket(socket.AF_UNIX)
            try:
                self.socket.connect(str(path))
                break
            except OSError as e:
                self.socket.close()
                if time.monotonic() > deadline:
                    raise QmpError(f"no connection to {path}: {e}") from None
                time.sleep(0.02)
        self.buffer = b""
        self.events = []
        self._receive(deadline)  # the greeting
        self("qmp_capabilities")

    def close(self):
        self.socket.close()

    def _receive(self, deadline):
        while b"\n" not in self.buffer:
            left = deadline - time.monotonic()
            if left <= 0:
                raise QmpError("no answer in time")
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(65536)
            except socket.timeout:
                continue
            if not data:
                raise QmpError("QEMU closed the connection")
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return json.loads(line)

    def __call__(self, command, seconds=60, **arguments):
        """Its result. Underscores in names of arguments stand for hyphens."""
        arguments = {k.replace("_", "-"): v for k, v in arguments.items()}
        self.socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        deadline = time.monotonic() + seconds
        while True:
            answer = self._receive(deadline)
            if "event" in answer:
                self.events.append(answer)
            elif "error" in answer:
                raise QmpError(f"{command}: {answer['error']['desc']}")
            elif "return" in answer:
                return answer["return"]

    def monitor(self, line, seconds=60, quiet=True):
        """A command of the human monitor. quiet: whatever it prints is an error."""
        out = self("human-monitor-command", seconds, command_line=line)
        if quiet and out.strip():
            raise QmpError(f"{line}: {out.strip()}")

    def event(self, name, seconds=60, **data):
        """Waits for an event with such data, which may have come already: all its
        data. Events before it are forgotten."""
        deadline = time.monotonic() + seconds
        while True:
            for i, e in enumerate(self.events):
                if e["event"] == name and data.items() <= e.get("data", {}).items():
                    del self.events[:i + 1]
                    return e.get("data", {})
            try:
                answer = self._receive(deadline)
            except QmpError as e:
                raise QmpError(f"event {name}: {e}") from None
            if "event" in answer:
                self.events.append(answer)

    def until(self, command, done, seconds=60, **arguments):
        """Repeats a query until done(its result): the result."""
        deadline = time.monotonic() + seconds
        while True:
            result = self(command, **arguments)
            if done(result):
                return result
            if time.monotonic() > deadline:
                raise QmpError(f"{command} still says {result}")
            time.sleep(0.1)
