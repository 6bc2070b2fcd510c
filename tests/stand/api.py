"""An api of a test's own: a database, a token of each scope, and requests to it."""

import http.client
import json
import re

from . import sitewatch


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        endless = (self.headers["Content-Type"] or "").startswith("text/event-stream")
        self.body = b"" if endless else response.read()

    def json(self):
        return json.loads(self.body)

    def detail(self):
        return self.json()["detail"]

    def pointers(self):
        return [e.get("pointer", e.get("parameter", e.get("header"))) for e in self.json()["errors"]]


class Api:
    """A database, a token of each scope, and the program."""

    def __init__(self, postgres, programs, database):
        self.postgres = postgres
        self.programs = programs
        self.database = database
        self.env = {"POSTGRES_DSN": postgres.dsn(database)}
        made = sitewatch.run("consumer", "migrate", env=self.env)
        assert made.returncode == 0, made.stderr
        self.write = self.token("write")
        self.read = self.token("read")
        self.program = None
        self.port = None

    def token(self, scope, *args):
        made = sitewatch.run("api", "token", "create", "--owner", "tests", "--scope", scope, *args,
                             env=self.env)
        assert made.returncode == 0, made.stderr
        return made.stdout.strip()

    def start(self, *args, **env):
        self.program = self.programs("api", "--listen", "127.0.0.1:0", *args, env={**self.env, **env})
        line = self.program.wait_for_line(r"msg=serving")
        self.port = int(re.search(r"port=(\d+)", line).group(1))
        return self

    def query(self, sql, *values):
        return self.postgres.query(self.database, sql, *values)

    def ask(self, method, path, body=None, token=None, headers=None, context=None):
        given = {"Authorization": f"Bearer {token or self.write}", **(headers or {})}
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            given.setdefault("Content-Type", "application/json")
        connection = (http.client.HTTPConnection("127.0.0.1", self.port, timeout=30) if context is None
                      else http.client.HTTPSConnection("localhost", self.port, timeout=30, context=context))
        try:
            connection.request(method, path, body, {k: v for k, v in given.items() if v is not None})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def post(self, **site):
        answer = self.ask("POST", "/websites", site)
        assert answer.status == 201, answer.body
        return answer.json()


def store_checks(api, website_id, statuses, location="here"):
    """A check a minute up to now, by its status; the state as the consumer would have it."""
    api.query("INSERT INTO locations (name) VALUES (%s) ON CONFLICT DO NOTHING RETURNING 1", location)
    api.query("SELECT checks_make_day(d::date) FROM generate_series(now() - interval '1 day', now(), '1 day') d")
    api.query(
        "WITH made AS (INSERT INTO checks (website_id, slot, checked_at, lag_us, response_time_us, location_id,"
        " attempt, http_status, final, status, observer, error_type, regex_response)"
        " SELECT %s, date_trunc('minute', now()) - interval '1 minute' * (array_length(s, 1) - i), now(), 5, 1500,"
        " location_id, 1, 200, true, s[i], 'host', CASE WHEN s[i] = 'down' THEN 'status' END, '[[\"v1\"]]'"
        " FROM locations, (SELECT %s::text[] AS s) given, generate_series(1, %s) i WHERE name = %s RETURNING *)"
        ", marked AS (INSERT INTO rollup_stale_hours SELECT DISTINCT website_id, hour_of(slot), location_id, now()"
        " FROM made ON CONFLICT DO NOTHING)"
        " INSERT INTO site_state (website_id, location_id, status, since, last_slot)"
        " SELECT website_id, location_id, status, slot, slot FROM made ORDER BY slot DESC LIMIT 1"
        " ON CONFLICT (website_id, location_id) DO UPDATE SET status = excluded.status,"
        " last_slot = excluded.last_slot RETURNING 1",
        website_id, statuses, len(statuses), location)
    # As the consumer's marks have it: their rollups are still to be put together.
    for table, of in (("hours", "hour_of"), ("days", "day_of")):
        api.query(f"INSERT INTO rollup_stale_{table} (website_id, begins, location_id, due)"
                  f" SELECT DISTINCT website_id, {of}(slot), location_id, now() FROM checks"
                  " ON CONFLICT DO NOTHING RETURNING 1")
