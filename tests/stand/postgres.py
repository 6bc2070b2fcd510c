"""A Postgres cluster of the tests' own: temporary directory, unprivileged user, free port; or one that
runs already."""

import os
import pathlib
import pwd
import re
import shutil
import signal
import subprocess
import tempfile

import psycopg2

from . import process


def server_directory():
    """The newest of Debian's Postgres servers, or the one on the PATH."""
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"),
                   key=lambda p: float(re.sub(r"[^0-9.]", "", p.parts[-3]) or 0))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    assert on_path, "no Postgres server is installed: deploy/deps.sh demo"
    return pathlib.Path(on_path).parent


# Others than the tests themselves need TLS and a password.
HBA_TLS = """
host    all postgres 127.0.0.1/32 trust
hostssl all all      127.0.0.1/32 scram-sha-256
"""


class Server:
    """What tests ask of a Postgres that runs; `server` is its DSN without a database."""

    def __init__(self, server):
        self.server = server

    def close(self):
        """It is not ours to stop."""

    def dsn(self, database):
        return f"{self.server} dbname={database}"

    def query(self, database, sql, *values):
        """Rows, as dicts; each call has a connection and a transaction of its own."""
        connection = psycopg2.connect(self.dsn(database))
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql, values or None)
                if cursor.description is None:
                    return []
                names = [column.name for column in cursor.description]
                return [dict(zip(names, row)) for row in cursor.fetchall()]
        finally:
            connection.close()

    def has_database(self, name):
        return bool(self.query("postgres", "SELECT 1 FROM pg_database WHERE datname = %s", name))


class Postgres(Server):
    """`primary`: another of these, of which this one is the standby. `certs`: it speaks TLS, and wants it
    of all but the user postgres."""

    def __init__(self, primary=None, certs=None):
        self.bin = server_directory()
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="sitewatch-postgres-"))
        self.log = self.base / "postgres.log"
        self.port = process.free_port()
        self.identity = {}
        if os.geteuid() == 0:  # Postgres refuses to run as root
            user = pwd.getpwnam("postgres")  # made by Debian's package
            self.identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            os.chown(self.base, user.pw_uid, user.pw_gid)
        if primary is None:
            self._run("initdb", "-D", self.base / "data", "-U", "postgres", "-A", "trust",
                      "-E", "UTF8", "--locale=C", "--no-sync")
        else:
            self._run("pg_basebackup", "-D", self.base / "data", "-R", "--no-sync", "-c", "fast",
                      "-d", primary.dsn("postgres"))
        self.options = []
        if certs is not None:
            self.use_certificate(certs, "good")
            (self.base / "hba").write_text(HBA_TLS)
            self.options = ["-c", "ssl=on", "-c", f"ssl_cert_file={self.base}/server.pem", "-c",
                            f"ssl_key_file={self.base}/server.key", "-c", f"hba_file={self.base}/hba"]
        self.process = None
        super().__init__(f"host=127.0.0.1 port={self.port} user=postgres")
        self.start()

    def _run(self, program, *args):
        done = subprocess.run([self.bin / program, *map(str, args)], capture_output=True, text=True,
                              check=False, cwd=self.base, **self.identity)
        assert done.returncode == 0, done.stdout + done.stderr

    def use_certificate(self, certs, name):
        """Of the server; one that runs takes it up when it is told to reload."""
        for suffix in ("pem", "key"):
            target = self.base / f"server.{suffix}"
            shutil.copy(certs / f"{name}.{suffix}", target)
            target.chmod(0o600)
            if self.identity:
                os.chown(target, self.identity["user"], self.identity["group"])

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def start(self):
        with self.log.open("ab") as log:
            self.process = process.start(
                [str(self.bin / "postgres"), "-D", str(self.base / "data"), "-k", str(self.base),
                 "-h", "127.0.0.1", "-p", str(self.port), "-c", "max_connections=100",
                 "-c", "log_min_messages=warning", *self.options],
                stdout=log, stderr=subprocess.STDOUT, cwd=self.base, **self.identity)

        def answers():
            assert self.process.poll() is None, self.log.read_text()
            try:
                psycopg2.connect(self.dsn("postgres")).close()
                return True
            except psycopg2.OperationalError:
                return False

        process.wait_for(answers, "Postgres to answer", 60)

    def stop(self, sig=signal.SIGINT):
        """SIGINT is Postgres' fast stop, SIGQUIT its immediate one: as in a crash."""
        process.stop(self.process, sig, 30)

    def crash(self):
        self.stop(signal.SIGQUIT)

    def _signal_all(self, sig):
        """The postmaster first, so that it starts no more of the others."""
        pid = self.process.pid
        self.process.send_signal(sig)
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        for child in map(int, children.split()):
            try:
                os.kill(child, sig)
            except ProcessLookupError:
                pass

    def pause(self):
        """Every process of the server stops where it is: connections stay open and silent."""
        self._signal_all(signal.SIGSTOP)

    def go_on(self):
        self._signal_all(signal.SIGCONT)

    def close(self):
        self.crash()
        shutil.rmtree(self.base)
