"""Two processes on one fleet, interrupted anywhere; a seed repeats the choices."""

import random
import signal
import time

from judge import Judge
from stage import ROLE

# Each kind with what proves that it struck.
KINDS = {
    "kill -9 of a client": "its exit status",
    "SIGTERM to a client": "its exit code 130, or its end by the signal",
    "backend terminated": "the server's log",
    "server stopped at once, restarted": "the server's log, a client at work",
    "connection cut": "the backend's end at the server",
}
KILL, TERM, TERMINATE, SERVER, CUT = KINDS
MOST_POINTS = 350  # a process that shares the fleet with another one passes about as many


class RandomFaults:
    """So many faults, about equally many of each kind. A round has an untouched fleet."""

    def __init__(self, stage, seed, faults):
        self.stage, self.seed, self.wanted = stage, seed, faults
        self.chance = random.Random(seed)
        self.judge = Judge(stage)
        self.struck = dict.fromkeys(KINDS, 0)
        self.injected = dict.fromkeys(KINDS, 0)
        self.starts = 0

    def run(self):
        begin = time.monotonic()
        rounds = 0
        while sum(self.struck.values()) < self.wanted and rounds < self.wanted * 4:
            rounds += 1
            before = len(self.judge.violations)
            kind = self.next_kind()
            self.round(kind)
            for i in range(before, len(self.judge.violations)):
                self.judge.violations[i] += f" (round {rounds}, {kind})"
        if sum(self.struck.values()) < self.wanted:
            self.judge.violate("-", f"only {self.struck} of {self.wanted} faults struck")
        return {"case": f"random faults, seed {self.seed}", "faults": self.struck,
                "injected": self.injected, "starts": self.starts, "checks": self.judge.checks,
                "violations": self.judge.violations, "seconds": round(time.monotonic() - begin, 1)}

    def next_kind(self):
        least = min(self.struck.values())
        return self.chance.choice([kind for kind in KINDS if self.struck[kind] == least])

    def upgrade(self, fault=None):
        self.starts += 1
        return self.stage.upgrade(fault)

    def round(self, kind):
        stage = self.stage
        stage.reset()
        door = stage.door()
        runs = []
        try:
            trap = f"*::{self.chance.randint(1, MOST_POINTS)}:{door.path}"
            faults = [trap, None]
            self.chance.shuffle(faults)
            runs = [self.upgrade(fault) for fault in faults]
            run, other = runs if faults[0] else reversed(runs)
            if door.wait(run.process):
                self.injected[kind] += 1
                self.strike(kind, door, run, other)
            else:
                self.expect(run, (0,), "the first process")
                self.expect(other, (0,), "the second process")
            self.both_again(runs)
        finally:
            door.close()
            for each in runs:
                each.kill()

    def both_again(self, runs):
        """Nothing to clean up: the same command, twice at once, ends at its target."""
        again = [self.upgrade(), self.upgrade()]
        runs.extend(again)
        for each in again:
            self.expect(each, (0,), "a process started again")
        self.judge.check_target(self.judge.check(), "a process started again")
        self.judge.check_quiet()

    def expect(self, run, codes, who):
        code = run.wait()
        if code not in codes:
            self.judge.violate("-", f"{who} ended with {code}: {run.text()[:400]}")
        seen = self.judge.check()
        if code == 0:
            self.judge.check_target(seen, who)
        self.judge.check_report(run, seen)
        return code

    def strike(self, kind, door, run, other):
        # Half of them wherever the program, and the server, are a moment later.
        late = kind != CUT and self.chance.random() < 0.5
        pause = self.chance.uniform(0, 0.03)
        if late:
            door.order("go")
            time.sleep(pause)
        size = self.stage.log_size()
        if kind == KILL:
            run.process.send_signal(signal.SIGKILL)
            struck = run.process.wait() == -9
            own, others = (-9, 0), (0,)
        elif kind == TERM:
            run.process.send_signal(signal.SIGTERM)
            if not late:
                door.order("go")
            struck = run.wait() in (130, -15)
            own, others = (130, -15, 0), (0,)
        elif kind == CUT:
            door.order("cut")
            struck = self.stage.is_gone(door.pid)
            own, others = (0, 1, 3), (0,)
        elif kind == TERMINATE:
            struck = self.terminate(door.pid, late, size)
            own = others = (0, 1, 3)
        else:
            at_work = run.process.poll() is None
            self.stage.crash()
            time.sleep(self.chance.uniform(0, 0.1))
            self.stage.restart()
            struck = at_work and "immediate shutdown request" in self.stage.log_since(size)
            own = others = (0, 1, 3)
        self.judge.check()
        if not late and kind in (TERMINATE, SERVER):
            door.order("go")
        self.expect(run, own, "the struck process")
        self.expect(other, others, "the other process")
        self.struck[kind] += struck

    def terminate(self, pid, late, log_size):
        """The stopped one's backend, or any that is at work for either process."""
        if late:
            pids = self.stage.look.need(
                f"SELECT pid FROM pg_stat_activity WHERE usename = '{ROLE}' ORDER BY pid")
            if not pids:
                return False
            pid = int(self.chance.choice(pids))
        answer = self.stage.look.value(f"SELECT pg_terminate_backend({pid})")
        self.stage.is_gone(pid)
        return answer == "t" and (
            f"{pid} FATAL:  terminating connection" in self.stage.log_since(log_size))
