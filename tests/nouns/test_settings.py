"""The settings of a process: where they come from, and every fault in one message."""

from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.errors import InvalidSettings
from modelctl.log_line import LogFormat
from modelctl.settings import PREFIX, Address, Settings, parse_address, parse_listen, read_settings

KEY = "0123456789abcdef"


def faults(environment: dict[str, str], **options: str | None) -> tuple[str, ...]:
    with pytest.raises(InvalidSettings) as refused:
        read_settings(environment, options)
    assert str(refused.value) == "; ".join(refused.value.faults)
    return refused.value.faults


def test_nothing_given_means_the_defaults() -> None:
    assert read_settings({}, {}) == Settings()
    assert read_settings({"PATH": "/bin", "XMODELCTL_WORKERS": "2"}, {"workers": None, "listen": None}) == Settings()


GIVEN: tuple[tuple[str, str, object], ...] = (
    ("listen", "0.0.0.0:80", Address("0.0.0.0", 80)),
    ("listen", "unix:/run/model-ctl/r.sock", Address("", 0, "/run/model-ctl/r.sock")),
    ("control", "[::1]:0", Address("::1", 0)),
    ("workers", "64", 64),
    ("data_dir", "/var/lib/modelctl", Path("/var/lib/modelctl")),
    ("database", "sqlite:////srv/m.db", "sqlite:////srv/m.db"),
    ("database", "postgresql://m@db/m", "postgresql+psycopg://m@db/m"),
    ("database", "postgresql+psycopg://m@db/m", "postgresql+psycopg://m@db/m"),
    ("database", "", ""),
    ("key", KEY, KEY),
    ("trusted_proxies", "10.0.0.0/8, 192.0.2.1,2001:DB8::/32,", ("10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32")),
    ("trusted_proxies", "", ()),
    ("trusted_proxies", "unix, ::1", ("unix", "::1/128")),
    ("backend_networks", "10.0.0.0/8,unix", ("10.0.0.0/8", "unix")),
    ("tls_certificate", "", ""),
    ("tls_key", "", ""),
    ("tls_client_ca", "", ""),
    ("header_timeout", "0.1", 0.1),
    ("idle_timeout", "86400", 86_400.0),
    ("body_timeout", "2.500000", 2.5),
    ("drain_timeout", "0", 0.0),
    ("max_head_bytes", "1024", 1_024),
    ("max_fields", "8", 8),
    ("max_body_bytes", "0", 0),
    ("max_connections", "1", 1),
    ("max_inflight", "1", 1),
    ("max_memory_bytes", "0", 0),
    ("max_memory_bytes", "67108864", 67_108_864),
    ("spool_buffer_bytes", "65536", 65_536),
    ("spool_max_bytes", "1048576", 1_048_576),
    ("spool_mode", "sync", "sync"),
    ("spool_fsync", "batch", "batch"),
    ("otlp_endpoint", "http://127.0.0.1:4318", "http://127.0.0.1:4318"),
    ("trace_ratio", "0.01", 0.01),
    ("log_format", "json", LogFormat.JSON),
)


@pytest.mark.parametrize(("name", "text", "value"), GIVEN)
def test_every_setting_can_be_given_both_ways_and_the_option_wins(name: str, text: str, *, value: object) -> None:
    variable = PREFIX + name.upper()
    assert getattr(read_settings({variable: text}, {}), name) == value
    assert getattr(read_settings({}, {name: text}), name) == value
    assert getattr(read_settings({variable: "\N{SNOWMAN}"}, {name: text}), name) == value


