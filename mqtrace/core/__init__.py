"""The core: contexts, identities, spans, templates and their encoding; standard library only.

This is the one seam of the fast path. The rest of the library takes these names from ``mqtrace.core`` and from nowhere
below it (linted), so another core, a compiled one, can replace the modules here without a change elsewhere.
``MQTRACE_CORE`` names it: a module with every name in ``__all__`` of :mod:`mqtrace.core.python`, which is the default.
Besides methods, the rest of the library reads and writes these attributes of frames, spans and templates:
``identity``, ``state``, ``baggage``, ``decision``, ``remote``, ``ended``, ``token``; ``template``, ``parent``,
``begun_ns``, ``details``, ``origin``, ``origins``, ``partition``, ``offset``, ``timestamp``; a template's ``pipeline``,
``relation``, ``roots``, ``follows_parent_only``, ``propagate_only``, ``tombstone``, ``name``, ``encoded``, ``weight``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .python import *  # noqa: F403  # the names are there, and a type checker follows them
    from .python import __all__ as __all__
else:
    from .implementation import load

    __all__ = load(globals())
