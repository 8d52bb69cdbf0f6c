# SPDX-License-Identifier: LGPL-2.1-or-later
"""A small QMP client: one connection, commands in turn, events kept."""
import json
import socket
import time


class QmpError(Exception):
    """An error that the other side answered; args[0] is its class."""


class Qmp:
    def __init__(self, path, seconds=20, negotiate=True):
        deadline = time.monotonic() + seconds
        while True:
            self.socket = socket.socket(socket.AF_UNIX)
            try:
                self.socket.connect(str(path))
                break
            except (FileNotFoundError, ConnectionRefusedError, BlockingIOError):
                self.socket.close()
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.05)
        self.rest = b""
        self.events = []
        self.greeting = self.read(seconds)["QMP"]
        if negotiate:
            self.execute("qmp_capabilities")

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def read(self, seconds):
        """The next message. TimeoutError when none comes, EOFError at the end."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self.rest:
            self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                raise EOFError("the other side closed the connection")
            self.rest += data
        line, self.rest = self.rest.split(b"\n", 1)
        return json.loads(line)

    def answer(self, seconds=20):
        """The next message that is no event."""
        while True:
            message = self.read(seconds)
            if "event" not in message:
                return message
            self.events.append(message)

    def execute(self, command, seconds=20, **arguments):
        request = {"execute": command, "id": command}
        if arguments:
            request["arguments"] = arguments
        self.socket.sendall(json.dumps(request).encode())
        reply = self.answer(seconds)
        if "error" in reply:
            raise QmpError(reply["error"]["class"], reply["error"]["desc"])
        assert reply["id"] == command
        return reply["return"]

    def event(self, name, seconds, **data):
        """Waits for an event of this name and with such data: its message. Those that
        came before it are forgotten."""
        deadline = time.monotonic() + seconds
        while True:
            while self.events:
                message = self.events.pop(0)
                if message["event"] == name and data.items() <= message.get("data", {}).items():
                    return message
            message = self.read(max(deadline - time.monotonic(), 0.001))
            if "event" in message:
                self.events.append(message)

    def at_end(self, seconds):
        """Waits until the other side closes the connection; events are kept."""
        try:
            while True:
                self.events.append(self.read(seconds))
        except EOFError:
            return
