"""One variant's figures, as JSON on standard output: ``python -m bench.measure MODULE VARIANT ADDRESS SCALE``.

MODULE has ``figures(variant, address, count) -> {figure: value}``, see parts.py.
"""

from __future__ import annotations

import importlib
import json
import sys


def main() -> None:
    """Measure."""
    module, variant, address, scale = sys.argv[1:5]
    count = max(200, int(20_000 * float(scale)))
    print(json.dumps(importlib.import_module(module).figures(variant, address, count)))


if __name__ == "__main__":
    main()
