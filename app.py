from stacks import kernel

with kernel.starting():
    from stacks.build import main

main()
kernel.end()
