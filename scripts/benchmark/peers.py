"""Other tools with the same SQL, and tenantctl and the floor beside them."""

import json
import os
import shutil
import subprocess
import sys

from .fleet import add, schema_names
from .machine import USER, environment, make_database, make_role, measure_sequence, settle
from .sides import Floor, Tenantctl, check_equal, rotated, take
from .workload import CHECKOUT, read_revisions, write_workload

HOME = CHECKOUT / "build/peers"
NPM_PACKAGES = ("dbmate@2.36.0", "node-pg-migrate@9.0.0", "pg@8.23.1")
DEBIAN_PACKAGES = ("sqitch", "libdbd-pg-perl", "alembic", "python3-psycopg2")
STEPS = ("fresh", "one more", "nothing")
# What the tools keep for themselves.
OWN_TABLES = ("floor_", "tenantctl_", "schema_migrations", "pgmigrations", "alembic_version")


# --- installing --------------------------------------------------------------------------------


def install():
    """What is missing, as far as this machine lets us; what then is missing is skipped."""
    if not all(peer.is_installed() for peer in (Dbmate, NodePgMigrate)) and shutil.which("npm"):
        HOME.mkdir(parents=True, exist_ok=True)
        quietly(["npm", "install", "--prefix", HOME, "--no-fund", "--no-audit",
                 "--loglevel=error", *NPM_PACKAGES])
    if not all(peer.is_installed() for peer in (Sqitch, Alembic)) and shutil.which("apt-get"):
        sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
        variables = ["env", "DEBIAN_FRONTEND=noninteractive"]
        quietly([*sudo, *variables, "apt-get", "update", "-qq"])
        quietly([*sudo, *variables, "apt-get", "install", "-qq", "-y", "--no-install-recommends",
                 *DEBIAN_PACKAGES])


def quietly(command):
    try:
        answer = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                                check=False)
        complaint = answer.stderr.strip()[-300:] if answer.returncode else ""
    except OSError as error:
        complaint = str(error)
    if complaint:
        print(f"bench: {command[0]}: {complaint}", file=sys.stderr)


# --- the tools ---------------------------------------------------------------------------------


class Peer:
    """A tool that is started once for each schema."""

    slow = False

    def __init__(self, work, schemas):
        self.work, self.schemas = work / self.name, schemas
        self.database = self.name.replace("-", "_")
        self.work.mkdir()
        self.environment = environment(self.database)
        self.prepare()

    def prepare(self):
        pass

    def upgrade(self):
        return measure_sequence([self.command(schema) for schema in self.schemas],
                                self.environment, self.work)

    fresh = one_more = nothing = upgrade


class Dbmate(Peer):
    name = "dbmate"
    program = HOME / "node_modules/.bin/dbmate"

    @classmethod
    def is_installed(cls):
        return cls.native() is not None

    @classmethod
    def native(cls):
        """The program itself, without the script of node that starts it."""
        return next(iter((HOME / "node_modules/@dbmate").glob("*/bin/dbmate")), None)

    def prepare(self):
        (self.work / "migrations").mkdir()

    def add(self, revision):
        option = "" if revision.transactional else " transaction:false"
        (self.work / f"migrations/{revision.number:04}_{revision.slug}.sql").write_text(
            f"-- migrate:up{option}\n{revision.up}\n\n-- migrate:down\n{revision.down}\n")

    def command(self, schema):
        url = (f"postgres://{USER}@/{self.database}?socket={os.environ['PGHOST']}"
               f"&port={os.environ['PGPORT']}&search_path={schema}")
        return [self.native(), "--url", url, "--no-dump-schema", "--migrations-dir",
                self.work / "migrations", "up"]


class NodePgMigrate(Peer):
    name = "node-pg-migrate"
    slow = True
    program = HOME / "node_modules/.bin/node-pg-migrate"

    @classmethod
    def is_installed(cls):
        return cls.program.exists()

    def prepare(self):
        (self.work / "migrations").mkdir()

    def add(self, revision):
        file = self.work / f"migrations/{revision.number:04}_{revision.slug}.sql"
        if not revision.transactional:
            file.with_suffix(".js").write_text(
                "exports.up = (pgm) => { pgm.noTransaction(); "
                f"pgm.sql({json.dumps(revision.up)}); }};\n")
            return
        file.write_text(
            f"-- Up Migration\n{revision.up}\n\n-- Down Migration\n{revision.down}\n")

    def command(self, schema):
        self.environment["DATABASE_URL"] = (
            f"postgres://{USER}@localhost:{os.environ['PGPORT']}/{self.database}"
            f"?host={os.environ['PGHOST']}")
        return [self.program, "up", "--migrations-dir", self.work / "migrations", "--schema",
                schema, "--migrations-schema", schema, "--single-transaction=false"]


