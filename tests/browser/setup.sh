#!/usr/bin/env bash
# Sees to it that the browser tests have a Chromium, or says at once that they have none.
#   setup.sh system         before the installation, which takes minutes: by apt, where that may be used
#   setup.sh check PYTHON   after it: starts the browser once; fetches Playwright's own where none starts
set -euo pipefail
here=$(dirname "$0")

has_chromium() {
  command -v chromium || command -v chromium-browser || command -v google-chrome-stable || command -v google-chrome
} >/dev/null

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

may_use_apt() {
  command -v apt-get >/dev/null && { [ "$(id -u)" -eq 0 ] || sudo -n true 2>/dev/null; }
}

by_apt() {
  echo "Installing Chromium for the browser tests, by apt-get"
  as_root apt-get update -qq &&
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      chromium fonts-dejavu-core >/dev/null
}

system() {
  if ! has_chromium && may_use_apt; then
    by_apt || echo "apt-get has no Chromium; Playwright's own will be tried" >&2
  fi
}

check() {
  local python=$1
  "$python" "$here/chromium.py" 2>/dev/null && return
  echo "Fetching Playwright's own Chromium for the browser tests"
  "$python" -m playwright install chromium >/dev/null || true
  "$python" "$here/chromium.py" && return
  cat >&2 <<'TEXT'
The browser tests need Chromium: none is installed, apt-get could not be used to install it (that
takes root, or sudo without a password), and Playwright's own could not be fetched or does not start.
Install it, then run this again:
    sudo apt-get install chromium fonts-dejavu-core     # Debian; elsewhere: your package manager
or run all other tests:
    .venv/bin/python -m pytest -m "not browser"
TEXT
  exit 1
}

"$@"
