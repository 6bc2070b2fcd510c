"""Sites to check: sited's many, TLS ones, and a port that refuses."""

import http.server
import json
import socket
import ssl
import subprocess
import threading
import urllib.request

from . import process


class Sited(process.Server):
    def __init__(self):
        super().__init__("sited")

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def counts(self, prefix=""):
        """{path?query: requests} of the paths that start so."""
        with urllib.request.urlopen(self.url("/_counts"), timeout=30) as answer:
            return {path: n for path, n in json.load(answer).items() if path.startswith(prefix)}


class _Page(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):  # pylint: disable=invalid-name
        body = b"v=42 build=17\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class _TlsServer(http.server.ThreadingHTTPServer):
    daemon_threads = True
    context = None

    def finish_request(self, request, client_address):
        # The handshake is done here, in the request's thread, and may fail: clients that refuse
        # our certificate are what these sites are for.
        try:
            with self.context.wrap_socket(request, server_side=True) as tls:
                super().finish_request(tls, client_address)
        except (ssl.SSLError, OSError):
            pass

    def handle_error(self, *_):
        pass


class TlsSite:
    """An https site of this process with one of the certificates of certs.sh."""

    def __init__(self, certs, name, client_ca=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certs / f"{name}.pem", certs / f"{name}.key")
        if client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(client_ca)
        self.server = _TlsServer(("127.0.0.1", 0), _Page)
        self.server.context = context
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, path="/"):
        return f"https://127.0.0.1:{self.port}{path}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def target(name, url, more="seconds = 1;"):
    """A site of a targets file."""
    return f'{{ name = "{name}"; url = "{url}"; {more} }}'


def targets(*groups):
    """A targets file of such sites."""
    return "targets = (" + ",\n".join(groups) + ");\n"


class RefusingPort:
    """A port that is taken by a socket that does not listen: every connection is refused."""

    def __init__(self):
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]

    def url(self, path="/"):
        return f"http://127.0.0.1:{self.port}{path}"

    def close(self):
        self.socket.close()


def make_certificates(directory):
    subprocess.run([process.ROOT / "tests/stand/certs.sh", directory], check=True,
                   stdin=subprocess.DEVNULL)
    return directory
