from codesessions_cli.main import main

main()
