"""``make reference``: every public name is in it, and says what it is."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
MAKEFILE = (ROOT / "Makefile").read_text()
(PUBLIC,) = re.findall(r"^PUBLIC := (.*)$", MAKEFILE, re.M)
#: What pdoc finds below those, by their ``__all__``.
MODULES = sorted({*PUBLIC.split(), "mqtrace.carriers", "mqtrace.sampling", "mqtrace.propagation"})


def names_of(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """What is public, as it stands on the module's page: names, and those of classes of ours."""
    for name in module.__all__:
        thing = getattr(module, name)
        if inspect.ismodule(thing) or name == "__version__":
            continue
        yield name, thing
        if inspect.isclass(thing):
            for inner, member in vars(thing).items():
                # The tests of a contract say it in their names.
                if not inner.startswith(("_", "test_")) and (inspect.isroutine(member) or isinstance(member, property)):
                    yield f"{name}.{inner}", member


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("pdoc")
    folder = tmp_path_factory.mktemp("reference")
    (options,) = re.findall(r"^\t\$\(BIN\)/pdoc (.*) --output-directory \S+ \$\(PUBLIC\)$", MAKEFILE, re.M)
    command = [sys.executable, "-m", "pdoc", *options.split(), "--output-directory", str(folder), *PUBLIC.split()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_in_the_reference(reference: Path, module: str) -> None:
    page = (reference / f"{module.replace('.', '/')}.html").read_text()
    for name, _ in names_of(importlib.import_module(module)):
        assert f'id="{name}"' in page, name


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_says_what_it_is(module: str) -> None:
    imported = importlib.import_module(module)
    assert (imported.__doc__ or "").strip()
    # What every format, or every sampler, has in common is said once, by the protocol.
    by_protocol = {
        inner for _, thing in names_of(imported) if getattr(thing, "_is_protocol", False) for inner in vars(thing)
    }
    silent = []
    for name, thing in names_of(imported):
        said = inspect.getdoc(thing) or ""
        made_up = inspect.isclass(thing) and said.startswith(f"{name}(")  # a dataclass's signature
        can_speak = inspect.isclass(thing) or inspect.isroutine(thing) or isinstance(thing, property)
        if can_speak and (not said or made_up) and name.partition(".")[2] not in by_protocol:
            silent.append(name)
    assert silent == []
