# SPDX-License-Identifier: LGPL-2.1-or-later
"""A small VNC client (RFC 6143): raw pictures, keys and pointers. And the PNG
files of screenshots, with what the tests ask of a picture."""
import socket
import struct
import time
import zlib
from pathlib import Path


class Picture:
    """Pixels as bytes of red, green and blue, rows from the top."""

    def __init__(self, width, height, rgb):
        self.width, self.height, self.rgb = width, height, rgb

    def pixel(self, x, y):
        at = (y * self.width + x) * 3
        return tuple(self.rgb[at:at + 3])

    def crop(self, x, y, w, h):
        rows = (self.rgb[((y + i) * self.width + x) * 3:][:w * 3] for i in range(h))
        return Picture(w, h, b"".join(rows))

    def colours(self):
        return {self.rgb[i:i + 3] for i in range(0, len(self.rgb), 3)}

    def differs(self, other):
        """How many pixels are others; all when the sizes differ."""
        if (self.width, self.height) != (other.width, other.height):
            return max(self.width * self.height, other.width * other.height)
        if self.rgb == other.rgb:
            return 0
        return sum(self.rgb[i:i + 3] != other.rgb[i:i + 3] for i in range(0, len(self.rgb), 3))

    def lit(self):
        """The share of pixels that are not black."""
        dark = sum(self.rgb[i:i + 3] == b"\0\0\0" for i in range(0, len(self.rgb), 3))
        return 1 - dark * 3 / len(self.rgb)


def read_png(path):
    """A PNG of 8 bits of red, green and blue; its checksums are looked at."""
    data = Path(path).read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, packed, size = 8, b"", None
    while at < len(data):
        n, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + n]
        assert zlib.crc32(kind + body) == struct.unpack(">I", data[at + 8 + n:at + 12 + n])[0]
        if kind == b"IHDR":
            *size, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", body)
            assert (depth, colour, interlace) == (8, 2, 0)
        elif kind == b"IDAT":
            packed += body
        at += 12 + n
    assert kind == b"IEND"
    return Picture(*size, unfilter(zlib.decompress(packed), *size))


