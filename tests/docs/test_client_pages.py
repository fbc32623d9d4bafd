"""The page of each client names every span, attribute and option of it.

What those are is read from the code: from the files of a client on, all that they refer to in mqtrace.clients and
mqtrace.messaging, definition by definition. So it is what a client can say, whether or not a broker makes it say so.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import mqtrace
from mqtrace import clients
from mqtrace.messaging import Endpoint

ROOT = Path(__file__).parent.parent.parent
ROOMS = ("mqtrace.clients", "mqtrace.messaging")
ATTRIBUTES = "mqtrace.messaging.attributes"
AIO = ("mqtrace.clients.confluent.aio", "mqtrace.clients.confluent.aio_consumer")
#: A page -> the modules that the code of its client begins with. Of a package, all that are in it.
PAGES = {
    "aiokafka.md": ("mqtrace.clients.aiokafka",),
    "confluent-aio.md": AIO,
    "aio-pika.md": ("mqtrace.clients.aio_pika",),
    "kafka-python.md": ("mqtrace.clients.kafka_python",),
    "pika.md": ("mqtrace.clients.pika",),
    "kafka.md": ("mqtrace.clients.confluent",),
    "kombu.md": ("mqtrace.clients.kombu",),
    "celery.md": ("mqtrace.clients.celery",),
}
#: What ``mqtrace.process``, ``each``, ``batch`` and ``consumer`` make of a client's messages. Celery has none for them.
HANDLED = (("mqtrace.messaging.handlers", "operation_of"), ("mqtrace.messaging.batch", "start_batch"))
#: The core names these by itself, from the slots of a span. The position is what only Kafka's clients hand to it.
POSITION = {"messaging.destination.partition.id", "messaging.kafka.offset"}
#: Said of every client at once, on the page of the configuration.
GENERAL = {"disabled"}
#: An operation whose spans are all named by another verb, that of the acknowledgement.
NO_NAME = {"settle"}
#: Spans that may be named by nothing but their verb.
NO_DESTINATION = {"commit", "create"}

Definition = tuple[str, str]


# ---------------------------------------------------------------------- which definitions a client's code refers to


class Module(NamedTuple):
    """``defined``: the name of a definition -> its tree. ``imported``: a name -> the module, and the name in it."""

    defined: dict[str, ast.AST]
    imported: dict[str, tuple[str, str | None]]


def _file_of(module: str) -> Path | None:
    path = ROOT / module.replace(".", "/")
    return next((one for one in (path.with_suffix(".py"), path / "__init__.py") if one.exists()), None)


@cache
def read(module: str) -> Module:
    file = _file_of(module)
    assert file is not None, module
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    defined: dict[str, ast.AST] = {}
    imported: dict[str, tuple[str, str | None]] = {}
    tree = ast.parse(file.read_text())
    for one in ast.walk(tree):  # imports within functions too
        if isinstance(one, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - one.level + 1] if one.level else []
            whence = ".".join([*above, one.module or ""]).strip(".")
            for name in one.names:
                inner = f"{whence}.{name.name}"
                is_module = whence.startswith("mqtrace") and _file_of(inner) is not None
                imported[name.asname or name.name] = (inner, None) if is_module else (whence, name.name)
    for one in tree.body:
        if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            defined[one.name] = one
        elif isinstance(one, (ast.Assign, ast.AnnAssign)):
            for target in one.targets if isinstance(one, ast.Assign) else [one.target]:
                for part in ast.walk(target):
                    if isinstance(part, ast.Name):
                        defined[part.id] = one
    return Module(defined, imported)


def _resolved(module: str, name: str) -> Definition | None:
    """Where a name of a module is defined, in the rooms that count."""
    if not module.startswith(ROOMS):
        return None
    found = read(module)
    if name in found.defined:
        return module, name
    whence, inner = found.imported.get(name, ("", None))
    return None if inner is None else _resolved(whence, inner)


def _references(module: str, tree: ast.AST) -> Iterator[Definition | None]:
    imported = read(module).imported
    for one in ast.walk(tree):
        if isinstance(one, ast.Name):
            yield _resolved(module, one.id)
        elif isinstance(one, ast.Attribute) and isinstance(one.value, ast.Name):
            whence, inner = imported.get(one.value.id, ("", ""))
            if inner is None:
                yield _resolved(whence, one.attr)


@cache
def reached(page: str) -> dict[Definition, ast.AST]:
    """All that the client of a page refers to, and what that refers to."""
    left_out = AIO if page == "kafka.md" else ()  # it has a page of its own
    modules = [one for root in PAGES[page] for one in (root, *_below(root)) if one not in left_out]
    waiting = [(module, name) for module in modules for name in read(module).defined]
    if any(_resolved(module, "adapter_of") for module in modules) or PAGES[page] == AIO:
        waiting.extend(HANDLED)
    found: dict[Definition, ast.AST] = {}
    while waiting:
        one = waiting.pop()
        if one not in found and one[0] not in left_out:
            found[one] = read(one[0]).defined[one[1]]
            waiting.extend(other for other in _references(one[0], found[one]) if other is not None)
    return found


def _below(package: str) -> list[str]:
    folder = ROOT / package.replace(".", "/")
    return [f"{package}.{one.stem}" for one in folder.glob("*.py") if one.stem != "__init__"]


# ---------------------------------------------------------------------- what those say


def attributes(page: str) -> set[str]:
    """The names of the attributes that a client's spans may have."""
    names = {
        str(ast.literal_eval(tree.value))
        for (module, _), tree in reached(page).items()
        if module == ATTRIBUTES and isinstance(tree, ast.AnnAssign) and tree.value is not None
    }
    core = {
        str(one.value)
        for path in (ROOT / "mqtrace" / "core").glob("*.py")
        for one in ast.walk(ast.parse(path.read_text()))
        if isinstance(one, ast.Constant) and re.fullmatch(r"(error|messaging|server)(\.\w+)+", str(one.value))
    }
    kafka = any(module == "mqtrace.messaging.kafka" for module, _ in reached(page))
    return (names - _of_no_endpoint(page)) | (core if kafka else core - POSITION)


