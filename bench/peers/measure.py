"""What the scripts share: timing, and one JSON line per figure on standard output (bench/peers/table.py reads them)."""
import json
import resource
import statistics
import time


def peak_resident_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def rates(amount, work, runs, warm_up=1):
    """Amount per second of each of `runs` calls of work(), after warm_up calls that do not count."""
    for _ in range(warm_up):
        work()
    found = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        found.append(amount / (time.perf_counter() - start))
    return found


def emit(who, work, values, unit="tokens/s", **more):
    line = {"who": who, "work": work, "median": statistics.median(values), "low": min(values), "high": max(values),
            "runs": len(values), "unit": unit, "peak_rss_bytes": peak_resident_bytes(), **more}
    print(json.dumps(line), flush=True)
