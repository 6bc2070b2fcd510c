"""A program on a terminal of its own: a pty, and what a person would see of it."""

import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
import threading

import pyte

from . import process, sitewatch

TAKEN = "\x1b[?1049h\x1b[?25l"
GIVEN_BACK = "\x1b[0m\x1b[?25h\x1b[?1049l"


class Screen:
    """Starts it with standard input, output and error on the pty. What it wrote is `raw`, what is seen `lines()`."""

    def __init__(self, name, *args, env=None, columns=100, rows=24, locale="C.UTF-8", term="xterm"):
        self.master, terminal = pty.openpty()
        self._size(columns, rows)
        environment = process.clean_environment(**{"LC_ALL": locale, "TERM": term, **(env or {})})

        def take_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen([sitewatch.binary(name), *map(str, args)], stdin=terminal, stdout=terminal,
                                        stderr=terminal, env=environment, preexec_fn=take_terminal)
        os.close(terminal)
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._lock = threading.Lock()
        self._reading = threading.Event()
        self._reading.set()
        self._bytes = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _size(self, columns, rows):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def _read(self):
        while True:
            self._reading.wait()
            try:
                data = os.read(self.master, 4096)
            except OSError:  # the last one who had it is gone
                return
            if not data:
                return
            with self._lock:
                self._bytes += data
                self._stream.feed(data)

    def pause(self):
        """The terminal takes nothing any more, as after Ctrl-S."""
        self._reading.clear()

    def go_on(self):
        self._reading.set()

    @property
    def raw(self):
        with self._lock:
            return self._bytes.decode("utf-8", "replace")

    def lines(self):
        """The screen's lines, without spaces at their ends."""
        with self._lock:
            return [line.rstrip() for line in self._screen.display]

    def colour_of(self, text):
        """Of the first character of that text on the screen."""
        for number, line in enumerate(self.lines()):
            at = line.find(text)
            if at >= 0:
                return self._screen.buffer[number][at].fg
        raise AssertionError(f"{text!r} is not on the screen")

    def wait_for(self, condition, what, seconds=20.0):
        """Until condition(lines) is true."""
        try:
            return process.wait_for(lambda: condition(self.lines()), what, seconds)
        except process.Timeout as error:
            raise process.Timeout(f"{error}\n" + "\n".join(self.lines())) from None

    def resize(self, columns, rows):
        with self._lock:
            self._screen.resize(rows, columns)
            self._size(columns, rows)  # the kernel sends SIGWINCH

    def signal(self, sig):
        self.process.send_signal(sig)

    def wait(self, seconds=30.0):
        """Its exit status, and all of its output read."""
        status = self.process.wait(seconds)
        self.go_on()
        self._reader.join(10)
        assert not sitewatch.REPORT.search(self.raw), self.raw
        return status

    def close(self):
        self.go_on()
        process.stop(self.process, signal.SIGKILL)
        self._reader.join(10)
        if self.master >= 0:
            os.close(self.master)
            self.master = -1
