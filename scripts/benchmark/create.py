"""What one new tenant takes: a schema, one of the pool, a database, and one copied from a template.

The floors are what anybody must do: psql with CREATE SCHEMA and the same SQL, with ALTER SCHEMA ...
RENAME of one that was filled before, with CREATE DATABASE before the SQL, and with CREATE DATABASE
... TEMPLATE and nothing else.
"""

from .machine import (PSQL, USER, checkpoint, environment, make_database, make_role,
                      measure_sequence, psql)
from .sides import Tenantctl
from .workload import read_revisions, upgrade_sql, write_workload

SCHEMA, POOL = "new schema", "new schema, pool"
DATABASE, COPY = "new database", "new database, template"
HOME = "tenantctl"
TEMPLATES = {"tenantctl": "our_template", "psql": "floor_template"}


class Creation:
    """Both sides of making one tenant, each time under another name."""

    def __init__(self, options, work):
        self.work = work
        self.ours = Tenantctl(options, work, [], HOME)
        self.revisions = read_revisions(work / "versions")
        self.ours.measure(["registry", "init"], False)

    def tenantctl(self, step, name):
        words = ["tenant", "create", name, "--no-ledger"]
        if step in (DATABASE, COPY):
            words += ["--isolation", "database", "--database-prefix", "ours_"]
        if step == COPY:
            words += ["--template-database", TEMPLATES["tenantctl"]]
        return self.ours.measure(words, False)[0]

    def psql(self, step, name):
        commands = []
        if step == SCHEMA:
            commands.append(self.fill(HOME, f"floor_{name}"))
        elif step == POOL:
            commands.append(PSQL + ["-d", HOME, "-c", f"ALTER SCHEMA floor_pool_"
                                    f"{name.rsplit('_')[-1]} RENAME TO floor_{name}"])
        elif step == DATABASE:
            commands.append(PSQL + ["-d", HOME, "-c", f"CREATE DATABASE floor_{name}"])
            commands.append(self.fill(f"floor_{name}", "tenant"))
        else:
            commands.append(PSQL + ["-d", HOME, "-c", f"CREATE DATABASE floor_{name} "
                                    f"TEMPLATE {TEMPLATES['psql']}"])
        return measure_sequence(commands, environment(HOME), self.work)

    def fill(self, database, schema):
        file = self.work / f"{database}_{schema}.sql"
        file.write_text(
            f"CREATE SCHEMA {schema};\nCREATE TABLE {schema}.floor_version (revision bigint "
            "PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());\n"
            + upgrade_sql(schema, self.revisions), encoding="utf-8")
        return PSQL + ["-d", database, "-f", str(file)]

    def fill_pool(self, count):
        """What both sides take from, which nobody measures."""
        self.ours.measure(["gate", "install"], False)
        self.ours.measure(["tenant", "pool", "--keep", str(count)], False)
        measure_sequence([self.fill(HOME, f"floor_pool_{index}") for index in range(count)],
                         environment(HOME), self.work)

    def prepare(self):
        """Both templates, which nobody measures: they are made once."""
        self.tenantctl(COPY, "first")
        make_database(TEMPLATES["psql"])
        measure_sequence([self.fill(TEMPLATES["psql"], "tenant")], environment(HOME), self.work)


def run_create(number, options, work):
    """`creates` tenants of each sort; who begins changes each time."""
    make_role()
    psql("postgres", f"ALTER ROLE {USER} CREATEDB;")
    make_database(HOME)
    write_workload(options.workload, work)
    creation = Creation(options, work)
    creation.prepare()
    steps = {}
    for step in (SCHEMA, POOL, DATABASE, COPY):
        if step == POOL:
            creation.fill_pool(options.creates)
        steps[step] = {"tenantctl": [], "psql": []}
        for index in range(options.creates):
            sides = ["tenantctl", "psql"]
            for side in sides if (index + number) % 2 else reversed(sides):
                checkpoint()
                name = f"t{len(steps)}_{index}"
                steps[step][side].append(getattr(creation, side)(step, name))
    return {"tenants": 1, "revisions": len(creation.revisions), "steps": steps}
