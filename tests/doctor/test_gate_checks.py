"""Who can reach the cluster: real HTTP servers that refuse, let in, or are not there."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from raycalib.doctor.gate_checks import port_check, token_check


@contextmanager
def dashboard(status: int) -> Iterator[str]:
    """The address of a server that answers everyone with this status."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)


@pytest.mark.parametrize(("status", "is_well"), [(401, True), (403, True), (200, False), (500, False)])
def test_only_a_refusal_is_well(status: int, is_well: bool) -> None:
    with dashboard(status) as address:
        check = token_check(address)
    assert check.is_well is is_well
    assert is_well or "RAY_AUTH_MODE=token" in check.remedy


def test_a_dashboard_that_is_not_there_is_a_fault() -> None:
    with dashboard(401) as address:
        pass
    assert "does not answer" in token_check(address).found
    assert "has no dashboard" in token_check("").found


@pytest.mark.parametrize(
    ("where", "addresses", "with_token", "is_well"),
    [
        ("127.0.0.1:8265", ["10.0.0.4", "192.168.1.9"], False, True),
        ("localhost:8265", ["10.0.0.4"], False, True),
        ("10.0.0.4:8265", ["10.0.0.4"], False, False),
        ("0.0.0.0:8265", ["10.0.0.4"], False, False),
        ("0.0.0.0:8265", ["10.0.0.4"], True, True),
        ("127.0.0.1:8265", ["10.0.0.4", "8.8.8.8"], True, False),
        ("[::1]:8265", ["fd00::2"], False, True),
    ],
)
def test_nothing_listens_where_the_world_may_be(
    where: str, addresses: list[str], with_token: bool, is_well: bool
) -> None:
    assert port_check(where, addresses, with_token).is_well is is_well
