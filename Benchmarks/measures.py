"""The populations and what is measured on each. A measure returns its rows (for a table) and its figures (for targets).

A machine's speed changes while this runs (other guests, clocks), by more than what is measured here. So what a poll is
compared with runs right behind it, in turn with the polls, and a ratio is the median of the ratios of such neighbours.
"""
import contextlib
import pathlib
import statistics
import time

import readers
from collector import Collector, Refused
from populations import Population
from readers import ENCODE_BENCHMARK

WARM_UP = 2
SS, SS_ALL = "-tinHOm", "-tanHieOmo"
MOUNTS = pathlib.Path("/proc/self/mountinfo")
FULL_WALK_EVERY = 6  # the default of reader.full_walk_every
NAMESPACES, SOCKETS_A_NAMESPACE, THOUSAND = 200, 84, 1000
# What the measure `buffers` sets, beside the defaults (recv_batch 8, receive_buffers 16, cqe_batch 128).
BUFFERS = {
    "receive_buffers 4": {"reader": {"recv_batch": 4}, "pools": {"receive_buffers": 4}},
    "receive_buffers 64": {"pools": {"receive_buffers": 64}},
    "recv_batch 1": {"reader": {"recv_batch": 1}},
    "recv_batch 64": {"reader": {"recv_batch": 64}, "pools": {"receive_buffers": 64}},
    "cqe_batch 1": {"reader": {"cqe_batch": 1}},
    "cqe_batch 16": {"reader": {"cqe_batch": 16}},
    "cqe_batch 1024": {"reader": {"cqe_batch": 1024}},
    "batch.rows 64": {"batch": {"rows": 64}},
}


def interleave(times, /, **actions):
    """Each action once, in turn, that many times: {name: its results}."""
    found = {name: [] for name in actions}
    for _ in range(times):
        for name, action in actions.items():
            found[name].append(action())
    return found


def median(samples, key="cpu_ns"):
    return statistics.median(sample[key] for sample in samples)


def ratio(samples, others, key="cpu_ns"):
    """The median of the ratios of neighbours."""
    return statistics.median(sample[key] / other[key] for sample, other in zip(samples, others, strict=True))


def row(label, samples, sockets, floors=None, **more):
    """A line of a table. `sockets` is what CPU is divided by."""
    cpu = median(samples)
    return {"label": label, "sockets": sockets, "cpu_ns": cpu, "cpu_ns_per_record": cpu / sockets,
            "floor_ratio": ratio(samples, floors) if floors else None, "wall_ns": median(samples, "wall_ns"), **more}


def daemon_row(label, daemon, polls, floors=None, **more):
    return row(label, polls, max(1, polls[-1]["encoded"]), floors, rss_kib=daemon.peak_rss_kib,
               threads=daemon.most_tasks, **more)


def check_conservation(run, polls, floors):
    """Nothing moves in a population: what is encoded is what the kernel alone was seen to give."""
    for poll, floor in zip(polls, floors):
        run.check(poll["encoded"] == floor["sockets"],
                  f"{poll['encoded']} rows were encoded, the floor counted {floor['sockets']} sockets")


def beside_floor(run, population, label, polls, daemon, **others):
    """Polls of a daemon with the floor behind each: (its row, all readings)."""
    daemon.warm_up(WARM_UP)
    found = interleave(polls, poll=daemon.poll, floor=lambda: readers.floor(population), **others)
    check_conservation(run, found["poll"], found["floor"])
    return daemon_row(label, daemon, found["poll"], found["floor"]), found


def rss_mib(run, population, mode):
    """Peak RSS of a daemon that polls by itself and logs as it does by default: answering requests and logging each
    poll, as the others do here, is code that would not be in memory."""
    with Collector(run, population.selection, mode, level="info", interval="2s") as daemon:
        time.sleep(7)
        peak = daemon.peak_rss_kib / 1024
        run.check(daemon.polls_so_far() >= 3, "no three polls in 7 s")
    run.say(f"  peak RSS, polling by itself, {mode}: {peak:.1f} MiB")
    return peak


