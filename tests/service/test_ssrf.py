# SPDX-License-Identifier: MIT
"""The service connects to addresses for its clients: webhooks and source URLs. It must never
connect to the operator's network unless that is allowed.

Tests with names run the service in a network in which every address is reachable, so that an
address that was not reached was refused.
"""
import json
import socket
import time

import pytest

from conftest import KEY, Service, environment, free_port, wait_until
from network import Names, Sink, in_a_network_of_its_own
from test_operation import refuses_to_start

PUBLIC, METADATA = "93.184.216.34", "169.254.169.254"

# Hosts of URLs that are not public addresses.
PRIVATE = [
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1",
    METADATA, "169.254.0.1", "100.64.0.1", "100.127.255.255", "168.63.129.16", "192.0.0.192", "192.0.2.1", "192.88.99.1", "198.18.0.1",
    "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "[::]", "[::1]", "[fe80::1]", "[fc00::1]", "[fd00:ec2::254]", "[ff02::1]", "[fec0::1]", "[100::1]",
    "[::ffff:127.0.0.1]", "[::ffff:10.0.0.1]", "[::ffff:a9fe:a9fe]", "[::ffff:0:127.0.0.1]", "[::127.0.0.1]", "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::10.0.0.1]", "[2001::1]", "[2001:db8::1]", "[2002:7f00:1::]", "[2002:a9fe:a9fe::1]", "[3fff::1]",
]
# The same addresses in other forms: number, octal, hexadecimal, short, full width, encoded.
DISGUISED = ["2130706433", "0x7f000001", "017700000001", "0177.0.0.1", "0x7f.0x0.0x0.0x1", "127.1", "127.0.1", "0", "2852039166",
             "169.254.43518", "%31%32%37.0.0.1", "127.0.0.1%00.example.org", "[0:0:0:0:0:0:0:1]",
             "[0000:0000:0000:0000:0000:ffff:7f00:0001]", "[::ffff:7f00:1]", "\uff11\uff12\uff17.0.0.1", "\u2460\u2461\u2466.0.0.1"]
NO_HOSTS = ["http://93.184.216.34/", "ftp://93.184.216.34/", "file:///etc/passwd", "gopher://127.0.0.1:6379/_INFO", "dict://127.0.0.1:11211/stat",
            "https://user:password@93.184.216.34/", "https://93.184.216.34\\@127.0.0.1/", "https://127.0.0.1#@93.184.216.34/",
            "https://[fe80::1%25lo]/", "https://", "//127.0.0.1/", "https://127.0.0.1\t.example.org/",
            "https://a b/", "unix:///run/x", "https://93.184.216.34:0x50/", "https://93.184.216.34:99999/", "javascript:alert(1)"]


def webhook(service, url, song):
    return service.post("/v1/jobs", {"webhook_url": url}, file=song)


def source(service, url, _song=None):
    return service.post_json("/v1/jobs", {"source_url": url})


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ssrf")
    service = Service(folder, {"PORT": free_port(), "DATA_DIR": folder / "data", "API_KEY": KEY, "MIN_FREE_DISK_MB": 64,
                               "RATE_PER_MINUTE": 100000}).start()
    yield service
    assert service.stop() == 0 and service.leftovers() == []


@pytest.mark.parametrize("url", [f"https://{host}/latest/meta-data" for host in PRIVATE + DISGUISED] + NO_HOSTS, ids=ascii)
@pytest.mark.parametrize("submit", [webhook, source])
def test_urls_that_show_it(service, song, submit, url):
    answer = submit(service, url, song)
    code = {webhook: "invalid", source: "source-refused"}[submit]
    assert (answer.status, answer.problem(), answer.json()["field"]) == (422, code, f"{submit.__name__}_url"), answer


def names_of(addresses):
    return {f"name{n}.example.org": [[address.strip("[]")]] for n, address in enumerate(addresses)}


