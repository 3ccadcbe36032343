"""tenantctl and the floors: who does a step, each in a database of its own."""

import json
import os
import shutil
import tempfile
from pathlib import Path

from . import Failure
from .machine import PSQL, checkpoint, environment, measure, psql
from .workload import downgrade_sql, one_message, read_revisions, upgrade_sql

SELECT_ONE = PSQL + ["-c", "select 1"]
# The least that anybody can ask of PostgreSQL's catalogs to know every schema's mark: no order, no
# question whose table it is.
CATALOG = PSQL + ["-c", "COPY (SELECT n.nspname, d.description FROM pg_class c "
                  "JOIN pg_namespace n ON n.oid = c.relnamespace "
                  "LEFT JOIN pg_description d ON d.objoid = c.oid AND d.objsubid = 0 "
                  "AND d.classoid = 'pg_class'::regclass "
                  "WHERE c.relname = 'tenantctl_version' AND c.relkind = 'r') TO STDOUT"]


class Tenantctl:
    name = "tenantctl"

    def __init__(self, options, work, schemas, database="tenantctl", **variables):
        self.options, self.work, self.schemas = options, work, schemas
        self.database, self.variables = database, variables
        self.jobs = options.jobs
        self.versions = work / "migrations/tenant/versions"
        if not self.versions.exists():
            shutil.copytree(work / "versions", self.versions)

    def adopt(self, memory=True):
        return self.run(["tenant", "adopt", "--like", "tenant\\_%"], "applied", memory)

    def fresh(self, memory=True):
        return self.run(["upgrade-all", *self.options.arguments], "applied", memory)

    def one_more(self, memory=True):
        shutil.copytree(self.work / "next", self.versions, dirs_exist_ok=True)
        return self.run(["upgrade-all", *self.options.arguments], "applied", memory)

    def undo(self):
        return self.run(["downgrade-all", "--yes", "--", "-1"], "applied", False)

    def nothing(self, memory=False, *more):
        return self.run(["upgrade-all", *more, *self.options.arguments], "unchanged", memory)

    def status(self, memory=False):
        return self.measure(["status"], memory)[0]

    def run(self, command, expected, memory):
        """One that changes the fleet, or finds nothing to change: every schema must say so."""
        words = command[:command.index("--")] if "--" in command else command
        rest = command[len(words):]
        figures, report = self.measure(
            [*words, "--jobs", str(self.jobs), "--output", "json", *rest], memory)
        counts = json.loads(report)["tenants"]["counts"]
        if counts[expected] != len(self.schemas):
            raise Failure(f"tenantctl {' '.join(words)}: {len(self.schemas)} {expected} expected, "
                          f"got {counts}")
        return figures

    def measure(self, command, memory):
        with tempfile.TemporaryFile() as output:
            figures = measure([[os.environ["TENANTCTL_BIN"], *command]],
                              environment(self.database, **self.variables), self.work, output,
                              memory)
            output.seek(0)
            return figures, output.read()


class Floor:
    """psql with the same SQL, over `jobs` connections, each with every jobs-th schema."""

    def __init__(self, name, options, work, schemas, jobs=None, database=None,
                 in_one_message=False, **variables):
        self.name, self.work, self.schemas, self.variables = name, work, schemas, variables
        self.database = database or name
        self.jobs = jobs or options.jobs
        self.in_one_message = in_one_message

    def adopt(self):
        return self.run(lambda schema: f"CREATE TABLE {schema}.floor_version (revision bigint "
                                       "PRIMARY KEY, applied_at timestamptz NOT NULL "
                                       "DEFAULT now());\n")

    def fresh(self):
        return self.upgrade("versions")

    def one_more(self):
        return self.upgrade("next")

    def upgrade(self, folder):
        revisions = read_revisions(self.work / folder)
        in_one_message = self.in_one_message and all(one.transactional for one in revisions)
        return self.run(lambda schema: upgrade_sql(schema, revisions, in_one_message))

    def undo(self):
        revision = read_revisions(self.work / "next")[-1]
        return self.run(lambda schema: one_message(downgrade_sql(schema, revision)))

    def run(self, script):
        with tempfile.TemporaryDirectory(prefix="floor-", dir=self.work) as folder:
            commands = []
            for job in range(self.jobs):
                file = Path(folder) / f"{job}.sql"
                file.write_text("".join(map(script, self.schemas[job::self.jobs])),
                                encoding="utf-8")
                commands.append(PSQL + ["-f", str(file)])
            return measure(commands, environment(self.database, **self.variables), self.work)


def select_one(side):
    """What a session with one answer takes."""
    return measure([SELECT_ONE], environment(side.database, **side.variables), side.work)


def read_catalog(side):
    """What a session takes that does nothing but read all marks."""
    with tempfile.TemporaryFile() as output:
        return measure([CATALOG], environment(side.database, **side.variables), side.work, output)


def take(step, side, *arguments):
    """One step of one side, from a clean state."""
    checkpoint()
    return getattr(side, step)(*arguments)


def rotated(items, by):
    by %= len(items)
    return items[by:] + items[:by]


def check_equal(databases, own_tables):
    """All must have made the same relations, or the comparison is worth nothing."""
    query = ("SELECT relkind, count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
             "WHERE nspname ~ '^tenant_[0-9]+$' "
             f"AND relname !~ '^({'|'.join(own_tables)})' GROUP BY 1 ORDER BY 1;")
    counts = {database: psql(database, query) for database in databases}
    first = next(iter(counts.values()))
    if not first or any(count != first for count in counts.values()):
        raise Failure(f"the sides differ: {counts}")
