"""What a backend keeps per schema that it has touched."""

from .fleet import schema_names
from .machine import BackendWatch, make_database, make_role
from .sides import Floor, Tenantctl
from .workload import write_workload


def run_memory(_number, options, work):
    """A run over 1/16, 1/4 and all of the schemas, each over one connection."""
    make_role()
    write_workload(options.workload, work)
    sizes = [max(1, options.memory_tenants // part) for part in (16, 4, 1)]
    rows = []
    for size in sizes:
        for kind in (Floor, Tenantctl):
            rows += watch_side(kind, options, work / f"{kind.__name__.lower()}_{size}", size)
    return {"rows": rows}


def watch_side(kind, options, work, size):
    work.mkdir()
    write_workload(options.workload, work)
    schemas = schema_names(size)
    if kind is Floor:
        side = Floor("psql", options, work, schemas, jobs=1, database=work.name,
                     in_one_message=True)
    else:
        side = Tenantctl(options, work, schemas, work.name)
        side.jobs = 1
    make_database(work.name, schemas)
    side.adopt()
    rows = []
    for step in ("fresh", "one_more"):
        with BackendWatch(work.name) as watch:
            getattr(side, step)()
        rows.append({"step": step.replace("_", " "), "side": side.name, "schemas": size,
                     "backends": len(watch.peaks),
                     "largest_kb": max(watch.peaks.values(), default=None),
                     "all_at_once_kb": watch.most_at_once})
    return rows
