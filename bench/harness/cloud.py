# SPDX-License-Identifier: MIT
"""The Box drive against rclone mount --vfs-cache-mode full, over the same emulator with the same injected latency.

Everything runs in a mount namespace and a network namespace of its own (main.py enters them): names of Box's hosts lead
to the emulator on the loopback, over TLS, for both sides, and nothing of it is left behind on the machine.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import threading
import time
import urllib.request

from .system import Failed, drop_caches, read_text, run, timed

HOSTS = 'api.box.com upload.box.com app.box.com account.box.com dl.boxcloud.com'
LATENCY = 30  # milliseconds before each answer
BANDWIDTH = 125_000_000  # bytes a second in each direction, shared: 1 Gbit/s
RCLONE_CONFIG = '''[box]
type = box
token = {{"access_token":"{token}","token_type":"bearer","refresh_token":"none","expiry":"2036-01-01T00:00:00Z"}}
'''


class Emulator:
    """driveway-box-emulator on the hosts of Box, and its control interface."""

    def __init__(self, program, folder, seeds):
        self.folder = folder
        arguments = [program, '--data', folder, '--http', '127.0.0.1:0', '--https', '127.0.0.1:443']
        for seed in seeds:
            arguments += ['--seed', seed]
        self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                                        start_new_session=True)
        if not self.process.stdout.readline():
            raise Failed('the emulator did not start')
        with open(os.path.join(folder, 'endpoints.json'), encoding='utf-8') as file:
            self.endpoints = json.load(file)
        self.token = self.endpoints['developer_token']
        self.ca = os.path.join(folder, 'ca.pem')

    def call(self, method, path, body=None):
        url = self.endpoints['control'].rstrip('/') + '/' + path
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data=data, method=method, headers={'Content-Type': 'application/json'})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def line(self, latency=LATENCY, bandwidth=None):
        self.call('DELETE', 'faults')
        if latency:
            self.call('POST', 'faults', {'fault': 'latency', 'ms': latency})
        if bandwidth:
            self.call('POST', 'faults', {'fault': 'bandwidth', 'bytes_per_second': bandwidth})

    def calls(self):
        """Calls since the last reset, by kind."""
        return self.call('GET', 'counters')['calls']

    def uploads(self):
        return sum(count for kind, count in self.calls().items() if kind == 'file.upload')

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Rclone:
    def __init__(self, place, emulator, name):
        self.target = place.make(name)
        self.cache = place.make(name + '-cache')
        config = place.path(name + '.conf')
        with open(config, 'w', encoding='utf-8') as file:
            file.write(RCLONE_CONFIG.format(token=emulator.token))
        environment = dict(os.environ, RCLONE_CA_CERT=emulator.ca)
        self.process = subprocess.Popen(
            ['rclone', '--config', config, '--cache-dir', self.cache, 'mount', '--vfs-cache-mode', 'full', 'box:',
             self.target], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=environment, start_new_session=True)
        place.pids.add(self.process.pid)
        for _ in range(300):
            if os.path.ismount(self.target):
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        self.close()
        raise Failed('rclone mount did not come up')

    def close(self):
        subprocess.run(['umount', '-l', self.target], check=False, stderr=subprocess.DEVNULL)
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.cache, ignore_errors=True)


class Driveway:
    def __init__(self, place, emulator, name):
        self.place = place
        self.cache = place.make(name + '-cache')
        os.chmod(self.cache, 0o700)
        options = ('auth=token', f'token={emulator.token}', f'ca={emulator.ca}',
                   f'state={place.make(name + "-state")}', 'rate-calls=0', 'rate-uploads=0')
        self.target = place.map_drive(name, 'box:', options, cache=self.cache)

    def close(self):
        self.place.unmap(self.target)
        shutil.rmtree(self.cache, ignore_errors=True)


SIDES = (('driveway', Driveway), ('rclone', Rclone))


def read_all(path):
    """Bytes read and seconds, by 1 MiB."""
    buffer, total = bytearray(1 << 20), 0
    begin = time.monotonic()
    with open(path, 'rb', buffering=0) as file:
        while count := file.readinto(buffer):
            total += count
    return total, time.monotonic() - begin


class Cloud:
    def __init__(self, bench):
        self.bench, self.place, self.settings = bench, bench.place, bench.settings
        self.turn = 0
        quick = self.settings.quick
        self.big = (64 if quick else 1024) << 20
        self.small = 200 if quick else 5000
        self.tree = 2000 if quick else 100_000
        self.wide = 3000 if quick else 100_000
        self.copied = 50 if quick else 2000
        self.serial = 0

    def seeds(self):
        seeds = [f'files=1,size={self.big},folder=big']
        seeds += [f'files={self.small // 10},size=4096,folder=small/d{i}' for i in range(10)]
        seeds += [f'files={self.tree // 40},size=100,folder=tree/d{i:02},content=same' for i in range(40)]
        seeds += [f'files={self.wide},size=100,folder=wide,content=same']
        return seeds

    def cell(self, work, name, unit, measure):
        self.bench.cell(f'cloud/{work}', name, unit, self.turn, measure)

    def fresh(self, kind):
        """A mount of its own with an empty cache."""
        self.serial += 1
        return kind(self.place, self.emulator, f'c-{self.serial}')

    def big_file(self, side):
        folder = os.path.join(side.target, 'big')
        return os.path.join(folder, os.listdir(folder)[0])

    # --- one file -----------------------------------------------------------------------------------

    def reading(self, name, kind):
        self.emulator.line(bandwidth=BANDWIDTH)
        side = self.fresh(kind)
        try:
            path = self.big_file(side)

            def speed():
                count, seconds = read_all(path)
                if count != self.big:
                    raise Failed(f'{count} bytes read, {self.big} are there')
                return count / 1e6 / seconds

            self.cell('read-cold', name, 'MB/s', speed)
            self.cell('read-warm', name, 'MB/s', lambda: max(speed() for _ in range(3)))
        finally:
            side.close()

    def native_reading(self):
        path = self.place.path('native-big')
        with open(path, 'wb') as file:
            for _ in range(self.big >> 20):
                file.write(os.urandom(1 << 20))
        self.cell('read-warm', 'native', 'MB/s', lambda: max(
            count / 1e6 / seconds for count, seconds in (read_all(path) for _ in range(3))))
        os.unlink(path)

    def seeking(self):
        self.emulator.line()
        chance = random.Random(7)
        file_id = self.emulator_file_id('big')
        for name, kind in SIDES:
            side = self.fresh(kind)
            try:
                path, taken = self.big_file(side), []
                os.stat(path)
                for _ in range(8):
                    offset = chance.randrange(self.big - (4 << 20)) & ~4095
                    with open(path, 'rb', buffering=0) as file:
                        begin = time.monotonic()
                        os.pread(file.fileno(), 4096, offset)
                        taken.append((time.monotonic() - begin) * 1000)
                self.cell('seek-first-byte', name, 'ms', lambda: sorted(taken)[len(taken) // 2])
            finally:
                side.close()
        taken = []
        for _ in range(8):
            offset = chance.randrange(self.big - (4 << 20)) & ~4095
            # A warm connection, as a drive has one: the time of the request alone, redirect included.
            text = run(['curl', '-s', '--cacert', self.emulator.ca, '-L', '-o', '/dev/null', '-H',
                        f'Authorization: Bearer {self.emulator.token}', '-w', '%{time_total} %{time_pretransfer}\n',
                        '-r', f'{offset}-{offset + 4095}', f'https://api.box.com/2.0/files/{file_id}/content'])
            total, _ = (float(part) for part in text.split())
            taken.append(total * 1000)
        self.cell('seek-first-byte', 'curl', 'ms', lambda: sorted(taken)[len(taken) // 2])

    def emulator_file_id(self, folder):
        def get(path):
            url = self.emulator.endpoints['http']['base'].rstrip('/') + '/2.0' + path
            request = urllib.request.Request(url, headers={'Authorization': 'Bearer ' + self.emulator.token})
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
                return json.loads(answer.read())

        top = {entry['name']: entry['id'] for entry in get('/folders/0/items?limit=1000')['entries']}
        return get(f'/folders/{top[folder]}/items?limit=1')['entries'][0]['id']

    # --- many files ---------------------------------------------------------------------------------

    def names(self, name, kind):
        self.emulator.line()
        side = self.fresh(kind)
        try:
            small, tree = os.path.join(side.target, 'small'), os.path.join(side.target, 'tree')
            self.cell('grep-cold', name, 's', lambda: timed(['grep', '-rc', 'no such words', small], fine=(0, 1)))
            self.cell('open-read-warm', name, 'ops/s', lambda: self.per_second('tree-read', small))
            self.cell('find-cold', name, 's', lambda: timed(['find', tree]))
            self.cell('find-warm', name, 's', lambda: timed(['find', tree]))
            self.cell('find-warm-attributes', name, 's', lambda: timed(['find', tree, '-size', '+1']))
            self.cell('stat-warm', name, 'ops/s', lambda: self.per_second('tree-stat', tree))
        finally:
            side.close()

    def per_second(self, work, folder):
        result = self.bench.load(work, folder)
        return result['operations'] / result['seconds']

    def copying(self, name, kind):
        self.emulator.line()
        source = self.place.path('copy-source')
        if not os.path.isdir(source):
            for i in range(self.copied):
                path = os.path.join(source, f'd{i % 20}', f'file{i}')
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, 'wb') as file:
                    file.write(os.urandom(4096))
        side = self.fresh(kind)
        try:
            os.listdir(side.target)
            self.emulator.call('DELETE', 'counters')
            begin = time.monotonic()
            self.cell('copy-in', name, 's',
                      lambda: timed(['cp', '-r', source, os.path.join(side.target, f'copy-{name}')]))

            def arrive():
                while self.emulator.uploads() < self.copied:
                    if time.monotonic() - begin > 1200:
                        raise Failed('not all files have arrived after 20 minutes')
                    time.sleep(0.2)
                return time.monotonic() - begin

            self.cell('copy-arrive', name, 's', arrive)
        finally:
            side.close()

    def native_copying(self):
        target = self.place.path('copy-native')
        self.cell('copy-in', 'native', 's', lambda: timed(['cp', '-r', self.place.path('copy-source'), target]))
        shutil.rmtree(target)

    def wide_folder(self, name, kind):
        self.emulator.line()
        side = self.fresh(kind)
        try:
            os.listdir(side.target)
            pid = self.place.status()['service_pid'] if kind is Driveway else side.process.pid
            before = self.bench._field(pid, 'status', 'RssAnon')
            shown = []

            def listed():
                begin = time.monotonic()
                count = 0
                with os.scandir(os.path.join(side.target, 'wide')) as entries:
                    for _ in entries:
                        count += 1
                        if count == 1:
                            shown.append((time.monotonic() - begin) * 1000)
                if count != self.wide:
                    raise Failed(f'{count} names listed, {self.wide} are there')
                return time.monotonic() - begin

            self.cell('wide-list', name, 's', listed)
            self.cell('wide-first-entry', name, 'ms', lambda: shown[0])
            self.cell('wide-memory', name, 'bytes an entry',
                      lambda: (self.bench._field(pid, 'status', 'RssAnon') - before) * 1024 / self.wide)
        finally:
            side.close()

    # --- calls --------------------------------------------------------------------------------------

    def counting(self, name, kind):
        """API calls of everyday steps."""
        self.emulator.line(latency=0)
        side = self.fresh(kind)
        wait = 2.0 if kind is Driveway else 8.0  # until what is written has gone up
        folder = os.path.join(side.target, f'calls-{name}')

        def count(work, step):
            self.emulator.call('DELETE', 'counters')
            step()
            time.sleep(wait)
            self.cell(f'calls-{work}', name, 'calls', lambda: sum(
                count for what, count in self.emulator.calls().items() if not what.startswith('events.')))

        def write(path, text):
            with open(path, 'w', encoding='ascii') as file:
                file.write(text)

        def save():
            write(os.path.join(folder, '.note.tmp'), 'third\n')
            os.rename(os.path.join(folder, '.note.tmp'), os.path.join(folder, 'note'))

        try:
            os.listdir(side.target)
            count('mkdir', lambda: os.mkdir(folder))
            count('create', lambda: write(os.path.join(folder, 'note'), 'first\n'))
            count('overwrite', lambda: write(os.path.join(folder, 'note'), 'second\n'))
            count('atomic-save', save)
            count('rename', lambda: os.rename(os.path.join(folder, 'note'), os.path.join(folder, 'other')))
            count('ls-again', lambda: os.listdir(folder))
            count('delete', lambda: os.unlink(os.path.join(folder, 'other')))
            count('ls-first', lambda: os.listdir(os.path.join(side.target, 'small', 'd0')))
        finally:
            side.close()

    def measure(self):
        program = os.path.join(os.path.dirname(self.place.command), '..', 'emulators', 'box', 'driveway-box-emulator')
        if not os.access(program, os.X_OK):
            raise Failed(f'{program} is missing: build it first')
        with open(self.place.path('hosts'), 'w', encoding='ascii') as file:
            file.write(f'127.0.0.1 localhost\n127.0.0.1 {HOSTS}\n')
        run(['mount', '--bind', self.place.path('hosts'), '/etc/hosts'])
        self.emulator = Emulator(program, self.place.make('emulator'), self.seeds())
        try:
            for self.turn in range(min(self.settings.rounds, 2)):
                self.native_reading()
                self.seeking()
                for name, kind in SIDES if self.turn % 2 == 0 else reversed(SIDES):
                    for step in (self.reading, self.names, self.copying, self.wide_folder, self.counting):
                        drop_caches()
                        step(name, kind)
                self.native_copying()
        finally:
            self.emulator.stop()
            run(['umount', '/etc/hosts'])
            self.place.close_mounts()
