"""A TCP proxy before Postgres that reads the protocol along, so that a test can act at a point of
a transaction: hold it, cut it, or let it be done and lose the answer.

A hook is armed for a point and is called once, in the connection's thread, before the bytes of
that point go on. What it returns decides about them.
"""

import collections
import select
import socket
import struct
import threading

# Points of a transaction that stores a batch.
FENCE = "fence"    # it begins to move its offsets
COMMIT = "commit"  # its COMMIT
LETTER = "letter"  # the COMMIT of one that writes dead letters

# What a hook returns.
PASS = "pass"          # go on
CUT = "cut"            # the server never sees it, and the connection is gone
CUT_ANSWER = "answer"  # the server does it, and the connection is gone before its answer

COMMAND_COMPLETE = ord("C")
ERROR = ord("E")
BYTES_AT_ONCE = 1 << 18


class _Messages:
    """Cuts a stream into messages. A client's first one has no type."""

    def __init__(self, has_type):
        self.has_type = has_type
        self.held = b""

    def feed(self, data):
        """[(type or None, the whole message)] of those that are complete."""
        self.held += data
        found = []
        while True:
            head = 1 if self.has_type else 0
            if len(self.held) < head + 4:
                return found
            end = head + struct.unpack_from("!I", self.held, head)[0]
            if len(self.held) < end:
                return found
            found.append((self.held[0] if head else None, self.held[:end]))
            self.held = self.held[end:]
            self.has_type = True


def _texts(message, count):
    """The first `count` strings of a message's body."""
    return message[5:].split(b"\0", count)[:count]


class _Connection:
    def __init__(self, proxy, client, server):
        self.proxy = proxy
        self.client, self.server = client, server
        self.from_client = _Messages(False)
        self.from_server = _Messages(True)
        self.statements = {}  # prepared: name -> SQL
        self.stores_batch = self.has_letters = self.is_halved = False
        self.lose_answer = False

    def _sql_of(self, kind, message):
        """The statement that this message begins to run, or an empty text."""
        if kind == ord("Q"):
            return _texts(message, 1)[0]
        if kind == ord("P"):
            name, sql = _texts(message, 2)
            self.statements[name] = sql
            return b""
        if kind == ord("B"):
            return self.statements.get(_texts(message, 2)[1], b"")
        return b""

    def _point_of(self, sql):
        """Follow the transaction; the points that `sql` is."""
        if sql.startswith(b"BEGIN"):
            self.stores_batch = self.has_letters = self.is_halved = False
        if sql.startswith(b"UPDATE kafka_offsets SET next_offset"):
            first, self.stores_batch = not self.stores_batch, True
            return (FENCE,) if first else ()
        if b"COPY dead_letters" in sql:
            self.has_letters = True
        if sql.startswith(b"SAVEPOINT") and not self.is_halved:
            self.is_halved = True
            self.proxy.halvings += 1
        if not sql.startswith((b"COMMIT", b"ROLLBACK")) or b"SAVEPOINT" in sql:
            return ()
        points = ()
        if sql.startswith(b"COMMIT") and self.stores_batch:
            points = (LETTER, COMMIT) if self.has_letters else (COMMIT,)
        self.stores_batch = self.has_letters = self.is_halved = False
        return points

    def pass_on(self):
        """Bytes of the client. False when the connection is over."""
        data = self.client.recv(BYTES_AT_ONCE)
        if not data:
            return False
        ready = []
        for kind, message in self.from_client.feed(data):
            for point in self._point_of(self._sql_of(kind, message)):
                if not self.proxy.has_hook(point):
                    continue
                self.server.sendall(b"".join(ready))
                ready.clear()
                verdict = self.proxy.call_hook(point)
                if verdict == CUT:
                    return False
                self.lose_answer = self.lose_answer or verdict == CUT_ANSWER
            ready.append(message)
        self.server.sendall(b"".join(ready))
        return True

    def pass_back(self):
        data = self.server.recv(BYTES_AT_ONCE)
        if not data:
            return False
        for kind, message in self.from_server.feed(data):
            if kind == ERROR:
                fields = {part[:1]: part[1:].decode() for part in message[5:].split(b"\0") if part}
                self.proxy.errors[fields[b"C"]] += 1
            if self.lose_answer and kind == COMMAND_COMPLETE and message[5:] == b"COMMIT\0":
                return False
        self.client.sendall(data)
        return True

    def run(self):
        try:
            while not self.proxy.closed:
                ready = select.select([self.client, self.server], [], [], 0.2)[0]
                if (self.client in ready and not self.pass_on()) or (
                        self.server in ready and not self.pass_back()):
                    return
        except OSError:  # one side is gone: so is the other
            pass
        finally:
            self.client.close()
            self.server.close()


class PgProxy:
    """Listens on `port`; clients must connect without TLS."""

    def __init__(self, server_port):
        self.server_port = server_port
        self.errors = collections.Counter()  # SQLSTATE -> how often the server answered it
        self.halvings = 0                    # transactions that went back to a savepoint's way
        self.closed = False
        self._hooks = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.2)
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def arm(self, point, hook):
        """hook() is called at the next `point` of any connection, once."""
        with self._lock:
            self._hooks.append((point, hook))

    def disarm(self):
        """Forget what has not happened."""
        with self._lock:
            self._hooks.clear()

    def has_hook(self, point):
        with self._lock:
            return any(armed == point for armed, _ in self._hooks)

    def call_hook(self, point):
        with self._lock:
            for armed in self._hooks:
                if armed[0] == point:
                    self._hooks.remove(armed)
                    break
            else:
                return PASS
        return armed[1]()

    def _accept(self):
        while not self.closed:
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self.server_port), 5)
            except OSError:
                client.close()
                continue
            for side in client, server:
                side.settimeout(None)
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread = threading.Thread(target=_Connection(self, client, server).run, daemon=True)
            self._threads.append(thread)
            thread.start()

    def close(self):
        self.closed = True
        for thread in self._threads:
            thread.join(10)
        self._listener.close()
