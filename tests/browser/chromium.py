"""The Chromium that the browser tests drive: the system's, else the one of Playwright itself.

Run as `python tests/browser/chromium.py` it starts the browser once and says which it is; it fails
where there is none.
"""

from __future__ import annotations

import shutil
import sys

from playwright.sync_api import Browser, Error, Playwright, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def launched(playwright: Playwright) -> Browser:
    """Start the first browser that does start: Ubuntu has commands that only advertise a package.

    Raises:
        Error: none does; what Playwright says of its own.
    """
    for path in filter(None, map(shutil.which, NAMES)):
        try:
            return playwright.chromium.launch(executable_path=path, args=FLAGS)
        except Error:
            continue
    return playwright.chromium.launch(args=FLAGS)


def main() -> int:
    """Start it, say its version, end it."""
    with sync_playwright() as playwright:
        try:
            browser = launched(playwright)
        except Error as error:
            print(str(error).strip().splitlines()[0], file=sys.stderr)
            return 1
        print(f"Chromium {browser.version}")
        browser.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
