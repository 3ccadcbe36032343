"""The rule of the slow lane: schemas that met a lock keep no other schema waiting."""

import json
import time

from stage import ROLE, Look

DATABASE = "lane"
BLOCKED = ["t01", "t02"]
FREE = [f"t{number:02}" for number in range(3, 35)]
# Two first tries of a second each, side by side; then the free schemas are done in less time than
# one connection needs for the other tries of both blocked ones. Without the rule both connections
# go on waiting, and the pauses between tries are too short for the free ones.
OPTIONS = ["--jobs", "2", "--depth", "1", "--lock-timeout", "1s", "--tries", "4"]
REVISIONS = {"0001_a.sql": "-- migrate:up\nCREATE TABLE a (i int);\n",
             "0002_b.sql": "-- migrate:up\nALTER TABLE a ADD j int;\nSELECT pg_sleep(0.17);\n"}


class Lane:
    """Two schemas stay locked while 34 are upgraded; `broken` names the rule or is None."""

    def __init__(self, stage, broken):
        self.stage, self.broken = stage, broken

    def write(self, name):
        versions = self.folder / "migrations/tenant/versions"
        versions.mkdir(parents=True, exist_ok=True)
        (versions / name).write_text(REVISIONS[name])

    def start(self, *arguments, broken=None):
        return self.stage.start(*arguments, broken=broken, folder=self.folder, database=DATABASE)

    def run(self):
        begin = time.monotonic()
        self.folder = self.stage.folder / "lane"
        self.stage.look.need(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        self.stage.look.need(f"CREATE DATABASE {DATABASE} OWNER {ROLE}")
        self.write("0001_a.sql")
        holder = Look(self.stage.server.bindir, self.stage.environment, DATABASE)
        violations = []
        try:
            made = self.start("tenant", "create", *BLOCKED, *FREE)
            if made.wait() != 0:
                violations.append(f"-: no fleet: {made.text()}")
            self.write("0002_b.sql")
            holder.need("BEGIN; LOCK TABLE "
                        + ", ".join(f"{schema}.a" for schema in BLOCKED)
                        + " IN ACCESS SHARE MODE")
            violations += self.judge()
        finally:
            holder.close()
            (self.folder / "migrations/tenant/versions/0002_b.sql").unlink(missing_ok=True)
            self.stage.look.need(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        return {"case": f"two schemas stay locked, without {self.broken}", "broken": self.broken,
                "violations": violations, "seconds": round(time.monotonic() - begin, 3)}

    def judge(self):
        report = self.folder / "report.jsonl"
        run = self.start("upgrade-all", *OPTIONS, "--quiet", "--report", str(report),
                         broken=self.broken)
        code = run.wait()
        lines = [json.loads(line) for line in report.read_text().splitlines()]
        ended = [(line["schema"], line["result"]) for line in lines
                 if line["event"] == "schema-finished"]
        violations = []
        if code != 1:
            violations.append(f"-: the run ended with {code}: {run.text()[:400]}")
        wrong = [f"{schema}: {result}" for schema, result in ended
                 if result != ("busy" if schema in BLOCKED else "applied")]
        violations += wrong
        if len(ended) != len(BLOCKED) + len(FREE):
            violations.append(f"-: the report names {len(ended)} schemas")
        order = [schema for schema, _ in ended]
        given_up = [order.index(schema) for schema in BLOCKED if schema in order]
        for schema in order[max(given_up, default=0) + 1:]:
            violations.append(f"{schema}: waited for schemas that stay locked")
        return violations
