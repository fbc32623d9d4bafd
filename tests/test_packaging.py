"""What is built and installed is what stands in the tree.

carriers/ is a folder at the top of the checkout and the package mqtrace.carriers when installed; the list of packages
is written by hand because of it, and so it is held against the tree here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

import mqtrace

_CHECKOUT = Path(__file__).resolve().parents[1]
_EXTRAS = [
    "celery",
    "confluent_kafka",
    "clickhouse_connect",
    "duckdb",
    "hypothesis",
    "kombu",
    "opentelemetry",
    "pika",
    "pytest",
    "rich",
    "starlette",
    "uvicorn",
]

pytestmark = pytest.mark.skipif(
    not (_CHECKOUT / ".git").exists(), reason="these tests stand beside a built mqtrace, not in its checkout"
)


def _project() -> dict[str, Any]:
    return tomllib.loads((_CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))


def _packages_in_tree() -> set[str]:
    found = {"mqtrace.carriers"}
    for file in (_CHECKOUT / "mqtrace").rglob("*.py"):
        folder = file.parent.relative_to(_CHECKOUT)
        if folder.parts[:2] != ("mqtrace", "carriers"):
            found.add(".".join(folder.parts))
    return found


def _modules_in_tree() -> list[str]:
    """Every module by the name that a user imports it by, `__main__` left out."""
    names = []
    for top in (_CHECKOUT / "mqtrace", _CHECKOUT / "carriers"):
        for file in sorted(top.rglob("*.py")):
            parts = list(file.relative_to(top).with_suffix("").parts)
            if top.name == "mqtrace" and parts[0] == "carriers":
                continue
            names.append(".".join([*(["mqtrace"] if top.name == "mqtrace" else ["mqtrace", "carriers"]), *parts]))
    return [name.removesuffix(".__init__") for name in names if not name.endswith("__main__")]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout as git knows it, or as it lies there: building must not write into the checkout."""
    copy = tmp_path_factory.mktemp("source") / "checkout"
    unwanted = shutil.ignore_patterns(
        ".git", ".venv*", ".brokers", "build", "dist", "*.egg-info", "__pycache__", ".*cache"
    )
    shutil.copytree(_CHECKOUT, copy, symlinks=True, ignore=unwanted)
    return copy


