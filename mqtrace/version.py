"""The version, said once more than in pyproject.toml; a test holds the two together."""

from typing import Final

__all__ = ["VERSION"]

VERSION: Final = "0.1.0"
