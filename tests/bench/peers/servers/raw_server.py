"""Ray Serve as it comes: `ray.init()` and `serve.run()`."""

from __future__ import annotations

import sys
import threading

import ray
from ray import serve
from serve_app import application

if __name__ == "__main__":
    ray.init(num_cpus=8, log_to_driver=False, logging_level="ERROR")
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[2])})
    serve.run(application(sys.argv[1]))
    threading.Event().wait()
