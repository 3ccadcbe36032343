"""The same steps through a proxy that delays."""

import os
import subprocess
from contextlib import contextmanager

from .fleet import add, schema_names
from .machine import environment, make_database, make_role, measure, settle
from .sides import Tenantctl, rotated, take
from .workload import CHECKOUT, write_workload

PROXY = CHECKOUT / "tests/proxy/delay_proxy.py"


@contextmanager
def proxy(rtt):
    """Its port."""
    with subprocess.Popen([PROXY, "--rtt", str(rtt), "127.0.0.1", os.environ["PGPORT"]],
                          stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


class Way:
    """tenantctl's way to the server."""

    def __init__(self, name, options, work, schemas, port):
        self.name = name
        self.folder = work / name
        self.folder.mkdir()
        write_workload(options.workload, self.folder)
        self.side = Tenantctl(options, self.folder, schemas, name, PGHOST="127.0.0.1", PGPORT=port)
        make_database(name, schemas)

    def new_tenant(self):
        command = [os.environ["TENANTCTL_BIN"], "tenant", "create", "another_tenant"]
        return measure([command], environment(self.side.database, **self.side.variables),
                       self.side.work)

    def repeated(self, step):
        run = getattr(self.side, step)
        run()  # for the caches
        return [run() for _ in range(self.side.options.repeats)]


def run_network(number, options, work):
    make_role()
    schemas = schema_names(options.rtt_tenants)
    figures = {}
    with proxy(0) as near, proxy(options.rtt) as far:
        ways = [Way("direct", options, work, schemas, os.environ["PGPORT"]),
                Way("proxy", options, work, schemas, near), Way("far", options, work, schemas, far)]
        for step in ("adopt", "fresh", "one_more"):
            if step == "one_more":
                settle([way.name for way in ways])
            for way in rotated(ways, number):
                add(figures, step.replace("_", " "), way.name, take(step, way.side, False))
        for step in ("nothing", "status"):
            for way in rotated(ways, number):
                figures.setdefault(step, {})[way.name] = way.repeated(step)
        for way in ways:
            add(figures, "new tenant", way.name, way.new_tenant())
    return {"tenants": options.rtt_tenants, "rtt_ms": options.rtt, "steps": figures}