def _of_no_endpoint(page: str) -> set[str]:
    """What an ``Endpoint`` may say, and no ``Endpoint(...)`` of this client is given."""
    fields, given = [*Endpoint._fields], set[str]()
    for tree in reached(page).values():
        for one in ast.walk(tree):
            if isinstance(one, ast.Call) and getattr(one.func, "id", "") == "Endpoint":
                starred = any(isinstance(argument, ast.Starred) for argument in one.args)
                given |= {*(fields if starred else fields[: len(one.args)])}
                given |= {keyword.arg for keyword in one.keywords if keyword.arg is not None}
    said = Endpoint(**dict.fromkeys(fields, "")).attributes()  # type: ignore[arg-type]  # whatever it says, it says so
    return {name for name, field in zip(said, fields, strict=True) if field not in given}


def verbs(page: str) -> set[str]:
    """The first words of its spans' names: what is passed as ``verb``, to whatever takes one."""
    trees = reached(page).values()
    places: dict[str, set[int]] = {}
    for tree in trees:
        for one in ast.walk(tree):
            if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef)):
                names = [argument.arg for argument in one.args.args if argument.arg != "self"]
                if "verb" in names:
                    name = tree.name if one.name == "__init__" and isinstance(tree, ast.ClassDef) else one.name
                    places.setdefault(name, set()).add(names.index("verb"))
    said: list[ast.AST] = []
    for tree in trees:
        for one in ast.walk(tree):
            if isinstance(one, ast.Call):
                name = one.func.attr if isinstance(one.func, ast.Attribute) else getattr(one.func, "id", "")
                said += [one.args[place] for place in places.get(name, ()) if place < len(one.args)]
                said += [keyword.value for keyword in one.keywords if keyword.arg == "verb"]
            elif isinstance(one, ast.Assign) and getattr(one.targets[0], "id", "") == "verb":
                said.append(one.value)
    texts = {text for one in said for text in _texts(one) if text.isalpha()} | _methods_in_place(page)
    return texts - NO_NAME


def _methods_in_place(page: str) -> set[str]:
    """kombu's names of what it settles with are those of the methods that it stands in the place of."""
    texts = {text for tree in reached(page).values() for text in _texts(tree)}
    prefix = "basic_"
    return {text[len(prefix) :] for text in texts - {prefix} if text.startswith(prefix)} if prefix in texts else set()


def _texts(tree: ast.AST) -> set[str]:
    return {one.value for one in ast.walk(tree) if isinstance(one, ast.Constant) and isinstance(one.value, str)}


def options(page: str) -> set[str]:
    """What ``wrap`` or ``instrument`` of a client takes, and what of the configuration its code asks for."""
    found = {"tracer"}
    settings: set[str] = set()
    for (module, _), tree in reached(page).items():
        for one in ast.walk(tree):
            if isinstance(one, ast.Call) and getattr(one.func, "id", "") == "expect":
                known = one.args[1]
                found |= _texts(read(module).defined[known.id] if isinstance(known, ast.Name) else known)
            elif isinstance(one, ast.Call) and ast.unparse(one.func) == "options.pop":
                found |= _texts(one.args[0])
            elif isinstance(one, ast.Attribute) and ast.unparse(one.value).endswith("settings"):
                settings.add(one.attr)
    return found | {_as_configured(name) for name in settings - GENERAL}


def _as_configured(setting: str) -> str:
    """The argument of ``configure``, or the variable, that a setting comes from."""
    if setting in inspect.signature(mqtrace.configure).parameters:
        return setting
    for one in ast.walk(ast.parse((ROOT / "mqtrace" / "config.py").read_text())):
        if isinstance(one, ast.keyword) and one.arg == setting:
            return next(text for text in _texts(one.value) if text.isupper())
    raise AssertionError(setting)


# ---------------------------------------------------------------------- the pages


def text_of(page: str) -> str:
    return (ROOT / "docs" / page).read_text()


def test_every_client_has_a_page() -> None:
    named = {*clients._MODULES.values(), *AIO[:1], "mqtrace.clients.celery"}
    assert named == {modules[0] for modules in PAGES.values()}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_every_attribute(page: str) -> None:
    assert {name for name in attributes(page) if f"`{name}`" not in text_of(page)} == set()


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_every_span(page: str) -> None:
    text = text_of(page)
    assert {
        verb
        for verb in verbs(page)
        if f"`{verb} {{" not in text and not (verb in NO_DESTINATION and f"`{verb}`" in text)
    } == set()


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_every_option(page: str) -> None:
    assert {name for name in options(page) if not re.search(rf"`{name}(`|=)|\b{name}=", text_of(page))} == set()


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_a_program(page: str) -> None:
    assert "```python\n" in text_of(page)
