#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The power goes while a Box drive is worked on: what fsync promised must be on the server afterwards, once.

    powercut.py DRIVEWAY EMULATOR [--seed N] [--crashes N] [--keep]

A drive of the emulator is worked on by a program that syncs what it writes and notes when each fsync returned. Service
and emulator are recorded (strace). Then, for crashes at points of the recording chosen by the seed, the cache folder is built
as a power cut may have left it (disk.py) and the emulator's data as they were at that moment, a new drive is mapped over
them, is given time to bring everything up, and is compared: each file that was synced before the cut is there, once,
with the bytes of that fsync or of a later write, on the drive and on the server.
"""

import argparse
import hashlib
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from disk import CALLS, Disk, Recording, Unreadable, chances  # noqa: E402

SKIP = 77
BLOCK = 64 * 1024
LARGE, PART = 2 * BLOCK, BLOCK // 2  # larger files go up in parts of this size


class Trouble(Exception):
    pass


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


class Emulator:
    """At the same address each time: a cache folder belongs to an account at a host and port."""

    def __init__(self, program, folder, port):
        self.folder = folder
        self.process = subprocess.Popen(
            [program, '--data', folder, '--http', f'127.0.0.1:{port}', '--developer-token', 'power', '--set', 'session_least=1',
             '--set', f'part_size={PART}'],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        if not self.process.stdout.readline():
            raise Trouble('the emulator did not start')
        with open(os.path.join(folder, 'endpoints.json'), encoding='utf-8') as file:
            self.endpoints = json.load(file)

    def control(self, path, body=None):
        url = self.endpoints['control'].rstrip('/') + '/' + path
        data = json.dumps(body).encode() if body is not None else None
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, data, timeout=60) as answer:
            return json.loads(answer.read() or b'null')

    def tree(self):
        """path -> SHA-1 of every file on the server."""
        found = self.control('tree')
        files = {}
        for entry in found['entries']:
            if entry['type'] == 'file':
                files.setdefault(entry['path'].lstrip('/'), []).append(entry['sha1'])
        return files

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Test:
    def __init__(self, arguments):
        self.driveway, self.emulator_program = arguments.driveway, arguments.emulator
        self.work = os.path.realpath(tempfile.mkdtemp(prefix='powercut.'))
        self.port = free_port()
        self.forgetful = arguments.forgetful
        self.runtime = tempfile.mkdtemp(prefix='driveway-powercut.', dir='/run')
        self.environment = dict(os.environ, DRIVEWAY_RUNTIME_DIR=self.runtime, DRIVEWAY_BOX_TOKEN='power')
        self.drive, self.cache = self.path('drive'), self.path('cache')
        self.state, self.server = self.path('state'), self.path('server')
        for folder in (self.drive, self.cache, self.state):
            os.makedirs(folder, mode=0o700)
        self.notes = []  # (time of fsync's return, path, SHA-1 or None)
        self.busy = []  # (from, until, path): between write and fsync
        self.in_parts = 0  # crashes in the middle of an upload in parts
        self.versions = {}  # path -> every SHA-1 that it ever had

    def path(self, name):
        return os.path.join(self.work, name)

    def command(self, *arguments, limit=60):
        done = subprocess.run([self.driveway, *arguments], env=self.environment, capture_output=True, text=True,
                              timeout=limit, check=False)
        if done.returncode:
            raise Trouble(f'driveway {" ".join(arguments)}: {done.stderr.strip()}')
        return done.stdout

    def map(self, emulator):
        api = emulator.endpoints['http']
        self.command('map', self.drive, 'box:', '--cache', self.cache, '-o', 'auth=token', '-o', f'api-url={api["api"]}',
                     '-o', f'upload-url={api["upload"]}', '-o', f'state={self.state}', '-o', 'passthrough=no', '-o',
                     'settle=0.1', '-o', 'retry-pause=0.05', '-o', f'parts-above={LARGE}', '-o', 'rate-calls=0', '-o', 'rate-uploads=0')

    def service(self):
        return json.loads(self.command('status', '--json'))['service_pid']

    # --- the work -------------------------------------------------------------------------------

    def put(self, name, data, offset=0, flags=os.O_WRONLY | os.O_CREAT):
        """Write and sync; then it is promised."""
        path = os.path.join(self.drive, name)
        begin = time.time()
        descriptor = os.open(path, flags, 0o644)
        os.pwrite(descriptor, data, offset)
        os.fsync(descriptor)
        self.promise(name, begin)
        os.close(descriptor)

    def promise(self, name, begin):
        with open(os.path.join(self.drive, name), 'rb') as file:
            digest = hashlib.sha1(file.read()).hexdigest()
        self.versions.setdefault(name, []).append(digest)
        self.notes.append((time.time(), name, digest))
        if begin is not None:
            self.busy.append((begin, time.time(), name))

    def sync_folder(self, name=''):
        descriptor = os.open(os.path.join(self.drive, name), os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)

    def save(self, name, data):
        """As editors do: at every moment the old or the new one is there."""
        begin = None
        path = os.path.join(self.drive, name)
        with open(path + '.tmp', 'wb') as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.rename(path + '.tmp', path)
        self.sync_folder(os.path.dirname(name))
        self.promise(name, begin)

    def remove(self, name):
        begin = time.time()
        os.unlink(os.path.join(self.drive, name))
        self.sync_folder(os.path.dirname(name))
        self.notes.append((time.time(), name, None))
        self.busy.append((begin, time.time(), name))

    def exercise(self, chance):
        data = chance.randbytes
        os.mkdir(os.path.join(self.drive, 'papers'))
        self.sync_folder()
        for i in range(4):
            self.put(f'papers/paper{i}', data(1000 + 3000 * i))
        self.put('large', data(3 * BLOCK))
        self.change_old('old/doc0', data(BLOCK), BLOCK + 100)
        time.sleep(0.6)  # some of it goes up
        self.save('papers/paper0', data(5000))
        self.put('huge', data(24 * BLOCK))
        self.put('large', data(BLOCK), BLOCK // 2)
        self.put('large', data(100), 3 * BLOCK)
        self.remove('papers/paper1')
        self.change_old('old/doc1', data(10), 5 * BLOCK + 7)
        self.change_old('old/doc0', data(5000), 3)
        time.sleep(0.4)
        self.save('old/doc2', data(3000))
        self.put('huge', data(12 * BLOCK), 5 * BLOCK)
        os.mkdir(os.path.join(self.drive, 'later'))
        self.sync_folder()
        for i in range(3):
            self.save(f'later/note{i}', data(200))
        self.save('later/note0', data(300))
        self.put('papers/paper2', b'', 0, os.O_WRONLY | os.O_TRUNC)
        self.put('papers/paper3', data(10), 4)
        time.sleep(0.5)
        self.remove('later/note2')
        self.save('papers/paper0', data(100))

    def change_old(self, name, data, offset):
        """A part of what the server has, of which little is here."""
        with open(os.path.join(self.drive, name), 'rb') as file:
            file.seek(2 * BLOCK)
            file.read(100)
        self.put(name, data, offset)

    # --- recording and crashes ------------------------------------------------------------------

    def record(self, emulator, chance):
        log = self.path('recording')
        os.sync()
        time.sleep(0.3)
        pids = [self.service(), emulator.process.pid]
        for name in ('cache', 'server'):
            shutil.copytree(self.path(name), self.path(name + '-base'))
        tracer = subprocess.Popen(
            ['strace', '-f', '-y', '-xx', '-ttt', '-s', '4194304', '-e', f'trace={CALLS}', '-o', log] +
            [word for pid in pids for word in ('-p', str(pid))], stderr=subprocess.PIPE, text=True)
        for _ in pids:
            if 'attached' not in tracer.stderr.readline():
                raise Trouble('strace cannot attach: ' + tracer.stderr.readline().strip())
        try:
            self.exercise(chance)
            time.sleep(0.5)
        finally:
            tracer.terminate()
            tracer.wait(30)
        return Recording(log, [self.cache, self.server])

    def forget_boot(self):
        """A crash is followed by a start of the machine. Whether an upload in parts was under way."""
        found = 0
        for folder, _, files in os.walk(self.cache):
            if 'cache.db' in files:
                database = sqlite3.connect(os.path.join(folder, 'cache.db'))
                try:
                    database.execute("UPDATE meta SET value = 'another start' WHERE key = 'boot'")
                    database.commit()
                    found += database.execute('SELECT count(*) FROM upload').fetchone()[0]
                except sqlite3.OperationalError:
                    pass  # the cut came before there was a table
                database.close()
        return found > 0

    def promised(self, moment):
        """What must be there after a crash at moment: path -> the versions that are right; None: it must not be."""
        wanted = {}
        for at, name, digest in self.notes:
            if at < moment:
                wanted[name] = digest
        for begin, end, name in self.busy:
            if begin < moment <= end:
                wanted.pop(name, None)  # in the middle of a change that nothing was promised of
        return wanted

    def compare(self, wanted, where, files):
        for name, digest in wanted.items():
            found = files.get(name, [])
            if digest is None:
                continue  # a removal may come back: nothing is lost
            if len(found) != 1:
                raise Trouble(f'{name} is {len(found)} times {where}: {sorted(files)}')
            later = self.versions[name][self.versions[name].index(digest):]
            if found[0] not in later:
                raise Trouble(f'{name} has other bytes {where} than were synced')
        strange = [name for name in files if 'conflicted copy' in name]
        if strange:
            raise Trouble(f'conflicts {where} without another writer: {strange}')

    def crash(self, recording, number, seed):
        chance = chances(f'{seed}.{number}')
        operations = recording.operations[:number]
        moment = operations[-1][0] if operations else 0
        kept = [op for op in operations if op[1] not in ('sync', 'sync-all')] if self.forgetful else operations
        Disk(self.cache, self.path('cache-base'), False).leave(kept, self.cache, chance)
        Disk(self.server, self.path('server-base'), True).leave(operations, self.server, chance)
        self.in_parts += self.forget_boot()
        emulator = Emulator(self.emulator_program, self.server, self.port)
        try:
            self.map(emulator)
            os.listdir(self.drive)
            self.command('sync', self.drive, limit=90)
            wanted = self.promised(moment)
            self.compare(wanted, 'on the server', emulator.tree())
            self.compare(wanted, 'on the drive', self.drive_files())
        finally:
            self.unmap()
            emulator.stop()

    def drive_files(self):
        files = {}
        for folder, _, names in os.walk(self.drive):
            for name in names:
                path = os.path.join(folder, name)
                with open(path, 'rb') as file:
                    files.setdefault(os.path.relpath(path, self.drive), []).append(
                        hashlib.sha1(file.read()).hexdigest())
        return files

    def unmap(self):
        if os.path.ismount(self.drive):
            self.command('unmap', '--force', self.drive)

    def close(self, keep):
        try:
            self.unmap()
        finally:
            if keep:
                print('kept:', self.work)
            else:
                shutil.rmtree(self.work, ignore_errors=True)
            shutil.rmtree(self.runtime, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('driveway')
    parser.add_argument('emulator')
    parser.add_argument('--seed', default=str(int(time.time())))
    parser.add_argument('--crashes', type=int, default=12)
    parser.add_argument('--at', type=int, help='one crash, behind this operation')
    parser.add_argument('--limit', type=int, default=0, help='seconds after which no further crash is tried; 0: none')
    parser.add_argument('--forgetful', action='store_true', help='a disk that ignores fsync: this must fail')
    parser.add_argument('--keep', action='store_true')
    arguments = parser.parse_args()
    if os.geteuid() != 0 or not os.path.exists('/dev/fuse') or not shutil.which('strace'):
        print('needs root, /dev/fuse and strace')
        return SKIP
    print('seed', arguments.seed, flush=True)
    test = Test(arguments)
    chance = chances(arguments.seed)
    failed = tried = 0
    try:
        emulator = Emulator(arguments.emulator, test.server, test.port)
        try:
            for i in range(4):
                text = ''.join(chance.choices('abcdefghij\n', k=6 * BLOCK))
                emulator.control('changes', {'op': 'upload', 'path': f'/old/doc{i}', 'content': text})
                test.versions[f'old/doc{i}'] = [hashlib.sha1(text.encode()).hexdigest()]
                test.notes.append((0, f'old/doc{i}', test.versions[f'old/doc{i}'][0]))
            test.map(emulator)
            recording = test.record(emulator, chance)
        finally:
            test.unmap()
            emulator.stop()
        began = time.monotonic()
        count = len(recording.operations)
        print(f'{count} operations, {len(test.notes)} promises', flush=True)
        if count < 100 or len(test.notes) < 10:
            raise Trouble('too little was recorded')
        points = [arguments.at] if arguments.at else chance.sample(range(1, count + 1), min(arguments.crashes, count))
        for number in points:
            if arguments.limit and time.monotonic() - began > arguments.limit:
                break
            tried += 1
            try:
                test.crash(recording, number, arguments.seed)
                print(f'crash behind operation {number}: all that was promised is there', flush=True)
            except (Trouble, OSError, subprocess.SubprocessError) as trouble:
                print(f'crash behind operation {number}: {trouble} (--seed {arguments.seed} --at {number})', flush=True)
                failed += 1
        print(f'{tried} crashes, {test.in_parts} in an upload in parts, {failed} went wrong', flush=True)
        if tried < min(4, len(points)):
            raise Trouble('too few crashes in the time')
        if tried >= 12 and not test.in_parts:
            raise Trouble('no crash came in the middle of an upload in parts')
    except (Trouble, Unreadable) as trouble:
        print(trouble)
        failed += 1
    finally:
        test.close(arguments.keep)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