def unfilter(raw, width, height):
    pitch = width * 3
    rows, above = [], bytearray(pitch)
    assert len(raw) == (pitch + 1) * height
    for y in range(height):
        kind = raw[y * (pitch + 1)]
        row = bytearray(raw[y * (pitch + 1) + 1:(y + 1) * (pitch + 1)])
        for i in range(pitch if kind else 0):
            left = row[i - 3] if i >= 3 else 0
            up, corner = above[i], above[i - 3] if i >= 3 else 0
            if kind == 4:
                p = left + up - corner
                add = min((abs(p - left), 0, left), (abs(p - up), 1, up),
                          (abs(p - corner), 2, corner))[2]
            else:
                add = (left, up, (left + up) // 2)[kind - 1]
            row[i] = (row[i] + add) & 255
        rows.append(bytes(row))
        above = row
    return b"".join(rows)


def read_ppm(path):
    magic, size, top, rgb = Path(path).read_bytes().split(b"\n", 3)
    assert (magic, top) == (b"P6", b"255")
    width, height = map(int, size.split())
    assert len(rgb) == width * height * 3
    return Picture(width, height, rgb)


# --- VNC -----------------------------------------------------------------------------

DESKTOP_SIZE = -223
KEYSYMS = {"ret": 0xff0d, "tab": 0xff09, "up": 0xff52, "down": 0xff54, "esc": 0xff1b}


def des_key(password):
    """VNC's: the bits of each byte turned round."""
    return bytes(int(f"{b:08b}"[::-1], 2) for b in password.encode().ljust(8, b"\0")[:8])


class Refused(Exception):
    """The server does not let the client in."""


class Vnc:
    """where: a path, or (address, port). encrypt(key, block): DES, for a password."""

    def __init__(self, where, password=None, encrypt=None, seconds=20):
        family = socket.AF_INET if isinstance(where, tuple) else socket.AF_UNIX
        self.socket = socket.socket(family)
        self.socket.settimeout(seconds)
        self.socket.connect(where if isinstance(where, tuple) else str(where))
        assert self.take(12) == b"RFB 003.008\n"
        self.socket.sendall(b"RFB 003.008\n")
        self.types = set(self.take(self.take(1)[0]))
        self.log_in(password, encrypt)
        self.socket.sendall(b"\1")
        self.width, self.height = struct.unpack(">HH", self.take(4))
        self.take(16)
        self.name = self.take(struct.unpack(">I", self.take(4))[0]).decode()
        # 32 bits, little-endian, red at bit 16; raw, and changes of the size
        self.socket.sendall(struct.pack(">BxxxBBBBHHHBBBxxx", 0, 32, 24, 0, 1, 255, 255, 255,
                                        16, 8, 0))
        self.socket.sendall(struct.pack(">BxHii", 2, 2, 0, DESKTOP_SIZE))
        self.pixels = bytearray(self.width * self.height * 4)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.socket.close()

    def take(self, n):
        data = b""
        while len(data) < n:
            more = self.socket.recv(n - len(data))
            if not more:
                raise Refused("the server closed the connection")
            data += more
        return data

    def log_in(self, password, encrypt):
        if password is None:
            if 1 not in self.types:
                raise Refused("it wants a password")
            self.socket.sendall(b"\1")
        else:
            assert self.types == {2}
            self.socket.sendall(b"\2")
            challenge = self.take(16)
            key = des_key(password)
            self.socket.sendall(encrypt(key, challenge))
        if struct.unpack(">I", self.take(4))[0]:
            raise Refused(self.take(struct.unpack(">I", self.take(4))[0]).decode())

    def key(self, name, down=None):
        """A key by its name or character; pressed and let go unless down says which."""
        keysym = KEYSYMS.get(name) or ord(name)
        for d in ([True, False] if down is None else [down]):
            self.socket.sendall(struct.pack(">BBxxI", 4, d, keysym))

    def type(self, text):
        for c in text:
            self.key("ret" if c == "\n" else c)
            time.sleep(0.02)

    def pointer(self, x, y, buttons=0):
        self.socket.sendall(struct.pack(">BBHH", 5, buttons, x, y))

    def resize(self, width, height):
        """Asks for another size of the screen."""
        self.socket.sendall(struct.pack(">BxHHBxIHHHHI", 251, width, height, 1, 0, 0, 0, width,
                                        height, 0))

    def update(self, incremental=True):
        """Asks for what is new, and takes it. A change of the size comes in a
        message of its own, after which the answer still follows."""
        self.socket.sendall(struct.pack(">BBHHHH", 3, incremental, 0, 0, self.width, self.height))
        while self.message():
            pass

    def message(self):
        """Takes one message; True when it was only about the size."""
        kind = self.take(1)[0]
        if kind == 2:    # a bell
            return True
        assert kind == 0
        resized = False
        for _ in range(struct.unpack(">xH", self.take(3))[0]):
            x, y, w, h, encoding = struct.unpack(">HHHHi", self.take(12))
            resized = encoding == DESKTOP_SIZE
            if resized:
                self.width, self.height = w, h
                self.pixels = bytearray(w * h * 4)
                continue
            assert encoding == 0
            for row in range(y, y + h):
                at = (row * self.width + x) * 4
                self.pixels[at:at + w * 4] = self.take(w * 4)
        return resized

    def picture(self):
        """All of the screen."""
        self.update(incremental=False)
        rgb = bytearray(self.width * self.height * 3)
        rgb[0::3], rgb[1::3], rgb[2::3] = (self.pixels[2::4], self.pixels[1::4],
                                           self.pixels[0::4])
        return Picture(self.width, self.height, bytes(rgb))


# --- text --------------------------------------------------------------------------------

SMILEY = bytes.fromhex("00007e81a58181bd9981817e00000000")    # code 1 of every VGA font


def vga_font():
    """The glyphs of SeaBIOS's VGA BIOS, 16 bytes each, by their code."""
    rom = Path("/usr/share/seabios/vgabios-stdvga.bin").read_bytes()
    start = rom.index(SMILEY) - 16
    return [rom[start + 16 * i:start + 16 * (i + 1)] for i in range(256)]


class Reader:
    """Reads text that is drawn in VGA's font, or one much like it, as Linux has."""

    def __init__(self):
        self.glyphs = {glyph: chr(code) for code, glyph in reversed(list(enumerate(vga_font())))
                       if 32 <= code < 127}
        self.font = dict(self.glyphs)

    def cell(self, picture, x, y):
        rows = [[picture.pixel(x + i, y + j) for i in range(8)] for j in range(16)]
        paper = rows[0][0]      # glyphs of letters leave the corner free
        bits = bytes(sum(128 >> i for i in range(8) if row[i] != paper) for row in rows)
        if not any(bits):
            return " "
        if bits not in self.glyphs:
            self.glyphs[bits] = self.nearest(bits)
        return self.glyphs[bits]

    def nearest(self, bits):
        def distance(glyph):
            return sum(bin(a ^ b).count("1") for a, b in zip(bits, glyph))
        best = min(self.font, key=distance)
        return self.font[best] if distance(best) <= 12 else "?"

    def text(self, picture, cell=9):
        """The lines of a picture whose characters are `cell` pixels wide."""
        return "\n".join("".join(self.cell(picture, x, y)
                                 for x in range(0, picture.width - cell + 1, cell)).rstrip()
                         for y in range(0, picture.height - 15, 16))


def wait_for(picture, found, seconds, what="the screen"):
    """Calls picture() until found() of it: that picture."""
    deadline = time.monotonic() + seconds
    while True:
        p = picture()
        if found(p):
            return p
        if time.monotonic() >= deadline:
            raise AssertionError(f"{what} did not come in {seconds} s")
        time.sleep(0.3)
