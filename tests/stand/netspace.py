"""A network namespace of a test's own, where an address that is public elsewhere is one of ours."""

import socket
import subprocess
import sys
import threading

from . import process

_LISTEN = """
import socket, sys
channel = socket.socket(fileno=int(sys.argv[1]))
listener = socket.create_server(("127.0.0.1", int(sys.argv[2])))
socket.send_fds(channel, [b"x"], [listener.fileno()])
"""


class Netspace:
    """Loopback, and `address` on it. `inside` begins a command that is to run there."""

    def __init__(self, address):
        self.holder = process.start(
            ["unshare", "--net", "sh", "-c",
             f"ip link set lo up && ip address add {address}/32 dev lo && echo up && exec sleep 3600"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said = self.holder.stdout.readline()
        assert said == "up\n", f"no network namespace, which needs root: {said}"
        self.inside = ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net"]
        self.listeners = []

    def forward(self, port):
        """What is sent to this port of loopback there comes out here."""
        ours, theirs = socket.socketpair()
        done = subprocess.run([*self.inside, sys.executable, "-c", _LISTEN, str(theirs.fileno()), str(port)],
                              pass_fds=[theirs.fileno()], check=False, timeout=30)
        assert done.returncode == 0
        _, fds, _, _ = socket.recv_fds(ours, 1, 1)
        listener = socket.socket(fileno=fds[0])
        ours.close()
        theirs.close()
        self.listeners.append(listener)
        threading.Thread(target=self._accept, args=(listener, port), daemon=True).start()

    def _accept(self, listener, port):
        while True:
            try:
                there = listener.accept()[0]
            except OSError:
                return  # closed
            here = socket.create_connection(("127.0.0.1", port))
            for pair in ((there, here), (here, there)):
                threading.Thread(target=_pump, args=pair, daemon=True).start()

    def close(self):
        for listener in self.listeners:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        process.stop(self.holder)
        self.holder.stdout.close()


def _pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    try:
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass
