"""The results as Markdown. Each function says whether all was as it should be."""

from cases import ACTIONS, BASELINES, CONTROLS
from random_faults import KINDS


def row(*cells):
    print("| " + " | ".join(str(cell) for cell in cells) + " |")


def count(answers, key):
    return sum(len(answer[key]) if isinstance(answer[key], list) else answer[key]
               for answer in answers)


def cell(answers):
    """`struck/violations` of one point and action."""
    if not answers:
        return ""
    wrong = count(answers, "violations")
    struck = sum(answer["struck"] for answer in answers)
    text = str(struck) if struck == len(answers) else f"{struck} of {len(answers)}"
    return f"**{text}: {wrong} wrong**" if wrong else text


def codes(answers):
    found = [answer["code"] for answer in answers]
    return ", ".join(f"{code}: {found.count(code)}" for code in sorted(set(found), key=str))


def write_matrix(answers):
    answers = [answer for answer in answers if "error" not in answer]
    if not answers:
        return True
    points = list(dict.fromkeys((answer["group"], answer["point"]) for answer in answers))
    points.sort(key=lambda point: point[0])
    print("\nFaults that struck, by the point where the program was stopped; a number behind it: "
          "at the schema's so-manieth visit.\n")
    row("point", *ACTIONS.values())
    row("---", *["---:"] * len(ACTIONS))
    for group, point in points:
        here = [a for a in answers if (a["group"], a["point"]) == (group, point)]
        row(point + (f" ({group})" if group else ""),
            *(cell([a for a in here if a["action"] == action]) for action in ACTIONS))
    row("the run then ended with", *(codes([a for a in answers if a["action"] == action])
                                     for action in ACTIONS))
    struck = sum(answer["struck"] for answer in answers)
    wrong = count(answers, "violations")
    print(f"\n{len(answers)} faults injected, {struck} struck, {count(answers, 'checks')} "
          f"observations of every schema, {wrong} violations")
    return wrong == 0 and struck == len(answers)


def write_controls(controls, baselines, calm):
    if not controls + baselines + calm:
        return True
    print()
    row("negative control", "trials", "violations found", "caught", "violations without a fault")
    row("---", "---:", "---:", "---", "---:")
    good = True
    for name, cases in CONTROLS.items():
        names = {case.name() for case in cases}
        here = [a for a in controls if "error" not in a and a["case"] in names]
        quiet = [a for a in calm if "error" not in a and a["case"].endswith(f"without {name}")]
        if not here or not quiet:
            continue
        wrong = sum(bool(answer["violations"]) for answer in here)
        good &= wrong > 0 and not count(quiet, "violations")
        row(f"without {name}", len(here), count(here, "violations"),
            f"{wrong} of {len(here)}" if wrong else "**NO**", count(quiet, "violations"))
    for name in BASELINES:
        here = [answer for answer in baselines if "error" not in answer]
        wrong = count(here, "violations")
        good &= wrong == 0
        row(f"the attack on the {name}, with it", len(here), wrong,
            "nothing to catch" if not wrong else "**VIOLATED**", "")
    return good


def write_lane(answers):
    """Behind the controls' table: of the schemas that need not wait, how many did."""
    broken = [answer for answer in answers if answer.get("broken")]
    whole = [answer for answer in answers if "error" not in answer and not answer["broken"]]
    if not broken or not whole:
        return not answers
    wrong = sum(bool(answer["violations"]) for answer in broken)
    row("without slow-lane", len(broken), count(broken, "violations"),
        f"{wrong} of {len(broken)}" if wrong else "**NO**", count(whole, "violations"))
    return wrong > 0 and not count(whole, "violations")


def write_planted(answers):
    answers = [answer for answer in answers if "error" not in answer]
    if answers:
        seen = sum(answer["seen"] for answer in answers)
        print(f"\n{len(answers)} wrongs put in by hand, {seen} seen")
    return not count(answers, "violations")


def write_random(answers):
    answers = [answer for answer in answers if "error" not in answer]
    if not answers:
        return True
    print("\nTwo processes with two connections each on one fleet:\n")
    row("random fault", "injected", "struck", "struck by")
    row("---", "---:", "---:", "---")
    for kind, proof in KINDS.items():
        row(kind, sum(a["injected"][kind] for a in answers),
            sum(a["faults"][kind] for a in answers), proof)
    wrong = count(answers, "violations")
    faults = sum(sum(answer["faults"].values()) for answer in answers)
    print(f"\n{faults} faults struck, {count(answers, 'starts')} processes started, "
          f"{count(answers, 'checks')} observations of every schema, {wrong} violations")
    return wrong == 0
