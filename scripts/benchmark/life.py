"""Commands of a tenant's life in a big fleet: many schemas of their own, and some shared rows."""

import os

from .clones import Clones, make_clones
from .fleet import add
from .machine import environment, measure, psql, settle

DATABASE = "tenantctl"


def run_life(_number, options, work):
    """Each command once, in a fleet of --light schemas and a tenth of that in shared rows."""
    clones = Clones(options, work, options.light)
    tenants, rows = options.light, max(1, options.light // 10)
    clones.tool("tenant", "create", "tenant_master")
    make_clones(DATABASE, work, "tenant_master", 1, tenants)
    clones.finish("tenant_master")
    figures = {}

    def run(step, *words):
        taken = measure([[os.environ["TENANTCTL_BIN"], *words, "--quiet"]], environment(DATABASE),
                        work, memory=True)
        add(figures, step, "tenantctl", taken)

    run("registry init --adopt", "registry", "init", "--adopt")
    run("gate install", "gate", "install")
    run(f"tenant create, {rows} of rows", "tenant", "create", "--isolation", "rows", "--home",
        "home", "--count", str(rows), "--prefix", "shop")
    settle([DATABASE])
    some = [name for name in psql(DATABASE, "SELECT slug FROM tenantctl.tenant WHERE isolation = "
                                            "'schema' ORDER BY slug LIMIT 1000;")]
    for words in (["tenant", "list"], ["tenant", "list", "--output", "json"],
                  ["tenant", "list", "--state", "ready"], ["tenant", "show", some[0]],
                  ["status"], ["registry", "check"], ["gate", "show"], ["gate", "install"],
                  ["tenant", "rename", some[0], "renamed"],
                  ["tenant", "drop", some[1], "--yes"]):
        run(" ".join(words).replace(some[0], "A").replace(some[1], "A"), *words)
    some = some[2:]
    run(f"tenant suspend, {len(some)} names", "tenant", "suspend", *some)
    run(f"tenant resume, {len(some)} names", "tenant", "resume", *some)
    run(f"tenant drop, {len(some)} names", "tenant", "drop", "--yes", *some)
    run(f"tenant undrop, {len(some)} names", "tenant", "undrop", *some)
    run("tenant drop --tenants of a tenth", "tenant", "drop", "--yes", "--tenants",
        f"tenant_{'0' * (6 - len(str(tenants)) + 1)}*")
    run("tenant list --state deleting", "tenant", "list", "--state", "deleting")
    run("tenant purge --all", "tenant", "purge", "--yes", "--all")
    run("tenant drop --isolation rows, all", "tenant", "drop", "--yes", "--isolation", "rows")
    # The light folder's tables have no tenant column: nothing is to be deleted but rows of ours.
    tables = psql(DATABASE, "SELECT tablename FROM pg_tables WHERE schemaname = 'home';")
    run("tenant purge --all, of rows", "tenant", "purge", "--yes", "--all",
        *(f"--common={table}" for table in tables))
    run("registry check, again", "registry", "check")
    return {"tenants": tenants, "steps": figures}
