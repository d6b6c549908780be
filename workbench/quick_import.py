"""Imports Ray without a second of work that nobody needs.

Ray imports jsonschema, and jsonschema loads a grammar of internationalised addresses (0.9 s of
Ray's 1.2 s on the machine where it was measured) where JupyterLab has installed one. Without it
jsonschema does not check the formats "iri" and "iri-reference", and does all else.
"""

from __future__ import annotations

import sys

GRAMMAR = "rfc3987_syntax"

if "jsonschema" not in sys.modules and GRAMMAR not in sys.modules:
    sys.modules[GRAMMAR] = None  # type: ignore[assignment]  # makes its import fail, as documented
    import jsonschema  # noqa: F401 - imported for its effect

    del sys.modules[GRAMMAR]
