#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The service dies at a call into the remote; nobody may notice, and the server must be right afterwards.

    calls.py DRIVEWAY [--seed N] [--limit SECONDS] [--only OPERATION:WHAT:N,...] [--keep]

A drive over folder: is worked on by a program, a folder of its own for each death. The fault plan of folder: ends the
service before, in the middle of or behind the n-th call of one operation; the keeper starts the next one, which goes on.
The program must see no error. When all is up, the folder on the server must hold exactly what the program made, and
so must a drive with a fresh cache.
"""

import argparse
import hashlib
import os
import random
import shutil
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from drive import Machine, Trouble, check_place, differences, patiently, tree_of, work_folder  # noqa: E402

OPERATIONS = ('upload', 'mkdir', 'move', 'remove', 'set_properties', 'session_begin', 'session_part', 'session_commit',
              'stat', 'list', 'read', 'quota', 'changes', 'session_parts')
WHATS = ('crash', 'middle-crash', 'done-crash')
UNCHANGING = ('stat', 'list', 'read', 'quota', 'changes', 'session_parts')
PROMPT = 0.12  # longer than files rest, so that uploads are under way when the next change comes


class Program:
    """Works in folder, and knows what must be there."""

    def __init__(self, folder, chance):
        self.folder, self.chance = folder, chance
        self.wanted = {}
        self.modes = {}

    def path(self, name):
        return os.path.join(self.folder, name)

    def know(self, name, data):
        self.wanted[name] = hashlib.sha1(data).hexdigest()

    def write(self, name, data):
        with open(self.path(name), 'wb') as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        self.know(name, data)

    def save(self, name, size):
        """As editors do."""
        data = self.chance.randbytes(size)
        self.write(name + '.tmp', data)
        self.rename(name + '.tmp', name)

    def patch(self, name, offset, size):
        """In place."""
        data = self.chance.randbytes(size)
        with open(self.path(name), 'r+b') as file:
            file.seek(offset)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            file.seek(0)
            self.know(name, file.read())

    def rename(self, source, target):
        os.rename(self.path(source), self.path(target))
        for known in (self.wanted, self.modes):
            moved = {name: known.pop(name) for name in list(known) if name == source or name.startswith(source + '/')}
            if known is self.wanted:
                known.pop(target, None)
            known.update({target + name[len(source):]: value for name, value in moved.items()})

    def mkdir(self, name):
        os.mkdir(self.path(name))
        self.wanted[name] = ''

    def remove(self, name):
        os.unlink(self.path(name))
        self.wanted.pop(name, None)

    def run(self):
        data = self.chance.randbytes
        with open(self.path('log'), 'ab', buffering=0) as log:
            said = b''
            for number, step in enumerate((self.begin, self.change, self.change_again, self.end)):
                step(data)
                line = b'step %d\n' % number
                log.write(line)
                os.fsync(log.fileno())
                said += line
            with open(self.path('log'), 'rb') as file:
                if file.read() != said:
                    raise Trouble('the log has other lines than were written')
        self.know('log', said)

    def begin(self, data):
        names = sorted(os.listdir(self.folder))
        if [name for name in names if name != 'log'] != ['doc0', 'doc1', 'doc2', 'large']:
            raise Trouble(f'other names than on the server: {names}')
        os.statvfs(self.folder)
        with open(self.path('doc0'), 'rb') as file:
            self.know('doc0', file.read())
        for name in ('doc1', 'large'):  # of these only a part is read
            with open(self.path(name), 'rb') as file:
                file.seek(1000)
                file.read(10)
        self.mkdir('sub')
        self.write('new0', data(1000))
        self.write('sub/new1', data(5000))
        self.write('big', data(200_000))
        self.save('doc0', 3000)
        os.chmod(self.path('new0'), 0o750)
        self.modes['new0'] = 0o750
        os.symlink('new0', self.path('link'))
        self.wanted['link'] = '-> new0'
        time.sleep(PROMPT)

    def change(self, data):
        self.patch('doc1', 2000, 500)
        self.patch('large', 100_000, 70_000)
        self.remove('doc2')
        self.save('doc0', 4000)
        self.write('a', data(10))
        self.write('b', data(20))
        time.sleep(PROMPT)
        self.rename('sub', 'sub2')
        self.rename('new0', 'sub2/moved')
        self.save('doc0', 100)

    def change_again(self, data):
        self.patch('big', 50, 150_000)
        time.sleep(PROMPT)
        self.save('doc0', 7000)
        self.rename('a', 'c')
        self.rename('b', 'a')
        self.rename('c', 'b')
        self.patch('doc1', 0, 10)
        self.write('gone', data(300))
        time.sleep(PROMPT)
        self.remove('gone')

    def end(self, data):
        self.save('doc0', 50)
        self.patch('big', 0, 10)
        self.write('a', data(40))
        os.chmod(self.path('sub2/moved'), 0o700)
        self.modes['sub2/moved'] = 0o700


class Test:
    def __init__(self, arguments):
        self.arguments = arguments
        self.chance = random.Random(arguments.seed)
        self.work = work_folder('calls')
        self.remote, self.drive = self.path('remote'), self.path('drive')
        self.plan = self.path('plan')
        self.machine = Machine(arguments.driveway, self.work)
        self.wanted, self.modes = {}, {}
        self.deaths = 0

    def path(self, name):
        return os.path.join(self.work, name)

    def map(self, drive, cache):
        self.machine.map(drive, 'folder:' + self.remote, self.path(cache), state=self.path('state'), faults=self.plan,
                         settle=0.1, upload_max='64k', part='32k', rescan=0, page=3)

    def cases(self):
        if self.arguments.only:
            words = [word.split(':') for word in self.arguments.only.split(',')]
            return [(operation, what, int(number)) for operation, what, number in words]
        found = []
        for operation in OPERATIONS:
            for what in WHATS:
                if operation in UNCHANGING and what == 'middle-crash':
                    continue
                most = 3 if operation in UNCHANGING else 12 if operation in ('upload', 'session_part') else 6
                found += [(operation, what, number) for number in range(most)]
        self.chance.shuffle(found)
        return found

    def prepare(self, cases):
        """What the server has of each case before anything."""
        for number in range(len(cases)):
            folder = os.path.join(self.remote, f'case{number}')
            os.makedirs(folder)
            for name, size in (('doc0', 500), ('doc1', 10_000), ('doc2', 100), ('large', 300_000)):
                with open(os.path.join(folder, name), 'wb') as file:
                    file.write(self.chance.randbytes(size))

    def watch(self, ended, first):
        """Take the plan away at the first death, or the next service would die of it too."""
        while not ended.is_set():
            if self.machine.service() != first:
                self.end_plan()
                return
            time.sleep(0.002)

    def end_plan(self):
        try:
            os.rename(self.plan, self.plan + '.done')
        except FileNotFoundError:
            pass

    def run_case(self, number, case):
        operation, what, count = case
        first = self.machine.service()
        with open(self.plan + '.new', 'w', encoding='ascii') as file:
            file.write(f'{operation}:{what}:after={count}\n')
        os.rename(self.plan + '.new', self.plan)
        ended = threading.Event()
        watcher = threading.Thread(target=self.watch, args=(ended, first))
        watcher.start()
        program = Program(os.path.join(self.drive, f'case{number}'), random.Random(f'{self.arguments.seed}.{number}'))
        try:
            patiently(60, 'the program', program.run)
            self.machine.sync(program.folder, 60)
        finally:
            ended.set()
            watcher.join()
            self.end_plan()
        self.machine.sync(program.folder, 60)
        died = self.machine.service() != first
        self.deaths += died
        for name, value in program.wanted.items():
            self.wanted[f'case{number}/{name}'] = value
        for name, value in program.modes.items():
            self.modes[f'case{number}/{name}'] = value
        self.wanted[f'case{number}'] = ''
        lines = differences(program.wanted, patiently(60, 'comparing', tree_of, program.folder))
        shown = {name: value for name, value in program.wanted.items() if not value.startswith('->')}
        there = {name: value for name, value in tree_of(os.path.join(self.remote, f'case{number}')).items()
                 if name != 'link'}
        lines += ['on the server ' + line for line in differences(shown, there)]
        if lines:
            raise Trouble('\n    '.join([f'case{number}:'] + lines))
        return died

    def run(self):
        cases = self.cases()
        self.prepare(cases)
        self.map(self.drive, 'cache')
        begun, failed, tried = time.monotonic(), 0, 0
        never = set()
        for number, case in enumerate(cases):
            if self.arguments.limit and time.monotonic() - begun > self.arguments.limit:
                break
            if any(case[:2] == other[:2] and case[2] > other[2] for other in never):
                continue
            tried += 1
            try:
                if not self.run_case(number, case):
                    never.add(case)
            except (Trouble, OSError) as trouble:
                failed += 1
                print(f'{case[0]}:{case[1]}:{case[2]}: {type(trouble).__name__} {trouble}', flush=True)
                if 'hangs' in str(trouble):
                    break
        print(f'{tried} cases, {self.deaths} deaths, {failed} went wrong, {time.monotonic() - begun:.0f} s')
        if failed == 0:
            failed = self.compare_fresh()
        if not self.arguments.only and self.deaths < tried / 3:
            print('the service seldom died: this proved little')
            failed += 1
        return failed

    def compare_fresh(self):
        """By a drive that knows nothing."""
        fresh = self.path('fresh')
        self.machine.unmap(self.drive)
        self.map(fresh, 'cache2')
        found = {}
        for case in sorted({name.split('/')[0] for name in self.wanted}):
            found[case] = ''
            for name, value in patiently(60, 'comparing', tree_of, os.path.join(fresh, case)).items():
                found[f'{case}/{name}'] = value
        lines = differences(self.wanted, found)
        for name, mode in self.modes.items():
            have = os.stat(os.path.join(fresh, name)).st_mode & 0o7777
            if have != mode:
                lines.append(f'{name}: mode {have:o} instead of {mode:o}')
        for line in lines:
            print('with a fresh cache:', line)
        return len(lines)

    def close(self):
        self.machine.close()
        if self.arguments.keep:
            print('kept:', self.work)
        else:
            shutil.rmtree(self.work, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('driveway')
    parser.add_argument('--seed', default=str(int(time.time())))
    parser.add_argument('--limit', type=float, default=0, help='seconds after which no further case is tried; 0: none')
    parser.add_argument('--only', help='OPERATION:WHAT:NUMBER,...; one may come more than once')
    parser.add_argument('--keep', action='store_true')
    arguments = parser.parse_args()
    check_place()
    print('seed', arguments.seed, flush=True)
    test = Test(arguments)
    try:
        return 1 if test.run() else 0
    except Trouble as trouble:
        print(trouble)
        return 1
    finally:
        test.close()


if __name__ == '__main__':
    sys.exit(main())
