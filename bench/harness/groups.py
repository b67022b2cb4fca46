# SPDX-License-Identifier: MIT
"""The groups of measurements. Each sets up what it compares, goes round all of it round by round (A B C, B C A ...),
and leaves nothing mounted. A contender that cannot be set up, or a cell that fails, is noted and left out."""

import json
import os
import shutil
import time

from .cloud import Cloud
from .report import number
from .system import Failed, drop_caches, is_root, read_text, run, timed

ZERO = ('entry-timeout=0', 'attr-timeout=0', 'negative-timeout=0')


def rotated(contenders, turn):
    """Another one begins in each round, so that none always follows the same neighbour."""
    first = turn % len(contenders) if contenders else 0
    return contenders[first:] + contenders[:first]


class Bench:
    def __init__(self, place, record, settings):
        self.place = place
        self.record = record
        self.settings = settings
        self.root = is_root()

    def load(self, work, folder, timed_run=True, **options):
        arguments = [self.place.load]
        if timed_run:
            arguments += ['--seconds', str(self.settings.seconds), '--warmup', str(self.settings.warmup)]
        if self.settings.pin:
            arguments.append('--pin')
        for key, value in options.items():
            arguments += ['--' + key] if value is True else ['--' + key, str(value)]
        return json.loads(run(arguments + [work, folder], 600))

    def cell(self, work, contender, unit, turn, measure):
        try:
            value = measure()
        except (Failed, OSError) as problem:
            self.record.problem(f'{work}, {contender}: {problem}')
            value = None
        if value is not None:
            print(f'  round {turn + 1}  {work:<28} {contender:<28} {number(value):>12} {unit}', flush=True)
        self.record.add(work, contender, unit, turn, value)

    def contenders(self, makers):
        """(name, folder) of all that could be set up."""
        ready = []
        for name, maker in makers:
            try:
                ready.append((name, maker()))
            except (Failed, OSError) as problem:
                self.record.problem(f'{name}: {problem}')
        return ready

    def local(self, name, source, transport, passthrough, options=()):
        """passthrough asked for without the privilege is a drive without it."""
        return self.place.map_drive(name, f'local:{source}', options, transport, passthrough and self.root)

    # --- data -------------------------------------------------------------------------------------

    def data(self):
        place, size = self.place, self.settings.data_mib
        source = place.make('data')
        self.load('seq-write-new', source, False, size=size)
        ready = self.contenders((
            ('native', lambda: source),
            ('local io_uring', lambda: self.local('d-ring', source, 'io_uring', True)),
            ('local plain, passthrough', lambda: self.local('d-pass', source, 'plain', True)),
            ('local plain', lambda: self.local('d-plain', source, 'plain', False)),
            ('memory', lambda: place.map_drive('d-memory', 'memory:')),
            ('bindfs', lambda: place.mount_bindfs('d-bindfs', source)),
        ))
        for name, folder in ready:
            if name == 'memory':
                self.load('seq-write-new', folder, False, size=size)

        def megabytes(work, folder, **options):
            result = self.load(work, folder, 'once' not in work and 'write' not in work, size=size, **options)
            return result['bytes'] / 1e6 / result['seconds']

        def per_second(work, folder, **options):
            result = self.load(work, folder, size=size, **options)
            return result['operations'] / result['seconds']

        def cold(work, folder):
            os.sync()
            self.load('evict', source, False, size=size)
            drop_caches()
            return megabytes(work, folder)

        works = [('sequential-read-warm', 'MB/s', lambda folder: megabytes('seq-read', folder)),
                 ('sequential-write-warm', 'MB/s', lambda folder: megabytes('seq-write', folder)),
                 ('random-read-cached', 'ops/s', lambda folder: per_second('random-read', folder)),
                 ('random-read-direct', 'ops/s', lambda folder: per_second('random-read', folder, direct=True)),
                 ('random-write-direct', 'ops/s', lambda folder: per_second('random-write', folder, direct=True))]
        if self.root:
            works += [('sequential-read-cold', 'MB/s', lambda folder: cold('seq-read-once', folder)),
                      ('sequential-write-cold', 'MB/s', lambda folder: cold('seq-write-new', folder))]
        else:
            self.record.problem('data, cold: dropping the caches needs root')
        for turn in range(self.settings.rounds):
            for work, unit, measure in works:
                if work == 'sequential-read-cold':
                    # What lies below the machine's disk may have a cache of its own: nobody shall be the first.
                    cold('seq-read-once', source)
                for name, folder in rotated(ready, turn):
                    os.sync()
                    self.cell(f'data/{work}', name, unit, turn, lambda: measure(folder))
        place.close_mounts()
        shutil.rmtree(source)

    # --- names ------------------------------------------------------------------------------------

    def names(self):
        place, settings = self.place, self.settings
        source = place.make('names')
        tree = {'folders': 8, 'files': settings.files}
        self.load('make', source, False, **tree)
        os.sync()
        ready = self.contenders((
            ('native', lambda: source),
            ('memory', lambda: place.map_drive('n-memory', 'memory:', ZERO)),
            ('local io_uring', lambda: self.local('n-ring', source, 'io_uring', True, ZERO)),
            ('local plain', lambda: self.local('n-plain', source, 'plain', False, ZERO)),
            ('local plain, passthrough', lambda: self.local('n-pass', source, 'plain', True, ZERO)),
            ('bindfs', lambda: place.mount_bindfs('n-bindfs', source)),
            ('bindfs, multithreaded', lambda: place.mount_bindfs('n-bindfs-mt', source, True)),
        ))
        for name, folder in ready:
            if name == 'memory':
                self.load('make', folder, False, **tree)

        def per_second(work, folder):
            result = self.load(work, folder, **tree)
            return result['operations'] / result['seconds']

        def behind(name, folder):
            """The same folder without the drive, where there is one."""
            return folder if name == 'memory' else source

        def create(name, folder):
            os.makedirs(os.path.join(behind(name, folder), 'new'))
            os.sync()
            try:
                return per_second('create', os.path.join(folder, 'new'))
            finally:
                shutil.rmtree(os.path.join(behind(name, folder), 'new'))

        def unlink(name, folder):
            old = os.path.join(behind(name, folder), 'old')
            many = {'folders': 10, 'files': settings.unlink_files}
            os.makedirs(old)
            try:
                self.load('make', old, False, **many)
                os.sync()
                result = self.load('unlink', os.path.join(folder, 'old'), False, **many)
                return result['operations'] / result['seconds']
            finally:
                shutil.rmtree(old)

        for turn in range(settings.rounds):
            for work in ('stat', 'missing', 'read', 'rename'):
                for name, folder in rotated(ready, turn):
                    self.cell(f'names/{work}', name, 'ops/s', turn, lambda: per_second(work, folder))
            for work, measure in (('create', create), ('unlink', unlink)):
                for name, folder in rotated(ready, turn):
                    self.cell(f'names/{work}', name, 'ops/s', turn, lambda: measure(name, folder))
        place.close_mounts()
        shutil.rmtree(source)

    # --- find -------------------------------------------------------------------------------------

    def find(self):
        if not self.root:
            self.record.problem('find: dropping the caches needs root')
            return
        place = self.place
        source = place.make('find')
        self.load('make-empty', source, False, folders=self.settings.find_folders // 2, files=100)
        makers = (
            ('native', lambda: source),
            ('local io_uring', lambda: self.local('f-ring', source, 'io_uring', True)),
            ('local plain', lambda: self.local('f-plain', source, 'plain', False)),
            ('local plain, passthrough', lambda: self.local('f-pass', source, 'plain', True)),
            ('bindfs', lambda: place.mount_bindfs('f-bindfs', source)),
            ('bindfs, multithreaded', lambda: place.mount_bindfs('f-bindfs-mt', source, True)),
        )

        def cold(maker, arguments):
            folder = maker()
            try:
                drop_caches()
                run(['find', '--version'])
                return timed(['find', folder, *arguments])
            finally:
                if folder != source:
                    place.unmap(folder)

        for turn in range(self.settings.rounds):
            for work, arguments in (('names', []), ('attributes', ['-size', '+1'])):
                cold(makers[0][1], arguments)  # whoever is first would warm what lies below the machine's disk
                for name, maker in rotated(makers, turn):
                    self.cell(f'find/{work}', name, 's', turn, lambda: cold(maker, arguments))
        place.close_mounts()
        shutil.rmtree(source)

    # --- one large folder -------------------------------------------------------------------------

    def folder(self):
        place, settings = self.place, self.settings
        ready = self.contenders((
            ('tmpfs', lambda: place.mount_tmpfs('l-tmpfs')),
            ('memory', lambda: place.map_drive('l-memory', 'memory:', ('size=8g',))),
        ))
        for name, folder in ready:
            os.makedirs(os.path.join(folder, 'large'))
            self.cell('folder/fill', name, 's', 0, lambda: self.load(
                'fill', os.path.join(folder, 'large'), False, threads=1, files=settings.large)['seconds'])

        def listed(folder):
            result = self.load('list', os.path.join(folder, 'large'), False, threads=1)
            if result['operations'] < settings.large:
                raise Failed(f'{result["operations"]} names listed, {settings.large} are there')
            return result['seconds']

        def first(folder):
            drop_caches()
            return listed(folder)

        works = [('list', listed), ('ls', lambda folder: timed(['ls', '-f', os.path.join(folder, 'large')]))]
        if self.root:
            works.insert(0, ('list-first', first))
        for turn in range(settings.rounds):
            for work, measure in works:
                for name, folder in rotated(ready, turn):
                    self.cell(f'folder/{work}', name, 's', turn, lambda: measure(folder))
        for name, folder in ready:
            self.cell(f'folder/unfill', name, 's', 0, lambda: timed(['rm', '-r', os.path.join(folder, 'large')]))

        def remove(folder, count):
            doomed = os.path.join(folder, 'doomed')
            os.makedirs(doomed)
            self.load('fill', doomed, False, threads=1, files=count)
            return timed(['rm', '-r', doomed])

        for turn in range(min(settings.rounds, 3)):
            for count in (settings.large // 4, settings.large // 2, settings.large):
                for name, folder in rotated(ready, turn):
                    self.cell(f'folder/rm-{count}', name, 's', turn, lambda: remove(folder, count))
        place.close_mounts()

    # --- rest, memory, start ----------------------------------------------------------------------

    def _processes(self):
        status = self.place.status()
        return (('keeper', status['keeper_pid']), ('service', status['service_pid']))

    @staticmethod
    def _field(pid, file, name):
        for line in read_text(f'/proc/{pid}/{file}').splitlines():
            if line.startswith(name + ':'):
                return int(line.split()[1])
        raise Failed(f'process {pid} has ended')

    def _switches(self, pid):
        return sum(self._field(pid, f'task/{task}/status', 'voluntary_ctxt_switches')
                   for task in os.listdir(f'/proc/{pid}/task'))

    def idle(self):
        """One drive that was used and is at rest; worker threads end after 10 s."""
        place = self.place
        for turn in range(min(self.settings.rounds, 3)):
            try:
                target = place.map_drive('i-memory', 'memory:')
                with open(os.path.join(target, 'used'), 'w', encoding='ascii') as file:
                    file.write('once\n')
                time.sleep(self.settings.rest)
                before = [(name, pid, self._switches(pid)) for name, pid in self._processes()]
                time.sleep(0.5)
                # Asking for the process ids woke both; only what comes after that counts.
                before = [(name, pid, self._switches(pid)) for name, pid, _ in before]
                time.sleep(10)
                for name, pid, count in before:
                    self.record.add('idle/wake-ups', name, '', turn, self._switches(pid) - count)
                    for work, field in (('resident', 'VmRSS'), ('anonymous', 'RssAnon'), ('file', 'RssFile'),
                                        ('shared', 'RssShmem')):
                        self.cell(f'idle/{work}', name, 'MB', turn,
                                  lambda: self._field(pid, 'status', field) / 1024)
                    threads = len(os.listdir(f'/proc/{pid}/task'))
                    self.record.add('idle/threads', name, '', turn, threads)
            except (Failed, OSError) as problem:
                self.record.problem(f'idle: {problem}')
            place.close_mounts()

    def _kept(self):
        """Bytes that keeper and service hold: anonymous memory, and every memfd once."""
        total, seen = 0, set()
        for _, pid in self._processes():
            total += self._field(pid, 'status', 'RssAnon') * 1024
            for number in os.listdir(f'/proc/{pid}/fd'):
                path = f'/proc/{pid}/fd/{number}'
                if os.readlink(path).startswith('/memfd:'):
                    facts = os.stat(path)
                    if facts.st_ino not in seen:
                        seen.add(facts.st_ino)
                        total += facts.st_blocks * 512
        return total

    def nodes(self):
        count = self.settings.nodes
        try:
            target = self.place.map_drive('m-memory', 'memory:', ('size=8g',))
            before = self._kept()
            self.load('make-empty', target, False, folders=count // 2000, files=1000)
            time.sleep(2)
            self.cell('nodes/bytes', 'memory', 'bytes', 0, lambda: (self._kept() - before) / count)
        except (Failed, OSError) as problem:
            self.record.problem(f'nodes: {problem}')
        self.place.close_mounts()

    def start(self):
        place = self.place
        source = place.make('s-source')
        keep = self.contenders((('a running service', lambda: place.map_drive('s-first', 'memory:')),))

        def until_answer(provider):
            target = place.make('s-target')
            before = os.stat(target).st_dev
            begin = time.monotonic()
            place.driveway('map', target, provider)
            if os.stat(target).st_dev == before:
                raise Failed('map returned, and the drive is not there')
            os.listdir(target)
            took = (time.monotonic() - begin) * 1000
            place.unmap(target)
            return took

        if keep:
            for turn in range(self.settings.starts):
                for name, provider in (('memory', 'memory:'), ('local', f'local:{source}')):
                    self.cell('start/map', name, 'ms', turn, lambda: until_answer(provider))
        place.close_mounts()

    # --- a cloud ----------------------------------------------------------------------------------

    def cloud(self):
        if not self.root:
            self.record.problem('cloud: its namespaces need root')
            return
        Cloud(self).measure()


ALL = {
    'data': 'file data: local through passthrough against the native folder',
    'names': 'names: stat, open, rename, create, unlink, time-outs 0',
    'find': 'a cold find over 100,000 files, as both come',
    'folder': 'one folder with a million entries in memory',
    'idle': 'the service at rest',
    'nodes': 'memory that a million nodes take',
    'start': 'from driveway map to an answer',
    'cloud': 'the Box drive against rclone mount, over an emulator 30 ms away',
}
