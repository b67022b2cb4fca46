#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every fault of the emulator against every kind of work on a mapped Box drive.

    faults.py DRIVEWAY EMULATOR [--only FAULT] [--keep]

The login is a person's, with tokens that are renewed; what counts as large, and a part of it, is small here, so that each
fault meets uploads in parts. Each fault stands while a program lists, reads, writes, renames, removes, makes folders and asks for space; then it is
taken away. A call may fail only with an error that says that the service cannot be had, and not later than the drive's
timeout; changes never fail. Afterwards everything is on the server, once. Then the server is not there at all: the
drive maps from its cache, reads what it has, takes changes, and brings them up when the server is back.
"""

import errno
import hashlib
import os
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from box import Emulator  # noqa: E402
from drive import (  # noqa: E402
    Machine,
    check_place,
    differences,
    digest_of,
    parser_of,
    patiently,
    remove_work,
    run_test,
    tree_of,
    work_folder,
)

TIMEOUT = 3
MARGIN = 4  # seconds beyond the timeout that a busy machine may need
MEMORY = 32 << 20
UNREACHABLE = (errno.EIO, errno.ETIMEDOUT, errno.EACCES)
FAULTS = [
    ('latency', {'ms': 300}, {}),
    ('bandwidth', {'bytes_per_second': 200_000}, {}),
    ('status', {'status': 500, 'times': 5}, {}),
    ('status', {'status': 503, 'retry_after': 1, 'times': 3}, {}),
    ('status', {'status': 429, 'retry_after': 1, 'times': 3}, {}),
    ('status', {'status': 502}, {}),
    ('status', {'status': 400, 'code': 'bad_digest', 'times': 2}, {'method': 'PUT'}),
    ('expired_token', {'times': 3}, {}),
    ('expired_token', {}, {'path': '^/(2.0|api/2.0)/'}),
    ('accepted', {'retry_after': 1, 'times': 2}, {'kind': 'file.content'}),
    ('accepted', {'retry_after': 1, 'times': 2}, {'kind': 'session.commit'}),
    ('reset_before', {'times': 6}, {}),
    ('reset_after', {'times': 6}, {}),
    ('reset_after', {}, {'method': 'POST'}),
    ('reset_upload', {'at': 100, 'times': 3}, {}),
    ('reset_upload', {'at': 20_000, 'times': 5}, {'kind': 'session.part'}),
    ('reset_after', {'times': 1}, {'kind': 'session.commit'}),
    ('reset_body', {'at': 50, 'times': 6}, {}),
    ('truncate', {'at': 50, 'times': 6}, {}),
    ('truncate', {'at': 10, 'times': 2}, {'kind': 'session.commit'}),
    ('corrupt', {'at': 20, 'times': 3}, {'kind': 'data'}),
    ('corrupt', {'at': 1, 'times': 6}, {}),
    ('stall', {'seconds': 2, 'at': 10, 'times': 4}, {}),
    ('stall', {'seconds': 60}, {}),
    ('skew', {'seconds': 86400}, {}),
    ('skew', {'seconds': -86400}, {}),
    ('drop', {}, {}),
    ('drop', {}, {'kind': 'session.part'}),
]
LARGE, PART = 100_000, 40_000


class Test:
    def __init__(self, arguments):
        self.work = work_folder('faults')
        self.drive, self.cache = os.path.join(self.work, 'drive'), os.path.join(self.work, 'cache')
        self.emulator = Emulator(arguments.emulator, os.path.join(self.work, 'server'), session_least=1, part_size=PART)
        self.machine = Machine(arguments.driveway, self.work)
        self.state = os.path.join(self.work, 'state')
        self.emulator.log_in(self.state)
        self.failed = []
        self.wanted = {}

    def map(self):
        options = {key.replace('-', '_'): value for key, value in self.emulator.options().items() if key != 'auth'}
        self.machine.map(self.drive, 'box:', self.cache, state=self.state, timeout=TIMEOUT, parts_above=LARGE, **options)

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
            for what, data in (('saved', b's' * 3000), ('new', os.urandom(5000)), ('huge', os.urandom(LARGE * 3))):
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

    def large(self):
        """Files as large as they are at Box, with connections that break: memory does not grow with them."""
        self.emulator.control('PUT', 'settings', {'part_size': 8_000_000})
        self.emulator.fault('reset_upload', at=3_000_000, times=2, match={'kind': 'session.part'})
        peak, sizes = 0, (60_000_001, 30_000_000)
        for number, size in enumerate(sizes):
            data = os.urandom(1_000_000) * (size // 1_000_000 + 1)
            with open(self.path(f'large{number}'), 'wb') as file:
                for start in range(0, size, 1_000_000):
                    file.write(data[start:min(start + 1_000_000, size)])
            self.wanted[f'large{number}'] = hashlib.sha1(data[:size]).hexdigest()
        syncing = threading.Thread(target=self.settle, args=('large files',))
        syncing.start()
        while syncing.is_alive():
            peak = max(peak, self.machine.memory())
            time.sleep(0.05)
        self.emulator.heal()
        print(f'{sum(sizes) / 1e6:.0f} MB go up with at most {peak >> 20} MB in memory', flush=True)
        if peak > MEMORY:
            self.wrong(f'the service held {peak >> 20} MB while large files went up')

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
        if not only:
            self.large()
        self.without_network()

    def close(self, keep):
        self.machine.close()
        self.emulator.stop()
        remove_work(self.work, keep)


def main():
    parser = parser_of(__doc__, 'driveway', 'emulator')
    parser.add_argument('--only')
    arguments = parser.parse_args()
    check_place()
    test = Test(arguments)
    return run_test(test, arguments.keep, lambda: test.run(arguments.only))


if __name__ == '__main__':
    sys.exit(main())
