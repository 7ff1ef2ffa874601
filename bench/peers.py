"""What the peers' scripts share: our side of a pair, timing in turn, and the table."""
import json
import statistics
import subprocess
from pathlib import Path

REPEATS = 5


class Ours:
    """A bench program's --serve: runs a case when told its name and answers with the seconds."""

    def __init__(self, program, *options):
        command = [program, "--serve", *map(str, options)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, case):
        self.process.stdin.write(case + "\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def compare(ours, peers, rounds, settle=lambda: None):
    """Rows for peers (our case, peer, a call that returns its seconds, the least ratio we want), in turn, round after round.

    A ratio is the median of the peer's time over ours, in pairs run one after the other; each side of a pair is the median of
    REPEATS runs in a row, since a process that was asleep takes milliseconds to get up to speed.
    """

    def settled(run):
        settle()
        return statistics.median(run() for _ in range(REPEATS))

    peers = list(peers)
    times = [[] for _ in peers]
    for _ in range(rounds):
        for pairs, (case, _, call, _) in zip(times, peers):
            pairs.append((settled(lambda: ours(case)), settled(call)))
    for pairs, (case, peer, _, least) in zip(times, peers):
        yield {"case": case, "peer_name": peer, "ours": statistics.median(a for a, _ in pairs),
               "peer": statistics.median(b for _, b in pairs), "ratio": statistics.median(b / a for a, b in pairs),
               "required": least}


def report(versions, rows, file):
    """Prints a table, and writes it to `file` as JSON if one is named."""
    print(", ".join(f"{name} {version}" for name, version in versions.items()))
    print(f"{'case':24} {'peer':18} {'ours ms':>9} {'peer ms':>9} {'ratio':>7}  required")
    for r in rows:
        required = "" if r["required"] is None else f"{r['required']}{'' if r['ratio'] >= r['required'] else '  MISSED'}"
        print(f"{r['case']:24} {r['peer_name']:18} {r['ours'] * 1e3:9.3f} {r['peer'] * 1e3:9.3f} {r['ratio']:7.2f}  {required}")
    if file:
        Path(file).write_text(json.dumps({"versions": versions, "rows": rows}, indent=1) + "\n")
