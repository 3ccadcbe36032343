"""Processes measured, and the private server asked."""

import ctypes
import os
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from . import Failure

PR_SET_CHILD_SUBREAPER = 36
# Not the psql of PATH: Debian's is a script of Perl that takes longer than a query.
SERVERS_PSQL = Path(os.environ.get("PGBIN", "/")) / "psql"
PSQL = [str(SERVERS_PSQL) if SERVERS_PSQL.exists() else "psql", "-qXAt", "-v", "ON_ERROR_STOP=1"]
USER = "migrator"


# --- processes ---------------------------------------------------------------------------------


class Process:
    """A command under way.

    `memory`: its peak memory is wanted. The kernel's figure covers what the process was before exec
    too, and that was this interpreter; so a shell starts it in the background and ends, and the
    command becomes our child (PR_SET_CHILD_SUBREAPER).
    """

    def __init__(self, command, environment, cwd, output=subprocess.DEVNULL, memory=False):
        self.command = [str(word) for word in command]
        self.errors = tempfile.TemporaryFile()
        keywords = {"env": environment, "cwd": cwd, "stdin": subprocess.DEVNULL, "stdout": output,
                    "stderr": self.errors}
        if memory:
            self.pid, self.begun = start_by_shell(self.command, keywords)
        else:
            self.begun = time.monotonic()
            self.popen = subprocess.Popen(self.command, **keywords)
            self.pid = self.popen.pid

    def wait(self):
        """CPU seconds and, if wanted, peak kB. A command that failed is a Failure."""
        _, status, used = os.wait4(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        if hasattr(self, "popen"):
            self.popen.returncode = code
        with self.errors:
            self.errors.seek(0)
            text = self.errors.read().decode(errors="replace")
        if code != 0:
            raise Failure(f"{' '.join(self.command)[:300]}: exit {code}\n{text[-2000:]}")
        return used.ru_utime + used.ru_stime, used.ru_maxrss


def start_by_shell(command, keywords):
    """The process id, and when it began. Nothing runs before the shell is gone, or the shell might wait for it."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    with tempfile.TemporaryDirectory() as folder:
        gate, number = Path(folder) / "gate", Path(folder) / "number"
        os.mkfifo(gate)
        script = '{ read -r _ <"$0/gate"; exec "$@"; } & echo $! >"$0/number"'
        subprocess.run(["sh", "-c", script, folder, *command], check=True, **keywords)
        begun = time.monotonic()
        gate.write_text("go\n")
        return int(number.read_text()), begun


def measure(commands, environment, cwd, output=subprocess.DEVNULL, memory=False):
    """Runs the commands at the same time."""
    processes = [Process(command, environment, cwd, output, memory) for command in commands]
    ended = [process.wait() for process in processes]
    figures = {"seconds": round(time.monotonic() - processes[0].begun, 4),
               "client_cpu_seconds": round(sum(cpu for cpu, _ in ended), 4)}
    if memory:
        figures["client_peak_kb"] = sum(peak for _, peak in ended)
    return figures


def measure_sequence(commands, environment, cwd):
    """Runs one command after the other, as a shell's loop would."""
    begin = time.monotonic()
    for command in commands:
        Process(command, environment, cwd).wait()
    return {"seconds": round(time.monotonic() - begin, 4)}


# --- the file system ---------------------------------------------------------------------------


def seconds_of_rest():
    """How long to wait after a server was removed, before the next is measured.

    ext4 without a journal leaves inodes alone for a minute after their deletion; whoever makes
    files meanwhile searches past them, and the first side of a round took half as long again.
    """
    folder = Path(tempfile.gettempdir()).resolve()
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    device, _, kind, *_ = max((mount for mount in mounts if folder.is_relative_to(mount[1])),
                              key=lambda mount: len(mount[1]))
    journals = Path("/proc/fs/jbd2").glob(f"{Path(device).resolve().name}-*")
    return 65 if kind == "ext4" and not any(journals) else 0


# --- the server of with_postgres ---------------------------------------------------------------


def environment(database, **more):
    return {**os.environ, "PGUSER": USER, "PGDATABASE": database, **more}


def psql(database, statement, user="postgres"):
    """The answer's lines."""
    answer = subprocess.run(PSQL + ["-U", user, "-d", database], input=statement,
                            capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise Failure(f"psql: {answer.stderr.strip()[:2000]}")
    return answer.stdout.splitlines()


def make_role():
    psql("postgres", f"CREATE ROLE {USER} LOGIN;")


def make_database(name, schemas=()):
    psql("postgres", f"CREATE DATABASE {name} OWNER {USER};")
    if schemas:
        psql(name, "".join(f"CREATE SCHEMA {schema};\n" for schema in schemas), USER)


def settle(databases):
    """What autovacuum would have done by now. It is off, so as not to hit one side alone."""
    set_fsync(False)
    for database in databases:
        psql(database, "SELECT format('VACUUM (ANALYZE) %s', oid::regclass) FROM pg_class "
                       "WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = 'r' \\gexec")
    set_fsync(True)


def checkpoint():
    """What one side has left dirty is not the next one's work.

    Written, but not synced: a file for each table and index would be, which takes longer than the
    step to be measured.
    """
    set_fsync(False)
    psql("postgres", "CHECKPOINT;")
    set_fsync(True)


def set_fsync(on):
    """On a server that was started with it."""
    if psql("postgres", "SELECT 1 FROM pg_settings WHERE name = 'fsync' AND sourcefile ~ "
                        "'postgresql.conf$' AND setting = 'off';"):
        return
    value = "on" if on else "off"
    psql("postgres", f"ALTER SYSTEM SET fsync = {value};\nSELECT pg_reload_conf();")
    # A new session has the setting when the postmaster has it and has told the others.
    while psql("postgres", "SHOW fsync;") != [value]:
        time.sleep(0.01)


# --- its backends ------------------------------------------------------------------------------


class BackendWatch:
    """Looks at the memory of the backends of one database until closed.

    Counted is anonymous memory, which is the backend's own: pages of shared buffers that no other
    process has touched yet would count as private too.
    """

    def __init__(self, database, interval=0.005):
        self.mark = f" {USER} {database} ".encode()
        self.interval = interval
        self.peaks = {}  # pid: kB
        self.most_at_once = 0
        self.postmaster = (Path(os.environ["PGDATA"]) / "postmaster.pid").read_text().split()[0]
        self.closed = threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.closed.set()
        self.thread.join()

    def watch(self):
        while not self.closed.wait(self.interval):
            now = {pid: size for pid in self.children() if (size := self.anonymous_kb(pid))}
            for pid, size in now.items():
                self.peaks[pid] = max(size, self.peaks.get(pid, 0))
            self.most_at_once = max(self.most_at_once, sum(now.values()))

    def children(self):
        path = Path(f"/proc/{self.postmaster}/task/{self.postmaster}/children")
        return path.read_text().split()

    def anonymous_kb(self, pid):
        try:
            if self.mark not in Path(f"/proc/{pid}/cmdline").read_bytes():
                return 0
            status = Path(f"/proc/{pid}/status").read_text()
            return next((int(line.split()[1]) for line in status.splitlines()
                         if line.startswith("RssAnon:")), 0)
        except OSError:  # it has just ended
            return 0
