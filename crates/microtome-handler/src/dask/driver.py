"""Carries frames between a microtome program (standard input and output) and a Dask cluster.

Uses Dask's public API only. A batch is one Dask task: the builtin `eval` with an expression and plain data, so no code is
pickled and the versions of Python may differ. It keeps no state but what is in flight, retries nothing by itself except
installing what a worker lacks, and ends as soon as its standard input does, after stopping what it started.
"""

import asyncio
import json
import os
import queue
import signal
import struct
import sys
import threading
import time

# Whatever prints must not end up between frames.
OUT = os.dup(1)
os.dup2(2, 1)

PROTOCOL = 1
POLL_SECONDS = 0.5
WORKERS_SECONDS = 5.0
LATE_SECONDS = 2.0

# Finds the runtime in the worker process, or makes it if its source came along.
EXPRESSION = (
    "(lambda s: s.modules.get(name) or (lambda m: (exec(source, m.__dict__), s.modules.setdefault(name, m))[1])"
    "(type(s)(name)))(__import__('sys'))"
)
RUN = EXPRESSION + ".run(spec, body)"
ABOUT = EXPRESSION + ".about(exe)"
CANCEL = EXPRESSION + ".cancel(job, ids)"
VERSION = "__import__('importlib.metadata').metadata.version('distributed')"

# From each of these releases on the messages between client and scheduler differ from those before.
BREAKS = [((2023, 4), "graphs are pickled"), ((2025, 4), "expressions replaced graphs")]


def frame(header, body=b""):
    header = json.dumps(header, default=str).encode()
    return struct.pack("<IQ", len(header), len(body)) + header + body


def read_frame(pipe):
    head = pipe.read(12)
    if len(head) < 12:
        return None
    header_len, body_len = struct.unpack("<IQ", head)
    header = pipe.read(header_len)
    body = pipe.read(body_len)
    if len(header) < header_len or len(body) < body_len:
        return None
    return json.loads(header), body


def write_all(data):
    view = memoryview(data)
    while view:
        view = view[os.write(OUT, view) :]


def fatal(kind, message, **more):
    message = " ".join(message.split())[:1000]
    try:
        write_all(frame({"op": "fatal", "kind": kind, "message": message, **more}))
    except OSError:
        pass
    os._exit(1)


class Writer:
    """Writes frames on a thread of its own, so that a slow reader holds nothing up."""

    def __init__(self):
        self.frames = queue.SimpleQueue()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def send(self, header, body=b""):
        self.frames.put(frame(header, body))

    def run(self):
        while True:
            data = self.frames.get()
            if data is None:
                return
            try:
                write_all(data)
            except OSError:
                os._exit(0)  # the program has gone

    def close(self):
        self.frames.put(None)
        self.thread.join(timeout=2)


