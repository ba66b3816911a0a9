"""Runs batches of a microtome program on a Dask worker.

Installed once in a worker process, as a module named after its own content; needs nothing but Dask. A task is
`run(spec, body)`: it gives the batch to a child, which is the user's own program in worker mode, over the frames of
frame.rs, and returns the outcomes as bytes, unread. One Dask task keeps one child busy.

What an item does wrong is data inside the result. If a child dies, the items whose results were not handed on yet run
again in a new one, which hands each result on at once: so a second death names its item, and no other item is lost.
An item that gives no result for long is told of; where there is a limit, its child is ended, and at the second time the item
is given up: what hangs would hang again.
Only builtin exceptions leave this module, with a code in front: classes made here could not be read elsewhere.
"""

import collections
import hashlib
import json
import logging
import os
import select
import shutil
import struct
import subprocess
import threading
import time

import distributed

PROTOCOL = 1
HELLO_SECONDS = 20.0
IDLE_SECONDS = 60.0
WATCH_SECONDS = 0.25
MOST_LOG_LINES = 200  # of a batch, to the client; all go to the worker's log
LOG = logging.getLogger("distributed.worker.microtome")

_lock = threading.Lock()
_idle = []  # (child, since), the last used last
_running = {}  # (job, id) -> child
_batches = {}  # (job, id) -> the batch that it runs
_cancelled = collections.OrderedDict()  # (job, id) or job -> True
_checked = {}  # (path, mtime, size, inode) -> sha256
_reaper = None
_watcher = None
_home = None  # the Dask worker of this process


def about(exe):
    """What the client wants to know of this worker; `fault` says why the program cannot run here, if so.

    Outside of a task it works only where a task has run before, since only tasks are told their worker; else it gives None.
    (Not the exception of `get_worker`: it holds what cannot be pickled, and Dask writes pages about that into its log.)
    """
    try:
        worker = _worker()
    except ValueError:
        return None
    facts = {
        "host": _host(),
        "pid": os.getpid(),
        "memory": getattr(getattr(worker, "memory_manager", None), "memory_limit", None),
        "distributed": distributed.__version__,
        "python": ".".join(str(part) for part in os.sys.version_info[:3]),
        "fault": None,
    }
    try:
        child = _take(exe)
        facts["functions"] = child.hello.get("functions")
        facts["version"] = child.hello.get("version")
        _give_back(child)
    except RuntimeError as error:
        facts["fault"] = str(error)
    return facts


def run(spec, body):
    """Runs a batch; gives (facts, outcomes as bytes)."""
    return _Batch(spec, body).run()


def cancel(job, ids):
    """Kills what runs of the batches `ids` of a job, or of all of it where `ids` is None; gives how many were killed."""
    with _lock:
        for key in [job] if ids is None else [(job, id) for id in ids]:
            _cancelled[key] = True
        while len(_cancelled) > 10_000:
            _cancelled.popitem(last=False)
        doomed = [child for key, child in _running.items() if _is_cancelled(key)]
    for child in doomed:
        child.kill()
    return len(doomed)


def _worker():
    global _home
    try:
        _home = distributed.get_worker()
    except ValueError:
        if _home is None:
            raise
    return _home


def _told():
    """What a child is told of its worker: its address, its threads, and how many bytes it may use, where it says so."""
    worker = _worker()
    threads = getattr(getattr(worker, "state", None), "nthreads", 1)
    told = {"MICROTOME_WORKER_ADDRESS": worker.address, "MICROTOME_WORKER_THREADS": str(threads)}
    limit = getattr(getattr(worker, "memory_manager", None), "memory_limit", None)
    if limit:
        told["MICROTOME_WORKER_MEMORY"] = str(int(limit))
    return told


def _is_cancelled(key):
    return key in _cancelled or key[0] in _cancelled


def _fail(code, message):
    raise RuntimeError("MT-%s %s" % (code, message))