@in_a_network_of_its_own
def test_names_of_private_addresses(serve, song, tmp_path):
    names, sink = Names(), Sink(80, 443)
    hosts = [host for host in PRIVATE if host not in ("255.255.255.255", "224.0.0.1", "239.255.255.255")]
    names.names = names_of(hosts)
    service = serve(WEBHOOK_ATTEMPTS=1)
    service.separate(song)
    for name in [*names.names, "localhost"]:
        assert webhook(service, f"https://{name}/", song).status == 202
        answer = source(service, f"https://{name}/song.wav")
        assert 400 <= answer.status < 500 and "not public" in answer.json()["detail"], answer
        assert answer.json()["field"] == "source_url"
        unknown = source(service, "https://unknown.example.org/song.wav")
        assert {**answer.json(), "request_id": ""} == {**unknown.json(), "request_id": ""}, "no answer reveals which names exist inside"
    wait_until(lambda: service.metric('spleeter_webhooks_total{outcome="dead"}') == len(hosts) + 1, what="all refusals")
    assert set(names.asked) == set(names.names), "each was resolved"
    assert sink.reached == [] and service.metric('spleeter_webhooks_total{outcome="delivered"}') == 0
    # The network is not the reason: a public address is reached, which has no certificate here.
    names.names["public.example.org"] = [[PUBLIC]]
    webhook(service, "https://public.example.org/", song)
    wait_until(lambda: sink.reached == [PUBLIC], what="a connection to a public address")
    names.close()
    sink.close()


@in_a_network_of_its_own
def test_rebinding(serve, song, tmp_path):
    """One name is public at the first lookup and private afterwards; the other is both at once."""
    names, sink = Names(), Sink(443)
    service = serve(WEBHOOK_ATTEMPTS=3)
    service.separate(song)
    names.names = {"rebinds.example.org": [[PUBLIC], [METADATA], ["127.0.0.1"]], "both.example.org": [[METADATA, PUBLIC, "::1"]]}
    for name in list(names.names):
        webhook(service, f"https://{name}/", song)
    wait_until(lambda: names.asked.count("rebinds.example.org") >= 2 and names.asked.count("both.example.org") >= 2, timeout=120,
               what="second tries")
    wait_until(lambda: service.metric('spleeter_webhooks_total{outcome="retried"}') >= 4, what="the end of the second tries")
    assert set(sink.reached) == {PUBLIC}
    names.close()
    sink.close()


@in_a_network_of_its_own
def test_what_the_operator_allows(serve, song, tmp_path):
    names, sink = Names(), Sink(80)
    service = serve(WEBHOOK_ALLOW="10.1.2.0/24, fd12::/16", SOURCE_ALLOW="192.168.7.0/24", WEBHOOK_ATTEMPTS=1)
    service.separate(song)
    names.names = {"inside.example.org": [["10.1.2.9"]], "outside.example.org": [["10.1.3.9"]], "both.example.org": [["10.1.3.8", "10.1.2.8"]]}
    wav = b"HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(song) + song
    sink.answer = lambda host: wav if host.startswith("192.168.7.") else b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    for url in ("http://10.1.2.3/", "http://[fd12::5]/", "http://[::ffff:10.1.2.4]/", "http://inside.example.org/", "http://both.example.org/"):
        assert webhook(service, url, song).status == 202, url
    wait_until(lambda: service.metric('spleeter_webhooks_total{outcome="delivered"}') == 5, what="five deliveries")
    assert sorted(sink.reached) == ["10.1.2.3", "10.1.2.4", "10.1.2.8", "10.1.2.9", "fd12::5"]
    # The two lists are separate, and http is for allowed addresses only.
    for url in ("http://192.168.7.1/", "http://10.1.3.3/", f"http://{PUBLIC}/", "http://127.0.0.1/", "https://127.0.0.1/"):
        assert webhook(service, url, song).status == 422, url
    assert source(service, "http://10.1.2.3/song.wav").status == 422
    webhook(service, "http://outside.example.org/", song)
    wait_until(lambda: service.metric('spleeter_webhooks_total{outcome="dead"}') == 1, what="a refusal")
    assert len(sink.reached) == 5
    answer = source(service, "http://192.168.7.1/song.wav")
    assert answer.status == 202 and service.wait(answer.json()["id"])["status"] == "succeeded"
    assert sink.reached[5:] == ["192.168.7.1"]
    names.close()
    sink.close()


