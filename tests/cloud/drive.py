# SPDX-License-Identifier: MIT
"""What the tests of cloud drives share: a service of one's own, drives mapped on it, trees that are compared."""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True

SKIP = 77
HIDDEN = '.driveway-folder'


class Trouble(Exception):
    pass


def digest_of(path):
    with open(path, 'rb') as file:
        return hashlib.sha1(file.read()).hexdigest()


def tree_of(root):
    """path -> SHA-1 of a file, '-> TARGET' of a symbolic link, '' of a folder."""
    found = {}

    def fail(error):
        raise error

    for folder, folders, files in os.walk(root, onerror=fail):
        if HIDDEN in folders:
            folders.remove(HIDDEN)
        for name in folders + files:
            path = os.path.join(folder, name)
            below = os.path.relpath(path, root)
            if os.path.islink(path):
                found[below] = '-> ' + os.readlink(path)
            else:
                found[below] = '' if name in folders else digest_of(path)
    return found


def differences(wanted, found, most=8):
    lines = []
    for path in sorted(set(wanted) | set(found)):
        if wanted.get(path) != found.get(path):
            lines.append(f'{path}: {wanted.get(path, "absent")!r} was expected, {found.get(path, "absent")!r} is there')
    return lines[:most] + ([f'and {len(lines) - most} more'] if len(lines) > most else [])


def patiently(seconds, what, function, *arguments):
    """Call function in a thread and wait so long: a drive that hangs must not hang the test."""
    result = []

    def run():
        try:
            result.append((function(*arguments), None))
        except BaseException as error:  # pylint: disable=broad-except
            result.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if not result:
        raise Trouble(f'{what} hangs')
    if result[0][1]:
        raise result[0][1]
    return result[0][0]


class Machine:
    """A runtime folder with its keeper and service, and the drives that are mapped there."""

    def __init__(self, driveway, work, **environment):
        self.driveway = os.path.realpath(driveway)
        self.work = work
        self.runtime = tempfile.mkdtemp(prefix='driveway-cloud.', dir='/tmp')
        self.environment = dict(os.environ, DRIVEWAY_RUNTIME_DIR=self.runtime, **environment)
        self.drives = []
        self.keeper = 0

    def command(self, *arguments, limit=60, check=True):
        try:
            done = subprocess.run([self.driveway, *arguments], env=self.environment, stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, timeout=limit, check=False)
        except subprocess.TimeoutExpired as error:
            raise Trouble(f'driveway {" ".join(arguments)} does not end within {limit} s') from error
        if check and done.returncode:
            raise Trouble(f'driveway {" ".join(arguments)}: {(done.stderr or done.stdout).strip()}')
        return done.stdout if check else done

    def map(self, drive, source, cache, **options):
        os.makedirs(drive, mode=0o700, exist_ok=True)
        words = [word for key, value in options.items() for word in ('-o', f'{key.replace("_", "-")}={value}')]
        self.command('map', drive, source, '--cache', cache, *words)
        self.drives.append(drive)
        self.keeper = self.status()['keeper_pid']

    def status(self, limit=30):
        return json.loads(self.command('status', '--json', limit=limit))

    def facts(self, drive):
        """What the drive says of itself, as status shows it."""
        for entry in self.status().get('drives', []):
            if entry.get('target') == drive:
                return entry
        raise Trouble(f'status does not name {drive}')

    def service(self):
        """The keeper's child that serves; 0: there is none at the moment."""
        found = 0
        try:
            for task in os.listdir(f'/proc/{self.keeper}/task'):
                with open(f'/proc/{self.keeper}/task/{task}/children', encoding='ascii') as file:
                    for pid in file.read().split():
                        with open(f'/proc/{pid}/comm', encoding='ascii') as name:
                            if name.read().startswith('driveway-servic'):
                                found = int(pid)
        except OSError:
            pass
        return found

    def memory(self):
        """Bytes that the service holds."""
        with open(f'/proc/{self.service()}/status', encoding='ascii') as file:
            for line in file:
                if line.startswith('RssAnon:'):
                    return int(line.split()[1]) * 1024
        return 0

    def sync(self, drive, limit=90):
        """Wait until everything is on the server; a service that dies meanwhile is asked again."""
        end = time.monotonic() + limit
        while True:
            left = max(1, end - time.monotonic())
            done = self.command('sync', drive, limit=left, check=False)
            if done.returncode == 0:
                return
            if time.monotonic() > end:
                raise Trouble(f'driveway sync: {(done.stderr or done.stdout).strip()}')
            time.sleep(0.1)

    def unmap(self, drive):
        if os.path.ismount(drive):
            self.command('unmap', drive)
        self.drives.remove(drive)

    def close(self):
        for drive in list(self.drives):
            try:
                # A drive whose service has just died is opening, and says so.
                for _ in range(50):
                    if self.command('unmap', '--force', drive, limit=30, check=False).returncode == 0:
                        break
                    time.sleep(0.1)
            except Trouble:
                pass
            if os.path.ismount(drive):
                subprocess.run(['umount', '-f', '-l', drive], check=False)
        for name in ('service.log', 'keeper.log'):
            if os.path.exists(os.path.join(self.runtime, name)):
                shutil.copy(os.path.join(self.runtime, name), self.work)
        shutil.rmtree(self.runtime, ignore_errors=True)


def work_folder(name):
    return os.path.realpath(tempfile.mkdtemp(prefix=name + '.', dir=os.getcwd()))


def parser_of(description, *words):
    """The command line of a test: words, and --keep."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for word in words:
        parser.add_argument(word)
    parser.add_argument('--keep', action='store_true')
    return parser


def remove_work(work, keep):
    if keep:
        print('kept:', work)
    else:
        shutil.rmtree(work, ignore_errors=True)


def run_test(test, keep, *steps):
    """Do the steps of test, and end it; the exit status."""
    try:
        for step in steps:
            step()
    except (Trouble, OSError) as trouble:
        test.wrong(f'{type(trouble).__name__} {trouble}')
    finally:
        test.close(keep)
    return 1 if test.failed else 0


def check_place():
    """Exit where no drive can be."""
    if os.geteuid() != 0 or not os.path.exists('/dev/fuse'):
        print('skipped: needs root and /dev/fuse')
        sys.exit(SKIP)
