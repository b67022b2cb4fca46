#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What others change on the server shows on a drive, and nobody who has a file open gets bytes of another version.

    fresh.py DRIVEWAY EMULATOR SHELF.SO [--keep]

- A Box drive shows what another user did, in whatever of its folders, soon after.
- A file that the server replaces, or removes, while it is open here stays what it was for who has it open, what was
  not read of it yet included; its name leads to the new one.
- While the drive hears nothing, everything on the server changes, and then the server does not know the drive's position in
  the feed any more: nobody ever tells of these changes, and the drive has to find them.
- Where the server has no feed at all (the shelf of examples/), the drive looks every -o poll seconds.
"""

import os
import signal
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from box import TOKEN, Emulator  # noqa: E402
from drive import (  # noqa: E402
    Machine,
    check_place,
    differences,
    parser_of,
    patiently,
    remove_work,
    run_test,
    tree_of,
    work_folder,
)

SOON = 10  # seconds on a busy machine; it is some tenths on an idle one
POLL = 0.5
LARGE = 3_000_000


def text_of(name, size):
    return (name * (size // len(name) + 1))[:size]


class Test:
    def __init__(self, arguments):
        self.arguments = arguments
        self.work = work_folder('fresh')
        self.emulator = Emulator(arguments.emulator, self.path('server'))
        self.machine = Machine(arguments.driveway, self.work, DRIVEWAY_BOX_TOKEN=TOKEN)
        self.drive = self.path('box')
        self.failed = 0

    def path(self, *names):
        return os.path.join(self.work, *names)

    def wrong(self, text):
        self.failed += 1
        print(text, flush=True)

    def change(self, **what):
        self.emulator.control('POST', 'changes', what)

    def upload(self, path, content):
        self.change(op='upload', path='/' + path, content=content)

    def soon(self, what, function):
        begin = time.monotonic()
        while not patiently(30, what, function):
            if time.monotonic() - begin > SOON:
                self.wrong(f'{what}: not within {SOON} s')
                return
            time.sleep(0.05)
        print(f'{what}: {time.monotonic() - begin:.1f} s', flush=True)

    def same(self, what):
        """The drive soon shows what the server has, and shows nothing else then."""
        server, _ = self.emulator.tree()

        def is_same():
            try:
                return tree_of(self.drive) == server
            except FileNotFoundError:  # what was just listed is gone
                return False

        self.soon(what, is_same)
        for line in differences(server, patiently(30, 'reading', tree_of, self.drive)):
            self.wrong(f'{what}: {line}')

    def others_change(self, round_number):
        """One of each kind of change."""
        self.upload('a/changed', f'another version {round_number}')
        self.upload(f'a/new {round_number}', 'new')
        self.change(op='delete', path=f'/a/gone {round_number}')
        self.change(op='move', path=f'/a/moved {round_number}', to=f'/b/moved {round_number}')
        self.change(op='mkdir', path=f'/b/folder {round_number}')
        self.change(op='move', path=f'/c {round_number}', to=f'/b/c {round_number}')

    def box(self):
        self.upload('a/changed', 'one version')
        for round_number in (1, 2):
            for path in (f'a/gone {round_number}', f'a/moved {round_number}', f'c {round_number}/below'):
                self.upload(path, path)
        self.change(op='mkdir', path='/b')
        self.upload('a/large', text_of('old ', LARGE))
        self.upload('a/removed', text_of('removed ', LARGE))
        options = {key.replace('-', '_'): value for key, value in self.emulator.options().items()}
        self.machine.map(self.drive, 'box:', self.path('cache'), state=self.path('state'), timeout=10, read_ahead=0, **options)
        for folder in ('', 'a', 'b', 'c 1', 'c 2'):
            os.listdir(os.path.join(self.drive, folder))
        self.open_while_replaced()
        self.others_change(1)
        self.same('what another user changes')
        self.lose_events()

    def open_while_replaced(self):
        files = {}
        try:
            for name in ('large', 'removed'):
                files[name] = os.open(os.path.join(self.drive, 'a', name), os.O_RDONLY)
                os.pread(files[name], 4096, 0)
            self.upload('a/large', text_of('new ', LARGE // 2))
            self.change(op='delete', path='/a/removed')
            path = os.path.join(self.drive, 'a/large')
            self.soon('a file that is open is replaced', lambda: os.stat(path).st_size == LARGE // 2)
            self.soon('a file that is open is removed', lambda: not os.path.exists(os.path.join(self.drive, 'a/removed')))
            for name, content in (('large', text_of('old ', LARGE)), ('removed', text_of('removed ', LARGE))):
                size = os.fstat(files[name]).st_size
                if size != LARGE:
                    self.wrong(f'{name}: {size} bytes for who has it open')
                if name == 'removed':
                    # Only what was read before is sure: the server may have thrown the rest away.
                    data, wanted = os.pread(files[name], 4096, 0), content[:4096].encode()
                else:
                    data, wanted = patiently(30, 'reading', os.pread, files[name], LARGE, 0), content.encode()
                if data != wanted:
                    self.wrong(f'{name}: who has it open reads {len(data)} bytes, other ones than were there')
            with open(path, 'rb') as file:
                if file.read() != text_of('new ', LARGE // 2).encode():
                    self.wrong('large: its name does not lead to the new bytes')
        finally:
            for descriptor in files.values():
                os.close(descriptor)
        self.same('after files that were open are closed')

    def lose_events(self):
        time.sleep(0.3)  # the drive waits for news
        service = self.machine.service()
        os.kill(service, signal.SIGSTOP)
        try:
            self.others_change(2)
            self.emulator.fault('status', status=400, times=1, match={'kind': 'events.get'})
        finally:
            os.kill(service, signal.SIGCONT)
        self.same('what the feed has lost')
        if not all(fault['struck'] for fault in self.emulator.control('GET', 'faults')['faults']):
            self.wrong('the drive never asked for the position that is not known any more')
        self.emulator.heal()
        # And the feed goes on from the new position.
        self.upload('a/afterwards', 'afterwards')
        self.same('what changes afterwards')

    def poll(self):
        """Two drives of one shelf; what one brings there the other finds by looking."""
        source = os.path.realpath(self.arguments.shelf) + ':' + self.path('shelf')
        os.mkdir(self.path('shelf'))
        for name in ('here', 'there'):
            self.machine.map(self.path(name), source, self.path(name + '-cache'), poll=POLL, settle=0.1)
        here, there = self.path('here'), self.path('there')
        os.listdir(there)

        def put(name, data):
            with open(os.path.join(here, name), 'wb') as file:
                file.write(data)
            self.machine.sync(here)

        def holds(name, data):
            try:
                with open(os.path.join(there, name), 'rb') as file:
                    return file.read() == data
            except FileNotFoundError:
                return False

        put('file', b'one')
        self.soon('polled: a new file', lambda: holds('file', b'one'))
        put('file', b'another')
        self.soon('polled: a new version', lambda: holds('file', b'another'))
        os.mkdir(os.path.join(here, 'folder'))
        os.rename(os.path.join(here, 'file'), os.path.join(here, 'folder', 'moved'))
        self.machine.sync(here)
        self.soon('polled: a move', lambda: holds('folder/moved', b'another') and os.listdir(there) == ['folder'])
        os.unlink(os.path.join(here, 'folder', 'moved'))
        self.machine.sync(here)
        self.soon('polled: a removal', lambda: os.listdir(os.path.join(there, 'folder')) == [])

    def close(self, keep):
        self.machine.close()
        self.emulator.stop()
        remove_work(self.work, keep)


def main():
    arguments = parser_of(__doc__, 'driveway', 'emulator', 'shelf').parse_args()
    check_place()
    test = Test(arguments)
    return run_test(test, arguments.keep, test.box, test.poll)


if __name__ == '__main__':
    sys.exit(main())
