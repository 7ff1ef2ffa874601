#!/usr/bin/env python3
"""A bench program's cases beside their ceilings: a table, JSON and a plot. What the scripts that add peers share.

Usage: peers.py BENCH_PROGRAM [--rounds N] [--filter TEXT] [--out FOLDER]
Run it in a processor set of as many processors as there are to be threads: all peers take their number from that.
"""
import argparse
import json
import os
import statistics
import subprocess
import time
from pathlib import Path

THREADS = len(os.sched_getaffinity(0))
REPEATS, ENOUGH = 5, 0.25  # runs in a row, and seconds after which there are no more


class Ours:
    """A bench program's --serve: runs a case when told its name and answers with the seconds."""

    def __init__(self, program, *options):
        command = [program, "--serve", *map(str, options)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.amounts, self.ceilings = {}, {}
        for name, amount, ceiling in self.listed():
            self.amounts[name] = float(amount)
            if ceiling:
                self.ceilings[name] = ceiling

    def ask(self, name):
        self.process.stdin.write(name + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().rstrip("\n")

    def listed(self):
        line = self.ask("list")
        while line:
            yield line.split(" ")
            line = self.process.stdout.readline().rstrip("\n")

    def __call__(self, case):
        return float(self.ask(case))


def seconds(call):
    start = time.perf_counter()
    result = call()
    taken = time.perf_counter() - start
    del result
    return taken


def lazily(make):
    """make()(), made when it is first called: for peers that take long to set up and may not be asked for."""
    made = []

    def run():
        if not made:
            made.append(make())
        return made[0]()

    return run


def spun_down():
    """Threads of what ran before may still spin."""
    time.sleep(0.03)


def settled(run, settle):
    """The median of some runs in a row: a process that was asleep takes milliseconds to get up to speed."""
    settle()
    times, start = [], time.perf_counter()
    while not times or len(times) < REPEATS and time.perf_counter() - start < ENOUGH:
        times.append(run())
    return statistics.median(times)


def compare(ours, peers, options, settle=spun_down, alone=True):
    """Rows for peers (our case, peer, a call that returns its seconds or a case of our own program, the least ratio we want),
    in turn, round after round; and for our cases that have none, if `alone`.

    A ratio is the median of the peer's time over ours, in pairs run one after the other; of_ceiling that of our rate over the
    ceiling's, which is timed once a round.
    """
    peers = [peer for peer in peers if options.filter in peer[0]]
    if alone:
        no_case = {peer[0] for peer in peers} | {p[2] for p in peers if isinstance(p[2], str)} | set(ours.ceilings.values())
        peers += [(case, None, None, None) for case in ours.amounts if case not in no_case and options.filter in case]
    rows = [{"case": case, "threads": THREADS, "peer_name": peer, "required": least} for case, peer, _, least in peers]
    times = [[] for _ in peers]
    for _ in range(options.rounds):
        limits = {}
        for taken, (case, _, call, _) in zip(times, peers):
            mine = settled(lambda: ours(case), settle)
            run = (lambda: ours(call)) if isinstance(call, str) else call
            theirs = settled(run, settle) if run else None
            ceiling = ours.ceilings.get(case)
            if ceiling and ceiling not in limits:
                limits[ceiling] = ours.amounts[ceiling] / settled(lambda: ours(ceiling), settle)
            taken.append((mine, theirs, ours.amounts[case] / mine / limits[ceiling] if ceiling else None))
    for row, taken in zip(rows, times):
        middle = lambda values: None if None in values else statistics.median(values)
        row["ours"], row["peer"], row["of_ceiling"] = map(middle, zip(*taken))
        row["ratio"] = statistics.median(theirs / mine for mine, theirs, _ in taken) if row["peer"] else None
    return rows


def duration(seconds):
    for unit, size in (("s", 1), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def against(row):
    """The ratio, and what it is wanted to be."""
    wanted = row["required"]
    return f"{row['ratio']:.2f}" + (f" {'>=' if row['ratio'] >= wanted else '<'} {wanted}" if wanted else "")


def table(rows):
    """A line for each case: our time, its fraction of the ceiling, and each peer's time over ours. Markdown, as in the docs."""
    names = list(dict.fromkeys(r["peer_name"] for r in rows if r["peer_name"]))
    lines = [["case", "threads", "varve", "of ceiling", *names], ["---"] * (4 + len(names))]
    for key in dict.fromkeys((r["case"], r["threads"]) for r in rows):
        of_case = {r["peer_name"]: r for r in rows if (r["case"], r["threads"]) == key}
        ours = statistics.median(r["ours"] for r in of_case.values())
        ceilings = [r["of_ceiling"] for r in of_case.values() if r["of_ceiling"]]
        ceiling = f"{statistics.median(ceilings):.2f}" if ceilings else ""
        lines.append([key[0], str(key[1]), duration(ours), ceiling, *(against(of_case[n]) if n in of_case else "" for n in names)])
    widths = [max(map(len, column)) for column in zip(*lines)]
    return ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in lines]


def plot(rows, file):
    """How often the peer's time is ours; without peers the fractions of ceilings. Nothing where there is no matplotlib."""
    try:
        import matplotlib
    except ImportError:
        return
    matplotlib.use("svg")
    from matplotlib import pyplot
    matplotlib.rcParams["svg.fonttype"] = "none"
    what = "ratio" if any(r["ratio"] for r in rows) else "of_ceiling"
    rows = [r for r in rows if r[what]][::-1]
    figure, axes = pyplot.subplots(figsize=(8, 1 + 0.2 * len(rows)), layout="constrained")
    axes.barh([f"{r['case']} {r['peer_name'] or ''} ({r['threads']})" for r in rows], [r[what] for r in rows])
    axes.axvline(1, color="black")
    axes.set_xlabel("the peer's time over varve's" if what == "ratio" else "of the ceiling")
    axes.tick_params(labelsize=7)
    figure.savefig(file)
    pyplot.close(figure)


def report(options, versions, rows):
    """Prints a table; puts the rows into the folder's JSON, in place of those of the same case, and plots all that it has."""
    print(", ".join(f"{name} {version}" for name, version in {**versions, "threads": THREADS}.items()))
    print(*table(rows), sep="\n")
    if not options.out:
        return
    folder, name = Path(options.out), Path(options.program).name.removeprefix("bench_")
    folder.mkdir(parents=True, exist_ok=True)
    file, key = folder / f"{name}.json", lambda r: (r["case"], r["threads"], r["peer_name"])
    known = json.loads(file.read_text())["rows"] if file.exists() else []
    fresh = {key(r) for r in rows}
    rows = [r for r in known if key(r) not in fresh] + rows
    file.write_text(json.dumps({"versions": versions, "rows": rows}, indent=1) + "\n")
    plot(rows, folder / f"{name}.svg")


def parser(doc):
    arguments = argparse.ArgumentParser(description=doc.splitlines()[0])
    arguments.add_argument("program")
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--filter", default="", help="only cases whose name has this in it")
    arguments.add_argument("--out", help="the folder of the JSON and the plot")
    return arguments


def main(doc, peers=lambda ours: [], versions={}, arguments=()):
    options = parser(doc).parse_args()
    ours = Ours(options.program, "--threads", THREADS, *arguments)
    rows = compare(ours, peers(ours), options)
    report(options, versions, rows)


if __name__ == "__main__":
    main(__doc__)