def test_no_setting_is_left_out_above() -> None:
    assert {name for name, _, _ in GIVEN} == {field.name for field in msgspec.structs.fields(Settings)}


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [
        ("workers", ("1", "64"), ("0", "65")),
        ("header_timeout", ("0.1", "600"), ("0.099999", "600.000001")),
        ("idle_timeout", ("0.1", "86400"), ("0", "86400.5")),
        ("body_timeout", ("0.1", "86400"), ("0.0", "86401")),
        ("drain_timeout", ("0", "3600"), ("3600.000001",)),
        ("max_head_bytes", ("1024", "1048576"), ("1023", "1048577")),
        ("max_fields", ("8", "10000"), ("7", "10001")),
        ("max_body_bytes", ("0", "1125899906842624"), ("1125899906842625",)),
        ("max_connections", ("1", "1000000"), ("0", "1000001")),
        ("max_inflight", ("1", "1000000"), ("0", "1000001")),
        ("max_memory_bytes", ("0", "1125899906842624"), ("1125899906842625",)),
        ("spool_buffer_bytes", ("65536", "17179869184"), ("65535", "17179869185")),
        ("spool_max_bytes", ("1048576", "1125899906842624"), ("1048575", "999999999999999999")),
    ],
)
def test_a_number_may_be_at_the_ends_of_its_range_and_not_beyond(
    name: str, inside: tuple[str, ...], *, outside: tuple[str, ...]
) -> None:
    variable = PREFIX + name.upper()
    for text in inside:
        assert getattr(read_settings({variable: text}, {}), name) == float(text)
    for text in outside:
        (fault,) = faults({variable: text})
        assert fault.startswith(f"{variable}: {text} is out of range: from ")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("workers", "two", "'two' is not a whole number"),
        ("workers", "-1", "'-1' is not a whole number"),
        ("workers", "1.0", "'1.0' is not a whole number"),
        ("workers", "", "'' is not a whole number"),
        ("workers", "\u0661", "is not a whole number"),
        ("idle_timeout", "1e3", "'1e3' is not a number of seconds"),
        ("idle_timeout", "nan", "'nan' is not a number of seconds"),
        ("idle_timeout", ".5", "'.5' is not a number of seconds"),
        ("listen", "8080", "'8080' is not HOST:PORT"),
        ("listen", ":8080", "':8080' is not HOST:PORT"),
        ("listen", "127.0.0.1:65536", "with a port up to 65535"),
        ("listen", "::1:8080", "'::1:8080' is not HOST:PORT"),
        ("listen", "[127.0.0.1]:80", "127.0.0.1"),
        ("listen", "[1:2]:80", "1:2"),
        ("listen", "http://127.0.0.1:80", "is not HOST:PORT"),
        ("data_dir", "", "it is empty: name a folder"),
        ("database", "mysql://user:secret@db/m", "it must start with sqlite:/// or postgresql://"),
        ("database", "m.db", "it must start with sqlite:/// or postgresql://"),
        ("trusted_proxies", "10.0.0.1/8", "10.0.0.1/8 has host bits set"),
        ("trusted_proxies", "proxy.internal", "'proxy.internal' does not appear to be an IPv4 or IPv6 network"),
    ],
)
def test_a_value_that_cannot_be_read_is_named_with_its_source(name: str, text: str, *, words: str) -> None:
    (by_variable,) = faults({PREFIX + name.upper(): text})
    assert by_variable.startswith(f"{PREFIX}{name.upper()}: ")
    assert words in by_variable
    (by_option,) = faults({}, **{name: text})
    assert by_option.startswith(f"--{name.replace('_', '-')}: ")
    assert words in by_option
    assert "secret" not in by_variable + by_option


def test_every_fault_is_reported_at_once() -> None:
    found = faults(
        {
            "MODELCTL_WORKERS": "0",
            "MODELCTL_DATABASE": "oracle://x",
            "MODELCTL_WORKRES": "2",
            "MODELCTL_COLOUR": "red",
            "MODELCTL_KEY": "short",
            "MODELCTL_LISTEN": "nowhere",
        },
        idle_timeout="soon",
        listen="8080",
    )
    assert [fault.partition(":")[0] for fault in found] == [
        "--listen",
        "MODELCTL_WORKERS",
        "MODELCTL_DATABASE",
        "--idle-timeout",
        "MODELCTL_COLOUR",
        "MODELCTL_WORKRES",
        "MODELCTL_KEY",
    ]


def test_an_unknown_variable_with_the_prefix_is_refused() -> None:
    assert faults({"MODELCTL_WORKER": "2"}) == ("MODELCTL_WORKER: no such setting",)
    assert faults({"MODELCTL_": "2"}) == ("MODELCTL_: no such setting",)


def test_the_address_of_the_client_shares_the_prefix() -> None:
    assert read_settings({"MODELCTL_URL": "http://127.0.0.1:8900"}, {}) == Settings()


@pytest.mark.parametrize("control", ["127.0.0.1:8900", "127.9.9.9:1", "localhost:8900", "[::1]:8900"])
def test_on_loopback_no_key_is_needed(control: str) -> None:
    assert str(read_settings({}, {"control": control}).control) == control


