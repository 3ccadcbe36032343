"""Wrongs put in by hand: the judge must see each of them, or its silence means nothing."""

import time

from judge import Judge

TENANT = "tenant_3"
VERSION = f"{TENANT}.tenantctl_version"
PLANTED = {
    "a row without its effect": f"DROP TABLE {TENANT}.r5",
    "an effect without its row": f"DELETE FROM {VERSION} WHERE revision = 5",
    "a revision run twice": f"INSERT INTO public.journal VALUES ('{TENANT}', 4)",
    "definitions run twice": f"ALTER TABLE {TENANT}.r1 ADD CHECK (id > 0)",
    "half of a revision": f"DELETE FROM public.journal WHERE schema = '{TENANT}' AND revision = 1",
    "a gap in the history": f"DELETE FROM {VERSION} WHERE revision = 2; DROP TABLE {TENANT}.r2; "
                            f"ALTER TABLE {TENANT}.r1 DROP CONSTRAINT r1_id_check",
    "an invalid index": "UPDATE pg_index SET indisvalid = false "
                        f"WHERE indexrelid = '{TENANT}.ix3'::regclass",
    "no index": f"DROP INDEX {TENANT}.ix3",
    "an index's leftover": f"CREATE INDEX ix3_ccnew ON {TENANT}.r1 (name)",
    "a mark that lies": f"COMMENT ON TABLE {VERSION} IS "
                        "'tenantctl 1 scope=tenant head=0 count=0 digest=base'",
    "a broken chain": f"UPDATE {VERSION} SET digest = repeat('0', 64) WHERE revision = 4",
    "an open guard": f"BEGIN; SET LOCAL session_replication_role = replica; "
                     f"UPDATE {VERSION} SET guard = 1 WHERE revision = 5; COMMIT",
    "a repeatable without its row": f"DELETE FROM {VERSION} WHERE position > 1000",
    "a table in public": "CREATE TABLE public.r1 (id int)",
    "a schema that vanished": f"DROP SCHEMA {TENANT} CASCADE",
    "an unfinished revision in the middle": f"UPDATE {VERSION} SET state = 'running' "
                                            "WHERE revision = 4",
}


class Planted:
    def __init__(self, stage, name):
        self.stage, self.name = stage, name

    def run(self):
        begin = time.monotonic()
        self.stage.reset()
        judge = Judge(self.stage)
        violations = []
        if self.stage.upgrade().wait() != 0:
            violations.append("-: the fleet is not at head")
        judge.check()
        violations += judge.violations
        judge.violations = []
        self.stage.look.need("SET allow_system_table_mods = on; " + PLANTED[self.name])
        judge.check()
        self.stage.look.need("DROP TABLE IF EXISTS public.r1")
        if not judge.violations:
            violations.append(f"-: not seen: {self.name}")
        return {"case": self.name, "seen": bool(judge.violations), "checks": judge.checks,
                "violations": violations, "seconds": round(time.monotonic() - begin, 3)}
