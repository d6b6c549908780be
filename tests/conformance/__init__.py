"""Programs that nobody here wrote, deployed by us and run plainly: both must do the same.

Each folder is a part, and a part is a plain pytest run. A test that belongs to the long form
alone is marked `conformance`: `make conformance` runs it, `make test` does not.
"""
