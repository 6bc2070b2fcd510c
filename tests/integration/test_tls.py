"""TLS sites: sessions, resumed when a site asks for it and never otherwise; a certificate of ours that is missing."""

import json
import socket
import ssl
import threading

import pytest

from stand import events, process, sites, sitewatch


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


def test_a_client_certificate_that_is_missing_is_the_handshakes_failure(certs):
    """With TLS 1.3 too, where the server says so when the client has done its part."""
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certs / "good.pem", certs / "good.key")
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certs / "ca.pem")
        context.minimum_version = context.maximum_version = version
        with socket.create_server(("127.0.0.1", 0)) as listener:
            def refuse(listener=listener, context=context):
                connection, _ = listener.accept()
                with connection.dup() as held:  # closed at once it could be reset before it is read
                    with pytest.raises(ssl.SSLError):
                        context.wrap_socket(connection, server_side=True)
                    while held.recv(4096):
                        pass

            server = threading.Thread(target=refuse)
            server.start()
            done = sitewatch.run("producer", "--once", "--output", "json", "--url",
                                 f"https://127.0.0.1:{listener.getsockname()[1]}/",
                                 env={"SSL_CERT_FILE": str(certs / "ca.pem")})
            server.join()
        event = json.loads(done.stdout)
        events.check(event)
        assert event["error"]["type"] == "tls_failure" and event["error"]["phase"] == "tls", event
        assert "alert" in event["error"]["message"], event
