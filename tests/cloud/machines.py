#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Two machines work on one account at random, with overlapping names; then both must show what the server has.

    machines.py DRIVEWAY EMULATOR [--seed N] [--steps N] [--keep]

Each machine is a service of its own with a cache of its own. What was written, and not removed or written over by the
same machine afterwards, must be somewhere on the server: under its name, as a conflicted copy, or as an older version.
At the end nobody may make calls any more.
"""

import argparse
import hashlib
import os
import random
import shutil
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from box import TOKEN, Emulator  # noqa: E402
from drive import Machine, Trouble, check_place, differences, patiently, tree_of, work_folder  # noqa: E402

NAMES = ('one', 'two', 'three', 'four.txt')
FOLDERS = ('', 'here', 'there', 'here/deep')


class Worker:
    """Random changes on a drive. What two machines do at once may fail in the ways that are listed."""

    USUAL = (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError)

    def __init__(self, drive, chance):
        self.drive, self.chance = drive, chance
        self.written = {}  # SHA-1 -> path, of what has to be somewhere

    def some(self):
        return os.path.join(self.drive, self.chance.choice(FOLDERS), self.chance.choice(NAMES))

    def step(self):
        what = self.chance.choices((self.write, self.save, self.rename, self.remove, self.mkdir, self.move_folder, self.look),
                                   (6, 6, 3, 2, 2, 1, 3))[0]
        try:
            what()
        except self.USUAL:
            pass
        except OSError as error:
            if error.errno not in (39, 116):  # ENOTEMPTY, ESTALE: the other one was there first
                raise

    def note(self, path, data):
        # What this machine wrote there before is an older version, or was never sent: it need not be found.
        for digest in [digest for digest, other in self.written.items() if other == path]:
            del self.written[digest]
        self.written[hashlib.sha1(data).hexdigest()] = path

    def forget(self, path):
        for digest in [digest for digest, other in self.written.items()
                       if other == path or other.startswith(path + '/')]:
            del self.written[digest]

    def write(self):
        path, data = self.some(), self.chance.randbytes(self.chance.randint(1, 5000))
        with open(path, 'wb') as file:
            file.write(data)
        self.note(path, data)

    def save(self):
        path, data = self.some(), self.chance.randbytes(self.chance.randint(1, 5000))
        with open(path + '.tmp', 'wb') as file:
            file.write(data)
            os.fsync(file.fileno())
        os.rename(path + '.tmp', path)
        self.note(path, data)

    def rename(self):
        source, target = self.some(), self.some()
        if source == target or os.path.isdir(target):
            return
        os.rename(source, target)
        self.forget(target)
        for digest, path in list(self.written.items()):
            if path == source:
                self.written[digest] = target

    def remove(self):
        path = self.some()
        os.unlink(path)
        self.forget(path)

    def mkdir(self):
        os.mkdir(os.path.join(self.drive, self.chance.choice(FOLDERS[1:])))

    def move_folder(self):
        source, target = (os.path.join(self.drive, name) for name in ('there', 'moved'))
        if self.chance.random() < 0.5:
            source, target = target, source
        os.rename(source, target)
        for digest, path in list(self.written.items()):
            if path.startswith(source + '/'):
                self.written[digest] = target + path[len(source):]

    def look(self):
        with open(self.some(), 'rb') as file:
            file.read()


def shas_of(emulator):
    """Of every content that the server has kept: files, versions, trash."""
    found = set()
    for folder, _, names in os.walk(emulator.folder):
        for name in names:
            path = os.path.join(folder, name)
            if not name.endswith(('.db', '-wal', '-shm', '-journal')):
                with open(path, 'rb') as file:
                    found.add(hashlib.sha1(file.read()).hexdigest())
    return found


def settle(machines, emulator, limit=60):
    """Until both drives and the server are the same."""
    end = time.monotonic() + limit
    while True:
        for machine, drive in machines:
            machine.sync(drive, limit)
        server, twice = emulator.tree()
        lines = [f'{path} is there twice' for path in twice]
        for machine, drive in machines:
            try:
                found = patiently(limit, 'comparing', tree_of, drive)
            except FileNotFoundError as error:
                lines.append(str(error))  # it went between the listing and the reading: not settled yet
                continue
            lines += [f'{os.path.basename(drive)}: {line}' for line in differences(server, found)]
        if not lines:
            return []
        if time.monotonic() > end:
            return lines
        time.sleep(1)


def quiet(emulator, limit=20):
    """Whether calls come to an end."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        before = emulator.calls()
        time.sleep(3)
        if emulator.calls() == before:
            return True
    return False


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('driveway')
    parser.add_argument('emulator')
    parser.add_argument('--seed', default=str(int(time.time())))
    parser.add_argument('--steps', type=int, default=300)
    parser.add_argument('--keep', action='store_true')
    arguments = parser.parse_args()
    check_place()
    print('seed', arguments.seed, flush=True)
    work = work_folder('machines')
    emulator = Emulator(arguments.emulator, os.path.join(work, 'server'))
    machines, failed = [], []
    try:
        chance = random.Random(arguments.seed)
        for name in ('red', 'blue'):
            machine = Machine(arguments.driveway, work, DRIVEWAY_BOX_TOKEN=TOKEN)
            drive = os.path.join(work, name)
            machines.append((machine, drive))
            machine.map(drive, 'box:', os.path.join(work, name + '-cache'), state=os.path.join(work, name + '-state'),
                        **{key.replace('-', '_'): value for key, value in emulator.options().items()})
        workers = [Worker(drive, random.Random(f'{arguments.seed}.{drive[-3:]}')) for _, drive in machines]
        for _ in range(arguments.steps):
            patiently(60, 'a step', chance.choice(workers).step)
            if chance.random() < 0.1:
                time.sleep(chance.random())
        failed = settle(machines, emulator)
        kept = shas_of(emulator)
        for worker in workers:
            failed += [f'what was written to {path} is nowhere' for digest, path in worker.written.items()
                       if digest not in kept]
        if not quiet(emulator):
            failed.append('calls do not come to an end')
        copies = [path for path in emulator.tree()[0] if 'conflicted copy' in path]
        print(f'{arguments.steps} steps, {len(copies)} conflicted copies, {emulator.calls()} calls')
    except (Trouble, OSError) as trouble:
        failed.append(f'{type(trouble).__name__} {trouble}')
    finally:
        for machine, _ in machines:
            machine.close()
        emulator.stop()
        if arguments.keep:
            print('kept:', work)
        else:
            shutil.rmtree(work, ignore_errors=True)
    for line in failed[:20]:
        print(line)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
