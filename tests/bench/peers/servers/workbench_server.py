"""The same application by `workbench.deploy()`; a third argument chooses the data path."""

from __future__ import annotations

import signal
import sys
import threading

from serve_app import application

import workbench

if __name__ == "__main__":
    ended = threading.Event()
    workbench.start(num_cpus=8, http_port=int(sys.argv[2]), data_path=sys.argv[3])
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    workbench.deploy(application(sys.argv[1]), name="bench", route_prefix="/")
    ended.wait()
    workbench.stop()
