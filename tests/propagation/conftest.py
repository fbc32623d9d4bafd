"""Shared by the tests of the formats."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mqtrace.carriers import Mapping
from mqtrace.core import Context
from mqtrace.propagation import from_names


@pytest.fixture(scope="session")
def read() -> Callable[..., tuple[Context, int]]:
    """``read(names, headers)``: what a composite extracts, and how often it reported something malformed."""

    def read(names: str, headers: dict[str, object], base: Context | None = None) -> tuple[Context, int]:
        reports: list[None] = []
        context = from_names(names).extract(Mapping(headers), base or Context(), lambda: reports.append(None))
        return context, len(reports)

    return read


@pytest.fixture(scope="session")
def written() -> Callable[..., dict[str, str]]:
    """``written(names, context, headers)``: the headers after an inject."""

    def written(names: str, context: Context, headers: dict[str, str] | None = None) -> dict[str, str]:
        native = dict(headers or {})
        from_names(names).inject(Mapping(native), context)
        return native

    return written
