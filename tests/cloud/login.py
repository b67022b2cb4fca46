#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A login is revoked under a mapped drive, which goes on, and is given again.

    login.py DRIVEWAY EMULATOR [--keep]

A person logs in through the browser (which the test plays) and maps a drive. Then the server takes all tokens away. The drive
must stay where it is, read and list what it has, say EACCES for what it has not, keep what is written, also through the death
of its service, and say in status what is to be done. After another `driveway login` everything goes up by itself.
"""

import errno
import hashlib
import os
import signal
import subprocess
import sys
import time
import urllib.request

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from box import Emulator  # noqa: E402
from drive import (  # noqa: E402
    Machine,
    Trouble,
    check_place,
    differences,
    parser_of,
    patiently,
    remove_work,
    run_test,
    tree_of,
    work_folder,
)

TIMEOUT = 5


def wait_for(what, seconds, function):
    end = time.monotonic() + seconds
    while not function():
        if time.monotonic() > end:
            raise Trouble(f'{what}: not within {seconds} s')
        time.sleep(0.1)


class Test:
    def __init__(self, arguments):
        self.work = work_folder('login')
        self.drive, self.cache = os.path.join(self.work, 'drive'), os.path.join(self.work, 'cache')
        self.emulator = Emulator(arguments.emulator, os.path.join(self.work, 'server'))
        self.machine = Machine(arguments.driveway, self.work, XDG_STATE_HOME=os.path.join(self.work, 'state'),
                               DRIVEWAY_BOX_CLIENT_SECRET=self.emulator.endpoints['client_secret'])
        self.failed = 0

    def wrong(self, text):
        self.failed += 1
        print(text, flush=True)

    def check(self, right, text):
        if not right:
            self.wrong(text)

    def path(self, *names):
        return os.path.join(self.drive, *names)

    def log_in(self, *more):
        ends = self.emulator.endpoints['http']
        words = ['login', 'box', '-o', f'client-id={self.emulator.endpoints["client_id"]}', '-o', f'api-url={ends["api"]}',
                 '-o', f'upload-url={ends["upload"]}', '-o', f'auth-url={ends["authorize"]}', *more]
        process = subprocess.Popen([self.machine.driveway, *words], env=self.machine.environment, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said = []
        for line in process.stdout:
            said.append(line)
            if line.strip().startswith('http'):
                with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(line.strip(), timeout=20) as page:
                    page.read()
        if process.wait(30):
            raise Trouble('driveway login: ' + ''.join(said))

    def connection(self):
        said = self.machine.facts(self.drive)['provider_status']  # None while the service starts
        return said['connection'] if said else ''

    def write(self, name, data):
        with open(self.path(name), 'wb') as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def refused(self, what, function, *arguments):
        begin = time.monotonic()
        try:
            patiently(TIMEOUT * 4, what, function, *arguments)
            self.wrong(f'{what} worked without a login')
        except OSError as error:
            self.check(error.errno == errno.EACCES, f'{what}: {error}')
        took = time.monotonic() - begin
        self.check(took < TIMEOUT + 1, f'{what} took {took:.1f} s')

    def without_login(self, when):
        status = self.machine.facts(self.drive)
        message = status['provider_status']['message']
        shown = self.machine.command('status', self.drive)
        print(f'{when}: {status["provider_status"]["connection"]}: {message}', flush=True)
        self.check(status['state'] == 'ready' and os.path.ismount(self.drive), f'{when}: the drive is not mapped any more')
        self.check('driveway login box' in message, f'{when}: the message does not say what to do')
        self.check(message in shown, f'{when}: driveway status does not show the message: {shown}')
        with open(self.path('known/read'), 'rb') as file:
            self.check(file.read() == b'read before', f'{when}: reads other bytes')
        listed = sorted(os.listdir(self.path('known')))
        self.check(listed == ['mine', 'read', 'unread'], f'{when}: lists {listed}')
        os.statvfs(self.drive)
        self.refused(f'{when}: a file never read', lambda: open(self.path('known/unread'), 'rb').read())
        self.refused(f'{when}: a folder never listed', os.listdir, self.path('unknown'))

    def run(self):
        self.begin([], retry_pause=0.05)

        self.emulator.control('DELETE', 'tokens')
        self.write('known/mine', b'without a login')
        self.write('made', b'made without a login')
        os.mkdir(self.path('folder'))
        wait_for('status says that a login is missing', 10, lambda: self.connection() == 'login')
        self.without_login('revoked')
        os.kill(self.machine.service(), signal.SIGKILL)
        wait_for('the next service', 10, lambda: self.connection() == 'login')
        self.without_login('revoked, another service')
        pending = self.machine.facts(self.drive)['provider_status']['pending']['count']
        self.check(pending >= 3, f'{pending} changes are pending, not 3')
        self.check('made' not in self.emulator.tree()[0], 'the server has what it cannot have')

        self.log_in()
        wait_for('the drive goes on after the login', 10, lambda: self.connection() == 'online')
        wait_for('everything goes up by itself', 20, lambda: 'made' in self.emulator.tree()[0] and not
                 self.machine.facts(self.drive)['provider_status']['pending']['count'])
        wanted = {path: hashlib.sha1(text).hexdigest() for path, text in (
            ('known/read', b'read before'), ('known/unread', b'not read'), ('known/mine', b'without a login'),
            ('unknown/file', b'unknown'), ('made', b'made without a login'))}
        wanted.update({'known': '', 'unknown': '', 'folder': ''})
        self.check_trees(wanted)

    def begin(self, login, **options):
        """A mapped drive of an account with some files, of which one was read and one written."""
        for path, text in (('known/read', 'read before'), ('known/unread', 'not read'), ('unknown/file', 'unknown')):
            self.emulator.control('POST', 'changes', {'op': 'upload', 'path': '/' + path, 'content': text})
        self.log_in(*login)
        self.machine.map(self.drive, 'box:', self.cache, timeout=TIMEOUT, settle=0.2, read_ahead=0, **options)
        os.listdir(self.path('known'))
        with open(self.path('known/read'), 'rb') as file:
            file.read()
        self.write('known/mine', b'before')
        self.machine.sync(self.drive)

    def check_trees(self, wanted):
        """All went up, and status has nothing more to say."""
        for line in differences(wanted, self.emulator.tree()[0]):
            self.wrong('on the server ' + line)
        for line in differences(wanted, patiently(30, 'reading', tree_of, self.drive)):
            self.wrong('on the drive ' + line)
        self.check(not self.machine.facts(self.drive)['provider_status']['message'], 'the message stays')

    def close(self, keep):
        self.machine.close()
        self.emulator.stop()
        remove_work(self.work, keep)


def main():
    arguments = parser_of(__doc__, 'driveway', 'emulator').parse_args()
    check_place()
    test = Test(arguments)
    return run_test(test, arguments.keep, test.run)


if __name__ == '__main__':
    sys.exit(main())
