"""The static files: read once, so that no name in an address ever reaches the file system."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

__all__ = ["File", "static_files"]

_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class File:
    """``tag``: what HTTP calls a strong ETag."""

    content: bytes
    media_type: str
    tag: str


def static_files() -> dict[str, File]:
    """Every file of static/, by its path below it."""
    return dict(_read(files("mqtrace.flow.page") / "static", ""))


def _read(folder: Traversable, prefix: str) -> Iterator[tuple[str, File]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _read(entry, f"{prefix}{entry.name}/")
        elif (media_type := _TYPES.get(entry.name.rpartition(".")[2])) is not None:
            content = entry.read_bytes()
            yield prefix + entry.name, File(content, media_type, f'"{hashlib.sha256(content).hexdigest()[:20]}"')
