# SPDX-License-Identifier: MIT
"""The raw values of a run, the figures that were asked for, and how each was met.

A Record holds for every work (such as 'names/stat') and contender (such as 'bindfs') one value a round. A ratio is
formed round by round, between values that were taken within the same minute, and only then is its median taken: what
slows the whole machine down for a while leaves it as it is.
"""

import statistics


class Record:
    def __init__(self):
        self.values = {}  # work -> contender -> [value or None, one a round]
        self.units = {}  # work -> unit
        self.problems = []  # what could not be measured, and why

    def add(self, work, contender, unit, turn, value):
        self.units[work] = unit
        row = self.values.setdefault(work, {}).setdefault(contender, [])
        row.extend([None] * (turn + 1 - len(row)))
        row[turn] = value

    def problem(self, text):
        if text not in self.problems:
            self.problems.append(text)
            print(f'  ! {text}', flush=True)

    def get(self, work, contender):
        return [value for value in self.values.get(work, {}).get(contender, []) if value is not None]

    def ratios(self, work, over, work_under, under):
        pairs = zip(self.values.get(work, {}).get(over, []), self.values.get(work_under, {}).get(under, []))
        return [a / b for a, b in pairs if a is not None and b]


def spread(values):
    """Median, least, most; None for no values."""
    if not values:
        return None
    return {'median': statistics.median(values), 'min': min(values), 'max': max(values), 'rounds': len(values)}


class Figure:
    """One thing that was asked for: values, and the bound that their median must keep."""

    def __init__(self, name, values, bound, at_least, unit='x'):
        self.name = name
        self.spread = spread(values)
        self.bound = bound
        self.at_least = at_least
        self.unit = unit

    @property
    def verdict(self):
        if self.spread is None:
            return 'not measured'
        reached = self.spread['median']
        return 'met' if (reached >= self.bound if self.at_least else reached <= self.bound) else 'MISSED'

    def as_json(self):
        return {'figure': self.name, 'unit': self.unit, 'asked': self.bound,
                'asked_is': 'at least' if self.at_least else 'at most', 'reached': self.spread,
                'verdict': self.verdict}


LIST = (('stat', 'stat', 4), ('missing', 'stat of a missing name', 4), ('read', 'open + read 4 KiB + close', 4),
        ('rename', 'rename', 4), ('create', 'create + write 4 KiB + close', 3), ('unlink', 'unlink', 3))

FIND = (('find/names', 'cold find'), ('find/attributes', 'cold find -size'))

DATA = (('sequential-read-warm', '1 MiB sequential reads, warm', 0.9),
        ('sequential-read-cold', '1 MiB sequential reads, cold', 0.9),
        ('sequential-write-warm', '1 MiB sequential writes + fsync, warm', 0.9),
        ('sequential-write-cold', '1 MiB sequential writes + fsync, cold', 0.9),
        ('random-read-direct', '4 KiB random direct reads', 0.9),
        ('random-write-direct', '4 KiB random direct writes', 0.9),
        ('random-read-cached', '4 KiB random reads, page cache', 0.65))


CLOUD_LINE = 125.0  # MB/s that the emulator's line carries


def cloud_figures(record):
    """More is better in works of ops/s and MB/s; of those in seconds the peer stands on top."""
    def of(work, over, under, text, bound):
        work = f'cloud/{work}'
        return Figure(f'Box drive: {text}', record.ratios(work, over, work, under), bound, True)

    found = [
        of('read-warm', 'driveway', 'native', 'sequential read, warm, of native', 0.9),
        of('read-warm', 'driveway', 'rclone', 'sequential read, warm, to rclone', 5),
        of('open-read-warm', 'driveway', 'rclone', 'open + read 4 KiB + close, warm, to rclone', 20),
        of('stat-warm', 'driveway', 'rclone', 'stat, warm, to rclone', 20),
        of('find-warm', 'rclone', 'driveway', 'find over cached entries to rclone', 10),
        of('find-warm-attributes', 'rclone', 'driveway', 'find -size over cached entries to rclone', 10),
        Figure('Box drive: sequential read, cold, of the line',
               [value / CLOUD_LINE for value in record.get('cloud/read-cold', 'driveway')], 0.9, True),
        of('read-cold', 'driveway', 'rclone', 'sequential read, cold, to rclone', 1),
        Figure('Box drive: first byte of a seek to one curl request',
               record.ratios('cloud/seek-first-byte', 'driveway', 'cloud/seek-first-byte', 'curl'), 1.3, False),
        of('grep-cold', 'rclone', 'driveway', 'grep -r over small files, cold, to rclone', 5),
        of('copy-in', 'native', 'driveway', 'cp -r of small files into it, of native', 1),
        of('copy-arrive', 'rclone', 'driveway', 'until they are on the server, to rclone', 1),
        Figure('Box drive: memory of a large folder, an entry', record.get('cloud/wide-memory', 'driveway'), 300, False,
               'bytes'),
    ]
    first = [entry / 1000 / whole for entry, whole in zip(record.get('cloud/wide-first-entry', 'driveway'),
                                                          record.get('cloud/wide-list', 'driveway')) if whole]
    found.append(Figure('Box drive: first entry of a large folder, of the time of all', first, 0.5, False))
    return found


