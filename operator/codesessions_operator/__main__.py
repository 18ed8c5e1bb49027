from codesessions_operator.main import main

main()
