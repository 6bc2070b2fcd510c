"""The api's own role in Postgres: enough for every route, and not enough to write checks."""

import psycopg2
import pytest

from stand import postgres as postgres_module
from stand import process, schema, sitewatch

# What a route needs besides the id of a site; what is not here is asked for without.
QUERIES = {"/monitoring": "?url=https://example.com/", "/website": "?keyword=a"}
BODIES = {("post", "/websites"): {"url": "https://other.example/"},
          ("post", "/websites/import"): {"items": [{"url": "https://imported.example/"}]},
          ("put", "/websites"): {"url": "https://example.com/", "seconds": 30},
          ("put", "/websites/{id}"): {"url": "https://example.com/"},
          ("patch", "/websites/{id}"): {"seconds": 50}}
ENDLESS = ("/events",)
LAST = {"get": 0, "post": 1, "put": 2, "patch": 3, "delete": 4}


@pytest.fixture
def login(api_database, postgres):
    """A DSN as a role that is a member of sitewatch_api and nothing else."""
    name = f"login_{api_database.database}"
    postgres.query("postgres", f'CREATE ROLE "{name}" LOGIN IN ROLE sitewatch_api')
    yield api_database.env["POSTGRES_DSN"].replace("user=postgres", f"user={name}")
    api_database.programs.close()
    postgres.query("postgres", f'DROP ROLE "{name}"')


def test_every_route_works_as_the_api_s_own_role(api_database, login):
    api = api_database.start("--api-public-tag", "a", POSTGRES_DSN=login)
    assert schema.fill(api)["id"] == 1
    described = api.ask("GET", "/openapi.json").json()["paths"]
    operations = sorted(((m, p) for p, methods in described.items() for m in methods), key=lambda o: LAST[o[0]])
    assert len(operations) >= 20
    for method, path in operations:
        asked = path.replace("{id}", "1") + QUERIES.get(path, "")
        asks = "HEAD" if path in ENDLESS else method.upper()
        answer = api.ask(asks, asked, BODIES.get((method, path)))
        assert answer.status < 300, (method, path, answer.status, answer.body)
    assert api.ask("GET", "/websites?status=up").status == 200  # from tables of its own
    with_key = {"Idempotency-Key": "k"}
    assert api.ask("POST", "/websites", {"url": "https://k.example/"}, headers=with_key).status == 201
    assert not api.program.has_line("may write checks")
    made = sitewatch.run("api", "token", "create", "--owner", "role", env={"POSTGRES_DSN": login})
    assert made.returncode == 0, made.stderr
    number = made.stdout.split("_")[1]
    assert sitewatch.run("api", "token", "revoke", number, env={"POSTGRES_DSN": login}).returncode == 0


@pytest.mark.parametrize("statement", [
    "INSERT INTO checks (website_id, slot) VALUES (1, now())", "UPDATE checks SET status = 'up'",
    "DELETE FROM checks", "TRUNCATE checks", "DELETE FROM websites", "UPDATE site_state SET status = 'up'",
    "DELETE FROM incidents", "DELETE FROM kafka_offsets", "UPDATE dead_letters SET reason = 'x'", "INSERT INTO site_changes (change) VALUES ('many')",
    "DELETE FROM site_outbox", "UPDATE schema_migrations SET name = 'x'", "CREATE TABLE mine ()",
    "SELECT rollups_turn(1, '0')",
])
def test_it_can_write_nothing_but_sites_and_tokens(api_database, login, statement):
    connection = psycopg2.connect(login)
    try:
        with connection.cursor() as cursor, pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute(statement)
    finally:
        connection.close()


def test_another_role_that_may_write_checks_is_told_of_the_api_s_own(api_database):
    api = api_database.start()
    noted = api.program.wait_for_line("may write checks")
    assert "level=info" in noted and "IN ROLE sitewatch_api" in noted
    open_to_all = api_database.programs("api", "--listen", "0.0.0.0:0", env=api_database.env)
    assert "level=warn" in open_to_all.wait_for_line("may write checks")


def test_who_may_make_no_roles_migrates_all_the_same_and_grants_later(programs):
    server = postgres_module.Postgres()
    try:
        server.query("postgres", "CREATE ROLE plain LOGIN")
        server.query("postgres", "CREATE DATABASE sites OWNER plain")
        env = {"POSTGRES_DSN": server.dsn("sites").replace("user=postgres", "user=plain")}
        done = sitewatch.run("consumer", "migrate", env=env)
        assert done.returncode == 0, done.stderr
        assert "level=warn" in done.stderr and "SELECT api_role_grant()" in done.stderr
        server.query("postgres", "CREATE ROLE sitewatch_api NOLOGIN")
        assert sitewatch.run("consumer", "migrate", env=env).stdout == "database is up to date\n"
        connection = psycopg2.connect(env["POSTGRES_DSN"])
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT api_role_grant(); CREATE TABLE later ();"
                           " SELECT has_table_privilege('sitewatch_api', t, r) FROM (VALUES ('websites', 'INSERT'),"
                           " ('checks', 'SELECT'), ('later', 'SELECT'), ('checks', 'INSERT'), ('later', 'INSERT'))"
                           " AS v (t, r)")
            assert [row[0] for row in cursor.fetchall()] == [True, True, True, False, False]
        connection.close()
    finally:
        server.close()


def test_databases_of_one_cluster_share_the_role(postgres):
    names = ["role_one", "role_two"]
    try:
        started = [process.start([sitewatch.binary("consumer"), "migrate"],
                                 env=process.clean_environment(POSTGRES_DSN=postgres.dsn(n))) for n in names]
        assert [p.wait(60) for p in started] == [0, 0]
        for name in names:
            assert postgres.query(name, "SELECT has_table_privilege('sitewatch_api', 'websites', 'INSERT') AS may"
                                  )[0]["may"]
    finally:
        for name in names:
            postgres.query("postgres", f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def test_the_figures_of_all_sites_are_made_as_the_api_s_own_role(api_database, login):
    api = api_database.start(POSTGRES_DSN=login)
    api.post(url="https://example.com/")
    process.wait_for(lambda: "figures_at" in api.ask("GET", "/overview").json(), "figures", 30)
