"""The matrix: where the program is stopped, and what happens to it there."""

import itertools
import random
import time
from dataclasses import dataclass

from judge import Judge
from stage import DATABASE, NEW, PLACES, Broken, Look

ACTIONS = {
    "kill": "kill -9",
    "term": "SIGTERM",
    "cut": "socket closed",
    "terminate": "backend terminated",
    "server": "server stopped, restarted",
    "second": "second run",
}
TENANT = ("first", "middle", "last")
EVERY = ("shared", *TENANT)


@dataclass(frozen=True)
class Spot:
    """A stop point by its name, and which of the times that a schema comes by it."""

    point: str
    hit: int = 1
    places: tuple = EVERY
    what: str = ""
    overlay: str = None  # a revision more: "decision", "escape"
    journey: str = "upgrade"  # "downgrade": downgrade-all base; "create": tenant create

    def label(self):
        return f"{self.point}{f' {self.hit}' if self.hit > 1 else ''}"


# A tenant's way: revisions 1 and 2 in one segment that keeps its lock; 3 outside a transaction;
# 4, 5 and the repeatable in one segment, each with a lock of its own, because 4 has a DO block.
SPOTS = [
    Spot("run-planned", places=("-",), what="fleet read, plan made"),
    Spot("ledger-begun", places=("-",), what="the run stands in the ledger"),
    Spot("run-connected", places=("-",), what="a worker's connection stands"),
    Spot("session-set-up", places=("-",), what="settings of the session answered"),
    Spot("segment-due", what="nothing of the schema sent"),
    Spot("after-begin"),
    Spot("after-install", 1, ("shared",), "CREATE SCHEMA"),
    Spot("after-install", 2, ("shared",), "CREATE TABLE of the version table"),
    Spot("after-entry", what="lock taken, kept for the segment"),
    Spot("after-place", 1, TENANT, "fresh read"),
    Spot("after-guard", what="guard row in, before the SQL"),
    Spot("after-statement", what="first statement"),
    Spot("after-statement", 2, what="second statement"),
    Spot("after-reset"),
    Spot("after-close", what="guard lifted"),
    Spot("after-mark"),
    Spot("after-commit", what="COMMIT done, more of the segment to come"),
    Spot("after-settings", 1, TENANT, "second revision under the kept lock"),
    Spot("after-statement", 5, TENANT, "definitions, no row yet"),
    Spot("after-row", 1, TENANT, "row of definitions"),
    Spot("after-commit", 2, TENANT),
    Spot("after-unlock", 1, TENANT, "kept lock freed, Sync not sent"),
    Spot("segment-sent", what="COMMIT done, answer unread"),
    Spot("segment-answered", what="answer read, not acted on"),
    Spot("outside-lock", 1, TENANT, "session lock"),
    Spot("outside-row", 1, TENANT, "row running, not committed"),
    Spot("outside-running", 1, TENANT, "row running, committed"),
    Spot("outside-statement", 1, TENANT, "index build under way, waits for a writer"),
    Spot("segment-sent", 4, TENANT, "index built, answer unread"),
    Spot("outside-answered", 1, TENANT, "index built, answer read"),
    Spot("outside-inspection", 1, TENANT, "index found valid"),
    Spot("outside-row", 2, TENANT, "progress not committed"),
    Spot("outside-progress", 1, TENANT, "progress committed"),
    Spot("outside-row", 3, TENANT, "row applied, not committed"),
    Spot("outside-applied", 1, TENANT, "row applied, committed"),
    Spot("outside-release", 1, TENANT, "session lock freed"),
    Spot("after-entry", 2, TENANT, "lock of one transaction"),
    Spot("after-place", 2, TENANT),
    Spot("after-guard", 2, TENANT),
    Spot("after-statement", 7, TENANT, "DO block"),
    Spot("after-close", 2, TENANT),
    Spot("after-commit", 3, TENANT),
    Spot("after-guard", 4, TENANT, "guard lifted for SET CONSTRAINTS"),
    Spot("after-guard", 6, TENANT, "guard set again"),
    Spot("after-guard", 7, TENANT, "repeatable"),
    Spot("after-commit", 5, TENANT, "repeatable"),
    Spot("segment-sent", 9, TENANT, "three COMMITs done, answer unread"),
    Spot("segment-answered", 8, TENANT),
    Spot("ledger-due", places=("-",), what="all schemas over"),
    Spot("ledger-ended", places=("-",)),
    # Outside a transaction, and no catalog can tell whether it happened.
    Spot("outside-running", 2, ("middle",), "no index: row running", "decision"),
    Spot("outside-statement", 2, ("middle",), "no index: not committed", "decision"),
    Spot("segment-sent", 12, ("middle",), "no index: done, answer unread", "decision"),
    Spot("outside-answered", 2, ("middle",), "no index: answer read", "decision"),
    Spot("outside-progress", 2, ("middle",), "no index: confirmed", "decision"),
    # The way back: revisions 5 and 4 in one segment, 3 outside a transaction, 2 and 1 in another.
    Spot("run-planned", places=("-",), journey="downgrade"),
    Spot("segment-due", 1, TENANT, journey="downgrade"),
    Spot("after-entry", 1, TENANT, "lock taken, kept for the segment", journey="downgrade"),
    Spot("after-place", 1, TENANT, "fresh read", journey="downgrade"),
    Spot("after-guard", 1, TENANT, "row guarded", journey="downgrade"),
    Spot("after-statement", 1, TENANT, journey="downgrade"),
    Spot("after-close", 1, TENANT, "row removed", journey="downgrade"),
    Spot("after-row", 1, TENANT, "repeatables forgotten", journey="downgrade"),
    Spot("after-commit", 1, TENANT, journey="downgrade"),
    Spot("after-guard", 2, TENANT, "second revision under the kept lock", journey="downgrade"),
    Spot("segment-sent", 1, TENANT, "COMMIT done, answer unread", journey="downgrade"),
    Spot("outside-running", 1, TENANT, "row running, committed", journey="downgrade"),
    Spot("outside-statement", 1, TENANT, "DROP INDEX under way, waits for a writer",
         journey="downgrade"),
    Spot("segment-sent", 4, TENANT, "index dropped, answer unread", journey="downgrade"),
    Spot("outside-progress", 1, TENANT, "progress committed", journey="downgrade"),
    Spot("outside-row", 3, TENANT, "row removed, not committed", journey="downgrade"),
    Spot("outside-applied", 1, TENANT, "row removed, committed", journey="downgrade"),
    Spot("after-close", 3, TENANT, "row of definitions removed", journey="downgrade"),
    Spot("after-commit", 4, TENANT, journey="downgrade"),
    Spot("ledger-due", places=("-",), journey="downgrade"),
    # Two new tenants: each is there at the newest revision, or not at all. Only a program that was
    # killed, or lost the server, may leave one at an earlier revision, whole; upgrade-all goes on.
    *(Spot(point, hit, ("new",), what, journey="create") for point, hit, what in [
        ("segment-due", 1, ""),
        ("after-install", 1, "CREATE SCHEMA"),
        ("after-install", 2, "CREATE TABLE of the version table"),
        ("after-statement", 1, ""),
        ("after-commit", 1, "first revision committed, more to come"),
        ("segment-sent", 1, "two COMMITs done, answer unread"),
        ("segment-answered", 1, ""),
        ("after-commit", 4, ""),
        ("ledger-due", 1, "")]),
]


