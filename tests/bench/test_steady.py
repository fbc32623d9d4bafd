"""A figure that was taken while something slowed the processor is taken again."""

from __future__ import annotations

import pytest

from bench import steady


@pytest.fixture
def probes(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the probes will say, in turn; the last one for ever. The work takes 100 us at best."""
    said = [100.0]
    monkeypatch.setenv(steady.FASTEST, "100")
    monkeypatch.setattr(steady, "probe", lambda: said.pop(0) if len(said) > 1 else said[0])
    return said


def test_a_figure_of_a_fast_processor_is_taken_once(probes: list[float]) -> None:
    probes[:] = [100.0, 110.0, 115.0]
    figures = iter([1.0, 2.0])
    assert steady.steady(lambda: next(figures)) == 1.0


def test_a_figure_during_which_the_processor_became_slow_is_taken_again(probes: list[float]) -> None:
    probes[:] = [100.0, 100.0, 170.0, 100.0]
    figures = iter([1.0, 2.0])
    assert steady.steady(lambda: next(figures)) == 2.0


def test_it_waits_until_the_processor_is_fast(probes: list[float]) -> None:
    probes[:] = [170.0, 170.0, 100.0]
    steady.wait()
    assert probes == [100.0]


def test_where_it_never_is_the_figure_of_the_best_attempt_counts(
    probes: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steady, "wait", lambda: None)
    probes[:] = [170.0, 170.0, 150.0, 150.0, 160.0]
    figures = iter([1.0, 2.0, 3.0, 4.0])
    assert steady.steady(lambda: next(figures)) == 2.0


def test_a_process_that_was_told_nothing_takes_every_figure_once(
    probes: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(steady.FASTEST)
    probes[:] = [170.0]
    figures = iter([1.0, 2.0])
    assert steady.steady(lambda: next(figures)) == 1.0