def _host():
    return os.uname().nodename if hasattr(os, "uname") else "?"


class _Batch:
    """One batch on its way through one child after the other."""

    def __init__(self, spec, body):
        self.spec = spec
        self.body = body
        self.key = (spec["job"], spec["id"])
        self.worker = _worker()
        self.parts = []
        self.done = 0
        self.seconds = 0.0
        self.deaths = 0
        self.blamed = 0  # deaths in the present item, since it stood alone
        self.lines = 0
        self.told = time.monotonic()
        self.since = None  # when the present child had the batch, or gave its last result; None: it has no child
        self.slow = spec.get("slow_seconds") or float("inf")  # seconds after which it is told that nothing came
        self.overdue = False  # whether its child was ended for want of a result

    def run(self):
        skipped = None
        while skipped is None:
            child = self.take()
            try:
                skipped = self.through(child)
            except (EOFError, OSError, ValueError) as error:
                self.died(child, error)
            finally:
                self.since = None
                with _lock:
                    _running.pop(self.key, None)
                    _batches.pop(self.key, None)
            if self.done == self.spec["items"]:
                skipped = 0
        facts = {"seconds": self.seconds, "deaths": self.deaths, "skipped": skipped, "worker": self.worker.address}
        return facts, b"".join(self.parts)

    def take(self):
        child = _take(self.spec["exe"])
        child.listener = self.line
        with _lock:
            cancelled = _is_cancelled(self.key)
            if not cancelled:
                _running[self.key] = child
                _batches[self.key] = self
                self.since = time.monotonic()
                _watch_from_now_on()
        if cancelled:
            _give_back(child)
            _fail("CANCELLED", "")
        return child

    def through(self, child):
        """Sends the batch through a child; gives how many items it left out at the end."""
        request = {key: self.spec[key] for key in ("function", "first")}
        request.update(skip=self.done, careful=self.deaths > 0)
        child.send(request, self.body)
        while True:
            answer, body = child.receive()
            op = answer["op"]
            if op == "part":
                self.parts.append(body)
                self.done += answer["items"]
                self.seconds += answer["seconds"]
                self.blamed = 0
                self.since = time.monotonic()
                self.progress()
            elif op == "log":
                self.line(answer["line"], answer["item"])
            elif op == "end":
                self.since = None  # before another batch may have the child
                _give_back(child)
                return answer["skipped"]
            elif op == "fatal":
                self.since = None
                _give_back(child)
                _fail(answer["code"], answer["message"])

    def died(self, child, error):
        how, words = child.end()
        overdue, self.overdue = self.overdue, False
        if overdue:
            how = "gave no result within %g s and was ended" % self.spec["item_seconds"]
        LOG.warning("the child %s of batch %s %s (%s)", child.process.pid, self.key, how, error)
        with _lock:
            if _is_cancelled(self.key):
                _fail("CANCELLED", "")
        alone = self.deaths > 0 or self.spec["items"] - self.done == 1
        self.deaths += 1
        if not alone:
            return
        self.blamed += 1
        if self.blamed > self.spec["retries"] or overdue and self.deaths > 1:
            self.parts.append(_died_part(how, self.blamed, words))
            self.done += 1
            self.blamed = 0

    def progress(self):
        now = time.monotonic()
        if now - self.told >= 1.0 and self.done < self.spec["items"]:
            self.told = now
            self.tell({"op": "progress", "done": self.done})

    def look(self, now):
        """Sees how long nothing came. The lock is held, so that no other batch has the child by now."""
        since, limit = self.since, self.spec.get("item_seconds")
        if since is None:
            return
        if limit and now - since > limit and not self.overdue:
            self.overdue = True
            _running[self.key].kill()
        elif now - since > self.slow:
            self.slow = max(2 * self.slow, 1.0)
            self.tell({"op": "slow", "done": self.done, "seconds": now - since})

    def line(self, line, item=None):
        LOG.info("%s item %s: %s", self.key, item, line)
        self.lines += 1
        if self.lines <= MOST_LOG_LINES:
            self.tell({"op": "log", "item": item, "line": line[:4096]})
        elif self.lines == MOST_LOG_LINES + 1:
            self.tell({"op": "log", "item": None, "line": "(more lines are in the log of the worker)"})

    def tell(self, event):
        event.update(id=self.spec["id"], worker=self.worker.address)
        self.worker.log_event("microtome-" + self.spec["job"], event)


