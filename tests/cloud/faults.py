#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every fault of the emulator against every kind of work on a mapped Box drive.

    faults.py DRIVEWAY EMULATOR [--only FAULT] [--keep]

Each fault stands while a program lists, reads, writes, renames, removes, makes folders and asks for space; then it is
taken away. A call may fail only with an error that says that the service cannot be had, and not later than the drive's
timeout; changes never fail. Afterwards everything is on the server, once. Then the server is not there at all: the
drive maps from its cache, reads what it has, takes changes, and brings them up when the server is back.
"""

import argparse
import errno
import hashlib
import os
import shutil
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from box import TOKEN, Emulator  # noqa: E402
from drive import Machine, Trouble, check_place, differences, digest_of, patiently, tree_of, work_folder  # noqa: E402

TIMEOUT = 3
MARGIN = 4  # seconds beyond the timeout that a busy machine may need
MEMORY = 128 << 20
UNREACHABLE = (errno.EIO, errno.ETIMEDOUT, errno.EACCES)
FAULTS = [
    ('latency', {'ms': 300}, {}),
    ('bandwidth', {'bytes_per_second': 200_000}, {}),
    ('status', {'status': 500, 'times': 5}, {}),
    ('status', {'status': 503, 'retry_after': 1, 'times': 3}, {}),
    ('status', {'status': 429, 'retry_after': 1, 'times': 3}, {}),
    ('status', {'status': 502}, {}),
    ('accepted', {'retry_after': 1, 'times': 2}, {'kind': 'file.content'}),
    ('reset_before', {'times': 6}, {}),
    ('reset_after', {'times': 6}, {}),
    ('reset_after', {}, {'method': 'POST'}),
    ('reset_upload', {'at': 100, 'times': 3}, {}),
    ('reset_body', {'at': 50, 'times': 6}, {}),
    ('truncate', {'at': 50, 'times': 6}, {}),
    ('corrupt', {'at': 20, 'times': 3}, {'kind': 'data'}),
    ('stall', {'seconds': 2, 'at': 10, 'times': 4}, {}),
    ('skew', {'seconds': 86400}, {}),
    ('drop', {}, {}),
]


class Test:
    def __init__(self, arguments):
        self.work = work_folder('faults')
        self.drive, self.cache = os.path.join(self.work, 'drive'), os.path.join(self.work, 'cache')
        self.emulator = Emulator(arguments.emulator, os.path.join(self.work, 'server'))
        self.machine = Machine(arguments.driveway, self.work, DRIVEWAY_BOX_TOKEN=TOKEN)
        self.failed = []
        self.wanted = {}

    def map(self):
        options = {key.replace('-', '_'): value for key, value in self.emulator.options().items()}
        self.machine.map(self.drive, 'box:', self.cache, state=os.path.join(self.work, 'state'), timeout=TIMEOUT, **options)

    def wrong(self, text):
        self.failed.append(text)
        print(text, flush=True)

    def call(self, what, may_fail, function, *arguments):
        """Its result, or None when it failed as it may."""
        begin = time.monotonic()
        try:
            return patiently(TIMEOUT * 8, what, function, *arguments)
        except OSError as error:
            if not may_fail or error.errno not in UNREACHABLE:
                self.wrong(f'{what}: {error}')
        finally:
            took = time.monotonic() - begin
            if took > TIMEOUT + MARGIN:
                self.wrong(f'{what} took {took:.1f} s')
        return None

    def path(self, *names):
        return os.path.join(self.drive, *names)

    @staticmethod
    def put(path, data):
        with open(path, 'wb') as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def strike(self, number, fault, members, match):
        name = f'{fault}{members.get("status", "")} ({number})'
        folder = f'case{number}'
        made = {}
        self.emulator.fault(fault, match=match, **members)
        listed = self.call(name + ': list', True, os.listdir, self.path(folder))
        if listed is not None and sorted(listed) != ['gone', 'large', 'moved', 'old', 'saved']:
            self.wrong(f'{name}: lists {listed}')
        digest = self.call(name + ': read', True, digest_of, self.path(folder, 'large'))
        if digest is not None and digest != self.wanted[f'{folder}/large']:
            self.wrong(f'{name}: reads other bytes')
        self.call(name + ': df', True, os.statvfs, self.drive)
        if listed is not None:
            for what, data in (('saved', b's' * 3000), ('new', os.urandom(5000)), ('huge', os.urandom(21_000_000))):
                if what == 'huge' and fault not in ('reset_upload', 'status', 'reset_after'):
                    continue
                path = self.path(folder, what + '.tmp')
                self.call(f'{name}: write {what}', False, self.put, path, data)
                self.call(f'{name}: rename {what}', False, os.rename, path, self.path(folder, what))
                made[what] = data
            self.call(name + ': mkdir', False, os.mkdir, self.path(folder, 'made'))
            self.call(name + ': rename', False, os.rename, self.path(folder, 'moved'), self.path(folder, 'made/moved'))
            self.call(name + ': remove', False, os.unlink, self.path(folder, 'gone'))
        self.call(name + ': status', False, self.machine.status, 20)
        time.sleep(0.7)
        self.emulator.heal()
        if listed is not None:
            for what, data in made.items():
                self.wanted[f'{folder}/{what}'] = hashlib.sha1(data).hexdigest()
            self.wanted[f'{folder}/made'] = ''
            self.wanted[f'{folder}/made/moved'] = self.wanted.pop(f'{folder}/moved')
            del self.wanted[f'{folder}/gone']
        memory = self.machine.memory()
        if memory > MEMORY:
            self.wrong(f'{name}: the service holds {memory >> 20} MB')

    def prepare(self):
        for number in range(len(FAULTS)):
            for name, size in (('gone', 10), ('large', 300_000), ('moved', 2000), ('old', 500), ('saved', 700)):
                text = (f'{number} {name} ' * (size // len(f'{number} {name} ') + 1))[:size]
                self.emulator.control('POST', 'changes', {'op': 'upload', 'path': f'/case{number}/{name}', 'content': text})
        self.wanted, _ = self.emulator.tree()

    def settle(self, what):
        self.machine.sync(self.drive, 90)
        server, twice = self.emulator.tree()
        for line in differences(self.wanted, server) + [path + ' is there twice' for path in twice]:
            self.wrong(f'{what}: on the server {line}')

    def without_network(self):
        patiently(60, 'reading', tree_of, self.path('case0'))
        self.machine.unmap(self.drive)
        self.emulator.stop()
        self.map()
        self.call('offline: list', False, os.listdir, self.path('case0'))
        if self.call('offline: read', False, digest_of, self.path('case0/large')) != self.wanted['case0/large']:
            self.wrong('offline: reads other bytes')
        self.call('offline: write', False, self.put, self.path('case0/offline'), b'offline')
        self.call('offline: df', True, os.statvfs, self.drive)
        self.call('offline: status', False, self.machine.status, 20)
        self.emulator.start()
        self.wanted['case0/offline'] = hashlib.sha1(b'offline').hexdigest()
        self.settle('back online')

    def run(self, only):
        self.prepare()
        self.map()
        for number, (fault, members, match) in enumerate(FAULTS):
            if not only or fault == only:
                begin = time.monotonic()
                self.strike(number, fault, members, match)
                print(f'{fault} {members} {match}: {time.monotonic() - begin:.1f} s', flush=True)
        self.settle('after all faults')
        self.without_network()

    def close(self, keep):
        self.machine.close()
        self.emulator.stop()
        if keep:
            print('kept:', self.work)
        else:
            shutil.rmtree(self.work, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('driveway')
    parser.add_argument('emulator')
    parser.add_argument('--only')
    parser.add_argument('--keep', action='store_true')
    arguments = parser.parse_args()
    check_place()
    test = Test(arguments)
    try:
        test.run(arguments.only)
    except (Trouble, OSError) as trouble:
        test.wrong(f'{type(trouble).__name__} {trouble}')
    finally:
        test.close(arguments.keep)
    return 1 if test.failed else 0


if __name__ == '__main__':
    sys.exit(main())