def figures(record, groups):
    """Every figure that the groups of this run can give."""
    found = []
    if 'data' in groups:
        for work, text, bound in DATA:
            work = f'data/{work}'
            found.append(Figure(f'local: {text}, of native',
                                record.ratios(work, 'local plain, passthrough', work, 'native'), bound, True))
    if 'names' in groups:
        for work, text, bound in LIST:
            work = f'names/{work}'
            found.append(Figure(f'{text}: as it comes to bindfs',
                                record.ratios(work, 'local plain, passthrough', work, 'bindfs'), bound, True))
            found.append(Figure(f'{text}: io_uring to bindfs', record.ratios(work, 'local io_uring', work, 'bindfs'),
                                bound, True))
    if 'find' in groups:
        # Seconds, so bindfs stands on top.
        for work, text in FIND:
            found.append(Figure(f'{text}: as it comes to bindfs',
                                record.ratios(work, 'bindfs', work, 'local plain, passthrough'), 3, True))
            found.append(Figure(f'{text}: io_uring to bindfs', record.ratios(work, 'bindfs', work, 'local io_uring'),
                                3, True))
    if 'names' in groups:
        for above, below in (('local io_uring', 'local plain'), ('local plain', 'bindfs')):
            for work, text, _ in LIST:
                work = f'names/{work}'
                found.append(Figure(f'{text}: {above.removeprefix("local ")} to {below.removeprefix("local ")}',
                                    record.ratios(work, above, work, below), 1.5, True))
    if 'find' in groups:
        for above, below in (('local io_uring', 'local plain'), ('local plain', 'bindfs')):
            for work, text in FIND:
                found.append(Figure(f'{text}: {above.removeprefix("local ")} to {below.removeprefix("local ")}',
                                    record.ratios(work, below, work, above), 1.5, True))
    if 'folder' in groups:
        for work, text in (('list', 'readdir'), ('list-first', 'readdir, caches dropped'), ('ls', 'ls -f')):
            work = f'folder/{work}'
            found.append(Figure(f'large folder, {text}: memory to tmpfs',
                                record.ratios(work, 'memory', work, 'tmpfs'), 3, False))
        sizes = sorted((int(work.rsplit('-', 1)[1]), work) for work in record.values if work.startswith('folder/rm-'))
        if len(sizes) > 1:
            small, large = sizes[0], sizes[-1]
            growth = [ratio * small[0] / large[0]
                      for ratio in record.ratios(large[1], 'memory', small[1], 'memory')]
            found.append(Figure(f'rm -r, time a file at {large[0]:,} to {small[0]:,} (1: linear)', growth, 1.3,
                                False))
    if 'idle' in groups:
        for process in ('service', 'keeper'):
            found.append(Figure(f'idle {process}, resident', record.get('idle/resident', process), 10, False, 'MB'))
            found.append(Figure(f'idle {process}, wake-ups in 10 s', record.get('idle/wake-ups', process), 0, False,
                                ''))
    if 'nodes' in groups:
        found.append(Figure('memory, a node of a million', record.get('nodes/bytes', 'memory'), 300, False, 'bytes'))
    if 'start' in groups:
        found.append(Figure('driveway map until the drive answers', record.get('start/map', 'memory'), 50, False,
                            'ms'))
    if 'cloud' in groups:
        found += cloud_figures(record)
    return found
