"""Seconds, on the wall and of the processor, that dask's threaded scheduler takes for a two-layer graph of so many no-op tasks, building it not counted."""

import sys
import time

import dask
import dask.threaded


def no_op(*_):
    """Does nothing."""


chunks = int(sys.argv[1]) // 2
graph = {("read", i): (no_op,) for i in range(chunks)}
graph |= {("write", i): (no_op, ("read", i)) for i in range(chunks)}
keys = [("write", i) for i in range(chunks)]
start, cpu = time.perf_counter(), time.process_time()
dask.threaded.get(graph, keys, num_workers=2)
print(time.perf_counter() - start, time.process_time() - cpu, dask.__version__)
