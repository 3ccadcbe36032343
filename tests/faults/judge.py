"""What a second session must see at every instant (G1 to G3), and at the end (G5)."""

import hashlib
import json
import time

from stage import NEW, SCHEMAS, TENANTS, Broken

FIRST_REPEATABLE = 1 << 62

# One statement, hence one snapshot; pg_class and pg_description, because to_regclass() and
# obj_description() see what was committed behind it.
CATALOG = """
SELECT pg_catalog.json_build_object(
  'schema', n.nspname,
  'relations', COALESCE((SELECT pg_catalog.json_agg(c.relname) FROM pg_catalog.pg_class c
    WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'v')), '[]'),
  'indexes', COALESCE((SELECT pg_catalog.json_object_agg(c.relname,
      i.indisvalid AND i.indisready AND i.indislive)
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
    WHERE c.relnamespace = n.oid AND NOT i.indisprimary), '{}'),
  'checks', (SELECT pg_catalog.count(*) FROM pg_catalog.pg_constraint k
    JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
    WHERE c.relnamespace = n.oid AND c.relname = 'r1' AND k.contype = 'c'),
  'journal', COALESCE((SELECT pg_catalog.json_object_agg(j.revision, j.times) FROM
    (SELECT revision, pg_catalog.count(*) AS times FROM public.journal
     WHERE schema = n.nspname GROUP BY revision) j), '{}'),
  'mark', (SELECT d.description FROM pg_catalog.pg_class c JOIN pg_catalog.pg_description d
    ON d.objoid = c.oid AND d.objsubid = 0
    AND d.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass
    WHERE c.relnamespace = n.oid AND c.relname = 'tenantctl_version'))
FROM pg_catalog.pg_namespace n WHERE n.nspname = ANY (ARRAY[%s])
""" % ", ".join(f"'{schema}'" for schema in [*SCHEMAS, *NEW])

ROWS = """SELECT pg_catalog.json_build_object('schema', '{0}', 'rows', COALESCE((
  SELECT pg_catalog.json_agg(pg_catalog.json_build_object('position', v.position,
    'revision', v.revision, 'state', v.state, 'open', v.guard IS NOT NULL,
    'checksum', v.checksum, 'digest', v.digest) ORDER BY v.position)
  FROM {0}.tenantctl_version v), '[]'))"""

STRAYS = """SELECT pg_catalog.count(*) FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = 'public' AND c.relname <> 'journal'"""

TRANSACTIONAL = {"shared": [1], "tenant": [1, 2, 4, 5]}


