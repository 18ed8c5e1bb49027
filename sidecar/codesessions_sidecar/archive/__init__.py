"""The workspace's files as one deterministic zip, read by a process of its own and never held in memory.

`ignore` and `dropped` decide what goes in, `walk` finds it without following anything, `zipwriter` gives it its form,
`program` is the process, `run` starts it from the sidecar.
"""