def range_of_floors(rows, floors):
    """The floor's own row, first in the table."""
    sockets = floors[0]["sockets"]
    rows.insert(0, row("C floor (recv and discard)", floors, sockets, rss_kib=floors[0]["rss_kib"], threads=1))
    low, high = (pick(floor["cpu_ns"] for floor in floors) / sockets for pick in (min, max))
    return f"the floor was between {low:.0f} and {high:.0f} ns a socket over the run"


def one(run):
    """One namespace: all formats, ss, and the encoder alone."""
    rows, floors, figures = [], [], {"rss_mib": {}, "floor": {}, "ss": {}}
    with Population(run.sockets) as population:
        for mode in run.modes:
            for name in run.formats:
                others = {"ss": lambda: readers.ss(population, SS)} if name == "jsonl" else {}
                with Collector(run, population.selection, mode, format=name) as daemon:
                    made, found = beside_floor(run, population, f"{name}, {mode}", run.polls, daemon, **others)
                rows.append(run.show(made))
                floors += found["floor"]
                if name == "protobuf_list":
                    figures["floor"][mode] = made["floor_ratio"]
                if name == "jsonl":
                    figures["ss"][mode] = ratio(found["ss"], found["poll"])
            figures["rss_mib"][mode] = rss_mib(run, population, mode)
        for options in (SS, SS_ALL):
            found = interleave(run.polls, ss=lambda: readers.ss(population, options),
                               floor=lambda: readers.floor(population))
            floors += found["floor"]
            rows.append(run.show(row(f"ss {options}", found["ss"], floors[0]["sockets"], found["floor"], threads=1,
                                     rss_kib=max(reading["rss_kib"] for reading in found["ss"]))))
        encoding = encode(run, population)
    note = range_of_floors(rows, floors)
    figures |= {f"encode_{name}": made["floor_ratio"] for name, made in encoding.items()}
    return {"rows": rows, "figures": figures, "encode": encoding, "note": note}


def encode(run, population):
    """Decoding and encoding a capture in user space, beside the kernel's CPU for the same sockets."""
    found = {}
    capture = str(run.folder / "sockets.pcap")
    readers.floor(population, capture=capture)
    for name in ("protobuf_list", "jsonl"):
        if not ENCODE_BENCHMARK.exists():
            found[name] = {"ns_per_record": None, "floor_ratio": None}
            continue
        pairs = interleave(5, encode=lambda: readers.encode(capture, name), floor=lambda: readers.floor(population))
        costs = [floor["cpu_ns"] / floor["sockets"] for floor in pairs["floor"]]
        found[name] = {"ns_per_record": statistics.median(pairs["encode"]),
                       "floor_ratio": statistics.median(ns / cost for ns, cost in zip(pairs["encode"], costs))}
        run.say(f"  decode and encode {name}: {found[name]['ns_per_record']:.0f} ns a record, "
                f"{found[name]['floor_ratio']:.3f} of the floor's")
    return found


