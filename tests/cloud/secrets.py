#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Secrets of a login stay where they belong: in the state folder, in files for one person alone.

    secrets.py DRIVEWAY EMULATOR

A person logs in, a drive is mapped, worked on, meets faults, has its login revoked and given anew. Every secret that
there ever was (client secret, access and refresh tokens, a developer token, the password of a proxy) is looked for in
everything that was written meanwhile and may not hold it: what commands say, status and list, logs, the runtime and
cache folders, and the command lines of all processes. Runs in a mount namespace with a /var/lib of its own, where root's
logins are kept.
"""

import json
import os
import shutil
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from box import Emulator  # noqa: E402
from drive import Machine, Trouble, check_place, work_folder  # noqa: E402

STATE = '/var/lib/driveway'
LOGIN = STATE + '/box/default.login'
CLIENT = 'MARKED-client-secret-5f1c'
DEVELOPER = 'MARKED-developer-token-77aa'
PASSWORD = 'MARKED-proxy-password-01'
KEPT = ('client-secret', 'access-token', 'refresh-token', 'token')


class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


class Test:
    def __init__(self, driveway, emulator):
        self.work = work_folder('secrets')
        self.driveway = driveway
        self.emulator = Emulator(emulator, os.path.join(self.work, 'server'), access_life=2)
        self.machine = Machine(driveway, self.work)
        self.machine.environment.pop('DRIVEWAY_BOX_TOKEN', None)
        self.drive = os.path.join(self.work, 'drive')
        self.said = []  # (what said it, all that it said)
        self.secrets = {CLIENT, DEVELOPER, PASSWORD}
        self.failed = []
        self.looked = 0

    def wrong(self, text):
        self.failed.append(text)
        print(text, flush=True)

    # --- doing things -----------------------------------------------------------------------------

    def log_in(self):
        """As a person does who pastes the address at which the browser ended."""
        secret = os.path.join(self.work, 'client-secret')
        with open(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 'w', encoding='ascii') as file:
            file.write(CLIENT + '\n')
        api = self.emulator.endpoints['http']
        options = {'auth': 'paste', 'client-id': 'marked', 'client-secret-file': secret, 'api-url': api['api'], 'keyring': 'no',
                   'upload-url': api['upload'], 'auth-url': api['authorize']}
        words = [word for key, value in options.items() for word in ('-o', f'{key}={value}')]
        process = subprocess.Popen([self.driveway, 'login', 'box', *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True, env=self.machine.environment)
        lines = []
        while not lines or 'http' not in lines[-1]:
            lines.append(process.stdout.readline())
            if not lines[-1]:
                raise Trouble('login says: ' + ''.join(lines))
        self.look('login')
        code = self.answer(lines[-1].strip())
        self.secrets.add(urllib.parse.parse_qs(urllib.parse.urlparse(code).query)['code'][0])
        lines.append(process.communicate(code + '\n', timeout=30)[0])
        # What is typed is not said again.
        self.said.append(('login', ''.join(lines)))
        if process.returncode:
            raise Trouble('login says: ' + ''.join(lines))

    @staticmethod
    def answer(page):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), Stay)
        try:
            opener.open(page, timeout=30)
        except urllib.error.HTTPError as answer:
            return answer.headers['Location']
        raise Trouble('the page does not lead on')

    def command(self, *arguments, check=False):
        done = self.machine.command(*arguments, check=False)
        self.said.append((' '.join(arguments[:2]), done.stdout + done.stderr))
        if check and done.returncode:
            raise Trouble(f'driveway {arguments[0]}: {done.stderr.strip()}')
        return done.returncode

    def try_to(self, function, *arguments):
        try:
            function(*arguments)
        except OSError as error:
            self.said.append(('an error of a call', str(error)))

    def use(self, number):
        """Whatever comes of it."""
        path = os.path.join(self.drive, f'file{number}')

        def write():
            with open(path, 'wb') as file:
                file.write(os.urandom(150_000))

        self.try_to(os.listdir, self.drive)
        self.try_to(write)
        self.try_to(os.statvfs, self.drive)
        self.command('sync', '--help')
        time.sleep(0.6)

    # --- looking ----------------------------------------------------------------------------------

    def learn(self):
        """The secrets of the login as it is now; it changes by itself."""
        try:
            with open(LOGIN, encoding='utf-8') as file:
                login = json.load(file)
        except (OSError, ValueError):
            return
        self.secrets.update(login[key] for key in KEPT if login.get(key))

    def in_bytes(self, data):
        return [secret for secret in self.secrets if secret.encode() in data]

    def look_at_processes(self, when):
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                with open(f'/proc/{pid}/cmdline', 'rb') as file:
                    words = file.read()
            except OSError:
                continue
            for secret in self.in_bytes(words):
                self.wrong(f'{when}: {secret} in the command line {words[:200]!r}')

    def look_at_files(self, when, top):
        for folder, _, names in os.walk(top):
            for name in names:
                path = os.path.join(folder, name)
                if not stat.S_ISREG(os.lstat(path).st_mode):
                    continue
                self.looked += 1
                with open(path, 'rb') as file:
                    for secret in self.in_bytes(file.read()):
                        self.wrong(f'{when}: {secret} in {path}')

    def look_at_state(self, when):
        for folder, folders, names in os.walk(STATE):
            for name in folders + names:
                path = os.path.join(folder, name)
                mode = os.lstat(path).st_mode
                if mode & 0o077:
                    self.wrong(f'{when}: {path} has mode {mode:o}')
                if name in names and name != 'default.login':
                    with open(path, 'rb') as file:
                        for secret in self.in_bytes(file.read()):
                            self.wrong(f'{when}: {secret} in {path}')

    def look(self, when):
        self.learn()
        self.look_at_processes(when)
        self.look_at_state(when)
        if os.path.isdir(self.machine.runtime):
            self.look_at_files(when, self.machine.runtime)
        for name in ('cache', 'other'):
            self.look_at_files(when, os.path.join(self.work, name))
        if os.path.ismount(self.drive):
            for words in (('status', '--json'), ('status',), ('list', '--json'), ('list',)):
                self.command(*words)
        for what, text in self.said:
            for secret in self.in_bytes(text.encode()):
                self.wrong(f'{when}: {secret} is said by {what}: {text[:300]}')
        self.said.clear()

    # --- the story --------------------------------------------------------------------------------

    def map(self, cache, *options):
        words = [word for option in options for word in ('-o', option)]
        return self.command('map', self.drive, 'box:', '--cache', os.path.join(self.work, cache), '-o', 'retry-pause=0.05', '-o',
                            'settle=0.2', '-o', 'timeout=2', *words)

    def person(self):
        self.log_in()
        self.look('logged in')
        if not os.path.exists(LOGIN):
            raise Trouble('there is no ' + LOGIN)
        if self.map('cache'):
            raise Trouble('map: ' + self.said[-1][1])
        self.machine.drives.append(self.drive)
        self.machine.keeper = self.machine.status()['keeper_pid']
        self.use(0)
        self.look('mapped')
        for number, (fault, more) in enumerate((
                ('expired_token', {'times': 2}), ('status', {'status': 403, 'times': 5, 'match': {'method': 'GET'}}), ('reset_after', {'times': 4}),
                ('status', {'status': 500, 'times': 4, 'match': {'kind': 'oauth.token'}}), ('corrupt', {'at': 1, 'times': 9}),
                ('truncate', {'at': 3, 'times': 4, 'match': {'kind': 'oauth.token'}}), ('drop', {}))):
            self.emulator.fault(fault, **more)
            self.use(number)
            self.look(fault)
            self.emulator.heal()
        if len(self.secrets) < 6:
            self.wrong(f'tokens were not renewed: {len(self.secrets)} secrets')
        self.emulator.control('DELETE', 'tokens')
        self.use(20)
        time.sleep(2)
        self.use(21)
        self.look('revoked')
        os.kill(self.machine.service(), 9)
        time.sleep(0.5)
        self.look('service killed')
        self.log_in()
        end = time.monotonic() + 30  # the drive looks for a new login by itself
        while self.command('sync', self.drive):
            if time.monotonic() > end:
                raise Trouble('the drive does not take up a new login: ' + self.said[-1][1])
            time.sleep(0.2)
        self.look('logged in anew')
        self.command('unmap', self.drive, check=True)
        self.machine.drives.remove(self.drive)
        self.look('unmapped')

    def developer(self):
        """Secrets that come by options: the command line of `driveway map` is the caller's own business, nothing else is."""
        self.emulator.control('POST', 'tokens', {'kind': 'developer', 'token': DEVELOPER})
        file = os.path.join(self.work, 'token')
        with open(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600), 'w', encoding='ascii') as out:
            out.write(DEVELOPER)
        api = self.emulator.endpoints['http']['api']
        for what, options in (('token-file', (f'token-file={file}',)), ('token', (f'token={DEVELOPER}',)),
                              ('proxy', (f'token-file={file}', f'proxy=http://someone:{PASSWORD}@127.0.0.1:9')),
                              ('mistake', (f'token={DEVELOPER}', f'proxy=http://someone:{PASSWORD}@127.0.0.1:9', 'colour=red'))):
            if self.map('other', 'auth=token', f'api-url={api}', *options) == 0:
                self.machine.drives.append(self.drive)
                self.use(30)
                self.look(what + ' as an option')
                self.command('unmap', '--force', self.drive)
                self.machine.drives.remove(self.drive)
            self.look(what + ' as an option, at the end')

    def run(self):
        os.makedirs(self.drive, mode=0o700)
        self.emulator.control('POST', 'apps', {'client_id': 'marked', 'client_secret': CLIENT,
                                               'redirect_uris': ['http://127.0.0.1/callback']})
        self.person()
        self.developer()
        print(f'{len(self.secrets)} secrets looked for, {self.looked} files', flush=True)

    def close(self):
        self.machine.close()
        self.emulator.stop()
        shutil.rmtree(self.work, ignore_errors=True)


def main():
    check_place()
    if os.environ.get('SECRETS_INSIDE') != 'yes':
        inside = 'mount -t tmpfs -o mode=755 tmpfs /var/lib && exec "$@"'
        done = subprocess.run(['unshare', '--mount', '--propagation', 'private', 'sh', '-c', inside, 'sh', sys.executable,
                               *sys.argv], env={**os.environ, 'SECRETS_INSIDE': 'yes'}, check=False)
        return done.returncode
    test = Test(*sys.argv[1:3])
    try:
        test.run()
    except (Trouble, OSError) as trouble:
        test.wrong(f'{type(trouble).__name__} {trouble}')
    finally:
        test.close()
    return 1 if test.failed else 0


if __name__ == '__main__':
    sys.exit(main())
