from codesessions_builder.main import main

main()