class Sqitch(Peer):
    name = "sqitch"
    slow = True

    @staticmethod
    def is_installed():
        return shutil.which("sqitch") is not None

    def prepare(self):
        (self.work / "deploy").mkdir()
        (self.work / "sqitch.conf").write_text("[core]\n\tengine = pg\n[user]\n\tname = Bench\n"
                                               "\temail = bench@example.org\n")
        (self.work / "sqitch.plan").write_text("%syntax-version=1.0.0\n%project=bench\n\n")

    def add(self, revision):
        (self.work / f"deploy/{revision.slug}.sql").write_text(
            f"BEGIN;\n{revision.up}\nCOMMIT;\n" if revision.transactional else revision.up)
        with open(self.work / "sqitch.plan", "a", encoding="utf-8") as plan:
            plan.write(f"{revision.slug} 2026-01-01T00:00:{revision.number % 60:02}Z "
                       "Bench <bench@example.org>\n")

    def command(self, schema):
        # Its tables are called like the application's (tags, changes): a schema of their own.
        return ["env", f"PGOPTIONS=-c search_path={schema}", "sqitch", "deploy", "--registry",
                f"{schema}_sqitch", f"db:pg:{self.database}"]


class Alembic(Peer):
    """The recipe of its cookbook for schemas as tenants, with its loop inside the process."""

    name = "alembic"
    ENVIRONMENT = """\
from alembic import context
from sqlalchemy import create_engine, pool, text

engine = create_engine("postgresql+psycopg2://", poolclass=pool.NullPool)
with engine.connect() as connection:
    for schema in open("schemas").read().split():
        connection.execute(text(f'set search_path to "{schema}"'))
        connection.commit() if hasattr(connection, "commit") else None
        connection.dialect.default_schema_name = schema
        context.configure(connection=connection, target_metadata=None,
                          transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()
"""

    @staticmethod
    def is_installed():
        return shutil.which("alembic") is not None

    def prepare(self):
        (self.work / "revisions/versions").mkdir(parents=True)
        (self.work / "alembic.ini").write_text("[alembic]\nscript_location = revisions\n")
        (self.work / "revisions/env.py").write_text(self.ENVIRONMENT)
        (self.work / "schemas").write_text("\n".join(self.schemas))
        self.last = None

    def add(self, revision):
        name = f"r{revision.number:04}"
        run = f"op.get_bind().exec_driver_sql({revision.up!r})"
        if not revision.transactional:
            run = f"with op.get_context().autocommit_block():\n        {run}"
        (self.work / f"revisions/versions/{name}_{revision.slug}.py").write_text(
            f"from alembic import op\n\nrevision = {name!r}\ndown_revision = {self.last!r}\n\n\n"
            f"def upgrade():\n    {run}\n")
        self.last = name

    def upgrade(self):
        return measure_sequence([["alembic", "upgrade", "head"]], self.environment, self.work)

    fresh = one_more = nothing = upgrade


PEERS = (Dbmate, Alembic, NodePgMigrate, Sqitch)


def names_of_missing():
    return [peer.name for peer in PEERS if not peer.is_installed()]


# --- a round -----------------------------------------------------------------------------------


def run_peers(number, options, work):
    """Two fleets: one for the tools that take a second a schema, with a tenth of the schemas."""
    make_role()
    groups = {}
    for slow in (False, True):
        kinds = [peer for peer in PEERS if peer.slow == slow and peer.is_installed()]
        if kinds:
            count = max(1, options.peer_tenants // 10) if slow else options.peer_tenants
            folder = work / ("slow" if slow else "fast")
            folder.mkdir()
            groups["slow" if slow else "fast"] = run_group(number, options, folder, count, kinds)
    return {"groups": groups, "missing": names_of_missing()}


def run_group(number, options, work, count, kinds):
    write_workload(options.workload, work)
    schemas = schema_names(count)
    prefix = work.name
    ours = [Tenantctl(options, work, schemas, f"{prefix}_tenantctl"),
            Floor("psql", options, work, schemas, database=f"{prefix}_psql")]
    peers = [kind(work, schemas) for kind in kinds]
    sides = ours + peers
    for side in sides:
        make_database(side.database, schemas)
    figures = {}
    for side in ours:
        add(figures, "adopt", side.name, take("adopt", side))
    for index, step in enumerate(STEPS):
        if step != "nothing":
            folder = work / ("versions" if step == "fresh" else "next")
            for revision in read_revisions(folder):
                for peer in peers:
                    peer.add(revision)
        for side in rotated(sides, number + index):
            if step != "nothing" or side.name != "psql":
                add(figures, step, side.name, take(step.replace(" ", "_"), side))
        settle([side.database for side in sides])
    check_equal([side.database for side in sides], OWN_TABLES)
    return {"tenants": count, "steps": figures}