@dataclass(frozen=True)
class Case:
    spot: Spot
    action: str
    place: str
    broken: str = None

    def name(self):
        action = ACTIONS.get(self.action, "no fault")
        return f"{self.spot.label()} / {action} / {self.place}" + (
            f" / without {self.broken}" if self.broken else "") + (
            f" / {self.spot.overlay}" if self.spot.overlay else "") + (
            "" if self.spot.journey == "upgrade" else f" / {self.spot.journey}")


def whole_product():
    return [Case(spot, action, place) for spot in SPOTS for action in ACTIONS
            for place in spot.places]


def sample(seed):
    """Every spot with every action once, the schema in turn."""
    chance = random.Random(seed)
    return [Case(spot, action, chance.choice(spot.places))
            for spot, action in itertools.product(SPOTS, ACTIONS)]


# What each protection is there for, so that its absence must show.
CONTROLS = {
    "lock": [Case(Spot("outside-running", 1, TENANT), "second", "first", "lock"),
             Case(Spot("outside-statement", 1, TENANT), "second", "first", "lock"),
             Case(Spot("outside-running", 1, TENANT), "second", "last", "lock")],
    "guard": [Case(Spot("after-statement", 15, TENANT, "", "escape"), action, "first", "guard")
              for action in ("kill", "terminate")],
    "order": [Case(Spot("after-row", 1, TENANT), action, "first", "order")
              for action in ("kill", "terminate", "server")],
    "fresh-read": [Case(Spot("segment-due"), "second", "first", "fresh-read"),
                   Case(Spot("run-planned", places=("-",)), "second", "-", "fresh-read")],
}
# The same attack with the guard standing: COMMIT is sent, and nothing of it is kept.
BASELINES = {
    "guard": [Case(Spot("after-statement", hit, TENANT, "", "escape"), action, "first",
                   "first-token")
              for hit, action in ((14, "kill"), (15, "kill"), (15, "terminate"))],
}


