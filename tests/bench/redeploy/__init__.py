"""Benches of redeploying, black-box on the public functions. Run with `make bench-redeploy`."""
