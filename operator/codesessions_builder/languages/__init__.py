"""One module a language: `found` says by which files it is known, `plan` what to do."""