@pytest.mark.parametrize(
    "control", ["0.0.0.0:8900", "[::]:8900", "192.0.2.1:8900", "plane.internal:8900", "[::ffff:192.0.2.1]:1", "127.1:1"]
)
def test_off_loopback_a_key_is_required(control: str) -> None:
    (fault,) = faults({}, control=control)
    assert "can be reached from other machines, and there is no key: set MODELCTL_KEY" in fault
    assert faults({"MODELCTL_KEY": ""}, control=control) == (fault,)
    assert read_settings({"MODELCTL_KEY": KEY}, {"control": control}).key == KEY


@pytest.mark.parametrize("key", ["0123456789abcde", "x" * 257, "0123456789 abcdef", "0123456789abcde\u00e9", "0123456789abcdef\n"])
def test_a_key_that_cannot_be_sent_or_can_be_guessed_is_refused_and_not_repeated(key: str) -> None:
    (fault,) = faults({"MODELCTL_KEY": key})
    assert fault == "MODELCTL_KEY: a key has 16 to 256 visible ASCII characters and no spaces"


def test_what_a_process_keeps_is_below_the_data_folder() -> None:
    settings = read_settings({}, {"data_dir": "/srv/m"})
    assert settings.database_url == "sqlite:////srv/m/modelctl.db"
    assert settings.spool_dir == Path("/srv/m/spool")
    assert settings.table_file == Path("/srv/m/routing-table.json")
    assert read_settings({}, {"data_dir": "m"}).database_url == "sqlite:///m/modelctl.db"


def test_a_database_that_was_named_is_the_store() -> None:
    settings = read_settings({"MODELCTL_DATABASE": "postgresql://m@db/m"}, {"data_dir": "/srv/m"})
    assert settings.database_url == "postgresql+psycopg://m@db/m"


@given(st.ip_addresses(), st.integers(0, 65_535))
def test_an_address_reads_as_it_is_written(host: IPv4Address | IPv6Address, port: int) -> None:
    address = Address(str(host), port)
    assert parse_address(str(address)) == address
    assert address.loopback == host.is_loopback


@given(st.text() | st.from_regex(r"\[?[0-9a-f:.]{0,12}\]?:[0-9]{0,6}"))
def test_any_text_is_an_address_or_is_refused(text: str) -> None:
    try:
        address = parse_address(text)
    except ValueError:
        return
    assert parse_address(str(address)) == address


@given(
    st.dictionaries(
        st.sampled_from([PREFIX + field.name.upper() for field in msgspec.structs.fields(Settings)]), st.text(), max_size=5
    ),
    st.dictionaries(st.sampled_from([field.name for field in msgspec.structs.fields(Settings)]), st.none() | st.text(), max_size=5),
)
def test_any_environment_gives_settings_or_the_list_of_faults(environment: dict[str, str], options: dict[str, str | None]) -> None:
    try:
        settings = read_settings(environment, options)
    except InvalidSettings:
        assert faults(environment, **options)
        return
    assert settings.key or settings.control.loopback


def test_tls_for_clients_needs_the_certificate_and_its_key() -> None:
    certificate, key = {"MODELCTL_TLS_CERTIFICATE": "c.pem"}, {"MODELCTL_TLS_KEY": "k.pem"}
    assert read_settings(certificate | key | {"MODELCTL_TLS_CLIENT_CA": "ca.pem"}, {}).tls_client_ca == "ca.pem"
    assert faults(certificate)[0].startswith("MODELCTL_TLS_KEY: ")
    assert faults(key)[0].startswith("MODELCTL_TLS_CERTIFICATE: ")
    assert faults({"MODELCTL_TLS_CLIENT_CA": "ca.pem"})[0].startswith("MODELCTL_TLS_CLIENT_CA: ")


def test_a_unix_socket_is_for_clients_of_this_machine() -> None:
    address = parse_listen("unix:/run/r.sock")
    assert address.loopback
    assert parse_listen(str(address)) == address
    assert faults({"MODELCTL_CONTROL": "unix:/run/c.sock"})


@pytest.mark.parametrize("text", ["unix:", "unix:run/r.sock", "unix:/run/", "unix:/r un", "unix:/" + "a" * 101, "unix:/\0"])
def test_a_socket_needs_an_absolute_path_of_plain_characters(text: str) -> None:
    assert faults({"MODELCTL_LISTEN": text})[0].startswith("MODELCTL_LISTEN: ")


def test_a_memory_limit_that_an_idle_router_exceeds_is_none() -> None:
    for text in ("1", "67108863"):
        (fault,) = faults({"MODELCTL_MAX_MEMORY_BYTES": text})
        assert fault == "max_memory_bytes: 0 (no limit) or at least 67108864: an idle router needs about half of that"
