"""A proxy for tests: HTTP (CONNECT and plain requests) or SOCKS 5, over TLS if wanted.

It notes what it was asked for, and fails as it is told. Names that it is asked for are
all this machine: the site's DNS is the proxy's.
"""

import base64
import socket
import ssl
import struct
import threading


class Proxy:
    """`answer`: None serves; "502", "407", "silence", "garbage", "close" do what they say."""

    def __init__(self, socks=False, certificate=None, credentials=None, answer=None):
        self.socks = socks
        self.credentials = credentials
        self.answer = answer
        self.asked = []  # "host:port" or the URL of a plain request
        self.agents = []  # the User-Agent lines of each request to it, without their name
        self.context = None
        if certificate is not None:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(certificate.with_suffix(".pem"), certificate.with_suffix(".key"))
            self.names = []  # of the TLS handshakes
            self.context.sni_callback = lambda _, name, __: self.names.append(name)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        try:
            if self.context is not None:
                client = self.context.wrap_socket(client, server_side=True)
            with client:
                if self.answer == "silence":
                    client.recv(1 << 16)
                    client.recv(1)
                elif self.socks:
                    self._socks(client)
                else:
                    self._http(client)
        except (OSError, EOFError):
            pass

    # --- HTTP ---

    def _http(self, client):
        head = b""
        while b"\r\n\r\n" not in head:
            more = client.recv(1 << 16)
            if not more:
                return
            head += more
        lines = head.decode("latin-1").split("\r\n")
        method, url, _ = lines[0].split(" ")
        self.asked.append(url)
        self.agents.append([l.partition(": ")[2] for l in lines if l.lower().startswith("user-agent:")])
        if self.answer == "close":
            return
        if self.answer == "garbage":
            client.sendall(b"\0\1 what?\r\n\r\n")
            return
        given = [l.split(" ", 2)[2] for l in lines if l.lower().startswith("proxy-authorization:")]
        wanted = base64.b64encode((self.credentials or "").encode()).decode()
        if self.answer == "407" or (self.credentials is not None and given != [wanted]):
            client.sendall(b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"x\"\r\n"
                           b"Content-Length: 0\r\nConnection: close\r\n\r\n")
            return
        if self.answer == "502":
            client.sendall(b"HTTP/1.1 502 Bad\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        if method == "CONNECT":
            site = self._open(url)
            client.sendall(b"HTTP/1.1 200 Tunnel\r\nX-Proxy: here\r\n\r\n")
        else:
            authority, _, path = url.split("//", 1)[1].partition("/")
            site = self._open(authority)
            kept = [l for l in lines[1:] if not l.lower().startswith("proxy-")]
            site.sendall("\r\n".join([f"{method} /{path} HTTP/1.1", *kept]).encode("latin-1"))
        self._join(client, site)

    # --- SOCKS 5 (RFC 1928, RFC 1929) ---

    def _socks(self, client):
        _, count = self._read(client, 2)
        methods = self._read(client, count)
        if self.answer == "close":
            return
        if self.answer == "garbage":
            client.sendall(b"\x63\x63")
            return
        wanted = 2 if self.credentials is not None else 0
        if wanted not in methods or self.answer == "407":
            client.sendall(b"\5\xff")
            return
        client.sendall(bytes([5, wanted]))
        if wanted == 2:
            user = self._read(client, self._read(client, 2)[1])
            password = self._read(client, self._read(client, 1)[0])
            good = b":".join((user, password)).decode() == self.credentials
            client.sendall(b"\1\0" if good else b"\1\1")
            if not good:
                return
        _, _, _, kind = self._read(client, 4)
        if kind == 3:
            host = self._read(client, self._read(client, 1)[0]).decode()
        else:
            family, size = (socket.AF_INET, 4) if kind == 1 else (socket.AF_INET6, 16)
            host = socket.inet_ntop(family, self._read(client, size))
        port = struct.unpack(">H", self._read(client, 2))[0]
        self.asked.append(f"{host}:{port}")
        if self.answer == "502":
            client.sendall(b"\5\4\0\1\0\0\0\0\0\0")  # host unreachable
            return
        site = self._open(f"{host}:{port}")
        client.sendall(b"\5\0\0\1\0\0\0\0\0\0")
        self._join(client, site)

    # --- Both ---

    @staticmethod
    def _read(client, count):
        data = b""
        while len(data) < count:
            more = client.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    @staticmethod
    def _open(authority):
        return socket.create_connection(("127.0.0.1", int(authority.rsplit(":", 1)[1])), 10)

    @staticmethod
    def _join(client, site):
        def copy(source, sink):
            try:
                while data := source.recv(1 << 16):
                    sink.sendall(data)
                sink.shutdown(socket.SHUT_WR)
            except OSError:
                pass

        up = threading.Thread(target=copy, args=(client, site), daemon=True)
        up.start()
        copy(site, client)
        try:
            client.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        up.join(10)
        site.close()
