"""Medians over rounds, ratios paired by round, and whether they meet the aims."""

from dataclasses import asdict, dataclass
from statistics import median

SELECT_ONE = "select 1"
CATALOG = "catalog"
ROUND_TRIPS = 10  # what a run may take in all beside its pipelined work
CLIENT_LIMIT_MB = 20
# From here on a verdict counts. Fewer schemas over a network or beside a peer are to our
# disadvantage: what a run costs at its start weighs more.
FULL_SIZE = {"fleet": 1000, "peers": 200, "network": 300, "light": 10_000, "comments": 300_000}


@dataclass
class Row:
    """One line of the table of aims."""

    work: str
    ours: str
    beside: str
    ratios: list
    limit: float | None = None
    at_least: bool = False  # the limit is a least, not a most
    full_size: bool = True

    @property
    def ratio(self):
        return median(self.ratios)

    @property
    def met(self):
        if self.limit is None:
            return None
        return self.ratio >= self.limit if self.at_least else self.ratio <= self.limit

    @property
    def verdict(self):
        if self.met is None:
            return ""
        return ("met" if self.met else "**missed**") + ("" if self.full_size else ", small")

    @property
    def aim(self):
        if self.limit is None:
            return ""
        return f"{'≥' if self.at_least else '≤'} {self.limit:g}"


def of_round(steps, step, side, key="seconds"):
    return median(figures[key] for figures in steps[step][side])


def of_rounds(rounds, step, side, key="seconds"):
    return median(of_round(one["steps"], step, side, key) for one in rounds)


def ratios(rounds, step, side, other):
    return [of_round(one["steps"], step, side) / of_round(one["steps"], step, other)
            for one in rounds]


def seconds(value):
    return f"{value:.2f} s" if value >= 1 else f"{1000 * value:.0f} ms"


def sides_of(rounds, step):
    return [side for side in rounds[0]["steps"][step] if side != "memory"]


# --- rows of each part -------------------------------------------------------------------------


def compare(name, rounds, step, other, limit=None, full_size=True):
    size = f"{rounds[0]['tenants']:,}"
    return Row(f"{step}, {size} {name}".strip(), seconds(of_rounds(rounds, step, "tenantctl")),
               f"{other} {seconds(of_rounds(rounds, step, other))}",
               ratios(rounds, step, "tenantctl", other), limit, False, full_size)


def best_message(rounds):
    """The floor of one message per schema at its best number of connections."""
    floors = [side for side in sides_of(rounds, "one more") if side.startswith("message")]
    return min(floors, key=lambda side: of_rounds(rounds, "one more", side))


def fleet_rows(rounds):
    full = rounds[0]["tenants"] >= FULL_SIZE["fleet"]
    return [
        compare("", rounds, "adopt", "psql"),
        compare("", rounds, "fresh", "psql", 1.05, full),
        compare("", rounds, "fresh", "message2"),
        compare("", rounds, "one more", best_message(rounds), 1.1, full),
        compare("", rounds, "one more", "psql"),
        *(compare("", rounds, step, SELECT_ONE) for step in ("nothing", "status")),
    ]


def resting_rows(rounds, full):
    """nothing and status, without and with comments."""
    comments = f"{rounds[0]['comments']:,} comments"
    with_comments = full and rounds[0]["comments"] >= FULL_SIZE["comments"]
    return [
        *(compare("", rounds, step, SELECT_ONE, 3, full) for step in ("nothing", "status")),
        *(compare("", rounds, step, CATALOG) for step in ("nothing", "status")),
        *(_renamed(compare("", rounds, f"{step}, comments", beside, limit, with_comments),
                   f"{step}, {rounds[0]['tenants']:,}, {comments}")
          for beside, limit in ((SELECT_ONE, 5), (CATALOG, None))
          for step in ("nothing", "status")),
    ]


def _renamed(row, work):
    row.work = work
    return row


def memory_row(rounds, full):
    """The client's peak in any step, in MB."""
    peaks = [max((figures.get("client_peak_kb", 0) / 1000, step)
                 for step, sides in one["steps"].items()
                 for side in ("memory", "tenantctl") for figures in sides.get(side, ()))
             for one in rounds]
    peak, step = max(peaks)
    return Row(f"client memory, {rounds[0]['tenants']:,}, most in: {step}", f"{peak:.1f} MB", "",
               [peak for peak, _ in peaks], CLIENT_LIMIT_MB, False, full)


def light_rows(rounds):
    full = rounds[0]["tenants"] >= FULL_SIZE["light"]
    return [compare("light", rounds, "fresh", "message2"),
            compare("light", rounds, "one more", best_message(rounds)),
            *resting_rows(rounds, full), memory_row(rounds, full)]


def whole_rows(rounds):
    return [compare("", rounds, "fresh", "message2"),
            compare("", rounds, "one more", best_message(rounds)),
            *(compare("", rounds, step, SELECT_ONE) for step in ("nothing", "status")),
            memory_row(rounds, False)]


def clones_rows(rounds):
    # The aims name 10,000; these show how it goes on.
    rows = [*resting_rows(rounds, True), memory_row(rounds, True)]
    for row in rows:
        row.limit = None
    return rows


def peers_rows(rounds):
    rows = []
    for step, limits in (("fresh", {"alembic": 2, "dbmate": 3}), ("one more", (10, 20)),
                         ("nothing", ())):
        found = []
        for group in rounds[0]["groups"]:
            groups = [one["groups"][group] for one in rounds]
            for peer in sides_of(groups, step):
                if peer not in ("tenantctl", "psql"):
                    found.append(peer_row(groups, step, peer, group == "slow"))
        found.sort(key=lambda row: row.ratio)
        for index, row in enumerate(found):
            row.at_least = True
            if isinstance(limits, dict):
                row.limit = limits.get(row.beside.split()[0])
            elif index < len(limits):
                row.limit = limits[index]
        rows += found
    return rows