class Driver:
    def __init__(self, config, source):
        self.config = config
        self.job = config["job"]
        self.exe = config["exe"]
        self.name = "microtome_runtime_" + config["runtime"]
        self.source = source.decode()
        self.writer = Writer()
        self.waiting = asyncio.Queue()  # batches to be submitted
        self.flying = {}  # id -> (Dask future, header, body)
        self.headers = {}  # id -> the frame it came in, for events
        self.late = {}  # id of what is done but not here -> (when it is asked for again, seconds until then)
        self.tasks = set()
        self.shipped = None  # a future once shipping has begun
        self.lost = False
        self.closing = False  # a scheduler that is left is not lost
        self.connected = False
        self.asked = 0
        self.doomed = []  # batches that are to be stopped in a moment
        self.workers = None

    # Connecting

    async def connect(self):
        client = await self.client()
        self.writer.send({"op": "connected"})
        await self.stop_predecessors(client)
        versions = await self.versions(client)
        facts = await self.ask_workers(client, 5.0)
        if self.exe["ship"] == "always" or (
            self.exe["ship"] == "auto" and any("MT-EXE-MISSING" in str(fact.get("fault")) for fact in facts.values())
        ):
            await self.ship()
            facts = await self.ask_workers(client, 5.0)
        self.workers = {address: fact.get("threads", 1) for address, fact in facts.items()}
        client.subscribe_topic("microtome-" + self.job, self.event)
        self.writer.send(
            {
                "op": "ready",
                "protocol": PROTOCOL,
                "versions": versions,
                "dashboard": dashboard(client),
                "scheduler": client.scheduler.address,
                "workers": facts,
            }
        )

    async def stop_predecessors(self, client):
        """Stops what still runs for drivers that died before this one: its items will run again, not twice at a time."""
        for job in self.config["replaces"]:
            scope = {"name": self.name, "source": self.source, "job": job, "ids": None}
            try:
                await asyncio.wait_for(client.run(eval, CANCEL, scope, on_error="ignore"), 5.0)
            except asyncio.TimeoutError:
                pass  # a worker that does not answer now is told nothing more

    async def client(self):
        import distributed

        address, timeout = self.config["address"], self.config["timeout"]
        security, tls = None, self.config.get("tls")
        if tls:
            security = distributed.security.Security(
                tls_ca_file=tls["ca"],
                tls_client_cert=tls["cert"],
                tls_client_key=tls["key"],
                require_encryption=True,
            )
        try:
            self.dask = distributed.Client(
                address, asynchronous=True, timeout=timeout, security=security, set_as_default=False, name="microtome"
            )
            return await self.dask
        except TypeError as error:
            if "unexpected keyword" in str(error):
                # A scheduler so old that it does not even know how the client greets.
                why = "the scheduler does not understand it: %s" % error
                fatal("version", why, client=distributed.__version__, scheduler="(older)", python=sys.executable)
            fatal("tls" if "TLS" in str(error) else "bridge", str(error))
        except ValueError as error:
            # Whoever talks first talks in plain: "IOStream is not idle; cannot convert to SSL".
            fatal("tls" if "SSL" in str(error) else "address", str(error))
        except Exception as error:
            text = "%s: %s" % (type(error).__name__, error)
            chain, cause = text, error.__cause__ or error.__context__
            while cause is not None:
                chain += "; %s: %s" % (type(cause).__name__, cause)
                cause = cause.__cause__ or cause.__context__
            encrypted = any(word in chain for word in ("SSL", "CERTIFICATE", "TLS", "ssl_context"))
            fatal("tls" if encrypted else "no-scheduler", chain)

    async def versions(self, client):
        import distributed

        here = distributed.__version__
        try:
            there = await asyncio.wait_for(self.scheduler_version(client), self.config["timeout"])
        except Exception as error:
            fatal("no-scheduler", "it did not tell its version: %s: %s" % (type(error).__name__, error))
        why = broken_between(here, there)
        tried = False
        if why is None and here != there and await self.is_free(client):
            tried, why = True, await self.works(client)
        if why is not None:
            fatal("version", why, client=here, scheduler=there, python=sys.executable)
        if here != there:
            told = "a trial task ran" if tried else "no worker was free for a trial task"
            message = "distributed is %s here and %s at the scheduler; %s; Dask does not promise that other versions work "
            message += "together"
            self.writer.send({"op": "warning", "message": message % (here, there, told)})
        return {"client": here, "scheduler": there, "python": sys.version.split()[0]}

    async def scheduler_version(self, client):
        """Asks the scheduler alone: `get_versions` waits for every worker, and for ever for one that hangs."""
        try:
            return await client.run_on_scheduler(eval, VERSION)
        except Exception:  # perhaps it takes no functions (distributed.scheduler.pickle: false)
            versions = await client.get_versions()
            return versions["scheduler"]["packages"]["distributed"]

    async def is_free(self, client):
        """Whether a worker has nothing to do: where all are busy, a trial task could wait for hours."""
        return any(not tasks for tasks in (await client.processing()).values())

    async def works(self, client):
        """None, or why a trial task gave no result."""
        try:
            future = client.submit(eval, "6 * 7", key="microtome-trial-" + self.job, pure=False)
            answer = await asyncio.wait_for(future, self.config["timeout"])
            return None if answer == 42 else "a trial task answered %r" % (answer,)
        except BaseException as error:
            return "a trial task gave no result (%s: %s)" % (type(error).__name__, error)

    async def ask_workers(self, client, seconds):
        """What each worker says of itself; a worker that does not answer in time is a fault of its own."""
        threads = await client.nthreads()
        if not threads:
            return {}

        async def ask(address):
            scope = {"name": self.name, "source": self.source, "exe": self.exe}
            try:
                answer = await asyncio.wait_for(self.about(client, address, scope), seconds)
                return {**answer, "threads": threads[address]}
            except asyncio.TimeoutError:
                return {"threads": threads[address], "fault": "it did not answer within %s s: busy?" % seconds}
            except Exception as error:
                return {"threads": threads[address], "fault": "%s: %s" % (type(error).__name__, error)}

        addresses = list(threads)
        return dict(zip(addresses, await asyncio.gather(*map(ask, addresses))))

    async def about(self, client, address, scope):
        """Asks beside the worker's threads, which may be busy; in a task where none of ours has run yet."""
        facts = (await client.run(eval, ABOUT, scope, workers=[address]))[address]
        if facts is not None:
            return facts
        self.asked += 1
        key = "microtome-about-%s-%d" % (self.job, self.asked)
        future = client.submit(eval, ABOUT, scope, key=key, pure=False, workers=[address], priority=1)
        try:
            return await future
        finally:
            future.release()

    async def ship(self):
        """Gives the program to all workers, present and future, once; where that fails, the next to ask tries again."""
        if self.shipped is None:
            self.shipped = asyncio.ensure_future(self.upload())
        shipped = self.shipped
        try:
            await asyncio.shield(shipped)
        except Exception:
            if self.shipped is shipped:
                self.shipped = None
            raise

    async def upload(self):
        import shutil
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, self.exe["name"])
            shutil.copyfile(self.exe["source"], path)
            await self.dask.upload_file(path, load=False)

    # Batches

    async def submit_all(self):
        while True:
            batches = [await self.waiting.get()]
            while not self.waiting.empty():
                batches.append(self.waiting.get_nowait())
            groups = {}
            for batch in batches:
                if batch[0]["id"] in self.headers:
                    options = batch[0].get("options", {})
                    groups.setdefault((batch[0]["function"], json.dumps(options, sort_keys=True)), []).append(batch)
            for (function, options), group in groups.items():
                try:
                    self.submit(function, json.loads(options), group)
                except Exception as error:
                    for header, _, _ in group:
                        self.fail(header["id"], "bridge", "%s: %s" % (type(error).__name__, error))

    def submit(self, function, options, group):
        label = function.rsplit("::", 1)[-1]
        futures = self.dask.map(
            eval,
            [RUN] * len(group),
            [self.scope(header, body, with_source) for header, body, with_source in group],
            key=["%s-%s-%d-%d" % (label, self.job, h["id"], h["tries"]) for h, _, _ in group],
            pure=False,
            retries=0,
            workers=options.get("workers"),
            resources=options.get("resources"),
            priority=options.get("priority", 0),
        )
        for (header, body, _), future in zip(group, futures):
            self.flying[header["id"]] = future, header, body
            self.start(self.follow(header, body, future))

    def scope(self, header, body, with_source):
        spec = {key: header[key] for key in ("id", "function", "items", "first")}
        spec.update(job=self.job, exe=self.exe, retries=self.config["retries"])
        spec.update(item_seconds=self.config["item_seconds"], slow_seconds=self.config["slow_seconds"])
        scope = {"name": self.name, "spec": spec, "body": body}
        if with_source:
            scope["source"] = self.source
        return scope

    async def follow(self, header, body, future):
        try:
            await self.settle(header, body, future)
        finally:
            future.release()

    async def settle(self, header, body, future):
        """Waits for a batch and hands on what became of it, unless somebody asked for the same and was faster."""
        id, error = header["id"], None
        try:
            facts, outcomes = await future
        except BaseException as raised:
            error = raised
        if self.flying.get(id, (None,))[0] is not future:
            return
        del self.flying[id]
        if error is None:
            if self.headers.pop(id, None) is not None:
                self.writer.send({"op": "done", "id": id, **facts}, outcomes)
        elif id in self.headers and not self.lost:
            await self.failed(header, body, error)

    def look_for_late(self):
        """Asks again for results that are long in coming. If a worker dies when its result is fetched, the scheduler tries
        to reach it for half a minute, and holds up what else was asked for with it; who asks again hears how things are."""
        now, late = time.monotonic(), {}
        for id, (future, header, body) in self.flying.items():
            if future.status in ("finished", "error", "cancelled"):
                when, patience = self.late.get(id, (now + LATE_SECONDS, LATE_SECONDS))
                if now >= when:
                    when, patience = now + 2 * patience, 2 * patience
                    self.start(self.settle(header, body, future))
                late[id] = when, patience
        self.late = late

    def start(self, coroutine):
        task = asyncio.ensure_future(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def failed(self, header, body, error):
        id, text, kind = header["id"], str(error), type(error).__name__
        code, _, message = text.partition(" ")
        if isinstance(error, NameError) and "source" in text:
            self.again(header, body, with_source=True)
        elif code == "MT-EXE-MISSING" and self.exe["ship"] != "never" and header["tries"] < 3:
            try:
                await self.ship()
            except Exception as error:
                self.fail(id, "exe-missing", "%s; it could not be sent: %s" % (message, error))
            else:
                self.again(header, body, with_source=True)
        elif code.startswith("MT-"):
            self.fail(id, code[3:].lower(), message)
        elif "Killed" in kind:
            self.fail(id, "workers-killed", text)
        elif "Cancelled" in kind:
            # Nobody here cancelled it: the scheduler has gone or forgot everything.
            await self.check_scheduler(text)
            self.fail(id, "forgotten", text or kind)
        else:
            self.fail(id, "bridge", "%s: %s" % (kind, text))

    def again(self, header, body, with_source):
        header = dict(header, tries=header["tries"] + 1)
        self.waiting.put_nowait((header, body, with_source))

    def fail(self, id, kind, message):
        if self.headers.pop(id, None) is not None:
            self.writer.send({"op": "fail", "id": id, "kind": kind, "message": message})

    async def cancel_soon(self, ids):
        """Stops batches; what is asked for within a moment goes to the workers as one message."""
        self.doomed.extend(ids)
        await asyncio.sleep(0.005)
        if self.doomed:
            ids, self.doomed = self.doomed, []
            await self.cancel(ids)

    async def cancel(self, ids):
        """Stops batches, or all where `ids` is None: what waits at the scheduler and what runs on workers."""
        wanted = list(self.headers) if ids is None else [id for id in ids if id in self.headers]
        futures = [self.flying[id][0] for id in wanted if id in self.flying]
        for id in wanted:
            self.headers.pop(id, None)
        if futures:
            await self.dask.cancel(futures, force=True)
            scope = {"name": self.name, "source": self.source, "job": self.job, "ids": None if ids is None else wanted}
            await self.dask.run(eval, CANCEL, scope, on_error="ignore")

    def event(self, event):
        """An event of the runtime on a worker."""
        _, message = event
        header = self.headers.get(message.get("id"))
        if header is not None:
            self.writer.send({**message, "function": header["function"], "first": header["first"], "items": header["items"]})

    # Watching

    async def watch(self):
        looked = time.monotonic()
        while True:
            await asyncio.sleep(POLL_SECONDS)
            await self.check_scheduler("the connection is %s" % self.dask.status)
            self.look_for_late()
            if time.monotonic() - looked >= WORKERS_SECONDS:
                looked = time.monotonic()
                try:
                    workers = await asyncio.wait_for(self.dask.nthreads(), WORKERS_SECONDS)
                except Exception:
                    continue
                if workers != self.workers:
                    self.workers = workers
                    self.writer.send({"op": "workers", "workers": len(workers), "threads": sum(workers.values())})

    async def check_scheduler(self, why):
        if self.dask.status == "running" or self.lost or self.closing:
            return
        self.lost = True
        self.headers.clear()
        self.writer.send({"op": "lost", "message": why})

    # The whole

    async def run(self, frames):
        await self.connect()
        self.connected = True
        for task in (self.submit_all, self.watch):
            self.tasks.add(asyncio.ensure_future(task()))
        while True:
            got = await frames.get()
            if got is None or got[0]["op"] == "close":
                break
            header, body = got
            if header["op"] == "submit":
                header["tries"] = 0
                self.headers[header["id"]] = header
                self.waiting.put_nowait((header, body, False))
            elif header["op"] == "cancel":
                self.tasks.add(asyncio.ensure_future(self.cancel_soon(header["ids"])))
            elif header["op"] == "info":
                self.tasks.add(asyncio.ensure_future(self.info(header["id"])))
        await self.close()

    async def info(self, id):
        facts = await self.ask_workers(self.dask, 5.0)
        self.writer.send({"op": "info", "id": id, "workers": facts})

    async def close(self):
        """Stops what is in flight and leaves, within seconds whatever hangs."""
        self.closing = True
        if not self.lost:
            try:
                await asyncio.wait_for(self.cancel(None), 2.0)
            except Exception:
                pass
            try:
                await asyncio.wait_for(self.dask.close(timeout=1), 2.0)
            except Exception:
                pass
        self.writer.close()
        os._exit(0)


def dashboard(client):
    try:
        return str(client.dashboard_link or "")
    except KeyError:
        return ""  # the scheduler has none


def broken_between(here, there):
    """What changed between two releases that cannot work together, or None."""

    def number(version):
        parts = version.split(".")
        try:
            return int(parts[0]), int(parts[1])
        except (ValueError, IndexError):
            return None

    a, b = number(here), number(there)
    if a is None or b is None:
        return None
    for release, change in BREAKS:
        if (a < release) != (b < release):
            return "since release %d.%d %s" % (*release, change)
    return None


async def main():
    loop = asyncio.get_running_loop()
    stdin = sys.stdin.buffer
    first = read_frame(stdin)
    if first is None:
        os._exit(0)
    frames = asyncio.Queue()

    def read():
        got = True
        while got is not None:
            try:
                got = read_frame(stdin)
            except (OSError, ValueError):
                got = None
            if got is None and not driver.connected:
                os._exit(0)
            try:
                loop.call_soon_threadsafe(frames.put_nowait, got)
            except RuntimeError:
                os._exit(0)

    driver = Driver(*first)
    threading.Thread(target=read, daemon=True).start()
    run = asyncio.ensure_future(driver.run(frames))
    await run


if __name__ == "__main__":
    # The program decides what an interrupt means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        import dask
        import distributed
    except ImportError as error:
        fatal("no-distributed", "%s" % error)
    dask.config.set({"distributed.admin.low-level-log-length": 10})
    try:
        asyncio.run(main())
    except Exception as error:
        fatal("bridge", "%s: %s" % (type(error).__name__, error))
