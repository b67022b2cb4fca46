#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A service dies while the keyring is locked that has the key of its login; the next one serves what is cached.

    locked.py DRIVEWAY EMULATOR [--keep]

Runs on a session bus with a keyring of its own, which it locks and unlocks (tests/remotes/box/on_keyring). The drive must
come back without being mapped anew, read and list what it has, say EACCES for what it has not, keep what is written, and
say in status what is to be done. When the keyring is unlocked everything goes up by itself.
"""

import hashlib
import os
import signal
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

import login  # noqa: E402
from drive import check_place, parser_of, run_test  # noqa: E402

LOCK = ['dbus-send', '--session', '--print-reply', '--dest=org.freedesktop.secrets', '/org/freedesktop/secrets',
        'org.freedesktop.Secret.Service.Lock', 'array:objpath:/org/freedesktop/secrets/collection/login']
UNLOCK = ['gnome-keyring-daemon', '--replace', '--daemonize', '--unlock', '--components=secrets']


class Test(login.Test):
    def lock(self):
        subprocess.run(LOCK, stdout=subprocess.DEVNULL, check=True)

    def unlock(self):
        with open(os.path.join(os.environ['ON_KEYRING'], 'password'), encoding='ascii') as password:
            subprocess.run(UNLOCK, stdin=password, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)

    def run(self):
        self.begin(['-o', 'keyring=yes'])
        self.lock()
        self.write('made', b'by the one that has the key')
        self.machine.sync(self.drive)

        os.kill(self.machine.service(), signal.SIGKILL)
        login.wait_for('the next service', 10, lambda: self.connection() == 'login')
        message = self.machine.facts(self.drive)['provider_status']['message']
        self.check(message.startswith('the keyring is locked: '), f'status says: {message}')
        self.without_login('locked')
        self.write('known/mine', b'while it is locked')
        os.mkdir(self.path('folder'))

        self.unlock()
        login.wait_for('the drive goes on', 20, lambda: self.connection() == 'online')
        self.machine.sync(self.drive)
        wanted = {path: hashlib.sha1(text).hexdigest() for path, text in (
            ('known/read', b'read before'), ('known/unread', b'not read'), ('known/mine', b'while it is locked'),
            ('unknown/file', b'unknown'), ('made', b'by the one that has the key'))}
        wanted.update({'known': '', 'unknown': '', 'folder': ''})
        self.check_trees(wanted)


def main():
    arguments = parser_of(__doc__, 'driveway', 'emulator').parse_args()
    check_place()
    test = Test(arguments)
    return run_test(test, arguments.keep, test.run)


if __name__ == '__main__':
    sys.exit(main())