def peer_row(groups, step, peer, slow):
    """The other tools make their tables on the way, so tenantctl's adopt counts as well."""
    def ours(one):
        total = of_round(one["steps"], step, "tenantctl")
        return total + (of_round(one["steps"], "adopt", "tenantctl") if step == "fresh" else 0)
    return Row(f"{step}, {groups[0]['tenants']:,}, {peer}", seconds(median(map(ours, groups))),
               f"{peer} {seconds(of_rounds(groups, step, peer))}",
               [of_round(one["steps"], step, peer) / ours(one) for one in groups],
               full_size=groups[0]["tenants"] >= FULL_SIZE["peers"] // (10 if slow else 1))


def network_rows(rounds):
    rtt = rounds[0]["rtt_ms"] / 1000
    rows = []
    for step in ("fresh", "one more", "nothing", "status", "new tenant"):
        pairs = [(of_round(one["steps"], step, "far"), of_round(one["steps"], step, "proxy"))
                 for one in rounds]
        trips = (f"; {median((far - near) / rtt for far, near in pairs):.1f} round trips more"
                 if step in ("nothing", "status", "new tenant") else "")
        rows.append(Row(
            f"{step}, {rounds[0]['tenants']:,}, at {rounds[0]['rtt_ms']:g} ms",
            seconds(of_rounds(rounds, step, "far")),
            f"0 ms {seconds(of_rounds(rounds, step, 'proxy'))}, direct "
            f"{seconds(of_rounds(rounds, step, 'direct'))}{trips}",
            [max(0.0, far - ROUND_TRIPS * rtt) / near for far, near in pairs],
            None if step == "new tenant" else 1.3, False,
            rounds[0]["tenants"] >= FULL_SIZE["network"]))
    return rows


def create_rows(rounds):
    return [_renamed(compare("", rounds, step, "psql"), step) for step in rounds[0]["steps"]]


ROWS = {"create": create_rows, "fleet": fleet_rows, "peers": peers_rows,
        "network": network_rows, "light": light_rows, "whole": whole_rows, "clones": clones_rows}


def rows_of(part, rounds):
    return ROWS[part](rounds) if part in ROWS else []


def as_json(row):
    return {**asdict(row), "ratio": round(row.ratio, 3), "met": row.met,
            "ratios": [round(ratio, 3) for ratio in row.ratios]}


def ratio_of_gate(rounds):
    """One more revision to its floor, each at its best: whatever else runs only ever adds."""
    steps = rounds[0]["steps"]["one more"]
    best = {side: min(figures["seconds"] for figures in steps[side]) for side in steps}
    return best["tenantctl"] / min(best[side] for side in best if side.startswith("message"))


# --- Markdown ----------------------------------------------------------------------------------


def print_rows(rows):
    print("| work | tenantctl | beside it | ratio (rounds) | aim | |")
    print("|---|--:|---|--:|--:|---|")
    for row in rows:
        each = " ".join(f"{ratio:.2f}" for ratio in row.ratios)
        print(f"| {row.work} | {row.ours} | {row.beside} | {row.ratio:.2f} ({each}) | {row.aim} "
              f"| {row.verdict} |")


def print_steps(name, rounds):
    """What every side took, per schema, and the client's part of it."""
    print(f"\n{name}, {rounds[0]['tenants']:,} tenants:\n")
    print("| step | side | seconds | ms per schema | client CPU s | client peak MB |")
    print("|---|---|--:|--:|--:|--:|")
    for step in rounds[0]["steps"]:
        for side in sides_of(rounds, step):
            taken = of_rounds(rounds, step, side)
            figures = rounds[0]["steps"][step][side][0]
            cpu, peak = (of_rounds(rounds, step, side, key) if key in figures else None
                         for key in ("client_cpu_seconds", "client_peak_kb"))
            print(f"| {step} | {side} | {taken:.3f} | {1000 * taken / rounds[0]['tenants']:.2f} "
                  f"| {'' if cpu is None else f'{cpu:.3f}'} "
                  f"| {'' if peak is None else f'{peak / 1000:.1f}'} |")


def print_backends(rows):
    print("\nA backend's own memory, over one connection:\n")
    print("| step | side | schemas | backends | largest MB | all at once MB | kB per schema |")
    print("|---|---|--:|--:|--:|--:|--:|")
    before = {}
    for row in rows:
        if row["largest_kb"] is None:  # over before anybody looked
            continue
        step = row["step"], row["side"]
        slope = ""
        if step in before and row["schemas"] > before[step][0]:
            schemas, size = before[step]
            slope = f"{(row['largest_kb'] - size) / (row['schemas'] - schemas):.1f}"
        before[step] = row["schemas"], row["largest_kb"]
        print(f"| {row['step']} | {row['side']} | {row['schemas']} | {row['backends']} "
              f"| {row['largest_kb'] / 1000:.1f} | {row['all_at_once_kb'] / 1000:.1f} | {slope} |")


def print_disorder(one):
    print(f"\nOf {one['tenants']:,} schemas {one['of one disorder']:,} share one out-of-order "
          f"history: a run with nothing to do took {seconds(one['seconds'])} and read "
          f"{one['version tables read']} version table(s).")