def _died_part(how, attempts, words):
    """A pack of one outcome: an error, as outcome.rs reads it."""
    error = {"Died": {"how": how, "attempts": attempts, "stderr": words}}
    outcome = b"\x01" + json.dumps(error).encode()
    raw = struct.pack("<I", len(outcome)) + outcome
    return struct.pack("<IBII", 1, 0, len(raw), len(raw)) + raw


class _Child:
    """The user's program in worker mode."""

    def __init__(self, path, exe):
        threads = str(exe.get("threads", 1))
        environment = dict(os.environ, RAYON_NUM_THREADS=threads, **_told())
        folder = exe.get("folder")
        self.sha = exe["sha256"]
        self.listener = None
        self.words = collections.deque(maxlen=40)
        self.rest = b""  # of standard error: a line that has no end yet
        self.reading = threading.Lock()
        try:
            self.process = subprocess.Popen(
                [path, "--microtome-worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                cwd=folder if folder and os.path.isdir(folder) else None,
            )
        except OSError as error:
            _fail("EXE-START", "%s on %s: %s; if its file system does not allow programs (noexec), name another folder "
                  "in MICROTOME_WORKER_DIR on the worker" % (path, _host(), error))
        self.reader = threading.Thread(target=self.read_words, daemon=True)
        self.reader.start()
        self.hello = self.greet(path)

    def greet(self, path):
        try:
            if not _readable(self.process.stdout, HELLO_SECONDS):
                raise EOFError("no answer within %s s" % HELLO_SECONDS)
            hello, _ = self.receive()
            if hello.get("op") != "hello" or hello.get("protocol") != PROTOCOL:
                raise ValueError("it greets with %r" % (hello,))
            return hello
        except (EOFError, ValueError, KeyError) as error:
            self.kill()
            how, words = self.end()
            _fail("EXE-HELLO", "%s on %s does not answer as a worker: it %s (%s) %s; is microtome::init() the first line "
                  "of its main, and was it built for this system?" % (path, _host(), how, error, words))

    def read_words(self):
        while _readable(self.process.stderr, None) and self.take_words():
            pass

    def take_words(self):
        """Takes the lines that are there by now; false at the end of standard error."""
        with self.reading:
            for _ in range(256):
                if not _readable(self.process.stderr, 0):
                    break
                data = os.read(self.process.stderr.fileno(), 1 << 16)
                *lines, self.rest = (self.rest + (data or b"\n")).split(b"\n")
                if len(self.rest) > 1 << 16:
                    lines, self.rest = lines + [self.rest], b""
                for line in lines if data else filter(None, lines):
                    self.word(line.decode("utf-8", "replace"))
                if not data:
                    return False
        return True

    def word(self, line):
        self.words.append(line)
        listener = self.listener
        if listener:
            listener(line)

    def send(self, header, body):
        header = json.dumps(header).encode()
        pipe = self.process.stdin
        pipe.write(struct.pack("<IQ", len(header), len(body)) + header)
        pipe.write(body)
        pipe.flush()

    def receive(self):
        header_len, body_len = struct.unpack("<IQ", self.exactly(12))
        if header_len > 1 << 20 or body_len > 1 << 30:
            raise ValueError("a frame of %d + %d bytes" % (header_len, body_len))
        return json.loads(self.exactly(header_len)), self.exactly(body_len)

    def exactly(self, count):
        data = self.process.stdout.read(count)
        if len(data) < count:
            raise EOFError("its output ended")
        return data

    def kill(self):
        try:
            self.process.kill()
        except OSError:
            pass

    def end(self):
        """Makes sure that it has ended; gives how, and its last words."""
        for pipe in (self.process.stdin, self.process.stdout):
            try:
                pipe.close()
            except OSError:
                pass
        try:
            code = self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.kill()
            code = self.process.wait()
        self.reader.join(timeout=1)
        how = "was killed by signal %d" % -code if code < 0 else "ended with code %d" % code
        return how, "\n".join(self.words)


def _readable(pipe, seconds):
    """Whether there is something to read, or the end, within so many seconds; None waits."""
    poll = select.poll()  # select() takes no file numbers over 1023
    poll.register(pipe, select.POLLIN)
    return bool(poll.poll(None if seconds is None else seconds * 1000))


def _take(exe):
    """An idle child of this program, or a new one."""
    with _lock:
        for at in range(len(_idle) - 1, -1, -1):
            child, _ = _idle[at]
            if child.sha == exe["sha256"]:
                del _idle[at]
                if child.process.poll() is None:
                    return child
    return _Child(_executable(exe), exe)


def _give_back(child):
    global _reaper
    child.take_words()  # before it speaks for another batch
    child.listener = None
    child.words.clear()
    with _lock:
        _idle.append((child, time.monotonic()))
        if _reaper is None:
            _reaper = threading.Thread(target=_reap, daemon=True)
            _reaper.start()


def _reap():
    """Ends children that nobody needed for a while."""
    while True:
        time.sleep(IDLE_SECONDS / 4)
        old = time.monotonic() - IDLE_SECONDS
        with _lock:
            tired = [child for child, since in _idle if since < old]
            _idle[:] = [(child, since) for child, since in _idle if since >= old]
        for child in tired:
            child.end()


def _watch_from_now_on():
    """Starts what looks at batches, unless it runs; the lock is held."""
    global _watcher
    if _watcher is None:
        _watcher = threading.Thread(target=_watch, daemon=True)
        _watcher.start()


def _watch():
    while True:
        time.sleep(WATCH_SECONDS)
        with _lock:
            for batch in list(_batches.values()):
                batch.look(time.monotonic())


def _executable(exe):
    """The program's path on this machine, its content checked."""
    tried = []
    for path in _places(exe):
        try:
            stat = os.stat(path)
        except OSError as error:
            tried.append("%s (%s)" % (path, error.strerror))
            continue
        if stat.st_size != exe["size"] or _sha256(path, stat) != exe["sha256"]:
            tried.append("%s (another content)" % path)
            continue
        return path if os.access(path, os.X_OK) else _made_executable(path, exe)
    _fail("EXE-MISSING", "not found on %s: tried %s" % (_host(), ", ".join(tried) or "nothing"))


def _places(exe):
    if exe.get("path"):
        yield exe["path"]
    folder = os.environ.get("MICROTOME_WORKER_DIR")
    if folder:
        yield os.path.join(folder, exe["name"])
    yield os.path.join(_worker().local_directory, exe["name"])


def _made_executable(path, exe):
    folder = os.environ.get("MICROTOME_WORKER_DIR")
    if folder and os.path.dirname(path) != folder:
        # Under another name first: somebody else may do the same at this moment.
        there = os.path.join(folder, exe["name"])
        own = "%s.%d.%d" % (there, os.getpid(), threading.get_ident())
        shutil.copyfile(path, own)
        os.chmod(own, 0o700)
        os.replace(own, there)
        return there
    os.chmod(path, 0o700)
    return path


def _sha256(path, stat):
    key = (path, stat.st_mtime_ns, stat.st_size, stat.st_ino)
    if key not in _checked:
        digest = hashlib.sha256()
        with open(path, "rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
        _checked[key] = digest.hexdigest()
    return _checked[key]
