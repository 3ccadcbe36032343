"""What one new tenant takes: a schema, a database, and a database copied from a template.

The floors are what anybody must do: psql with CREATE SCHEMA and the same SQL, with CREATE DATABASE
before it, and with CREATE DATABASE ... TEMPLATE and nothing else.
"""

from .machine import (PSQL, USER, checkpoint, environment, make_database, make_role,
                      measure_sequence, psql)
from .sides import Tenantctl
from .workload import read_revisions, upgrade_sql, write_workload

SCHEMA, DATABASE, COPY = "new schema", "new database", "new database, template"
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
        if step != SCHEMA:
            words += ["--isolation", "database", "--database-prefix", "ours_"]
        if step == COPY:
            words += ["--template-database", TEMPLATES["tenantctl"]]
        return self.ours.measure(words, False)[0]

    def psql(self, step, name):
        commands = []
        if step == SCHEMA:
            commands.append(self.fill(HOME, f"floor_{name}"))
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
    for step in (SCHEMA, DATABASE, COPY):
        steps[step] = {"tenantctl": [], "psql": []}
        for index in range(options.creates):
            sides = ["tenantctl", "psql"]
            for side in sides if (index + number) % 2 else reversed(sides):
                checkpoint()
                name = f"t{len(steps)}_{index}"
                steps[step][side].append(getattr(creation, side)(step, name))
    return {"tenants": 1, "revisions": len(creation.revisions), "steps": steps}
