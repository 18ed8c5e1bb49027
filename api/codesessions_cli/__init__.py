"""The `codesessions` command: `main` parses, `orgs` and `keys` do."""
