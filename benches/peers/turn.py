"""What every program that takes a turn shares: their list, the clock, threads, sums of pixels."""
import os
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

THREADS = int(os.environ.get("BENCH_THREADS", os.cpu_count()))
WANTS_SUM = "BENCH_SUM" in os.environ
PEERS = {}


def peer(name, *workloads):
    """Registers a function that takes the workload and both paths, and gives (seconds, CRC-32 or None)."""

    def register(function):
        PEERS.update({(name, workload): function for workload in workloads})
        return function

    return register


def timed(work):
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def crc(array):
    return zlib.crc32(memoryview(array).cast("B"))


def plane_places(shape):
    return [(t, c, z) for t in range(shape[0]) for c in range(shape[1]) for z in range(shape[2])]


def on_threads(work, items):
    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(work, items))


def read_planes(opened, read):
    """Reads every plane by itself; (seconds, exclusive or of all CRC-32)."""

    def work():
        array = opened()

        def one(place):
            plane = read(array, place)
            return crc(plane) if WANTS_SUM else 0

        return on_threads(one, plane_places(array.shape))

    seconds, sums = timed(work)
    total = 0
    for each in sums:
        total ^= each
    return seconds, total if WANTS_SUM else None


def read_whole(read):
    seconds, pixels = timed(read)
    return seconds, crc(pixels) if WANTS_SUM else None
