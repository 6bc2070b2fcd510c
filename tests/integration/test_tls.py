"""Sessions of TLS sites: resumed when a site asks for it, and never otherwise."""

import pytest

from stand import events, process, sites


@pytest.fixture
def site(certs):
    server = sites.TlsSite(certs, "good")
    yield server
    server.close()


def checks(programs, tmp_path, certs, server, more, count):
    path = tmp_path / "sites.conf"
    path.write_text(f'targets = ({{ name = "s"; url = "{server.url()}"; seconds = 1; '
                    f'ca_file = "{certs}/ca.pem"; {more} }});')
    producer = programs("producer", "--targets-file", path, "--output", "json")
    process.wait_for(lambda: len(producer.events()) >= count, f"{count} events", 60)
    producer.terminate()
    return producer.events()


def test_a_site_that_resumes_makes_one_full_handshake(programs, tmp_path, certs, site):
    seen = checks(programs, tmp_path, certs, site, "tls_resume = true;", 4)
    hits = site.server.context.session_stats()["hits"]
    assert hits >= len(seen) - 1 >= 3
    for event in seen:
        events.check(event)
        assert event["status"] == "up"
    # A resumed handshake shows no certificate; what the full one showed is known still.
    assert len({event["tls"]["not_after"] for event in seen}) == 1


def test_a_site_makes_full_handshakes_unless_it_asks_otherwise(programs, tmp_path, certs, site):
    seen = checks(programs, tmp_path, certs, site, "", 3)
    assert all(event["status"] == "up" for event in seen)
    assert site.server.context.session_stats()["hits"] == 0
    assert site.server.context.session_stats()["accept_good"] >= len(seen)
