"""One fleet, step by step, beside the floors."""

import sys

from .machine import make_database, make_role, psql, settle
from .sides import Floor, Tenantctl, check_equal, read_catalog, rotated, select_one, \
    take
from .workload import read_revisions, write_workload

COUNTS = (2, 4)  # connections tried for the floor of one message
OWN_TABLES = ("floor_", "tenantctl_")


def schema_names(count):
    return [f"tenant_{number:06}" for number in range(1, count + 1)]


def add(figures, step, side, taken):
    print(f"bench: {step}: {side} {taken['seconds']:.3f} s", file=sys.stderr)
    figures.setdefault(step, {}).setdefault(side, []).append(taken)


class Fleet:
    """A round: {step: {side: [figures]}}."""

    def __init__(self, number, options, work, tenants, with_psql=True):
        self.number, self.options = number, options
        schemas = schema_names(tenants)
        self.tenantctl = Tenantctl(options, work, schemas)
        self.messages = [Floor(f"message{count}", options, work, schemas, jobs=count,
                               database="message", in_one_message=True) for count in COUNTS]
        self.sides = [self.tenantctl, self.messages[0]]
        if with_psql:
            self.sides.append(Floor("psql", options, work, schemas))
        make_role()
        for side in self.sides:
            make_database(side.database, schemas)
        self.databases = [side.database for side in self.sides]
        self.figures = {}

    def run(self):
        for step in ("adopt", "fresh"):
            for side in rotated(self.sides, self.number):
                add(self.figures, step, side.name, take(step, side))
        settle(self.databases)
        self.one_more()
        check_equal(self.databases, OWN_TABLES)
        settle(self.databases)
        for step in ("nothing", "status"):
            in_turns(self.figures, step, self.tenantctl, getattr(self.tenantctl, step))
        return self.figures

    def one_more(self):
        """Several times, undone in between: it is short, and each side is as warm as the others."""
        repeats = self.options.repeats
        for repeat in range(repeats):
            sides = [self.tenantctl, self.messages[repeat % len(COUNTS)], *self.sides[2:]]
            for side in rotated(sides, self.number + repeat):
                add(self.figures, "one more", side.name, take("one_more", side))
            if repeat < repeats - 1:
                for side in sides:
                    side.undo()


def in_turns(figures, step, side, run):
    """`run`, which changes nothing, beside psql -c 'select 1' and psql reading every mark."""
    taken = [lambda: (side.name, run()), lambda: ("select 1", select_one(side)),
             lambda: ("catalog", read_catalog(side))]
    for repeat in range(side.options.repeats + 1):
        for take_one in rotated(taken, repeat):
            name, measured = take_one()
            if repeat:  # the first is for the caches
                add(figures, step, name, measured)
    figures[step]["memory"] = [run(True)]


def run_fleet(number, options, work):
    write_workload(options.workload, work)
    figures = Fleet(number, options, work, options.tenants).run()
    return {"tenants": options.tenants, "revisions": len(read_revisions(work / "versions")),
            "steps": figures}


def run_light(number, options, work):
    write_workload("light", work)
    fleet = Fleet(number, options, work, options.light, with_psql=False)
    fleet.run()
    comments = comment_columns("tenantctl", options.comments)
    for step in ("nothing", "status"):
        in_turns(fleet.figures, f"{step}, comments", fleet.tenantctl,
                 getattr(fleet.tenantctl, step))
    return {"tenants": options.light, "comments": comments, "steps": fleet.figures}


def run_whole(number, options, work):
    write_workload(options.workload, work)
    fleet = Fleet(number, options, work, options.whole, with_psql=False)
    return {"tenants": options.whole, "steps": fleet.run()}


def comment_columns(database, count):
    """Comments on so many columns of the tenants' tables; how many there are afterwards."""
    return int(psql(database, f"""
        INSERT INTO pg_description (objoid, classoid, objsubid, description)
        SELECT attrelid, 'pg_class'::regclass, attnum, 'what ' || attname || ' is for'
        FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
        JOIN pg_namespace n ON n.oid = relnamespace
        WHERE attnum > 0 AND NOT attisdropped AND relkind = 'r' AND nspname LIKE 'tenant\\_%'
        LIMIT {count};
        VACUUM (ANALYZE) pg_description;
        CHECKPOINT;
        SELECT count(*) FROM pg_description WHERE classoid = 'pg_class'::regclass
        AND objsubid > 0 AND objoid > 16384;""")[-1])
