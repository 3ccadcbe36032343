"""The server, the fleet on it, the program under test, and a session that looks on."""

import importlib.machinery
import importlib.util
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent.parent
TENANTS = [f"tenant_{number}" for number in range(1, 7)]
SCHEMAS = ["shared", *TENANTS]
NEW = ["tenant_7", "tenant_8"]
PLACES = {"shared": "shared", "new": NEW[-1], "first": TENANTS[0], "middle": TENANTS[2],
          "last": TENANTS[-1]}
RUN_SECONDS = 90
ANSWER_SECONDS = 30
ROLE = "migrator"
DATABASE = "fleet"


def with_postgres():
    """scripts/with_postgres as a module: its Server starts and removes a private one."""
    loader = importlib.machinery.SourceFileLoader(
        "with_postgres", str(CHECKOUT / "scripts" / "with_postgres"))
    spec = importlib.util.spec_from_loader("with_postgres", loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


class Broken(Exception):
    """The test bed does not work: no statement about the program."""


class Look:
    """One long-lived psql; connects again after the server was stopped."""

    END = b"-- end of answer --\n"

    def __init__(self, bindir, environment, database):
        self.bindir, self.environment, self.database = bindir, environment, database
        self.process = None

    def connect(self):
        self.close()
        self.process = subprocess.Popen(
            [self.bindir / "psql", "-XAtq", "-v", "VERBOSITY=sqlstate", "-d", self.database],
            env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)

    def close(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def ask(self, sql):
        """The lines of the answer; an error is one of them. None if the session was lost."""
        if self.process is None or self.process.poll() is not None:
            self.connect()
        try:
            self.process.stdin.write(f"{sql.strip().rstrip(';')};\n\\echo ".encode() + self.END)
            self.process.stdin.flush()
        except BrokenPipeError:
            self.close()
            return None
        answer = b""
        end = time.monotonic() + ANSWER_SECONDS
        while not answer.endswith(self.END):
            readable, _, _ = select.select([self.process.stdout], [], [],
                                           max(0, end - time.monotonic()))
            piece = os.read(self.process.stdout.fileno(), 65536) if readable else b""
            if not piece:
                self.close()
                return None
            answer += piece
        return answer.removesuffix(self.END).decode(errors="replace").splitlines()

    @staticmethod
    def is_refusal(lines):
        return any("ERROR:" in line or "FATAL:" in line or "connection to server" in line
                   for line in lines)

    def need(self, sql):
        """ask() until it is answered without an error."""
        lines = None
        for _ in range(40):
            lines = self.ask(sql)
            if lines is not None and not self.is_refusal(lines):
                return lines
            self.close()
            time.sleep(0.05)
        raise Broken(f"no answer to {sql[:200]!r}: {lines}")

    def value(self, sql):
        lines = self.need(sql)
        return lines[0] if lines else ""


class Door:
    """Where a program that has come by its stop point knocks and waits for an order."""

    def __init__(self, folder, number):
        self.path = Path(folder) / f"door{number}"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen(4)
        self.guest = None
        self.point = self.schema = None
        self.pid = 0

    def wait(self, process, seconds=RUN_SECONDS):
        """Whether the program came by before it ended."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if select.select([self.listener], [], [], 0.01)[0]:
                self.guest, _ = self.listener.accept()
                text = b""
                while not text.endswith(b"\n"):
                    piece = self.guest.recv(200)
                    if not piece:
                        return False
                    text += piece
                self.point, self.schema, pid = text.decode().split()
                self.pid = int(pid)
                return True
            if process.poll() is not None:
                return False
        return False

    def order(self, word):
        try:
            self.guest.sendall(word.encode() + b"\n")
        except OSError:
            pass
        self.guest.close()
        self.guest = None

    def close(self):
        if self.guest:
            self.guest.close()
        self.listener.close()
        self.path.unlink(missing_ok=True)


class Run:
    """One start of the program; its output is kept in files, so that it can never block."""

    def __init__(self, process, output):
        self.process, self.output = process, output

    def wait(self, seconds=RUN_SECONDS):
        """The exit code, or None if it had to be killed because it did not end."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return None

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def text(self):
        return self.output.with_suffix(".err").read_text(errors="replace")

    def document(self):
        try:
            return json.loads(self.output.read_text())
        except ValueError:
            return None


class Stage:
    """A private server with a fleet of six tenants and the shared scope to come."""

    def __init__(self, binary):
        self.binary = Path(binary).resolve()
        module = with_postgres()
        self.server = module.Server(module.Options([
            "--set", "log_min_messages=warning", "--set", "autovacuum_naptime=10s",
            "--set", "log_line_prefix=%p ", "true"]))
        self.runs = self.doors = 0
        self.look = None
        self.overlay = None

    def open(self):
        self.server.start()
        self.folder = self.server.folder / "work"
        self.folder.mkdir(mode=0o755)
        self.environment = self.server.environment()
        self.project = self.folder / "project"
        shutil.copytree(HERE / "project", self.project)
        shutil.copytree(HERE / "decision", self.folder / "decision")
        shutil.copytree(HERE / "escape", self.folder / "escape")
        control = Look(self.server.bindir, self.environment, "postgres")
        control.need(f"CREATE ROLE {ROLE} LOGIN")
        control.need(f"CREATE DATABASE {DATABASE} OWNER {ROLE}")
        control.close()
        self.look = Look(self.server.bindir, self.environment, DATABASE)
        self.look.need(f"CREATE TABLE public.journal (schema text, revision int); "
                       f"GRANT ALL ON public.journal TO {ROLE}")
        for tenant in TENANTS:
            self.look.need(f"CREATE SCHEMA {tenant} AUTHORIZATION {ROLE}")
        adopt = self.start("tenant", "adopt", *(f"--schema={tenant}" for tenant in TENANTS))
        if adopt.wait() != 0:
            raise Broken(f"no fleet: {adopt.text()}")
        self.blank = self.dump()
        return self

    def dump(self):
        """The untouched fleet as SQL: to go back to it is much quicker than a new database."""
        answer = subprocess.run(
            [self.server.bindir / "pg_dump", "--schema-only", "-d", DATABASE,
             *(f"--schema={tenant}" for tenant in TENANTS)],
            env=self.environment, capture_output=True, text=True, check=True)
        lines = [line for line in answer.stdout.splitlines()
                 if not re.match(r"(--|\\|SET |SELECT pg_catalog\.set_config|$)", line)
                 or line.startswith("    ")]
        return "\n".join(lines)

    def close(self):
        if self.look:
            self.look.close()
        self.server.stop()

    # --- the fleet -----------------------------------------------------------------------------

    def reset(self, overlay=None):
        """Back to the untouched fleet; `overlay`: the folder of one revision more."""
        self.look.need(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE usename = '{ROLE}' AND datname = '{DATABASE}'")
        self.until(f"SELECT count(*) = 0 FROM pg_stat_activity WHERE usename = '{ROLE}'")
        self.look.need(
            "SET client_min_messages = error; BEGIN; "
            f"DROP SCHEMA IF EXISTS tenantctl, {', '.join(SCHEMAS + NEW)} CASCADE; "
            f"TRUNCATE public.journal; {self.blank} COMMIT")
        versions = self.project / "migrations/tenant/versions"
        if overlay != self.overlay:
            for name in ("decision", "escape"):
                for file in (self.folder / name).iterdir():
                    (versions / file.name).unlink(missing_ok=True)
            if overlay:
                for file in (self.folder / overlay).iterdir():
                    shutil.copy(file, versions / file.name)
            self.overlay = overlay

    def until(self, question, seconds=10):
        """Whether it comes true in time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.look.value(question) == "t":
                return True
            time.sleep(0.005)
        return False

    def digested(self, pid):
        """The server has worked off what it was sent and waits for more (or has gone)."""
        return self.until("SELECT NOT EXISTS (SELECT FROM pg_stat_activity "
                          f"WHERE pid = {pid} AND wait_event IS DISTINCT FROM 'ClientRead')")

    def is_gone(self, pid):
        return self.until(f"SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = {pid})")

    # --- the program ---------------------------------------------------------------------------

    def start(self, *arguments, fault=None, broken=None, folder=None, database=DATABASE):
        self.runs += 1
        environment = dict(self.environment, PGUSER=ROLE, PGDATABASE=database)
        for name in list(environment):
            if name.startswith("TENANTCTL_"):
                del environment[name]
        if fault:
            environment["TENANTCTL_FAULT"] = fault
        if broken:
            environment["TENANTCTL_BREAK"] = broken
        output = self.folder / f"run{self.runs % 50}.json"
        with open(output, "wb") as out, open(output.with_suffix(".err"), "wb") as err:
            process = subprocess.Popen([self.binary, *arguments], cwd=folder or self.project,
                                       env=environment, stdin=subprocess.DEVNULL, stdout=out,
                                       stderr=err)
        return Run(process, output)

    def upgrade(self, fault=None, broken=None, jobs=2):
        return self.start("upgrade-all", "--jobs", str(jobs), "--depth", "3", "--output", "json",
                          "--quiet", fault=fault, broken=broken)

    def downgrade(self, fault=None, broken=None):
        return self.start("downgrade-all", "base", "--yes", "--jobs", "2", "--depth", "3",
                          "--output", "json", "--quiet", fault=fault, broken=broken)

    def create(self, fault=None):
        return self.start("tenant", "create", *NEW, "--jobs", "2", "--depth", "3",
                          "--output", "json", "--quiet", fault=fault)

    def door(self):
        self.doors += 1
        return Door(self.folder, self.doors)

    # --- the server ----------------------------------------------------------------------------

    def log_size(self):
        return self.server.log.stat().st_size

    def log_since(self, size):
        with open(self.server.log, "rb") as log:
            log.seek(size)
            return log.read().decode(errors="replace")

    def crash(self):
        """Immediate stop: no checkpoint, every session ends at once."""
        os.kill(self.server.process.pid, signal.SIGQUIT)
        self.server.process.wait()

    def restart(self):
        if not self.server.launch():
            raise Broken("the server did not start again")
