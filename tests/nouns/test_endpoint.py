"""Which URLs a backend may have, and what is made of them."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.endpoint import Endpoint, parse_endpoint
from modelctl.errors import InvalidInput

SECRET = "s3cr3t-pa55"  # noqa: S105 - not one


@pytest.mark.parametrize(
    ("url", "endpoint", "text", "authority"),
    [
        ("http://model:8001", Endpoint("http", "model", 8001, ""), "http://model:8001", "model:8001"),
        ("http://model", Endpoint("http", "model", 80, ""), "http://model:80", "model"),
        ("https://model/", Endpoint("https", "model", 443, ""), "https://model:443", "model"),
        ("https://model:80", Endpoint("https", "model", 80, ""), "https://model:80", "model:80"),
        ("http://model:/", Endpoint("http", "model", 80, ""), "http://model:80", "model"),
        ("HTTP://Fraud-V7.Models.Internal:08001", Endpoint("http", "fraud-v7.models.internal", 8001, ""), None, None),
        ("http://my_model:1", Endpoint("http", "my_model", 1, ""), "http://my_model:1", "my_model:1"),
        ("http://model.:8001", Endpoint("http", "model.", 8001, ""), "http://model.:8001", "model.:8001"),
        ("http://127.0.0.1:8001", Endpoint("http", "127.0.0.1", 8001, ""), "http://127.0.0.1:8001", "127.0.0.1:8001"),
        ("http://127.0.0.1.:8001", Endpoint("http", "127.0.0.1", 8001, ""), "http://127.0.0.1:8001", "127.0.0.1:8001"),
        ("http://10.1.2.3/v1/", Endpoint("http", "10.1.2.3", 80, "/v1"), "http://10.1.2.3:80/v1", "10.1.2.3"),
        ("http://[::1]:8001", Endpoint("http", "::1", 8001, ""), "http://[::1]:8001", "[::1]:8001"),
        (
            "http://[2001:DB8:0:0:0:0:0:1]/m",
            Endpoint("http", "2001:db8::1", 80, "/m"),
            "http://[2001:db8::1]:80/m",
            "[2001:db8::1]",
        ),
        ("http://[::ffff:10.0.0.1]:9", Endpoint("http", "::ffff:a00:1", 9, ""), "http://[::ffff:a00:1]:9", "[::ffff:a00:1]:9"),
        ("http://m/v2/models/a@1,b;c=%20", Endpoint("http", "m", 80, "/v2/models/a@1,b;c=%20"), None, None),
    ],
)
def test_an_endpoint_has_one_spelling(url: str, endpoint: Endpoint, *, text: str | None, authority: str | None) -> None:
    assert parse_endpoint(url) == endpoint
    assert text in (None, str(endpoint))
    assert authority in (None, endpoint.authority)


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/",
        "http://169.254.169.254./",
        "http://169.254.0.1:8001",
        "http://[::ffff:169.254.169.254]/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://[0:0:0:0:0:FFFF:A9FE:A9FE]/",
        "http://[::169.254.169.254]/",
        "http://[64:ff9b::169.254.169.254]/",
        "http://[2002:a9fe:a9fe::1]/",
        "http://[fe80::1]:8001",
        "http://[fd00:ec2::254]/",
        "http://[fd00:0ec2:0:0:0:0:0:0254]/",
        "http://0.0.0.0:8001",
        "http://[::]:8001",
        "http://224.0.0.1:8001",
        "http://[ff02::1]:8001",
        "http://[::ffff:0.0.0.0]:8001",
    ],
)
def test_an_address_where_no_model_server_listens_is_refused_in_every_spelling(url: str) -> None:
    with pytest.raises(InvalidInput, match="a model server never listens there"):
        parse_endpoint(url)


@pytest.mark.parametrize(
    "host",
    [
        *("2852039166", "0xA9FEA9FE", "0xa9.0xfe.0xa9.0xfe", "0251.0376.0251.0376", "169.254.43518", "127.1", "0", "0x"),
        *("010.0.0.1", "1.2.3.4.5", "256.1.1.1", "1.2.3", "169.254.169.254.."),
        *(".", "..", "a..b", "model..", "-model", "model$", "h%41", "%31", "a,b", "a" * 64, ".".join(["a"] * 130)),
    ],
)
def test_a_host_in_an_unusual_spelling_is_refused(host: str) -> None:
    with pytest.raises(InvalidInput, match="neither a host name nor an IP address in its usual spelling"):
        parse_endpoint(f"http://{host}/")


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://[::1",
            "http://::1]/",
            "http://[1:2]:80:90/",
            "http://[::1]x/",
            "http://x[::1]/",
            "http://[v1.x]/",
            "http://[127.0.0.1]/",
        ),
        *("http://[fd00:ec2::254%25eth0]/", "http://[fd00:ec2::254%1]/", "http://[2001:db8::1%x]/"),
        *(
            "http://model:65536",
            "http://model:99999999999",
            "http://model:-1",
            "http://model:+80",
            "http://model:http",
            "http://model:8 0",
        ),
        *(" http://model", "http://model ", "http://mo\ndel", "http://model\t:80", "http://model/\r\nhost: x", "http://mo\0del"),
        *("http://m\u00f6del/", "http://\u017ferver/", "http://mode\u2113/", "http://1\uff0e2.3.4/", "http://model/\u00fc"),
    ],
)
def test_what_is_no_url_of_visible_ascii_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="is a URL of visible ASCII"):
        parse_endpoint(url)


@pytest.mark.parametrize(
    "url",
    [
        *("file:///etc/passwd", "gopher://model/", "ftp://model/", "unixx:/run/model.sock", "javascript:alert(1)", "httpx://model"),
        *("", "model", "model:8001", "127.0.0.1:8001", "//model/", "http:", "http:/model", "http:///path", "https://"),
    ],
)
def test_only_http_and_https_are_spoken(url: str) -> None:
    with pytest.raises(InvalidInput, match="starts with http:// or https://"):
        parse_endpoint(url)


def test_port_zero_is_refused() -> None:
    with pytest.raises(InvalidInput, match="cannot have port 0"):
        parse_endpoint("http://model:0")


@pytest.mark.parametrize("url", ["http://m/?", "http://m?a=1", "http://m/p?a", "http://m/#", "http://m#top", "http://m/p#a?b"])
def test_a_query_or_fragment_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="no query and no fragment"):
        parse_endpoint(url)


@pytest.mark.parametrize(
    "path", ["//", "/a//b", "/.", "/..", "/a/../b", "/a/./b", "/.git", "/%2e%2e/a", "/a%2Fb", "/a%5cb", "/a\\b"]
)
def test_a_path_that_servers_read_differently_is_refused(path: str) -> None:
    with pytest.raises(InvalidInput, match="the path of an endpoint"):
        parse_endpoint(f"http://model{path}")


@pytest.mark.parametrize(
    "url", ["http://user:pw@host/", "http://user@host", "http://@host", "http://:@host", "http://127.0.0.1\\@host/"]
)
def test_credentials_are_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="must not carry a user name or password"):
        parse_endpoint(url)


@pytest.mark.parametrize(
    "url",
    [
        *(
            f"http://user:{SECRET}@host/",
            f"http://{SECRET}@host/",
            f"http://user:{SECRET}@host:x/",
            f"http://user:{SECRET}@host:99999/",
        ),
        *(
            f"http://user:{SECRET}/x@host/",
            f"http://user:{SECRET}?x@host/",
            f"http://user:{SECRET}#x@host/",
            f"user:{SECRET}@host:80",
        ),
        *(
            f"http://user:{SECRET}@ho\u2100st/",
            f"http://user:{SECRET}@[bad/",
            f"http://user:{SECRET}@[::1/",
            f"http:user:{SECRET}@host",
        ),
        *(f"http://user:{SECRET}@169.254.169.254/", f"http://user:1/{SECRET}//@host/", f"http://user:1/{SECRET}?@host/"),
        *(f"ftp://user:{SECRET}@host/", f"{SECRET}://user@host/", f"http://user:{SECRET}@host /", f"https://user:{SECRET}@"),
    ],
)
def test_a_refusal_never_repeats_a_password(url: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_endpoint(url)
    cause = refused.value.__cause__
    assert SECRET not in str(refused.value)
    assert cause is None or SECRET not in str(cause)


@given(st.text() | st.text(st.sampled_from("htps:/@[]%?#.0123456789abcdefx\\ "), max_size=40).map("http://".__add__))
def test_any_text_is_an_endpoint_or_is_refused(text: str) -> None:
    try:
        endpoint = parse_endpoint(text)
    except InvalidInput:
        return
    assert parse_endpoint(str(endpoint)) == endpoint
    assert str(endpoint).isascii()
    assert 1 <= endpoint.port <= 65_535
    assert "@" not in endpoint.authority


@given(st.ip_addresses(v=6), st.integers(1, 65_535))
def test_every_ipv6_address_is_written_in_its_canonical_form(address: IPv4Address | IPv6Address, port: int) -> None:
    try:
        short = parse_endpoint(f"http://[{address.exploded.upper()}]:{port}")
    except InvalidInput:
        with pytest.raises(InvalidInput):
            parse_endpoint(f"http://[{address}]:{port}")
        return
    assert short.host == str(address)
    assert short == parse_endpoint(f"http://[{address}]:{port}")


def test_a_unix_socket_is_an_endpoint() -> None:
    endpoint = parse_endpoint("unix:/run/model.sock")
    assert (endpoint.socket, endpoint.authority, str(endpoint)) == ("/run/model.sock", "localhost", "unix:/run/model.sock")


@pytest.mark.parametrize(
    "url", ["unix:", "unix:model.sock", "unix:/", "unix:/run/../model.sock", "unix://host/x", "unix:/run/ m", "unix:/run/"]
)
def test_a_unix_socket_needs_a_plain_absolute_path(url: str) -> None:
    with pytest.raises(InvalidInput, match="a Unix socket is unix:"):
        parse_endpoint(url)
