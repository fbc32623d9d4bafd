"""The version, which pyproject.toml has too; a test compares the two."""

from typing import Final

__all__ = ["VERSION"]

VERSION: Final = "0.1.0"
