"""FastAPI's own tests, each application deployed by us instead of called in the test's process."""