class Judge:
    def __init__(self, stage, overlay=None, journey="upgrade"):
        self.stage = stage
        self.overlay, self.down = overlay, journey == "downgrade"
        self.checks = 0
        self.violations = []

    # --- what stands there ---------------------------------------------------------------------

    def observe(self):
        """{schema: what a REPEATABLE READ session sees}."""
        for _ in range(200):
            seen = self.look()
            # A version table may come, or go, between the question who has one and the snapshot.
            if seen is not None and all("rows" in found for found in seen.values()
                                        if "tenantctl_version" in found["relations"]):
                for schema in seen.values():
                    schema.setdefault("rows", [])
                return seen
            time.sleep(0.02)
        raise Broken("the fleet could not be observed")

    def look(self):
        look = self.stage.look
        there = look.need("SELECT n.nspname FROM pg_catalog.pg_class c "
                          "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
                          "WHERE c.relname = 'tenantctl_version'")
        questions = [CATALOG, STRAYS, *(ROWS.format(schema) for schema in there)]
        lines = look.ask("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; "
                         + "; ".join(questions) + "; COMMIT")
        if lines is None or look.is_refusal(lines):
            return None
        seen = {}
        for line in lines:
            if line.startswith("{"):
                part = json.loads(line)
                seen.setdefault(part["schema"], {}).update(part)
            elif line != "0":
                self.violate("public", f"{line} relations in public that belong to a tenant")
        return {schema: found for schema, found in seen.items() if "relations" in found}

    def violate(self, schema, what):
        self.violations.append(f"{schema}: {what}")

    # --- G1 to G3 ------------------------------------------------------------------------------

    def check(self):
        """One observation of every schema. What it saw, for more questions."""
        self.checks += 1
        seen = self.observe()
        for tenant in TENANTS:
            if tenant not in seen:
                self.violate(tenant, "is not there")
        for schema, found in seen.items():
            self.check_schema(schema, found)
        return seen

    def check_schema(self, schema, found):
        rows = {row["revision"]: row for row in found["rows"]
                if row["position"] < FIRST_REPEATABLE}
        repeatables = [row for row in found["rows"] if row["position"] >= FIRST_REPEATABLE]
        for row in found["rows"]:
            if row["open"]:
                self.violate(schema, f"the guard of revision {row['revision']} is open")
        for revision in self.transactional(schema):
            self.check_effect(schema, found, revision, rows.get(revision))
        if schema != "shared":
            self.check_index(schema, found, rows.get(3))
            if not self.down:  # a downgrade forgets repeatables, and leaves what they made
                self.check_view(schema, found, repeatables)
        if self.overlay == "decision" and schema != "shared":
            self.check_decision(schema, found, rows.get(6))
        self.check_prefix(schema, found, rows)
        self.check_mark(schema, found, rows, repeatables)

    def transactional(self, schema):
        revisions = TRANSACTIONAL["shared" if schema == "shared" else "tenant"]
        return [*revisions, 6] if self.overlay == "escape" and schema != "shared" else revisions

    @staticmethod
    def times(found, revision):
        """How often a revision ran, by what each run leaves behind."""
        if revision == 2:
            return found["checks"]
        return found["journal"].get(str(revision), 0)

    def check_effect(self, schema, found, revision, row):
        there = f"r{revision}" in found["relations"]
        times = self.times(found, revision)
        if row and row["state"] != "applied":
            self.violate(schema, f"revision {revision} is {row['state']}")
        if bool(row) != there or times != (1 if row else 0):
            self.violate(schema, f"revision {revision}: row {'there' if row else 'missing'}, "
                                 f"table {'there' if there else 'missing'}, ran {times} times")

    def check_index(self, schema, found, row):
        state = row["state"] if row else None
        valid = found["indexes"].get("ix3")
        if state == "applied" and valid is not True:
            self.violate(schema, "index ix3 is applied and "
                                 f"{'invalid' if valid is False else 'missing'}")
        if state is None and valid is not None:
            self.violate(schema, "index ix3 is there without a row")
        others = [name for name in found["indexes"] if name != "ix3"
                  and not name.startswith("tenantctl")]
        extra = [name for name in others if name != "tenantctl_revision"]
        if extra:
            self.violate(schema, f"indexes that nobody asked for: {', '.join(extra)}")

    def check_view(self, schema, found, rows):
        there = "totals" in found["relations"]
        times = self.times(found, 100)
        if bool(rows) != there or times != (1 if rows else 0):
            self.violate(schema, f"repeatable totals: row {'there' if rows else 'missing'}, "
                                 f"view {'there' if there else 'missing'}, ran {times} times")

    def check_decision(self, schema, found, row):
        times = self.times(found, 6)
        state = row["state"] if row else None
        if (state == "applied" and times != 1) or (state is None and times) or times > 1:
            self.violate(schema, f"revision 6 is {state}, ran {times} times")

    def check_prefix(self, schema, found, rows):
        order = [row["revision"] for row in found["rows"] if row["position"] < FIRST_REPEATABLE]
        positions = [row["position"] for row in found["rows"]
                     if row["position"] < FIRST_REPEATABLE]
        if order != list(range(1, len(order) + 1)) or positions != order:
            self.violate(schema, f"revisions {order} at {positions} are no prefix")
        unfinished = [number for number, row in rows.items() if row["state"] != "applied"]
        if unfinished and unfinished != [order[-1]]:
            self.violate(schema, f"unfinished revisions {unfinished} of {order}")
        digest = ""
        for row in found["rows"]:
            if row["position"] < FIRST_REPEATABLE and row["state"] == "applied":
                text = f"{digest}\n{row['revision']} {row['checksum']}\n"
                digest = hashlib.sha256(text.encode()).hexdigest()
                if row["digest"] != digest:
                    self.violate(schema, f"the chain breaks at revision {row['revision']}")

    def check_mark(self, schema, found, rows, repeatables):
        if "tenantctl_version" not in found["relations"]:
            return
        applied = [row for row in rows.values() if row["state"] == "applied"]
        running = [number for number, row in rows.items() if row["state"] != "applied"]
        head = max((row["revision"] for row in applied), default=0)
        digest = applied[-1]["digest"] if applied else "base"
        mark = (f"tenantctl 1 scope={'shared' if schema == 'shared' else 'tenant'} head={head} "
                f"count={len(applied)} digest={digest}")
        if repeatables:
            mark += f" repeatables={repeatables[-1]['digest']}"
        if running:
            mark += f" running={running[-1]}"
        if found["mark"] != mark:
            self.violate(schema, f"the mark says {found['mark']!r}, the rows {mark!r}")

    # --- at the end ----------------------------------------------------------------------------

    def behind(self, seen):
        """Schemas that are not at the target."""
        revisions = {"shared": 1, "tenant": 0 if self.down else 6 if self.overlay else 5}
        result = []
        for schema in [*SCHEMAS, *(new for new in NEW if new in seen)]:
            rows = seen.get(schema, {}).get("rows", [])
            wanted = revisions["shared" if schema == "shared" else "tenant"]
            applied = [row for row in rows if row["state"] == "applied"
                       and row["position"] < FIRST_REPEATABLE]
            repeatable = any(row["position"] >= FIRST_REPEATABLE for row in rows)
            wants_repeatable = schema != "shared" and not self.down
            if len(applied) != wanted or repeatable != wants_repeatable:
                result.append(schema)
        return result

    def check_target(self, seen, who):
        behind = self.behind(seen)
        if behind:
            self.violate(", ".join(behind), f"not at the target, although {who} ended with 0")

    def check_report(self, run, seen):
        """G4: no schema is called done that is not."""
        document = run.document()
        if not document or "tenants" not in document:
            return
        reports = [*document["tenants"]["schemas"], *document.get("shared", {}).get("schemas", [])]
        behind = self.behind(seen)
        for report in reports:
            done = report["result"] in ("applied", "unchanged")
            if done and report["schema"] in behind:
                self.violate(report["schema"], f"reported {report['result']}, but is behind")

    def check_quiet(self):
        """Nothing is left that somebody would have to clean up."""
        if not self.stage.until("SELECT count(*) = 0 FROM pg_locks WHERE locktype = 'advisory'", 5):
            self.violate("-", "an advisory lock is still held")
