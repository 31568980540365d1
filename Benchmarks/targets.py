"""What has to hold: each target is about one figure of one population, in each mode that was measured."""
import dataclasses
import operator

COMPARISONS = {"at most": operator.le, "at least": operator.ge}


@dataclasses.dataclass(frozen=True)
class Target:
    population: str
    figure: str  # of the measure's `figures`
    text: str
    limit: float
    compare: str = "at most"
    digits: int = 2


TARGETS = [
    Target("one", "floor", "protobuf_list to blackhole, CPU a record, x floor", 1.20),
    Target("one", "ss", "CPU of ss -tinHOm / xtcpd's of jsonl", 3.5, "at least"),
    Target("one", "rss_mib", "peak RSS, MiB", 24, digits=1),
    Target("one", "encode_protobuf_list", "protobuf_list, decode and encode, x floor's CPU a socket", 0.15, digits=3),
    Target("one", "encode_jsonl", "jsonl, decode and encode, x floor's CPU a socket", 0.30, digits=3),
    Target("growth", "relative", "CPU a record, x floor, at 4 x SOCKETS / at SOCKETS / 10", 1.20),
    Target("many", "threads", "own threads", 4, digits=0),
    Target("many", "rss_mib", "peak RSS, MiB", 24, digits=1),
    Target("many", "naive", "CPU a record / the naive reader's", 0.5),
    Target("idle", "quiet", "CPU of a poll without full walks / a naive pass", 0.02, digits=4),
    Target("idle", "mean", "mean CPU of six polls / a naive pass", 0.10, digits=3),
    Target("thousand", "threads", "threads more than with one namespace", 0, digits=0),
    Target("thousand", "rss_mib", "peak RSS, MiB", 40, digits=1),
    Target("parallel", "many", "wall of 200 namespaces, parallelism 2 / 1", 0.65),
    Target("parallel", "walked", "wall of 200 namespaces, all walked, parallelism 2 / 1", 0.65),
    Target("parallel", "large", "wall of 2 x SOCKETS in one, parallelism 2 / 1", 0.70),
    Target("filter", "share", "CPU with a filter of 1% by port / without", 0.20),
    Target("allocations", "a_poll", "heap allocations a poll", 0, digits=1),
]


def verdict(target, case, value):
    """`met` is None for what could not be measured, which is not the same as met."""
    met = None if value is None else COMPARISONS[target.compare](value, target.limit)
    return {"population": target.population, "measure": f"{target.text}, {case}" if case else target.text,
            "figure": value, "target": target.limit, "compare": target.compare, "digits": target.digits, "met": met}


def verdicts(results):
    """What became of the targets of the populations that were measured."""
    found = []
    for target in TARGETS:
        if target.population in results:
            figure = results[target.population]["figures"].get(target.figure)
            cases = figure if isinstance(figure, dict) else {"": figure}
            found += [verdict(target, case, value) for case, value in cases.items()]
    return found


def print_verdicts(found):
    print(f"\n{'population':<12} {'measure':<64} {'figure':>9} {'target':>14}")
    for each in found:
        figure = "-" if each["figure"] is None else f"{each['figure']:.{each['digits']}f}"
        word = {True: "met", False: "MISSED", None: "not measured"}[each["met"]]
        limit = f"{each['compare']} {each['target']:g}"
        print(f"{each['population']:<12} {each['measure']:<64} {figure:>9} {limit:>14}  {word}")