@pytest.fixture(scope="module")
def built(source: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(wheel, sdist), built from the copy; the wheel from the sdist, as on an index."""
    pytest.importorskip("build")
    out = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--outdir", str(out), str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    (wheel,) = out.glob("*.whl")
    (sdist,) = out.glob("*.tar.gz")
    return wheel, sdist


def test_the_packages_in_pyproject_are_those_in_the_tree() -> None:
    assert set(_project()["tool"]["setuptools"]["packages"]) == _packages_in_tree()


def test_no_folder_of_modules_lacks_its_init() -> None:
    for name in _packages_in_tree():
        folder = _CHECKOUT.joinpath(*name.split("."))
        assert (folder / "__init__.py").is_file(), name


def test_carriers_is_flat() -> None:
    """The symlink and package-dir agree on one folder; a package inside it would be found by one of them only."""
    assert [entry.name for entry in (_CHECKOUT / "carriers").iterdir() if entry.is_dir()] in ([], ["__pycache__"])


def test_the_symlink_leads_editors_and_checkers_to_carriers() -> None:
    link = _CHECKOUT / "mqtrace" / "carriers"
    assert os.readlink(link) == "../carriers"


def test_there_is_one_version() -> None:
    assert mqtrace.__version__ == _project()["project"]["version"]


def test_the_base_installation_needs_nothing() -> None:
    assert _project()["project"]["dependencies"] == []


def test_whoever_tries_or_tests_everything_has_every_client() -> None:
    extras = _project()["project"]["optional-dependencies"]
    for name in ("demo", "test", "all"):
        assert "kafka" in extras[name][0], name


_WITHOUT_EXTRAS = """
import importlib, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {extras!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocked())
for name in {modules!r}:
    importlib.import_module(name)
print("imported")
"""

#: Rooms of an extra: what they import is in their name, and they are imported when a user asks for them.
_ROOMS_OF_EXTRAS = (
    "mqtrace.clients.celery",
    "mqtrace.clients.confluent",
    "mqtrace.clients.kombu",
    "mqtrace.clients.pika",
    "mqtrace.export.kafka",
    "mqtrace.auto.confluent",
    "mqtrace.auto.kombu",
    "mqtrace.otel.bridge",
    "mqtrace.otel.exporters",
    "mqtrace.otel.instrumentor",
    "mqtrace.otel.kafka_span_exporter",
    "mqtrace.otel.readable_span",
    "mqtrace.otel.frame_span",
    "mqtrace.cli.",
    "mqtrace.flow.clickhouse",
    "mqtrace.flow.page",
    "mqtrace.flow.store",
)


def test_every_module_imports_without_the_extras() -> None:
    """pytest_plugin and what only rich can draw excepted: whoever loads those has them."""
    modules = [
        name for name in _modules_in_tree() if not name.startswith(_ROOMS_OF_EXTRAS) and name != "mqtrace.pytest_plugin"
    ]
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_EXTRAS.format(extras=set(_EXTRAS), modules=modules)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "imported", done.stderr[-2000:]


_MAIN = "from mqtrace.cli import main; main"


@pytest.mark.parametrize(
    ("missing", "code", "said"),
    [
        (
            "confluent_kafka",
            "import mqtrace; mqtrace.configure('a', exporter='kafka://h/t?sasl.password=s3cr3t')",
            "pip install 'mqtrace[kafka]'",
        ),
        ("confluent_kafka", "import mqtrace.otel as o; o.KafkaSpanExporter('kafka://h/t')", "'mqtrace[kafka]'"),
        ("confluent_kafka", f"{_MAIN}(['tail', 'kafka://h/t', '--json'])", "pip install 'mqtrace[kafka]'"),
        ("confluent_kafka", f"{_MAIN}(['demo', '--json'])", "pip install 'mqtrace[demo]'"),
        ("confluent_kafka", f"{_MAIN}(['broker'])", "pip install 'mqtrace[kafka]'"),
        ("celery", "import mqtrace; mqtrace.instrument_celery()", "pip install 'mqtrace[celery]'"),
        ("rich", f"{_MAIN}(['tail', 'kafka://h/t'])", "pip install 'mqtrace[cli]'"),
        ("duckdb", f"{_MAIN}(['flow', 'file:///tmp/spans.duckdb'])", "pip install 'mqtrace[flow]'"),
        ("clickhouse_connect", f"{_MAIN}(['flow', 'clickhouse://h/t'])", "pip install 'mqtrace[clickhouse]'"),
        ("opentelemetry", "import mqtrace; mqtrace.configure('a', opentelemetry=True)", "pip install 'mqtrace[otel]'"),
        (
            "opentelemetry",
            "import mqtrace; mqtrace.configure('a', exporter='opentelemetry:')",
            "pip install opentelemetry-sdk",
        ),
        ("opentelemetry", "from mqtrace.otel import KafkaSpanExporter", "pip install opentelemetry-sdk"),
        ("opentelemetry", "from mqtrace.otel import MqtraceInstrumentor", "pip install opentelemetry-instrumentation"),
    ],
)
def test_what_needs_an_extra_says_which(missing: str, code: str, said: str) -> None:
    program = _WITHOUT_EXTRAS.format(extras={missing}, modules=[]) + code
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert said in done.stderr
    assert "s3cr3t" not in done.stderr


@pytest.mark.parametrize(
    "variable", ["MQTRACE_EXPORTER=kafka://h/t?sasl.password=s3cr3t", "OTEL_TRACES_EXPORTER=kafka"]
)
def test_an_exporter_of_the_environment_says_so_in_a_warning_and_the_program_goes_on(variable: str) -> None:
    code = "import logging; logging.basicConfig(); import mqtrace; mqtrace.configure('a'); print('goes on')"
    program = _WITHOUT_EXTRAS.format(extras={"confluent_kafka"}, modules=[]) + code
    name, _, value = variable.partition("=")
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, name: value}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "goes on"), done.stderr
    assert done.stderr.count("pip install 'mqtrace[kafka]'") == 1
    assert "s3cr3t" not in done.stderr


def test_importing_mqtrace_imports_no_extra() -> None:
    """Also where they are installed: the import of celery alone takes longer than all of mqtrace's."""
    code = f"import sys, mqtrace; print(sorted({set(_EXTRAS)!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_wheel_holds_every_module_and_nothing_else(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[0]) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    wanted = {f"mqtrace/carriers/{file.name}" for file in (_CHECKOUT / "carriers").glob("*.py")}
    for file in (_CHECKOUT / "mqtrace").rglob("*.py"):
        wanted.add(file.relative_to(_CHECKOUT).as_posix())
    assert "mqtrace/carriers/__init__.py" in names
    static = _CHECKOUT / "mqtrace" / "flow" / "page" / "static"
    page = {file.relative_to(_CHECKOUT).as_posix() for file in static.rglob("*") if file.is_file()}
    assert len(page) > 20
    assert names == wanted | page | {"mqtrace/py.typed"}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_wheel_says_its_licence_and_its_command(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[0]) as wheel:
        info = {name.partition(".dist-info/")[2]: name for name in wheel.namelist() if ".dist-info/" in name}
        assert "mqtrace = mqtrace.cli:main" in wheel.read(info["entry_points.txt"]).decode()
        assert "License-Expression: Apache-2.0" in wheel.read(info["METADATA"]).decode()
    assert "licenses/LICENSE" in info


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_sdist_can_be_tested(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[1]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    here = Path(__file__).relative_to(_CHECKOUT).as_posix()
    wanted = {here, "tests/conftest.py", "compose/up", "compose/kafka/pom.xml", "compose/kafka.yml", "Makefile"}
    assert wanted <= names
    assert {f"carriers/{file.name}" for file in (_CHECKOUT / "carriers").glob("*.py")} <= names
    assert not [name for name in names if "__pycache__" in name or name.startswith((".venv", ".brokers"))]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_editable_installation_follows_the_checkout(source: Path, tmp_path: Path) -> None:
    """Both halves of it: a module added to mqtrace/ and one added to carriers/ are there at once."""
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "-e", str(source)]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    added = [source / "mqtrace" / "added_here.py", source / "carriers" / "added_there.py"]
    for file in added:
        file.write_text("SAID = 'found'\n", encoding="utf-8")
    code = (
        "import importlib.util, sys\n"
        "class NoKafka:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        return importlib.util.spec_from_loader(name, self) if name.startswith('confluent_kafka') else None\n"
        "    def create_module(self, spec):\n"
        "        from unittest.mock import MagicMock\n"
        "        return MagicMock(__path__=[], __spec__=spec)\n"
        "    def exec_module(self, module): pass\n"
        "sys.meta_path.insert(0, NoKafka())\n"
        "import mqtrace.added_here, mqtrace.carriers.added_there\n"
        "print(mqtrace.added_here.SAID, mqtrace.carriers.added_there.SAID, importlib.util.find_spec('carriers'))\n"
    )
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    finally:
        for file in added:
            file.unlink()
    assert done.stdout.split() == ["found", "found", "None"], done.stderr[-2000:]
