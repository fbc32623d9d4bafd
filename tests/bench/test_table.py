"""From figures to the table, and into the pages."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent

pytest.importorskip("opentelemetry.instrumentation.celery", reason="needs mqtrace[bench]")


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Any:
    """bench.table; bench/ is no part of what is installed."""
    monkeypatch.syspath_prepend(ROOT)
    return importlib.import_module("bench.table")


def row(text: str, title: str) -> list[str]:
    """The cells of a row."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {title} |")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_what_is_added_is_the_median_over_the_rounds_of_the_difference_to_the_bare_process(table: Any) -> None:
    figures = {"bare": {"produce": [1.0, 5.0, 2.0]}, "mqtrace": {"produce": [3.0, 6.0, 5.0]}}
    assert row(table.as_markdown(figures), "produce + its delivery report, sampled") == ["2.00", "2.00", "<= 3", ""]


def test_what_a_process_found_by_comparing_itself_to_the_bare_client_is_preferred(table: Any) -> None:
    figures = {
        "bare": {"celery memory both": [200.0], "celery memory both added": [0.3]},
        "mqtrace": {"celery memory both": [250.0], "celery memory both added": [20.0]},
        "opentelemetry": {"celery memory both": [190.0], "celery memory both added": [150.0]},
    }
    assert row(table.as_markdown(figures), "publish and run, sampled") == ["200", "20", "<= 25", "150"]


def test_a_goal_that_is_a_part_of_the_other_side_says_so(table: Any) -> None:
    figures = {
        "bare": {"pika publish": [40.0]},
        "mqtrace": {"pika publish": [50.0], "pika publish added": [3.0]},
        "opentelemetry": {"pika publish": [90.0], "pika publish added": [48.0]},
    }
    assert row(table.as_markdown(figures), "with the socket: publish, sampled") == ["40", "3.00", "1/8 of it", "48"]


def test_rows_and_sections_that_were_not_measured_are_left_out(table: Any) -> None:
    figures = {"bare": {"kombu publish": [1.0]}, "mqtrace": {"kombu publish": [1.0], "kombu publish added": [0.5]}}
    lines = table.as_markdown(figures).splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["**kombu, memory transport**", "publish, sampled"]


def test_the_line_below_says_which_broker_was_missing(table: Any) -> None:
    assert table.facts(3, ["redis"]).endswith("No redis was running: its rows are left out.")
    assert table.facts(3).endswith("medians of 3 rounds, variants in turn.")
    assert table.facts(1).endswith("one round, variants in turn.")


def test_the_table_goes_between_the_markers_of_both_pages_and_the_short_one_into_the_readme(
    table: Any, tmp_path: Path
) -> None:
    (tmp_path / "docs").mkdir()
    pages = [tmp_path / "README.md", tmp_path / "docs" / "benchmarks.md"]
    for page in pages:
        page.write_text("before\n<!-- benchmark -->\nold\n<!-- /benchmark -->\nafter\n")
    figures = {
        "bare": {"celery memory run": [60.0], "celery memory both": [200.0]},
        "mqtrace": {"celery memory run added": [5.0], "celery memory run": [65.0], "celery memory both": [220.0]},
    }
    table.write(tmp_path, figures, r"said \1")
    short, long = (page.read_text() for page in pages)
    for text in (short, long):
        assert text.startswith("before\n<!-- benchmark -->\n|")
        assert text.endswith("\\1\n<!-- /benchmark -->\nafter\n")
        assert "old" not in text
        assert row(text, "publish and run, sampled") == ["200", "20", "<= 25", ""]
    assert row(long, "run a task") == ["60", "5.00", "", ""]
    assert "run a task" not in short


def test_no_figure_of_a_variant_and_no_title_of_a_section_is_there_twice(table: Any) -> None:
    sections = importlib.import_module("bench.rows").SECTIONS
    rows = [row for rows in sections.values() for row in rows]
    assert len({(row.figure, row.ours) for row in rows}) == len(rows)
    titles = [(section, row.title) for section, rows in sections.items() for row in rows]
    assert len(set(titles)) == len(titles)
