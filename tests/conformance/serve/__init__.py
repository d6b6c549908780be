"""Ray Serve's semantics: programs under plain `serve.run` and deployed by us, asked the same."""
