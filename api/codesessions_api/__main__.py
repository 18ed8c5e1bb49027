from codesessions_api.main import main

main()
