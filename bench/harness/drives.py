# SPDX-License-Identifier: MIT
"""Everything that the benchmark mounts or starts, and how it goes away again.

A Place owns one work folder, one runtime folder (so that our service is one of its own, beside any other that runs)
and the list of what is mounted. Place.close undoes all of it: drives through the command, what is left by umount,
processes by the ids that they told. Nothing is ever found by name.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

from .system import Failed, filesystem_of, is_root, read_text, run

URING_SWITCH = '/sys/module/fuse/parameters/enable_uring'


def mounts_below(folder):
    """Mount points inside folder, deepest first."""
    found = []
    for line in read_text('/proc/self/mountinfo').splitlines():
        point = line.split()[4].encode('latin-1', 'replace').decode('unicode_escape')
        if point.startswith(folder + '/'):
            found.append(point)
    return sorted(found, key=len, reverse=True)


class Place:
    def __init__(self, build, work):
        self.command = os.path.join(build, 'tool', 'driveway')
        self.load = os.path.join(build, 'bench', 'load')
        self.folder = None
        self.runtime = None
        self.uring_before = None
        self.bindfs = {}  # mount point -> process
        self.pids = set()
        self.env = None
        if not os.access(self.load, os.X_OK):
            raise Failed(f'{self.load} is missing: build first (ninja -C {build})')
        self.folder = os.path.realpath(tempfile.mkdtemp(prefix='bench.', dir=work))
        base = '/run' if is_root() else os.environ.get('XDG_RUNTIME_DIR', self.folder)
        self.runtime = tempfile.mkdtemp(prefix='driveway-bench.', dir=base)
        self.env = dict(os.environ, DRIVEWAY_RUNTIME_DIR=self.runtime)

    # --- switches ---------------------------------------------------------------------------------

    def switch_uring_on(self):
        """FUSE over io_uring is off until an administrator says otherwise. True when it is on now."""
        before = read_text(URING_SWITCH).strip()
        if before == '':
            return False
        if before != 'Y' and is_root():
            with open(URING_SWITCH, 'w', encoding='ascii') as switch:
                switch.write('Y')
            self.uring_before = before
        return read_text(URING_SWITCH).strip() == 'Y'

    # --- folders ----------------------------------------------------------------------------------

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def make(self, *names):
        path = self.path(*names)
        os.makedirs(path, exist_ok=True)
        return path

    # --- mounts -----------------------------------------------------------------------------------

    def mount_tmpfs(self, name, size='8g'):
        target = self.make(name)
        run(['mount', '-t', 'tmpfs', '-o', f'size={size},nr_inodes=0', 'driveway-bench', target])
        return target

    def mount_bindfs(self, name, source, multithreaded=False):
        target = self.make(name)
        arguments = ['bindfs', '-f', '--no-allow-other', '-o', 'attr_timeout=0,entry_timeout=0,negative_timeout=0']
        if multithreaded:
            arguments.append('--multithreaded')
        child = subprocess.Popen(arguments + [source, target], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.PIPE, text=True, start_new_session=True)
        self.bindfs[target] = child
        self.pids.add(child.pid)
        for _ in range(200):
            if target in mounts_below(self.folder):
                return target
            if child.poll() is not None:
                break
            time.sleep(0.02)
        del self.bindfs[target]
        if child.poll() is None:
            child.kill()
            child.wait()
            raise Failed('bindfs: no mount after 4 s')
        raise Failed('bindfs: ' + child.stderr.read().strip())

    def driveway(self, *arguments, limit=30):
        if not os.access(self.command, os.X_OK):
            raise Failed(f'{self.command} is missing: build first')
        return run([self.command, *arguments], limit, env=self.env)

    def status(self):
        status = json.loads(self.driveway('status', '--json'))
        for key in ('keeper_pid', 'service_pid'):
            if isinstance(status.get(key), int) and status[key] > 1:
                self.pids.add(status[key])
        return status

    def map_drive(self, name, source, options=(), transport=None, passthrough=None, cache=None):
        """Map and check that the drive really has what was asked for; the target folder comes back."""
        target = self.make(name)
        chosen = list(options)
        if transport is not None:
            chosen.append(f'transport={transport}')
        if passthrough is not None:
            chosen.append(f'passthrough={"yes" if passthrough else "no"}')
        arguments = ['map', target, source]
        if cache is not None:
            arguments += ['--cache', cache]
        for option in chosen:
            arguments += ['-o', option]
        self.driveway(*arguments)
        drive = self.drive_status(target)
        if transport is not None and drive.get('transport') != transport:
            raise Failed(f'{name}: transport is {drive.get("transport")}, not {transport}: {drive.get("transport_reason", "")}')
        if passthrough and not drive.get('passthrough'):
            raise Failed(f'{name}: no passthrough')
        return target

    def drive_status(self, target):
        for drive in self.status().get('drives', []):
            if drive.get('target') == target:
                return drive
        raise Failed(f'{target}: mapped, but status does not list it')

    def unmap(self, target):
        """Take away whatever is mounted on target."""
        if target in self.bindfs:
            child = self.bindfs.pop(target)
            run(['umount', target] if is_root() else ['fusermount3', '-u', target])
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
            child.stderr.close()
            self.pids.discard(child.pid)
        elif filesystem_of(target) == 'tmpfs':
            run(['umount', target])
        else:
            self.driveway('unmap', target)

    # --- the end ----------------------------------------------------------------------------------

    def _try(self, function, *arguments):
        try:
            function(*arguments)
        except (Failed, OSError, ValueError) as problem:
            print(f'bench: clean-up: {problem}')

    def _end(self, pid):
        """Ask, wait 5 s, then kill."""
        for sign, rounds in ((signal.SIGTERM, 50), (signal.SIGKILL, 20)):
            try:
                os.kill(pid, sign)
            except ProcessLookupError:
                return
            for _ in range(rounds):
                if not os.path.exists(f'/proc/{pid}') or ') Z ' in read_text(f'/proc/{pid}/stat'):
                    return
                time.sleep(0.1)

    def close_service(self):
        """Unmap our drives and end our keeper and service, so that the next group starts fresh."""
        if not os.path.exists(os.path.join(self.runtime, 'control.sock')):
            return
        try:
            status = self.status()
        except (Failed, ValueError):
            return
        for drive in status.get('drives', []):
            self._try(self.driveway, 'unmap', '--force', drive['target'])
        ours = [status.get('keeper_pid', 0), status.get('service_pid', 0)]
        for _ in range(50):
            if not any(pid and os.path.exists(f'/proc/{pid}') for pid in ours):
                break
            time.sleep(0.1)
        for pid in ours:
            if pid:
                self._end(pid)
                self.pids.discard(pid)

    def close_mounts(self):
        self.close_service()
        for target in list(self.bindfs):
            self._try(self.unmap, target)
        for target in mounts_below(self.folder):
            self._try(run, ['umount', '-l', target] if is_root() else ['fusermount3', '-u', '-z', target])

    def close(self):
        self.close_mounts()
        for pid in sorted(self.pids):
            self._end(pid)
        if self.uring_before is not None:
            with open(URING_SWITCH, 'w', encoding='ascii') as switch:
                switch.write(self.uring_before)
        if mounts_below(self.folder):
            print(f'bench: {self.folder} stays, something is still mounted in it')
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self.runtime, ignore_errors=True)
