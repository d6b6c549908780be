"""One program per peer: `python SERVER.py WORKLOAD PORT` serves until it is ended."""
