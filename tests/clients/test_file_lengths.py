"""A client is a small thing: no file of one is long."""

from __future__ import annotations

from pathlib import Path

from mqtrace import clients

# where they are installed: the tests run away from the checkout too
CLIENTS = Path(clients.__file__).parent
LINES = 250
#: Longer ones, each with its reason.
LONGER = {"proxy.py": "is not a client: it is what every traced client is"}


def test_no_file_of_a_client_is_long() -> None:
    found = {
        str(path.relative_to(CLIENTS)) for path in CLIENTS.rglob("*.py") if len(path.read_text().splitlines()) > LINES
    }
    assert found == LONGER.keys()
