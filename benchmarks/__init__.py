"""What a log call and an instrumented request cost, against the others, in one process and run: `python -m benchmarks`.

`cases` says what is compared, `timing` measures it, `table` prints it and judges the targets. No time is asserted:
how fast a machine is tonight is not a reason for a red build.
"""
