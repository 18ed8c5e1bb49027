"""`python -m codesessions_sidecar`."""

from codesessions_sidecar.main import main

main()
