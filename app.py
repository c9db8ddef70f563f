from stacks.build import main

main()
