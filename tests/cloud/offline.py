#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A Box drive is mapped, and its service started, while there is no network.

    offline.py DRIVEWAY EMULATOR [--only refused|silent] [--keep]

Twice: the server refuses connections, and the server takes them and never answers. What is cached must be listed, read and
changed at once, as if nothing was, and so must df; what is not cached must fail within the drive's timeout. Status says
so. When the server is back, what was written goes up by itself.
"""

import errno
import hashlib
import os
import signal
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from box import TOKEN, Emulator  # noqa: E402
from drive import (  # noqa: E402
    Machine,
    Trouble,
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

TIMEOUT = 2
BUSY = 1.5  # seconds that a busy machine may need for anything, the start of a service included
RECOVERY = 40


class Test:
    def __init__(self, arguments, away):
        self.away = away
        self.work = work_folder('offline')
        self.drive = os.path.join(self.work, 'drive')
        self.emulator = Emulator(arguments.emulator, os.path.join(self.work, 'server'))
        self.machine = Machine(arguments.driveway, self.work, DRIVEWAY_BOX_TOKEN=TOKEN)
        self.slowest = {'cached': 0.0, 'not cached': 0.0}
        self.failed = 0
        self.wanted = {}

    def wrong(self, text):
        self.failed += 1
        print(f'{self.away}: {text}', flush=True)

    def path(self, *names):
        return os.path.join(self.drive, *names)

    def map(self):
        options = {key.replace('-', '_'): value for key, value in self.emulator.options().items()}
        self.machine.map(self.drive, 'box:', os.path.join(self.work, 'cache'), state=os.path.join(self.work, 'state'),
                         timeout=TIMEOUT, read_ahead=0, **options)

    def go_away(self):
        if self.away == 'refused':
            self.emulator.stop()
        else:
            self.emulator.process.send_signal(signal.SIGSTOP)

    def come_back(self):
        if self.away == 'refused':
            self.emulator.start()
        else:
            self.emulator.process.send_signal(signal.SIGCONT)

    def timed(self, kind, what, function, *arguments):
        begin = time.monotonic()
        try:
            return patiently(TIMEOUT * 8, what, function, *arguments)
        finally:
            took = time.monotonic() - begin
            self.slowest[kind] = max(self.slowest[kind], took)
            if took > BUSY + (TIMEOUT if kind == 'not cached' else 0):
                self.wrong(f'{what} took {took:.1f} s')

    def at_once(self, what, function, *arguments):
        return self.timed('cached', what, function, *arguments)

    def in_vain(self, what, function, *arguments):
        try:
            self.timed('not cached', what, function, *arguments)
            self.wrong(f'{what} worked')
        except OSError as error:
            if error.errno not in (errno.EIO, errno.ETIMEDOUT):
                self.wrong(f'{what}: {error}')

    @staticmethod
    def put(path, data):
        with open(path, 'wb') as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def look(self, when, names):
        """All that must not wait for anything."""
        self.at_once(f'{when}: df', os.statvfs, self.drive)
        listed = self.at_once(f'{when}: ls', os.listdir, self.path('papers'))
        if sorted(listed) != sorted(names):
            self.wrong(f'{when}: lists {listed}')
        for name in names:
            self.at_once(f'{when}: stat {name}', os.stat, self.path('papers', name))
        if self.at_once(f'{when}: read', digest_of, self.path('papers/read')) != self.wanted['papers/read']:
            self.wrong(f'{when}: reads other bytes')
        if self.at_once(f'{when}: a name that is not there', os.path.exists, self.path('papers/nothing')):
            self.wrong(f'{when}: finds what is not there')

    def change(self):
        self.at_once('write', self.put, self.path('papers/made'), b'made offline')
        self.at_once('write over', self.put, self.path('papers/old'), b'changed offline')
        self.at_once('mkdir', os.mkdir, self.path('papers/folder'))
        self.at_once('move', os.rename, self.path('papers/moved'), self.path('papers/folder/moved'))
        self.at_once('remove', os.unlink, self.path('papers/gone'))
        self.at_once('set an attribute', os.setxattr, self.path('papers/read'), 'user.colour', b'red')
        for name, data in (('made', b'made offline'), ('old', b'changed offline')):
            self.wanted['papers/' + name] = hashlib.sha1(data).hexdigest()
        self.wanted['papers/folder'] = ''
        self.wanted['papers/folder/moved'] = self.wanted.pop('papers/moved')
        del self.wanted['papers/gone']

    def check_status(self):
        end = time.monotonic() + TIMEOUT * 3
        while True:
            said = self.at_once('status', self.machine.facts, self.drive)['provider_status'] or {}
            if said.get('connection') == 'offline' or time.monotonic() > end:
                break
            time.sleep(0.2)
        print(f'{self.away}: {said.get("connection")}: {said.get("message")}; {said.get("pending")}', flush=True)
        if said.get('connection') != 'offline' or not said.get('message') or said['pending']['count'] < 6:
            self.wrong(f'status says {said}')

    def recover(self):
        begin = time.monotonic()
        self.come_back()
        while True:
            said = self.machine.facts(self.drive)['provider_status'] or {}
            if said.get('connection') == 'online' and not said['pending']['count']:
                break
            if time.monotonic() - begin > RECOVERY:
                raise Trouble(f'not up {RECOVERY} s after the server was back: {said}')
            time.sleep(0.2)
        print(f'{self.away}: on the server {time.monotonic() - begin:.1f} s after it was back', flush=True)
        server, twice = self.emulator.tree()
        for line in differences(self.wanted, server) + [path + ' is there twice' for path in twice]:
            self.wrong('on the server ' + line)
        for line in differences(self.wanted, patiently(30, 'reading', tree_of, self.drive)):
            self.wrong('on the drive ' + line)

    def run(self):
        for path in ('papers/read', 'papers/old', 'papers/moved', 'papers/gone', 'papers/unread', 'unknown/file'):
            self.emulator.control('POST', 'changes', {'op': 'upload', 'path': '/' + path, 'content': path * 100})
        self.wanted, _ = self.emulator.tree()
        self.map()
        os.listdir(self.path('papers'))
        digest_of(self.path('papers/read'))
        self.machine.unmap(self.drive)
        self.go_away()
        self.map()
        self.look('mapped', ['read', 'old', 'moved', 'gone', 'unread'])
        self.change()
        self.look('changed', ['read', 'old', 'unread', 'made', 'folder'])
        self.in_vain('reading a file never read', digest_of, self.path('papers/unread'))
        self.in_vain('listing a folder never listed', os.listdir, self.path('unknown'))
        self.check_status()
        self.in_vain('reading it again', digest_of, self.path('papers/unread'))
        self.look('told to be offline', ['read', 'old', 'unread', 'made', 'folder'])
        os.kill(self.machine.service(), signal.SIGKILL)
        self.look('another service', ['read', 'old', 'unread', 'made', 'folder'])
        self.in_vain('reading it with another service', digest_of, self.path('papers/unread'))
        self.recover()
        print(f'{self.away}: the slowest call took ' + ', '.join(f'{took:.2f} s ({kind})' for kind, took in self.slowest.items()))

    def close(self, keep):
        self.machine.close()
        self.emulator.process.send_signal(signal.SIGCONT)
        self.emulator.stop()
        remove_work(self.work, keep)


def main():
    parser = parser_of(__doc__, 'driveway', 'emulator')
    parser.add_argument('--only', choices=('refused', 'silent'))
    arguments = parser.parse_args()
    check_place()
    failed = 0
    for away in [arguments.only] if arguments.only else ['refused', 'silent']:
        test = Test(arguments, away)
        failed += run_test(test, arguments.keep, test.run)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
