from codesessions_sidecar.main import main

main()
