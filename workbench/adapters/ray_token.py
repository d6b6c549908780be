"""The token that Ray's ports ask for: a file that its user alone may read."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def path() -> Path:
    """Where Ray looks for its token."""
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    return Path(named).expanduser() if named else Path.home() / ".ray" / "auth_token"


def secure() -> None:
    """Make Ray's token, readable by this user alone; Ray itself would leave it to everybody."""
    file = path()
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if file.parent.name == ".ray":
        file.parent.chmod(0o700)
    if not file.exists():
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as content:
            content.write(secrets.token_hex(32))
    file.chmod(0o600)
