from codesessions_api.gateway.main import main

main()
