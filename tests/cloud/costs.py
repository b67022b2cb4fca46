#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What programs do on a mapped Box drive costs no more calls than docs/box.md says.

    costs.py DRIVEWAY EMULATOR BOX.MD [--keep]

Every row of the table below the heading "What work on a drive costs" is done here, each in a folder of its own, while
the emulator writes down all calls; every row must be known here, and everything here must be a row. The list that is printed
has what was counted. Saves must make a new version of the very item that the file was before.
"""

import os
import re
import shutil
import sys
import time
from collections import Counter

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

import editors  # noqa: E402
from box import TOKEN, Emulator  # noqa: E402
from drive import Machine, Trouble, check_place, parser_of, patiently, remove_work, run_test, work_folder  # noqa: E402

HEADING = '## What work on a drive costs'
# The feed may tell of a change before its answer is here; then it has to be looked at. So what costs more is tried once more.
TRIES = 2
ECHO = 0.3  # seconds in which the feed tells of what we did
# The feed has its own line in the document; the space of the account is asked for once a minute; bytes come from elsewhere.
APART = ('events.', 'users.me', 'data')


def promised(document):
    """work -> calls, of the table."""
    with open(document, encoding='utf-8') as file:
        parts = file.read().split(HEADING + '\n')
    if len(parts) != 2:
        raise Trouble(f'{document} has no part "{HEADING}"')
    rows = re.findall(r'^\| ([^|]+?) \| (\d+)[^|]* \|', parts[1].split('\n## ')[0], re.MULTILINE)
    return {work: int(calls) for work, calls in rows}


class Work:
    """Each piece gets the folder that was made for it: 'file', 'other', 'sub/leaf' and 'sub/more/leaf' are there."""

    @staticmethod
    def look(folder):
        os.listdir(folder)

    @staticmethod
    def read(folder):
        with open(os.path.join(folder, 'file'), 'rb') as file:
            file.read()

    @staticmethod
    def set_attribute(folder):
        os.setxattr(os.path.join(folder, 'file'), 'user.colour', b'red')

    @staticmethod
    def get_attribute(folder):
        os.getxattr(os.path.join(folder, 'file'), 'user.driveway.remote')
        os.listxattr(os.path.join(folder, 'file'))

    @staticmethod
    def create(folder):
        editors.put(os.path.join(folder, 'new'), b'new', os.O_CREAT | os.O_EXCL)

    @staticmethod
    def append(folder):
        editors.put(os.path.join(folder, 'file'), b'more', os.O_APPEND)

    @staticmethod
    def passing(folder):
        path = os.path.join(folder, 'passing')
        editors.put(path, b'passing', os.O_CREAT | os.O_EXCL)
        os.unlink(path)

    @staticmethod
    def many_saves(folder):
        for number in range(20):
            editors.gedit(folder, 'file', b'version %d' % number)

    def table(self):
        """work -> (done before and not counted, done and counted)."""
        path = os.path.join
        nothing = []

        def look_deep(folder):
            for _ in os.walk(folder):
                pass

        def saving(editor):
            return [self.look, self.read], lambda folder: editor(folder, 'file', b'saved by a program')

        return {
            'list a folder for the first time': (nothing, self.look),
            'list it again': ([self.look], self.look),
            'look at a file in a listed folder': ([self.look], lambda folder: os.stat(path(folder, 'file'))),
            'look for a name that is not there, in a listed folder':
                ([self.look], lambda folder: os.path.exists(path(folder, 'nothing'))),
            'look at a file by its path, in a folder never listed': (nothing, lambda folder: os.stat(path(folder, 'file'))),
            'open and read a file for the first time': ([self.look], self.read),
            'open and read it again': ([self.look, self.read], self.read),
            'ask for the space (df)': (nothing, os.statvfs),
            'make a file': ([self.look], self.create),
            'make a file and remove it at once': ([self.look], self.passing),
            'append to a file': ([self.look, self.read], self.append),
            'make a folder': ([self.look], lambda folder: os.mkdir(path(folder, 'new'))),
            'rename a file': ([self.look], lambda folder: os.rename(path(folder, 'file'), path(folder, 'named'))),
            'move a file to another folder':
                ([look_deep], lambda folder: os.rename(path(folder, 'file'), path(folder, 'sub', 'file'))),
            'move or rename a folder': ([self.look], lambda folder: os.rename(path(folder, 'sub'), path(folder, 'named'))),
            'remove a file': ([self.look], lambda folder: os.unlink(path(folder, 'file'))),
            'remove a folder of 3 files and folders (rm -r)': ([look_deep], lambda folder: shutil.rmtree(path(folder, 'sub'))),
            'set an extended attribute': ([self.look], self.set_attribute),
            'read extended attributes': ([self.look], self.get_attribute),
            'change a mode (chmod)': ([self.look], lambda folder: os.chmod(path(folder, 'file'), 0o600)),
            'save in nano': saving(editors.nano),
            'save in nano with --backup': saving(editors.nano_keeping),
            'save in vim': saving(editors.vim),
            'save in vim with backupcopy=yes': saving(editors.vim_copying),
            'save in vim with backup': saving(editors.vim_keeping),
            'save in gedit': saving(editors.gedit),
            'save in LibreOffice': saving(editors.libreoffice),
            'save 20 times within a second': ([self.look, self.read], self.many_saves),
        }


class Test:
    def __init__(self, arguments):
        self.arguments = arguments
        self.work = work_folder('costs')
        self.drive = os.path.join(self.work, 'drive')
        self.emulator = Emulator(arguments.emulator, os.path.join(self.work, 'server'))
        self.machine = Machine(arguments.driveway, self.work, DRIVEWAY_BOX_TOKEN=TOKEN)
        self.failed = 0

    def wrong(self, text):
        self.failed += 1
        print(text, flush=True)

    def prepare(self, count):
        for number in range(count):
            for name in ('file', 'other', 'sub/leaf', 'sub/more/leaf'):
                self.emulator.control('POST', 'changes', {'op': 'upload', 'path': f'/case{number}/{name}',
                                                          'content': f'{name} {number}'})

    def entries(self):
        return {entry['path'].strip('/'): entry for entry in self.emulator.control('GET', 'tree')['entries']}

    def count(self, work, folder):
        """The calls of a piece of work, until it is on the server and the feed has told of it."""
        self.emulator.control('POST', 'recording', {'on': True})
        patiently(30, 'work', work, folder)
        self.machine.sync(self.drive, 30)
        time.sleep(ECHO)
        calls = self.emulator.control('GET', 'recording')['calls']
        self.emulator.control('POST', 'recording', {'on': False})
        return Counter(call['kind'] for call in calls if call['kind'] and not call['kind'].startswith(APART))

    def check_save(self, what, number, before, after):
        """The same item, in a new version, its bytes those that were saved, and nothing of it in the trash."""
        path = f'case{number}/file'
        if before[path]['id'] != after[path]['id']:
            self.wrong(f'{what}: item {before[path]["id"]} became item {after[path]["id"]}')
        if before[path]['sha1'] == after[path]['sha1']:
            self.wrong(f'{what}: the server has the old bytes')
        for entry in self.emulator.control('GET', 'tree').get('trash', []):
            if entry.get('id') == before[path]['id']:
                self.wrong(f'{what}: the item went to the trash')

    def run(self):
        table, wanted = Work().table(), promised(self.arguments.document)
        for what in sorted(table.keys() ^ wanted.keys()):
            self.wrong(f'{what}: {"not in the document" if what in table else "not tested"}')
        self.prepare(TRIES * len(table))
        options = {key.replace('-', '_'): value for key, value in self.emulator.options().items()}
        self.machine.map(self.drive, 'box:', os.path.join(self.work, 'cache'), state=os.path.join(self.work, 'state'), **options)
        os.listdir(self.drive)
        os.statvfs(self.drive)
        for number, (what, (before, work)) in enumerate(table.items()):
            most = wanted.get(what, 0)
            for again in range(TRIES):
                counted = self.piece(TRIES * number + again, what, before, work)
                if sum(counted.values()) <= most:
                    break
            total = sum(counted.values())
            said = ', '.join(f'{times} {kind}' for kind, times in sorted(counted.items()))
            print(f'{total} of {most}  {what}' + (f': {said}' if said else ''), flush=True)
            if total > most:
                self.wrong(f'{what}: {total} calls, {most} at most were promised')

    def piece(self, number, what, before, work):
        folder = os.path.join(self.drive, f'case{number}')
        os.stat(folder)
        for step in before:
            step(folder)
        time.sleep(ECHO / 2 if before else 0)  # what is read ahead is here then
        there = self.entries()
        counted = self.count(work, folder)
        if what.startswith('save') and what != 'save in vim with backup':
            self.check_save(what, number, there, self.entries())
        return counted

    def close(self, keep):
        self.machine.close()
        self.emulator.stop()
        remove_work(self.work, keep)


def main():
    arguments = parser_of(__doc__, 'driveway', 'emulator', 'document').parse_args()
    check_place()
    test = Test(arguments)
    return run_test(test, arguments.keep, test.run)


if __name__ == '__main__':
    sys.exit(main())
