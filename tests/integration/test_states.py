"""Sites chosen by their state: what is kept of them (sql/0012_standing.sql) says what the view does, at any moment, and
answering reads a page's rows."""

import random

from stand import process

STATES = ("up", "degraded", "down", "unknown")
SITES, PAGE = 12, 5


def listed(api, query):
    """The ids of all pages, each of which says how many there are in all."""
    ids, path = [], f"/websites?size={PAGE}&{query}"
    while path is not None:
        answer = api.ask("GET", path, token=api.read)
        page = answer.json()
        assert answer.status == 200, page
        ids += [site["id"] for site in page["items"]]
        assert all(f"status={site['state']}" in query for site in page["items"])
        path = f"/websites?size={PAGE}&{query}&cursor={page['next']}" if "next" in page else None
    assert page["total"] == len(ids)
    return ids


def assert_lists_are_right(api, doing):
    said = {row["id"]: row["status"] for row in api.query(
        "SELECT website_id AS id, status FROM site_status JOIN websites USING (website_id) WHERE deleted_at IS NULL")}
    for state in STATES:
        wanted = sorted(i for i, status in said.items() if status == state)
        assert listed(api, f"status={state}") == wanted, doing
    tagged = sorted(i for i, status in said.items() if status == "up" and i % 2)
    assert listed(api, "status=up&tag=odd&sort=-id") == tagged[::-1], doing


class World:
    """What befalls sites at three locations, as the programs write it into the database."""

    def __init__(self, api, rng):
        self.api = api
        self.rng = rng
        self.added = 0
        api.query("INSERT INTO locations (name) VALUES ('a'), ('b'), ('c') RETURNING 1")
        for _ in range(SITES):
            self.add()

    def add(self):
        self.added += 1
        # From 3 * seconds + 60 s on nothing heard is stale: far from the hundreds in which time goes by here.
        site = self.api.post(url=f"https://s{self.added}.example/", seconds=self.rng.choice((60, 300)),
                             quorum=self.rng.choice((1, 2)))
        if site["id"] % 2:
            assert self.api.ask("PATCH", f"/websites/{site['id']}", {"tags": ["odd"]}).status == 200

    def any_site(self):
        return self.rng.choice(self.api.query("SELECT website_id FROM websites WHERE deleted_at IS NULL"))["website_id"]

    def check(self):
        """As a batch has it: when it says the same as the one before nothing but the slot is written."""
        site, location = self.any_site(), self.rng.randint(1, 3)
        status = self.rng.choice(STATES + ("up",) * 4)
        self.api.query("INSERT INTO site_state (website_id, location_id) VALUES (%s, %s) ON CONFLICT DO NOTHING"
                       " RETURNING 1", site, location)
        steady = self.api.query("UPDATE site_state SET last_slot = now() WHERE (website_id, location_id, status, stale)"
                                " = (%s, %s, %s, false) RETURNING 1", site, location, status)
        if not steady:
            self.api.query("UPDATE site_state SET last_slot = now(), status = %s, stale = false"
                           " WHERE (website_id, location_id) = (%s, %s) RETURNING 1", status, site, location)

    def pass_time(self):
        """100 s: all times that are in the database move into the past."""
        self.api.query("UPDATE site_state SET last_slot = last_slot - interval '100 s' RETURNING 1")
        self.api.query("UPDATE site_standing SET lapses_at = lapses_at - interval '100 s' RETURNING 1")
        self.api.query("UPDATE site_standing_look SET taken_at = taken_at - interval '100 s' RETURNING 1")

    def change(self):
        changes = {"quorum": self.rng.choice((1, 2, 3))} if self.rng.random() < 0.5 else {
            "seconds": self.rng.choice((60, 300))}
        assert self.api.ask("PATCH", f"/websites/{self.any_site()}", changes).status == 200

    def replace(self):
        assert self.api.ask("DELETE", f"/websites/{self.any_site()}").status == 204
        self.add()

    def give_up_a_location(self):
        self.api.query("DELETE FROM site_state WHERE location_id = %s RETURNING 1", self.rng.randint(1, 3))

    def change_many(self):
        self.api.query("INSERT INTO site_changes (change) VALUES ('many') RETURNING 1")

    def turn(self):
        self.api.query("SELECT site_standing_turn(%s)", self.rng.choice((2, 1000, 1000)))


def test_sites_of_a_state_are_those_that_the_view_says(api):
    rng = random.Random(7)
    world = World(api, rng)
    assert_lists_are_right(api, "before the first turn")
    kept = 0
    for step in range(100):
        doing = rng.choices((world.check, world.turn, world.pass_time, world.change, world.replace,
                             world.give_up_a_location, world.change_many), (30, 20, 10, 5, 3, 1, 1))[0]
        doing()
        if doing != world.turn:  # several changes between two turns as well
            world.check()
        assert_lists_are_right(api, f"step {step}: {doing.__name__}")
        kept += api.query("SELECT count(*) AS n FROM site_standing WHERE site_standing_holds() AND website_id"
                          " NOT IN (SELECT website_id FROM site_doubts)")[0]["n"]
    assert kept > 100 * SITES / 4  # many were told from what is kept


def test_a_page_of_a_state_reads_a_page(api_database):
    api, sites, asked = api_database, 3000, 100
    api.query("INSERT INTO locations (name) VALUES ('a'), ('b') RETURNING 1")
    api.query("INSERT INTO websites (name, website_url, monitoring_interval, source)"
              " SELECT 'site ' || i, 'https://s' || i || '.example/', 60, 'file' FROM generate_series(1, %s) i RETURNING 1",
              sites)
    api.query("INSERT INTO site_state (website_id, location_id, status, since, last_slot)"
              " SELECT website_id, location_id, CASE WHEN website_id %% 100 = 0 THEN 'down' ELSE 'up' END, now(), now()"
              " FROM websites, locations WHERE website_id < %s RETURNING 1", sites)
    process.wait_for(lambda: api.query("SELECT site_standing_turn(1000) AS n")[0]["n"] == 0, "all sites looked at")
    api.query("ANALYZE")
    api.start()
    for state, total in (("up", 2970), ("down", 29), ("unknown", 1)):
        before = rows_read(api)
        for _ in range(asked):
            page = api.ask("GET", f"/websites?status={state}").json()
            assert page["total"] == total and len(page["items"]) == min(total, 50)
        process.wait_for(lambda seen=before: rows_read(api)["site_standing"] > seen["site_standing"], "its reads")
        # Two rows of a site of the page. The states of all sites are read every 5 s, for /events.
        assert rows_read(api)["site_state"] - before["site_state"] < asked * 2 * sites / 10, state


def rows_read(api):
    """By table. A session tells what it has read when it has done a statement, once a second."""
    assert api.ask("GET", "/readyz").status == 200
    return {row["relname"]: row["rows"] for row in api.query(
        "SELECT relname, seq_tup_read + coalesce(idx_tup_fetch, 0) AS rows FROM pg_stat_user_tables"
        " WHERE relname IN ('site_state', 'site_standing')")}