def growth(run):
    """A tenth and four times the sockets in one namespace: what a record costs must not grow."""
    rows, costs, mode = [], [], run.modes[0]
    for sockets, polls in ((run.sockets // 10, 2 * run.polls + 1), (run.sockets * 4, run.polls)):
        with Population(sockets) as population, Collector(run, population.selection, mode) as daemon:
            made, found = beside_floor(run, population, f"{sockets:,} sockets, {mode}", polls, daemon)
        made["floor_ns_per_socket"] = median(found["floor"]) / found["floor"][0]["sockets"]
        rows.append(run.show(made))
        costs.append((made["floor_ratio"], made["cpu_ns_per_record"], made["floor_ns_per_socket"]))
    relative, raw, floor = (large / small for small, large in zip(*costs))
    run.say(f"  a record at {run.sockets * 4:,} sockets against {run.sockets // 10:,}: {relative:.2f} in floors, "
            f"{raw:.2f} in CPU, where the floor's own is {floor:.2f}")
    return {"rows": rows, "figures": {"relative": relative, "raw": raw, "floor": floor}}


def many(run):
    """200 namespaces that share one hash of established sockets."""
    rows, figures = [], {"threads": {}, "rss_mib": {}, "naive": {}, "floor": {}}
    with Population(SOCKETS_A_NAMESPACE, NAMESPACES) as population:
        for mode in run.modes:
            with Collector(run, population.selection, mode) as daemon:
                made, found = beside_floor(run, population, f"protobuf_list, {mode}", run.polls, daemon,
                                           naive=lambda: readers.naive(population))
            check_naive(run, population, found["floor"])
            sockets = found["floor"][0]["sockets"]
            rows += [run.show(made), run.show(row("naive", found["naive"], sockets, found["floor"], threads=1,
                                                  rss_kib=found["naive"][0]["rss_kib"]))]
            figures["threads"][mode] = made["threads"]
            figures["rss_mib"][mode] = rss_mib(run, population, mode)
            figures["naive"][mode] = ratio(found["poll"], found["naive"])
            figures["floor"][mode] = made["floor_ratio"]
    return {"rows": rows, "figures": figures}


def check_naive(run, population, floors):
    counted = readers.naive(population, counting=True)["sockets"]
    run.check(counted == floors[0]["sockets"],
              f"the naive reader counted {counted} sockets, the floor {floors[0]['sockets']}")


def idle(run):
    """200 namespaces that only listen, beside a namespace full of sockets that the pipeline does not select."""
    rows, figures = [], {"quiet": {}, "mean": {}}
    with Population(run.sockets), Population(0, NAMESPACES) as population:
        floors = [readers.floor(population)]
        for mode in run.modes:
            # The namespaces take turns to be walked in full, some in each poll: who never does shows what is left then.
            with Collector(run, population.selection, mode, reader={"full_walk_every": 1_000_000}) as seldom, \
                    Collector(run, population.selection, mode) as usual:
                made, figures["quiet"][mode], figures["mean"][mode] = idle_polls(run, population, seldom, usual, mode,
                                                                                 floors)
            rows += [run.show(each) for each in made]
    return {"rows": rows, "figures": figures}


def idle_polls(run, population, seldom, usual, mode, floors):
    """Rows, and CPU as a share of a naive pass: of a poll that walked nothing in full, and of the mean poll."""
    for daemon in (seldom, usual):
        daemon.warm_up(FULL_WALK_EVERY + 1)
    if usual.poll()["full"] is None:
        return idle_unknown(run, population, usual, mode, floors), None, None
    rounds = interleave(3, usual=lambda: [usual.poll() for _ in range(FULL_WALK_EVERY)], seldom=seldom.poll,
                        naive=lambda: readers.naive(population))
    polls = sum(rounds["usual"], [])
    check_conservation(run, polls + rounds["seldom"], floors * (len(polls) + 3))
    quiet = rounds["seldom"]
    run.check(all(poll["full"] == 0 for poll in quiet), "a poll walked namespaces in full although none was due")
    means = [statistics.mean(poll["cpu_ns"] for poll in six) / naive["cpu_ns"]
             for six, naive in zip(rounds["usual"], rounds["naive"])]
    rows = [daemon_row(f"no full walk, {mode}", seldom, quiet),
            daemon_row(f"mean of {FULL_WALK_EVERY} polls, {mode}", usual, polls),
            row("naive", rounds["naive"], floors[0]["sockets"], rss_kib=rounds["naive"][0]["rss_kib"], threads=1)]
    return rows, ratio(quiet, rounds["naive"]), statistics.median(means)


def idle_unknown(run, population, daemon, mode, floors):
    """A daemon that does not say what it walked: its polls are shown and not judged."""
    found = interleave(3, poll=daemon.poll, naive=lambda: readers.naive(population))
    check_conservation(run, found["poll"], floors * 3)
    return [daemon_row(f"any poll, {mode}", daemon, found["poll"]),
            row("naive", found["naive"], floors[0]["sockets"], rss_kib=found["naive"][0]["rss_kib"], threads=1)]


def thousand(run):
    """1,000 namespaces with a few sockets each, beside the same daemon with one of them."""
    rows, figures = [], {"threads": {}, "rss_mib": {}}
    with Population(4, THOUSAND) as population:
        for mode in run.modes:
            first = {"include": [{"path": population.paths[0]}]}
            with Collector(run, first, mode) as daemon:
                daemon.warm_up(WARM_UP)
                daemon.poll()
                alone = daemon.most_tasks
            with Collector(run, population.selection, mode) as daemon:
                made, _ = beside_floor(run, population, f"protobuf_list, {mode}", 3, daemon)
                fewest = daemon.fewest_tasks
            rows.append(run.show(made))
            figures["threads"][mode] = made["threads"] - min(fewest, alone)
            figures["rss_mib"][mode] = rss_mib(run, population, mode)
    return {"rows": rows, "figures": figures}


def parallel(run):
    """Two dumps at once against one: many namespaces, the same with each of them walked, and one large one."""
    cases = {"many": ((SOCKETS_A_NAMESPACE, NAMESPACES), {}),
             "walked": ((SOCKETS_A_NAMESPACE, NAMESPACES), {"full_walk_every": 1}), "large": ((run.sockets * 2, 1), {})}
    rows, figures = [], {case: {} for case in cases}
    for case, (counts, reader) in cases.items():
        with Population(*counts) as population:
            expected = [readers.floor(population)]
            for mode in run.modes:
                try:
                    made, found = parallel_polls(run, population, case, mode, reader)
                except Refused:
                    run.say(f"  {case}, {mode}: xtcpd refuses this parallelism")
                    figures[case][mode] = None
                    continue
                rows += [run.show(each) for each in made]
                for polls in found.values():
                    check_conservation(run, polls, expected * len(polls))
                figures[case][mode] = ratio(found["two"], found["one"], "wall_ns")
    return {"rows": rows, "figures": figures}


def parallel_polls(run, population, case, mode, reader):
    """Both daemons are there and poll in turn, never at the same time."""
    with contextlib.ExitStack() as stack:
        daemons = [stack.enter_context(Collector(run, population.selection, mode,
                                                 reader={**reader, "parallelism": number})) for number in (1, 2)]
        for daemon in daemons:
            daemon.warm_up(WARM_UP)
        found = interleave(run.polls, one=daemons[0].poll, two=daemons[1].poll)
        return [daemon_row(f"{case}, parallelism {number}, {mode}", daemon, polls)
                for number, daemon, polls in zip((1, 2), daemons, found.values())], found


def filtered(run):
    """A filter that lets one socket in a hundred pass, by its port, against no filter."""
    rows, figures = [], {"share": {}}
    with Population(run.sockets) as population:
        ports, matching = population.source_ports(0.01)
        for mode in run.modes:
            with Collector(run, population.selection, mode) as full, \
                    Collector(run, population.selection, mode, filter={"source_port": [ports]}) as few:
                few.warm_up(WARM_UP)
                made, found = beside_floor(run, population, f"no filter, {mode}", run.polls, full, few=few.poll)
                for poll in found["few"]:
                    run.check(poll["encoded"] == matching, f"{poll['encoded']} of {matching} rows passed the filter")
                # Divided by the same sockets as without the filter: it is they that are asked for.
                rows += [run.show(made),
                         run.show(row(f"1% by port, {mode}", found["few"], made["sockets"], found["floor"],
                                      rss_kib=few.peak_rss_kib, threads=few.most_tasks))]
            figures["share"][mode] = ratio(found["few"], found["poll"])
    return {"rows": rows, "figures": figures}


def buffers(run):
    """Other sizes of buffers and batches: CPU and wall time of a poll beside one with the defaults."""
    rows, figures = [], {}
    for case, counts in (("one", (run.sockets, 1)), ("many", (SOCKETS_A_NAMESPACE, NAMESPACES))):
        with Population(*counts) as population:
            for mode in run.modes:
                for made, ratios in buffers_polls(run, population, case, mode):
                    rows.append(run.show(made))
                    run.say(f"    x defaults: CPU {ratios['cpu_ns']:.2f}, wall {ratios['wall_ns']:.2f}")
                    figures[made["label"]] = ratios
    return {"rows": rows, "figures": figures}


def buffers_polls(run, population, case, mode):
    """Each beside the defaults, poll by poll: its row, and the ratios to those."""
    expected = [readers.floor(population)] * run.polls
    with Collector(run, population.selection, mode) as usual:
        usual.warm_up(WARM_UP)
        for name, settings in BUFFERS.items():
            with Collector(run, population.selection, mode, **settings) as daemon:
                daemon.warm_up(WARM_UP)
                found = interleave(run.polls, usual=usual.poll, other=daemon.poll)
                check_conservation(run, found["usual"] + found["other"], expected * 2)
                yield (daemon_row(f"{case}, {name}, {mode}", daemon, found["other"]),
                       {key: ratio(found["other"], found["usual"], key) for key in ("cpu_ns", "wall_ns")})


def allocations(run):
    """Heap allocations of the whole process while it polls by itself, without the log line of each poll."""
    rows, figures = [], {"a_poll": {}}
    for case, counts in (("one namespace", (run.sockets, 1)), ("many", (SOCKETS_A_NAMESPACE, NAMESPACES))):
        with Population(*counts) as population:
            for mode in run.modes:
                made = quiet_allocations(run, population, mode)
                meanwhile = "" if made["same_mounts"] else "; namespaces of others came or went"
                run.say(f"  {case}, {mode}: {made['calls']} allocations of {made['bytes']} bytes in "
                        f"{made['polls']} polls{meanwhile}")
                rows.append({"label": f"{case}, {mode}", **made})
                figures["a_poll"][f"{case}, {mode}"] = made["calls"] / made["polls"]
    return {"rows": rows, "figures": figures}


def count_allocations(run, population, mode, warm_up=8, polls=12):
    """Over `polls` seconds. Asking for the number of polls allocates, so that is done before and after."""
    with Collector(run, population.selection, mode, level="info", interval="1s", discovery="1h",
                   preload="allocations.so") as daemon:
        time.sleep(warm_up)
        before = daemon.polls_so_far()
        time.sleep(1.5)
        counts = [daemon.allocations()]
        mounts = MOUNTS.read_bytes()
        for _ in range(polls):
            time.sleep(1)
            counts.append(daemon.allocations())
        same = mounts == MOUNTS.read_bytes()
        came = daemon.polls_so_far() - before
    # One or two more come before and after the seconds in which allocations are counted.
    run.check(polls <= came <= polls + 3, f"{came} polls in the {polls} s in which allocations were counted")
    return {"calls": counts[-1][0] - counts[0][0], "bytes": counts[-1][1] - counts[0][1], "polls": polls,
            "calls_a_second": [after[0] - early[0] for early, after in zip(counts, counts[1:])], "same_mounts": same}


def quiet_allocations(run, population, mode):
    """Without namespaces that come or go on this machine meanwhile: looking at new ones is no steady state."""
    for _ in range(3):
        found = count_allocations(run, population, mode)
        if found["same_mounts"]:
            break
    return found


MEASURES = {"one": one, "growth": growth, "many": many, "idle": idle, "thousand": thousand, "parallel": parallel,
            "filter": filtered, "buffers": buffers, "allocations": allocations}
