"""What reaches the model server: the client's request, without what is hop-by-hop, with what the router adds."""

import re

import pytest

from tests.router.model_server import ModelServer
from tests.router.process import RouterProcess
from tests.router.wire import get, post, post_chunked

UUID7_HEX = re.compile(rb"[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}")


def test_method_target_and_body_arrive_byte_for_byte(router: RouterProcess, old: ModelServer) -> None:
    body = bytes(range(256)) * 3
    target = "/v2/models/Caf%C3%A9%20au%20lait/infer?a=%2F..%2f&b=//&c='[]\\{}"
    router.ask(post(target, body, "Content-Type: application/octet-stream"))
    arrival = old.last("/v2")
    assert arrival.line == b"POST " + target.encode() + b" HTTP/1.1"
    assert arrival.body == body
    assert arrival.one(b"content-length") == b"768"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "PROPFIND"])
def test_every_method_is_forwarded_as_it_is(router: RouterProcess, old: ModelServer, method: str) -> None:
    old.on("/method", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert router.ask(get("/method", method=method)).status == 200
    assert old.last("/method").line == f"{method} /method HTTP/1.1".encode()


def test_end_to_end_fields_keep_their_bytes_order_and_case(router: RouterProcess, old: ModelServer) -> None:
    router.ask(get("/fields", "X-Unicode: bytes \xe9\xff", "x-TWICE: 1", "X-Empty:", "x-TWICE: 2"))
    head = old.last("/fields").head
    assert b"X-Unicode: bytes \xe9\xff\r\nx-TWICE: 1\r\nX-Empty: \r\nx-TWICE: 2\r\n" in head


def test_the_clients_host_is_preserved(router: RouterProcess, old: ModelServer) -> None:
    router.ask(get("/host", host="Models.Example:8443"))
    assert old.last("/host").one(b"host") == b"Models.Example:8443"


def test_hop_by_hop_fields_stay_on_their_hop(router: RouterProcess, old: ModelServer) -> None:
    router.ask(
        get(
            "/hop",
            "Connection: keep-alive, X-Private",
            "Connection:",
            "connection: x-other",
            "X-Private: 1",
            "x-OTHER: 1",
            "Keep-Alive: timeout=5",
            "Proxy-Connection: keep-alive",
            "Proxy-Authorization: Basic x",
            "Proxy-Authenticate: Basic",
            "TE: gzip",
            "Trailer: X-Sum",
            "X-Public: 1",
        )
    )
    names = {name for name, _ in old.last("/hop").fields}
    gone = {b"x-private", b"x-other", b"keep-alive", b"proxy-connection", b"proxy-authorization", b"proxy-authenticate"}
    assert not names & (gone | {b"te", b"trailer", b"connection", b"upgrade"})
    assert b"x-public" in names


def test_a_client_cannot_remove_our_fields_by_naming_them_in_connection(router: RouterProcess, old: ModelServer) -> None:
    ours = "x-forwarded-for, x-forwarded-proto, x-forwarded-host, forwarded, via, x-request-id, traceparent, host, content-length"
    router.ask(post("/named", b"body", f"Connection: {ours}", "X-Request-Id: kept-id"))
    arrival = old.last("/named")
    assert arrival.one(b"x-forwarded-for") == b"127.0.0.1"
    assert arrival.one(b"via") == b"1.1 modelctl"
    assert arrival.one(b"x-request-id") == b"kept-id"
    assert arrival.one(b"host") == b"models.example"
    assert arrival.body == b"body"
    assert arrival.one(b"traceparent")


def test_the_backend_learns_whom_the_request_is_from(router: RouterProcess, old: ModelServer) -> None:
    router.ask(get("/from"))
    arrival = old.last("/from")
    assert arrival.one(b"x-forwarded-for") == b"127.0.0.1"
    assert arrival.one(b"x-forwarded-proto") == b"http"
    assert arrival.one(b"x-forwarded-host") == b"models.example"
    assert arrival.one(b"forwarded") == b"for=127.0.0.1;proto=http"
    assert arrival.one(b"via") == b"1.1 modelctl"


FORGED = (
    "X-Forwarded-For: 6.6.6.6",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: outer.example",
    "Forwarded: for=6.6.6.6;proto=https",
)


def test_what_a_stranger_says_about_its_origin_is_dropped(router: RouterProcess, old: ModelServer) -> None:
    router.ask(get("/stranger", *FORGED))
    arrival = old.last("/stranger")
    assert arrival.one(b"x-forwarded-for") == b"127.0.0.1"
    assert arrival.one(b"x-forwarded-proto") == b"http"
    assert arrival.one(b"x-forwarded-host") == b"models.example"
    assert b"6.6.6.6" not in arrival.head


def test_what_a_trusted_proxy_says_is_kept_and_appended_to(router: RouterProcess, old: ModelServer) -> None:
    with router.client(source="127.0.0.2") as client:
        client.ask(get("/trusted", *FORGED))
    arrival = old.last("/trusted")
    assert b", ".join(arrival.all(b"x-forwarded-for")) == b"6.6.6.6, 127.0.0.2"
    assert b", ".join(arrival.all(b"forwarded")) == b"for=6.6.6.6;proto=https, for=127.0.0.2;proto=http"


def test_the_scheme_and_host_a_trusted_proxy_saw_are_those_of_the_request(router: RouterProcess, old: ModelServer) -> None:
    with router.client(source="127.0.0.2") as client:
        client.ask(get("/outer", *FORGED))
    assert old.last("/outer").one(b"x-forwarded-proto") == b"https"
    assert old.last("/outer").one(b"x-forwarded-host") == b"outer.example"


def test_a_trusted_proxy_that_says_only_some_of_it_gets_the_rest_added(router: RouterProcess, old: ModelServer) -> None:
    with router.client(source="127.0.0.2") as client:
        client.ask(get("/partly", "X-Forwarded-For: 6.6.6.6"))
    arrival = old.last("/partly")
    assert arrival.one(b"x-forwarded-proto") == b"http"
    assert arrival.one(b"x-forwarded-host") == b"models.example"


def test_a_via_field_of_an_earlier_proxy_is_kept(router: RouterProcess, old: ModelServer) -> None:
    router.ask(get("/via", "Via: 1.0 fred"))
    assert b", ".join(old.last("/via").all(b"via")) == b"1.0 fred, 1.1 modelctl"


def test_a_valid_request_id_is_taken_over_and_given_back(router: RouterProcess, old: ModelServer) -> None:
    reply = router.ask(get("/id", "X-Request-Id: Job_17.a:b-c"))
    assert old.last("/id").one(b"x-request-id") == b"Job_17.a:b-c"
    assert reply.one(b"x-request-id") == b"Job_17.a:b-c"


@pytest.mark.parametrize("given", ["", "has space", "a" * 129, "semi;colon", "über"])
def test_a_request_id_that_could_break_a_log_is_replaced_by_a_uuid7(router: RouterProcess, old: ModelServer, given: str) -> None:
    reply = router.ask(get("/bad-id", f"X-Request-Id: {given}"))
    made = old.last("/bad-id").one(b"x-request-id")
    assert UUID7_HEX.fullmatch(made)
    assert reply.one(b"x-request-id") == made


def test_a_trace_is_continued_with_a_new_span(router: RouterProcess, old: ModelServer) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    router.ask(get("/trace", f"traceparent: 00-{trace}-b7ad6b7169203331-00"))
    version, trace_id, span, flags = old.last("/trace").one(b"traceparent").split(b"-")
    assert (version, trace_id, flags) == (b"00", trace.encode(), b"00")
    assert re.fullmatch(rb"[0-9a-f]{16}", span)
    assert span != b"b7ad6b7169203331"


@pytest.mark.parametrize(
    "given", ["", "00-" + "0" * 32 + "-b7ad6b7169203331-01", "ff-" + "a" * 32 + "-b7ad6b7169203331-01", "00-ABC-def-01"]
)
def test_a_request_without_a_valid_trace_starts_one(router: RouterProcess, old: ModelServer, given: str) -> None:
    router.ask(get("/no-trace", *([f"traceparent: {given}"] if given else [])))
    version, trace_id, span, flags = old.last("/no-trace").one(b"traceparent").split(b"-")
    assert (version, flags) == (b"00", b"01")
    assert UUID7_HEX.fullmatch(trace_id)
    assert re.fullmatch(rb"(?!0{16})[0-9a-f]{16}", span)


def test_names_of_the_routers_own_fields_are_not_taken_from_clients(router: RouterProcess, old: ModelServer) -> None:
    fields = ("modelctl-arm: new", "Modelctl-Error: x", "X-Modelctl-Arm: new", "X-Modelctl-Error: x", "X-Shadow: 1")
    router.ask(get("/spoof", *fields))
    names = {name for name, _ in old.last("/spoof").fields}
    assert not any(b"modelctl" in name or name == b"x-shadow" for name in names)


def test_an_absolute_target_becomes_origin_form_and_its_authority_wins(router: RouterProcess, old: ModelServer) -> None:
    router.ask(get("http://Real.example:81/absolute?q=1", host="forged.example"))
    arrival = old.last("/absolute")
    assert arrival.target == b"/absolute?q=1"
    assert arrival.one(b"host") == b"Real.example:81"


def test_options_for_the_whole_server_is_forwarded(router: RouterProcess, old: ModelServer) -> None:
    assert router.ask(get("*", method="OPTIONS")).status == 200
    assert old.last("*").line == b"OPTIONS * HTTP/1.1"


def test_an_http_1_0_request_without_a_host_gets_the_endpoints(router: RouterProcess, old: ModelServer) -> None:
    reply = router.ask(b"GET /ancient HTTP/1.0\r\n\r\n")
    assert reply.status == 200
    assert old.last("/ancient").one(b"host") == f"127.0.0.1:{old.port}".encode()


def test_the_path_of_an_endpoint_replaces_the_prefix_of_the_route(router: RouterProcess, old: ModelServer) -> None:
    for target in ("/deep", "/deep/x/y?z=1", "/deep?only=query"):
        router.ask(get(target))
    assert [arrival.target for arrival in old.got("/models/m", 3)] == [
        b"/models/m",
        b"/models/m/x/y?z=1",
        b"/models/m?only=query",
    ]


def test_the_preview_address_reaches_the_previewed_backend_without_its_prefix(router: RouterProcess, new: ModelServer) -> None:
    reply = router.ask(post("/-/preview/green/green/predict?a=1", b"{}"))
    assert reply.one(b"modelctl-arm") == b"new"
    assert new.last("/green").target == b"/green/predict?a=1"


def test_the_routes_own_address_is_not_touched_by_its_preview(router: RouterProcess, old: ModelServer) -> None:
    assert router.ask(get("/green/predict")).one(b"modelctl-arm") == b"old"


def test_the_bare_preview_address_is_the_root(router: RouterProcess, new: ModelServer) -> None:
    router.ask(get("/-/preview/green"))
    router.ask(get("/-/preview/green?a=1"))
    assert [arrival.target for arrival in new.got("/", 2)] == [b"/", b"/?a=1"]


def test_a_preview_on_an_endpoint_with_a_path_replaces_the_prefix_too(router: RouterProcess, old: ModelServer) -> None:
    router.ask(get("/-/preview/green-deep/green-deep/predict"))
    router.ask(get("/-/preview/green-deep/predict"))
    assert [arrival.target for arrival in old.got("/models/m", 2)] == [b"/models/m/predict", b"/models/m/predict"]


def test_a_preview_works_on_the_host_of_its_route(router: RouterProcess, old: ModelServer) -> None:
    assert router.ask(get("/-/preview/hosted/x", host="hosted.example")).one(b"modelctl-arm") == b"old"


def test_a_preview_that_is_not_there_is_not_answered_by_the_route_of_everything(router: RouterProcess, old: ModelServer) -> None:
    assert router.ask(get("/-/preview/shown/x")).one(b"modelctl-error") == b"no-route"
    assert old.arrivals == []


def test_chunks_are_joined_and_cut_anew_and_their_extensions_dropped(router: RouterProcess, old: ModelServer) -> None:
    request = get("/chunks", "Transfer-Encoding: chunked", "Trailer: X-Sum", method="POST")
    router.ask(request + b'4;name=value;q="a b"\r\nWiki\r\n005\r\npedia\r\n0;last\r\nX-Sum: 1\r\nHost: evil\r\n\r\n')
    arrival = old.last("/chunks")
    assert arrival.body == b"Wikipedia"
    assert arrival.one(b"transfer-encoding") == b"chunked"
    assert arrival.all(b"content-length") == []
    assert b"name=value" not in arrival.raw
    assert b"X-Sum" not in arrival.raw
    assert arrival.raw.count(b"evil") == 0


def test_an_empty_chunked_body_stays_empty(router: RouterProcess, old: ModelServer) -> None:
    router.ask(post_chunked("/empty-chunks"))
    assert old.last("/empty-chunks").raw.endswith(b"\r\n\r\n0\r\n\r\n")


def test_a_body_on_get_is_forwarded_with_its_length(router: RouterProcess, old: ModelServer) -> None:
    router.ask(get("/get-body", "Content-Length: 3") + b"abc")
    assert old.last("/get-body").body == b"abc"
