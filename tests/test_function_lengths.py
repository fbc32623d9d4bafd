"""No function is longer than a screen, but those that are flat for a reason."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
SCREEN = 60
#: Longer ones, each with its reason.
LONGER = {
    "mqtrace/otlp/columns_proto.py:_span": "runs once a span of a topic, where a call a field would cost as much again",
    "mqtrace/otlp/read_proto.py:read_span": "a case for each field of the message",
    "mqtrace/flow/questions/missing.py:query": "is one statement of SQL",
}


def long_functions(source: str) -> Iterator[str]:
    """The names of functions with more lines than a screen has."""
    functions = [one for one in ast.walk(ast.parse(source)) if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef))]
    for one in functions:
        if (one.end_lineno or 0) - one.lineno + 1 > SCREEN:
            yield one.name


def test_a_long_function_is_seen() -> None:
    assert list(long_functions("def short():\n" + "    pass\n" * 59)) == []
    assert list(long_functions("class A:\n    async def long(self):\n" + "        pass\n" * 60)) == ["long"]


def test_no_function_is_longer_than_a_screen() -> None:
    found = {
        f"{path.relative_to(ROOT)}:{name}"
        for path in (ROOT / "mqtrace").rglob("*.py")
        for name in long_functions(path.read_text())
    }
    assert found == LONGER.keys()
