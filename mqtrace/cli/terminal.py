"""What the commands share: rich where it is installed, sentences on stderr, numbers in arguments."""

from __future__ import annotations

import argparse
import math
import sys
from typing import TYPE_CHECKING

from .trouble import CommandError

if TYPE_CHECKING:
    from rich.console import Console

    from .waterfall import Waterfall

__all__ = ["console", "positive", "say", "waterfall", "whole"]


def console() -> Console:
    """The terminal; without colour where stdout is not one. CommandError if rich is missing."""
    try:
        from rich.console import Console
    except ImportError as error:
        raise CommandError("traces are drawn with rich, which is missing: pip install 'mqtrace[cli]'") from error
    return Console(highlight=False)


def waterfall() -> Waterfall:
    """What draws traces on stdout. CommandError if rich is missing."""
    drawn_on = console()
    from .waterfall import Waterfall

    return Waterfall(drawn_on)


def say(sentence: str) -> None:
    """Write a sentence for the person at the terminal to stderr: it is not output."""
    print(f"mqtrace: {sentence}", file=sys.stderr, flush=True)


def positive(text: str) -> float:
    """An argument that is a number above zero."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above zero")
    return number


def whole(text: str) -> int:
    """An argument that is a whole number above zero."""
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above zero")
    return int(text)