# Without a fault and without company each of them goes unnoticed: it is not the switch itself that
# the matrix finds.
CALM = [Case(Spot("", places=("-",)), "none", "-", name) for name in CONTROLS]


class Trial:
    """One case, from the untouched fleet to its target."""

    def __init__(self, stage, case):
        self.stage, self.case = stage, case
        self.judge = Judge(stage, case.spot.overlay, case.spot.journey)
        self.struck = False
        self.code = None
        self.blocker = None

    def result(self, seconds):
        return {"case": self.case.name(), "point": self.case.spot.label(),
                "group": self.case.spot.overlay or (
                    "" if self.case.spot.journey == "upgrade" else self.case.spot.journey),
                "action": self.case.action,
                "place": self.case.place, "struck": self.struck, "code": self.code,
                "checks": self.judge.checks, "violations": self.judge.violations,
                "seconds": round(seconds, 3)}

    def run(self):
        begin = time.monotonic()
        stage = self.stage
        stage.reset(self.case.spot.overlay)
        if self.case.spot.journey != "upgrade":
            ready = stage.upgrade()
            if ready.wait() != 0:
                raise Broken(f"the fleet is not at head: {ready.text()}")
        if self.case.action == "none":
            self.struck = True
            self.run_again()
            return self.result(time.monotonic() - begin)
        door = stage.door()
        run = other = None
        try:
            run = self.start(door)
            if self.come_by(door, run):
                other = self.strike(door, run)
                self.aftermath(run, other)
        finally:
            self.release()
            door.close()
            for each in (run, other):
                if each:
                    each.kill()
        return self.result(time.monotonic() - begin)

    def start(self, door):
        spot = self.case.spot
        schema = "" if spot.point.startswith("ledger") else PLACES.get(self.case.place, "")
        point, hit = (("outside-running", 1) if self.is_under_way() else (spot.point, spot.hit))
        return self.go(f"{point}:{schema}:{hit}:{door.path}")

    def go(self, fault=None):
        if self.case.spot.journey == "downgrade":
            return self.stage.downgrade(fault, self.case.broken)
        if self.case.spot.journey == "create":
            return self.stage.create(fault)
        return self.stage.upgrade(fault, self.case.broken)

    def is_under_way(self):
        return self.case.spot.point == "outside-statement" and self.case.spot.overlay is None

    def come_by(self, door, run):
        """Whether the program reached the point, and the server has done all that was sent."""
        stage = self.stage
        if not door.wait(run.process):
            self.judge.violate("-", f"the point was never reached (exit {run.wait()}): "
                                    f"{run.text()}")
            return False
        if self.is_under_way():
            self.blocker = Look(stage.server.bindir, stage.environment, DATABASE)
            self.blocker.need(f"BEGIN; LOCK TABLE {door.schema}.r1 IN ROW EXCLUSIVE MODE")
            door.order("until outside-statement")
            if not door.wait(run.process):
                self.judge.violate("-", "the statement was never sent")
                return False
            waiting = ("SELECT count(*) = 1 FROM pg_stat_activity WHERE "
                       f"pid = {door.pid} AND wait_event_type = 'Lock'")
        else:
            waiting = None
        settled = stage.until(waiting) if waiting else stage.digested(door.pid)
        if not settled:
            self.judge.violate("-", "the server did not get to the point")
            return False
        self.judge.check()
        return True

    def release(self):
        if self.blocker:
            self.blocker.close()
            self.blocker = None

    def strike(self, door, run):
        """Does it, and sees to it that it was done. The second run, if that is the action."""
        stage, action = self.stage, self.case.action
        if action == "kill":
            door.order("kill")
            self.struck = run.process.wait(10) == -9
        elif action == "term":
            door.order("term")
            self.struck = True  # or else its exit code, below
        elif action == "cut":
            door.order("cut")
            if self.is_under_way():
                self.release()
            self.struck = stage.is_gone(door.pid)
        elif action == "terminate":
            size = stage.log_size()
            answer = stage.look.value(f"SELECT pg_terminate_backend({door.pid})")
            gone = stage.is_gone(door.pid)
            self.struck = answer == "t" and gone and (
                f"{door.pid} FATAL:  terminating connection" in stage.log_since(size))
            door.order("go")
        elif action == "server":
            size = stage.log_size()
            stage.crash()
            self.blocker = None
            stage.restart()
            door.order("go")
            self.struck = "immediate shutdown request" in stage.log_since(size)
        else:
            return self.second(door)
        self.judge.check()
        self.release()
        return None

    def second(self, door):
        other = self.go()
        # Without its protection nothing holds it up: it goes all the way.
        end = time.monotonic() + (3 if self.case.broken else 0.5)
        while time.monotonic() < end and other.process.poll() is None:
            time.sleep(0.01)
        self.judge.check()
        self.struck = True
        door.order("go")
        self.release()
        return other

    # --- afterwards ----------------------------------------------------------------------------

    def aftermath(self, run, other):
        self.code = run.wait()
        self.judge_end(run, self.code, "the run")
        if other:
            self.judge_end(other, other.wait(), "the second run")
        if self.case.action == "term":
            self.struck = self.code in (130, -15) or (
                self.case.spot.point.startswith("ledger-") and self.code == 0)
        if not self.struck:
            self.judge.violate("-", f"the fault did not strike (exit {self.code})")
        self.judge.check()
        self.run_again()

    def judge_end(self, run, code, who):
        if self.case.spot.overlay == "escape":
            wanted = (1, -9)
        elif self.case.spot.overlay == "decision":
            wanted = {"kill": (-9,), "term": (130, -15)}.get(self.case.action, (0, 1))
        elif self.case.spot.journey == "create":
            self.judge_new(code, who)
            return
        else:
            on_control = self.case.place == "-" and self.case.spot.point not in (
                "run-connected", "session-set-up")
            wanted = {"kill": (-9,), "term": (130, -15, 0), "second": (0,)}.get(
                self.case.action, (0, 1, 3) if on_control or self.case.action == "server" else (0,))
        if code not in wanted:
            self.judge.violate("-", f"{who} ended with {code}: {run.text()[:400]}")
        seen = self.judge.check()
        if code == 0:
            self.judge.check_target(seen, who)
        self.judge.check_report(run, seen)

    def judge_new(self, code, who):
        """Of the second run one or the other makes a tenant: who comes late says so."""
        on_control = self.case.spot.point.startswith("ledger")
        if code not in {"kill": (-9,), "term": (130, 0) if on_control else (130,),
                        "server": (0, 1, 3), "second": (0, 1, 2)}.get(self.case.action, (0,)):
            self.judge.violate("-", f"{who} ended with {code}")
        seen = self.judge.check()
        halves = [schema for schema in self.judge.behind(seen) if schema in seen]
        missing = [schema for schema in NEW if schema not in seen]
        if code == 0 and (halves or missing):
            self.judge.violate(", ".join(halves + missing), f"{who} ended with 0")
        if halves and self.case.action not in ("kill", "server", "second"):
            self.judge.violate(", ".join(halves), f"half-made, and {who} ended with {code}")

    def run_again(self):
        """G5: the same command ends at its target, and nothing is left to clean up."""
        again = self.stage.upgrade() if self.case.spot.journey == "create" else self.go()
        code = again.wait()
        if self.case.spot.overlay == "decision" and code == 1:
            code = self.decide(again)
        if self.case.spot.overlay == "escape":
            if code != 1:
                self.judge.violate("-", f"the second start ended with {code}")
            self.judge.check()
            return
        if code != 0:
            self.judge.violate("-", f"the second start ended with {code}: {again.text()[:400]}")
        seen = self.judge.check()
        if code == 0:
            self.judge.check_target(seen, "the second start")
        self.judge.check_quiet()

    def decide(self, again):
        """A person looks whether the statement happened, and says so. Two schemas at most were at
        it: one on each connection."""
        undecided = [schema for schema, found in self.judge.check().items()
                     if any(row["state"] != "applied" for row in found["rows"])]
        if not 1 <= len(undecided) <= 2:
            self.judge.violate("-", f"{len(undecided)} schemas are to be resolved")
        for schema in undecided:
            if schema not in again.text() or "tenantctl resolve" not in again.text():
                self.judge.violate(schema, f"nobody says how to go on: {again.text()}")
            happened = self.stage.look.value(
                f"SELECT count(*) FROM public.journal WHERE schema = '{schema}' AND revision = 6")
            word = "--applied" if happened == "1" else "--reverted"
            resolved = self.stage.start("resolve", "6", "--schema", schema, word)
            if resolved.wait() != 0:
                self.judge.violate(schema, f"resolve {word} failed: {resolved.text()}")
            self.judge.check()
        return self.stage.upgrade().wait()
