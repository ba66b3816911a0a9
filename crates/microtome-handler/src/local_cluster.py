"""Runs a Dask cluster on this machine for a microtome program, as long as that program lives.

Its first line of standard input says what is wanted; one line of standard output says what there is. When standard input
ends, or SIGTERM comes, everything ends with it: the workers first and in peace, then, after CLOSING seconds at most,
whatever is left of this process group.
"""

import json
import os
import queue
import signal
import sys
import threading
import time

# Whatever prints must not end up in the answer.
OUT = os.dup(1)
os.dup2(2, 1)

CLOSING = 2.5


def answer(**what):
    try:
        os.write(OUT, json.dumps(what).encode() + b"\n")
    except OSError:
        pass  # the program has gone, and its end of standard input says so too


class SchedulerFile:
    """The file that tells others the address, as `dask scheduler --scheduler-file` writes it."""

    def __init__(self, path):
        self.path = path
        self.beside = "%s.%d" % (path, os.getpid())
        self.written = False
        open(self.beside, "w").close()  # whether it can be written is better known before anything is started

    def write(self, scheduler):
        with open(self.beside, "w") as file:
            json.dump({"type": "Scheduler", "id": scheduler.id, "address": scheduler.address, "workers": {}}, file)
        os.replace(self.beside, self.path)
        self.written = True

    def is_ours(self, address):
        try:
            with open(self.path) as file:
                return json.load(file)["address"] == address
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def remove(self, address):
        ours = [self.beside] if not (self.written and self.is_ours(address)) else [self.beside, self.path]
        for path in ours:
            try:
                os.remove(path)
            except OSError:
                pass


class Local:
    """The cluster, made on a thread of its own, so that the program may go meanwhile."""

    def __init__(self, wanted):
        self.wanted = wanted
        self.news = queue.SimpleQueue()
        self.cluster = None
        self.folder = None
        self.file = None

    def promise(self):
        """Makes the scheduler file's place, on the thread that will remove it, so that a stop always finds it known."""
        path = self.wanted["scheduler_file"]
        try:
            self.file = SchedulerFile(path) if path else None
        except OSError as error:
            message = "cannot write the scheduler file %s: %s" % (path, error.strerror)
            self.news.put({"op": "fatal", "kind": "start", "message": message})
            return False
        return True

    def start(self):
        try:
            self.make()
            if self.file:
                self.file.write(self.cluster.scheduler)
            self.news.put({"op": "ready", **self.facts()})
        except BaseException as error:
            name = "" if isinstance(error, OSError) else "%s: " % type(error).__name__
            self.news.put({"op": "fatal", "kind": "start", "message": "%s%s" % (name, error)})

    def make(self):
        import tempfile

        import dask
        import distributed

        self.folder = tempfile.mkdtemp(prefix="microtome-cluster-", dir=dask.config.get("temporary-directory", None))
        dashboard = self.wanted["dashboard"]
        limit = self.wanted["memory_each"]
        self.cluster = distributed.LocalCluster(
            n_workers=self.wanted["workers"],
            threads_per_worker=self.wanted["threads_each"],
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:8787" if dashboard else "127.0.0.1:0",
            scheduler_kwargs={"dashboard": dashboard},
            local_directory=self.folder,
            **({"memory_limit": limit} if limit else {}),
        )
        while len(self.cluster.scheduler.workers) < self.wanted["workers"]:
            time.sleep(0.02)

    def facts(self):
        workers = [nanny.process for nanny in self.cluster.workers.values()]
        return {
            "address": self.cluster.scheduler.address,
            "dashboard": self.cluster.dashboard_link if self.wanted["dashboard"] and has_bokeh() else "",
            "folder": self.folder,
            "workers": [{"address": worker.worker_address, "pid": worker.pid} for worker in workers],
        }

    def close(self):
        """Ends everything, this process too; nothing that hangs can keep it."""
        killer = threading.Timer(CLOSING, self.kill)
        killer.daemon = True
        killer.start()
        if self.file:
            self.file.remove(self.cluster.scheduler.address if self.cluster else None)
        if self.cluster:
            hush()
            try:
                self.cluster.close(timeout=CLOSING)
            except BaseException:
                pass
        self.kill()

    def kill(self):
        import shutil

        # The folder last but one: what a worker still writes goes with it, and after the last nobody is left to do it.
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(0)


def has_bokeh():
    try:
        import bokeh  # noqa: F401
    except ImportError:
        return False
    return True


def hush():
    """What Dask says while it is being ended is no news."""
    import logging

    logging.disable(logging.CRITICAL)


def main():
    line = sys.stdin.buffer.readline()
    if not line:
        os._exit(0)
    local = Local(json.loads(line))

    def watch():
        try:
            while sys.stdin.buffer.read1(1024):
                pass
        except (OSError, ValueError):
            pass
        local.news.put(None)

    signal.signal(signal.SIGTERM, lambda *_: local.news.put(None))
    for work in (watch, local.start) if local.promise() else (watch,):
        threading.Thread(target=work, daemon=True).start()
    news = local.news.get()
    if news is not None:
        answer(**news)
        if news["op"] == "ready":
            local.news.get()
    local.close()


if __name__ == "__main__":
    # The program decides what an interrupt means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        answer(op="fatal", kind="no-distributed", message=str(error))
        os._exit(1)
    main()
