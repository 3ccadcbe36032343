"""More schemas than anybody wants to migrate for a measurement, made on the server.

tenantctl brings one schema to where all shall be; its DDL, read by pg_dump, and its version rows
are then repeated under other names. Every clone is a real schema with a real version table, rows
and mark.
"""

import os
import subprocess

from . import Failure
from .fleet import comment_columns, in_turns, schema_names
from .machine import PSQL, environment, make_database, make_role, measure, psql, settle
from .sides import Tenantctl
from .workload import write_workload

PER_SESSION = 5000  # a session's caches grow with each schema
PER_TRANSACTION = 100  # and so do its locks
EXTRAS = """\
-- migrate:up
CREATE TABLE extras (id bigint PRIMARY KEY);
-- migrate:down
DROP TABLE extras;
"""


def definition(database, schema):
    """The statements that make the schema, without rows."""
    dump = subprocess.run(
        ["pg_dump", "--schema-only", "--no-owner", "--no-privileges", "-n", schema, database],
        env=environment(database), capture_output=True, text=True, check=False)
    if dump.returncode != 0:
        raise Failure(f"pg_dump: {dump.stderr}")
    skipped = ("--", "SET ", "SELECT pg_catalog.set_config", "\\")
    return "\n".join(line for line in dump.stdout.splitlines()
                     if line and not line.startswith(skipped))


def clone_sql(schema, ddl, first, last):
    """One session's share."""
    version_table = "tenantctl_version"
    return f"""
        SET client_min_messages = warning;
        SET synchronous_commit = off;
        DO $clones$
        DECLARE ddl text := $ddl${ddl}$ddl$; name text;
        BEGIN
          FOR number IN {first}..{last} LOOP
            name := 'tenant_' || lpad(number::text, 6, '0');
            EXECUTE replace(ddl, '{schema}', name);
            EXECUTE format('INSERT INTO %I.{version_table} SELECT * FROM {schema}.{version_table}',
                           name);
            IF number % {PER_TRANSACTION} = 0 THEN COMMIT; END IF;
          END LOOP;
        END $clones$;"""


def make_clones(database, work, schema, first, last):
    """tenant_<first> to tenant_<last>, over two sessions at a time."""
    ddl = definition(database, schema)
    commands = []
    for begin in range(first, last + 1, PER_SESSION):
        file = work / f"clones_{begin}.sql"
        file.write_text(clone_sql(schema, ddl, begin, min(last, begin + PER_SESSION - 1)))
        commands.append(PSQL + ["-f", file])
    for two in zip(commands[::2], commands[1::2] + [None]):
        measure([command for command in two if command], environment(database), work)


class Clones:
    """A folder and a database in which one schema was migrated, and the schemas made after it."""

    def __init__(self, options, work, count):
        make_role()
        write_workload("light", work)
        self.options, self.work, self.count = options, work, count
        self.side = Tenantctl(options, work, schema_names(count))
        make_database("tenantctl")

    def tool(self, *words):
        measure([[os.environ["TENANTCTL_BIN"], *words, "--quiet"]], environment("tenantctl"),
                self.work)

    def finish(self, *masters):
        for schema in masters:
            psql("tenantctl", f"SET client_min_messages = warning; DROP SCHEMA {schema} CASCADE;")
        settle(["tenantctl"])


def run_clones(_number, options, work):
    clones = Clones(options, work, options.clones)
    clones.tool("tenant", "create", "tenant_master")
    make_clones("tenantctl", work, "tenant_master", 1, options.clones)
    clones.finish("tenant_master")
    figures, side = {}, clones.side
    for step in ("nothing", "status"):
        in_turns(figures, step, side, getattr(side, step))
    comments = comment_columns("tenantctl", options.comments)
    for step in ("nothing", "status"):
        in_turns(figures, f"{step}, comments", side, getattr(side, step))
    return {"tenants": options.clones, "comments": comments, "steps": figures}


# --- half of them with one history that is not the folder's order -------------------------------


def run_out_of_order(_number, options, work):
    clones = Clones(options, work, options.light)
    versions = clones.side.versions
    late = (versions / "0002_customers.sql").read_text()
    (versions / "0003_extras.sql").write_text(EXTRAS)
    (versions / "0002_customers.sql").unlink()
    clones.tool("tenant", "create", "tenant_disorder")
    (versions / "0002_customers.sql").write_text(late)
    clones.tool("upgrade", "--schema", "tenant_disorder", "--allow-out-of-order")
    clones.tool("tenant", "create", "tenant_master")
    half = options.light // 2
    make_clones("tenantctl", work, "tenant_disorder", 1, half)
    make_clones("tenantctl", work, "tenant_master", half + 1, options.light)
    clones.finish("tenant_disorder", "tenant_master")
    psql("tenantctl", "SELECT pg_stat_reset();")
    taken = clones.side.nothing(False, "--allow-out-of-order")
    return {"tenants": options.light, "of one disorder": half, "seconds": taken["seconds"],
            "version tables read": version_tables_read("tenantctl")}


def version_tables_read(database):
    """Since the counters were reset; a session hands in its counts when it ends."""
    return int(psql(database, "SELECT count(*) FROM pg_stat_user_tables WHERE "
                              "relname = 'tenantctl_version' "
                              "AND seq_scan + coalesce(idx_scan, 0) > 0;")[0])