@in_a_network_of_its_own
def test_lookups_delay_nothing(serve, tmp_path):
    """If a name server does not answer, neither the end of a fetch nor a stop of the service waits
    for the time-out of the resolver."""
    patience_s = 30
    with (tmp_path / "resolv.conf").open("a") as settings:
        settings.write(f"options timeout:{patience_s} attempts:1\n")
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind(("127.0.0.1", 53))
    service = serve()
    body = json.dumps({"source_url": "https://slow.example.org/song.wav"})

    def fetch():
        client = socket.create_connection(("127.0.0.1", service.port))
        client.sendall(f"POST /v1/jobs HTTP/1.1\r\nHost: a\r\nX-API-KEY: {KEY}\r\nContent-Type: application/json\r\n"
                       f"Content-Length: {len(body)}\r\n\r\n{body}".encode())
        silent.recvfrom(512)
        return client

    fetch().close()
    started = time.monotonic()
    wait_until(lambda: any("client has disconnected" in (line["detail"] or "") for line in service.log("http.request")), what="the end of the fetch")
    assert time.monotonic() - started < patience_s / 2
    client = fetch()
    started = time.monotonic()
    assert service.stop() == 0 and time.monotonic() - started < patience_s / 2
    client.close()
    silent.close()


@in_a_network_of_its_own
def test_redirects_lead_nowhere(serve, song, tmp_path):
    sink = Sink(80)
    service = serve(WEBHOOK_ALLOW="10.1.2.0/24", SOURCE_ALLOW="10.1.2.0/24", WEBHOOK_ATTEMPTS=1)
    sink.answer = lambda host: b"HTTP/1.1 307 Away\r\nLocation: http://%s/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % METADATA.encode()
    webhook(service, "http://10.1.2.3/", song)
    answer = source(service, "http://10.1.2.4/song.wav")
    assert 400 <= answer.status < 500 and "307" in answer.json()["detail"]
    wait_until(lambda: service.metric('spleeter_webhooks_total{outcome="dead"}') == 1, what="the end")
    assert sorted(sink.reached) == ["10.1.2.3", "10.1.2.4"]
    sink.close()


@pytest.mark.parametrize("text", [
    b"X: " + b"x" * 300000,
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: x\r\n" * 100000 + b"\r\n",
], ids=["line", "trailers"])
@in_a_network_of_its_own
def test_headers_without_end(serve, tmp_path, text):
    """The error is attributed to the other host, not to a lack of memory here."""
    sink = Sink(80)
    service = serve(SOURCE_ALLOW="10.1.2.0/24")
    sink.answer = lambda host: b"HTTP/1.1 200 OK\r\n" + text
    answer = source(service, "http://10.1.2.4/song.wav")
    assert answer.status == 422 and answer.problem() == "source-refused", answer
    assert service.log("source.refused")[-1]["error"] == "the answer's headers are too long"
    sink.close()


@pytest.mark.parametrize("coding", ["gzip, chunked", "gzip", "deflate"])
@in_a_network_of_its_own
def test_compressed_transfer_codings(serve, tmp_path, coding):
    """libcurl decodes them unasked, and no timeout or cancel ends that."""
    sink = Sink(80)
    service = serve(SOURCE_ALLOW="10.1.2.0/24")
    sink.answer = lambda host: f"HTTP/1.1 200 OK\r\nTransfer-Encoding: {coding}\r\n\r\n".encode() + b"x" * 1000
    answer = source(service, "http://10.1.2.4/song.wav")
    assert answer.status == 422 and answer.problem() == "source-refused", answer
    assert "transfer coding" in service.log("source.refused")[-1]["error"]
    sink.close()


@in_a_network_of_its_own
def test_proxies_of_the_environment_are_not_used(serve, song, tmp_path, monkeypatch):
    """A proxy would connect to any address on the service's behalf."""
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://10.9.9.9:80")
    assert "http_proxy" in environment()
    sink = Sink(80)
    service = serve(WEBHOOK_ALLOW="10.1.2.0/24")
    webhook(service, "http://10.1.2.3/", song)
    wait_until(lambda: service.metric('spleeter_webhooks_total{outcome="delivered"}') == 1, what="the delivery")
    assert sink.reached == ["10.1.2.3"]
    sink.close()


@pytest.mark.parametrize("list", ["10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "internal", "10.0.0.0-10.0.0.9", "::/129", "*"])
def test_lists_that_are_wrong(tmp_path, list):
    assert "SPLEETER_WEBHOOK_ALLOW" in refuses_to_start(tmp_path, API_KEY=KEY, WEBHOOK_ALLOW=list)
