# SPDX-License-Identifier: MIT
"""Driveway's benchmark: every figure is a ratio against a peer in the same run. bench/README.md explains it."""

import argparse
import dataclasses
import fcntl
import os
import signal
import sys
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
sys.path.insert(0, HERE)

from harness import groups, plot, report  # noqa: E402
from harness.drives import Place  # noqa: E402
from harness.record import Record, figures  # noqa: E402
from harness.system import Failed, facts, is_root, run  # noqa: E402


@dataclasses.dataclass
class Settings:
    rounds: int = 5
    seconds: float = 2.5  # of one timed cell
    warmup: float = 0.5
    data_mib: int = 512  # of each of the two data files
    files: int = 500  # a folder; 8 folders a thread
    unlink_files: int = 1000  # a folder; 10 folders a thread
    find_folders: int = 1000  # of 100 files
    large: int = 1_000_000  # entries of the large folder
    nodes: int = 1_000_000
    starts: int = 20
    rest: float = 12.0  # seconds before the idle service is looked at
    pin: bool = False
    quick: bool = False


QUICK = {'rounds': 1, 'seconds': 0.3, 'warmup': 0.1, 'data_mib': 64, 'files': 100, 'unlink_files': 100,
         'find_folders': 100, 'large': 40_000, 'nodes': 40_000, 'starts': 3, 'rest': 2.0, 'quick': True}


def options():
    parser = argparse.ArgumentParser(prog='bench/run', description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('build', metavar='BUILD_DIR', help='with bench/load and tool/driveway in it; without it a release build\nis made in build-bench')
    parser.add_argument('--quick', action='store_true', help='a short run that shows that everything works')
    parser.add_argument('--only', action='append', metavar='NAME', choices=list(groups.ALL),
                        help='this group only, may be given again:\n' +
                        '\n'.join(f'  {name:<7} {text}' for name, text in groups.ALL.items()))
    parser.add_argument('--rounds', type=int, metavar='N', help='rounds (5)')
    parser.add_argument('--seconds', type=float, metavar='S', help='length of one timed cell (2.5)')
    parser.add_argument('--pin', action='store_true', help='pin client threads, one a CPU')
    parser.add_argument('--work', metavar='DIR', help='where the compared folders are made (the build folder)')
    parser.add_argument('--results', metavar='DIR', default=os.path.join(HERE, 'results'), help='(bench/results)')
    chosen = parser.parse_args()
    if chosen.rounds is not None and chosen.rounds < 1:
        parser.error('--rounds needs a number from 1')
    return chosen


def settings_of(chosen):
    settings = Settings(**QUICK) if chosen.quick else Settings()
    if chosen.rounds is not None:
        settings.rounds = chosen.rounds
    if chosen.seconds is not None:
        settings.seconds = chosen.seconds
    settings.pin = chosen.pin
    return settings


def only_one(work):
    """Two benchmarks at once measure one another."""
    lock = open(os.path.join(work, 'bench.lock'), 'w', encoding='ascii')
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Failed('another benchmark runs in this folder') from None
    return lock


def measure(place, record, settings, chosen):
    bench = groups.Bench(place, record, settings)
    for name in chosen:
        print(f'\n{name}: {groups.ALL[name]}', flush=True)
        try:
            getattr(bench, name)()
        except (Failed, OSError) as problem:
            record.problem(f'{name}: {problem}')
            place.close_mounts()


def enter_namespaces():
    """The cloud group changes names of hosts and listens on their ports: in namespaces that end with this process."""
    marker = 'DRIVEWAY_BENCH_NAMESPACES'
    if not is_root():
        return
    if os.environ.get(marker) == 'yes':
        run(['ip', 'link', 'set', 'lo', 'up'])
        return
    os.environ[marker] = 'yes'
    os.execvp('unshare', ['unshare', '--mount', '--net', '--propagation', 'private', sys.executable, *sys.argv])


def interrupted(_number, _frame):
    raise KeyboardInterrupt


def main():
    chosen = options()
    build = os.path.realpath(chosen.build)
    settings = settings_of(chosen)
    names = [name for name in groups.ALL if not chosen.only or name in chosen.only]
    if 'cloud' in names:
        enter_namespaces()
    for sign in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, interrupted)
    work = os.path.realpath(chosen.work or build)
    lock = only_one(work)
    if not is_root():
        print('bench: not root: no passthrough, no io_uring switch, no tmpfs, no cold caches; the rest is measured.')
    place = Place(build, work)
    record = Record()
    status = 0
    try:
        machine = facts(place.folder)
        machine['io_uring'] = place.switch_uring_on()
        print(f'{machine["cpu"]}, {machine["cpus"]} CPUs, Linux {machine["kernel"]}, {machine["filesystem"]}, '
              f'{machine["bindfs"]}; {settings.rounds} rounds of {settings.seconds} s')
        if machine['load_average_before'] > 0.5:
            print(f'bench: the machine is not quiet (load {machine["load_average_before"]:.2f}): expect noise')
        if not machine['io_uring']:
            print('bench: FUSE over io_uring is off or missing (fuse.enable_uring)')
        measure(place, record, settings, names)
    except KeyboardInterrupt:
        print('\nbench: interrupted; cleaning up')
        status = 130
    finally:
        for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(sign, signal.SIG_IGN)
        place.close()
        lock.close()
    if status != 0 or not record.values:
        return status or 1
    found = figures(record, names)
    lines = report.raw_tables(record) + report.verdict_table(found) + ['', report.summary(found, settings.quick)]
    lines += [f'not measured: {problem}' for problem in record.problems]
    print('\n'.join(lines))
    os.makedirs(chosen.results, exist_ok=True)
    base = os.path.join(chosen.results, time.strftime('%Y%m%d-%H%M%S') + ('-quick' if settings.quick else ''))
    report.write_json(base + '.json', machine, dataclasses.asdict(settings), record, found)
    plot.write_svg(base + '.svg', record, f'Driveway, Linux {machine["kernel"]}, {machine["cpus"]} CPUs, '
                   f'{settings.rounds} rounds: median, least and most' + (' (quick run)' if settings.quick else ''))
    with open(base + '.txt', 'w', encoding='utf-8') as file:
        file.write('\n'.join(lines).lstrip('\n') + '\n')
    print(f'\n{base}.json, .svg, .txt')
    return 0


if __name__ == '__main__':
    try:
        sys.exit(main())
    except Failed as problem:
        print(f'bench: {problem}', file=sys.stderr)
        sys.exit(1)
