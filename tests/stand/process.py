"""Child processes, free ports and waiting, as every part of the stand needs them."""

import ctypes
import os
import pathlib
import random
import signal
import socket
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class Timeout(AssertionError):
    """What was waited for did not happen in time."""


def wait_for(condition, what, seconds=20.0, every=0.02):
    """The first true value of condition(); Timeout says `what` was missing."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Timeout(f"{what}: not within {seconds:g} s")
        time.sleep(every)


# For programs that were built with a sanitizer; others do not look at them.
SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1",
    "LSAN_OPTIONS": f"suppressions={ROOT}/tests/stand/lsan.supp:print_suppressions=0",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": f"suppressions={ROOT}/tests/stand/tsan.supp:second_deadlock_stack=1",
}


def stand_program(name):
    folder = os.environ.get("SITEWATCH_STAND", "build/tests/stand")
    return str(ROOT / folder / name)


def clean_environment(**more):
    """The caller's environment without what would change a program under test."""
    kept = ("PATH", "HOME", "LANG", "TMPDIR", *SANITIZERS)
    env = {**SANITIZERS, **{name: os.environ[name] for name in kept if name in os.environ}}
    env.update({name: str(value) for name, value in more.items()})
    return env


def free_port():
    """A port that nobody listens at; not one of those that the kernel gives to connections, which could
    have it by the time that it is used, or while its server is stopped for a while."""
    first_given = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
            try:
                s.bind(("127.0.0.1", random.randrange(1024, first_given) if first_given > 8192 else 0))
            except OSError:
                continue
            return s.getsockname()[1]


def start(command, **options):
    """Popen of a process that dies with this one."""

    def die_with_parent():
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    return subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=die_with_parent,
                            **options)


def stop(process, sig=signal.SIGTERM, seconds=20.0):
    """Signal it, wait, and kill it when it does not go. Returns its exit status."""
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)  # a paused one could not heed anything
        process.send_signal(sig)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise Timeout(f"pid {process.pid} did not end within {seconds:g} s of signal {sig}") from None
    return process.returncode


class Server:
    """A program of the stand that prints `port=N` once it listens."""

    def __init__(self, name, *args):
        self.process = start([stand_program(name), "--port", "0", *args],
                             stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("port="):
            raise AssertionError(f"{name} did not start: {line!r}")
        self.port = int(line[5:])

    def stop(self):
        stop(self.process)
        self.process.stdout.close()
