# SPDX-License-Identifier: MIT
"""A disk that remembers: what a program did to files, and what is left of it when the power goes.

Recorded calls (strace) become operations on inodes. leave() builds a folder as a crash behind the n-th operation may
leave it, by the rules of a journalling file system in ordered mode:

- a file's bytes are there for certain when fsync or fdatasync of that file has returned; of bytes that were
  written later, each page may or may not have reached the disk, in any order;
- names and lengths go through the journal in the order in which they were made; every fsync commits what is in the
  journal, so all that came before the last fsync of anything is there, and of the rest a beginning of any length.
"""

import os
import random
import re
import shutil

PAGE = 4096
CALLS = ('open,openat,openat2,creat,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,link,linkat,'
         'symlink,symlinkat,write,pwrite64,writev,pwritev,ftruncate,truncate,fallocate,fsync,fdatasync,syncfs,'
         'copy_file_range,utimensat,lseek')

LINE = re.compile(r'^(\d+)\s+(\d+\.\d+) (.*)$')
FD = re.compile(r'^(?:AT_FDCWD|-?\d+)<(.*)>$', re.S)


class Unreadable(Exception):
    pass


def unescape(text):
    """What strace -xx made of bytes."""
    return bytes(int(byte, 16) for byte in re.findall(r'\\x([0-9a-f]{2})', text))


def split_arguments(text):
    """The arguments of a call; commas inside quotes, brackets and braces do not count."""
    found, depth, quoted, start = [], 0, False, 0
    for at, letter in enumerate(text):
        if letter == '"':
            quoted = not quoted
        elif quoted:
            continue
        elif letter in '[{(<':
            depth += 1
        elif letter in ']})>':
            depth -= 1
        elif letter == ',' and depth == 0:
            found.append(text[start:at].strip())
            start = at + 1
    found.append(text[start:].strip())
    return found


def join_lines(lines):
    """(time, text) of each call, in the order in which they began to have effect: calls that were cut in two by another
    thread's are put together, and count from where they ended."""
    pending = {}
    for line in lines:
        match = LINE.match(line)
        if not match:
            continue
        pid, at, text = match.group(1), float(match.group(2)), match.group(3)
        if text.endswith('<unfinished ...>'):
            pending[pid] = text[:-len('<unfinished ...>')].rstrip()
        elif text.startswith('<... '):
            begun = pending.pop(pid, None)
            if begun is not None:
                yield at, begun + text[text.index('resumed>') + len('resumed>'):]
        else:
            yield at, text


class Recording:
    """The calls of a log as operations (time, kind, ...), for files below one of roots."""

    def __init__(self, log, roots):
        self.roots = [os.fsencode(os.path.realpath(root)) for root in roots]
        self.positions = {}  # descriptor -> (path, offset), for write(2)
        self.operations = []
        with open(log, encoding='latin-1') as lines:
            for at, text in join_lines(lines):
                self.read_call(at, text)

    def inside(self, path):
        return path is not None and not path.endswith(b'-shm') and any(
            path == root or path.startswith(root + b'/') for root in self.roots)

    @staticmethod
    def path_of(descriptor):
        match = FD.match(descriptor)
        if not match:
            return None
        path = unescape(match.group(1))
        return None if path.endswith(b' (deleted)') else path

    def at(self, folder, name):
        name = unescape(name)
        if name.startswith(b'/'):
            return os.path.normpath(name)
        base = self.path_of(folder)
        return os.path.normpath(os.path.join(base, name)) if base is not None else None

    def add(self, at, kind, *rest):
        self.operations.append((at, kind) + rest)

    def read_call(self, at, text):
        match = re.match(r'^(\w+)\((.*)\)\s+= (-?\d+)(.*)$', text, re.S)
        if not match:
            return
        call, arguments, result = match.group(1), split_arguments(match.group(2)), int(match.group(3))
        if result < 0:
            return
        handler = getattr(self, 'call_' + call, None)
        if handler:
            handler(at, arguments, result)

    def opened(self, at, path, flags, result):
        self.positions[result] = 0
        if not self.inside(path):
            return
        if 'O_CREAT' in flags:
            self.add(at, 'make', path)
        if 'O_TRUNC' in flags:
            self.add(at, 'truncate', path, 0)

    def call_open(self, at, a, result):
        self.opened(at, unescape(a[0]), a[1], result)

    def call_openat(self, at, a, result):
        self.opened(at, self.at(a[0], a[1]), a[2], result)

    call_openat2 = call_openat

    def call_creat(self, at, a, result):
        self.opened(at, unescape(a[0]), 'O_CREAT|O_TRUNC', result)

    def wrote(self, at, path, data, offset, result):
        if self.inside(path):
            if len(data) < result:
                raise Unreadable('the recording holds only part of what was written')
            self.add(at, 'write', path, offset, data[:result])

    def call_pwrite64(self, at, a, result):
        self.wrote(at, self.path_of(a[0]), unescape(a[1]), int(a[3]), result)

    def call_write(self, at, a, result):
        number = int(a[0].split('<')[0])
        offset = self.positions.get(number, 0)
        self.positions[number] = offset + result
        self.wrote(at, self.path_of(a[0]), unescape(a[1]), offset, result)

    def call_pwritev(self, at, a, result):
        self.wrote(at, self.path_of(a[0]), unescape(a[1]), int(a[3]), result)

    def call_lseek(self, at, a, result):
        self.positions[int(a[0].split('<')[0])] = result

    def call_ftruncate(self, at, a, result):
        path = self.path_of(a[0])
        if self.inside(path):
            self.add(at, 'truncate', path, int(a[1]))

    def call_fallocate(self, at, a, result):
        path = self.path_of(a[0])
        if self.inside(path):
            self.add(at, 'allocate', path, a[1], int(a[2]), int(a[3]))

    def call_fsync(self, at, a, result):
        path = self.path_of(a[0])
        if self.inside(path):
            self.add(at, 'sync', path)

    call_fdatasync = call_fsync

    def call_syncfs(self, at, a, result):
        self.add(at, 'sync-all')

    def call_copy_file_range(self, at, a, result):
        source, target = self.path_of(a[0]), self.path_of(a[2])
        offsets = [re.match(r'\[(\d+)', text) for text in (a[1], a[3])]
        if not self.inside(target) or result == 0:
            return
        if not all(offsets):
            raise Unreadable('copy_file_range without offsets')
        self.add(at, 'copy', source, int(offsets[0].group(1)), target, int(offsets[1].group(1)), result)

    def call_utimensat(self, at, a, result):
        path = self.path_of(a[0]) if a[1] == 'NULL' else self.at(a[0], a[1])
        times = re.findall(r'tv_sec=(-?\d+)[^,]*, tv_nsec=(\d+)', ','.join(a[2:]))
        if self.inside(path) and len(times) == 2:
            self.add(at, 'times', path, *(int(second) * 10**9 + int(part) for second, part in times))

    def moved(self, at, source, target, flags=''):
        if self.inside(source) or self.inside(target):
            self.add(at, 'exchange' if 'EXCHANGE' in flags else 'rename', source, target)

    def call_rename(self, at, a, result):
        self.moved(at, unescape(a[0]), unescape(a[1]))

    def call_renameat(self, at, a, result):
        self.moved(at, self.at(a[0], a[1]), self.at(a[2], a[3]))

    def call_renameat2(self, at, a, result):
        self.moved(at, self.at(a[0], a[1]), self.at(a[2], a[3]), a[4])

    def removed(self, at, path):
        if self.inside(path):
            self.add(at, 'remove', path)

    def call_unlink(self, at, a, result):
        self.removed(at, unescape(a[0]))

    call_rmdir = call_unlink

    def call_unlinkat(self, at, a, result):
        self.removed(at, self.at(a[0], a[1]))

    def call_mkdir(self, at, a, result):
        if self.inside(unescape(a[0])):
            self.add(at, 'folder', unescape(a[0]))

    def call_mkdirat(self, at, a, result):
        if self.inside(self.at(a[0], a[1])):
            self.add(at, 'folder', self.at(a[0], a[1]))

    def linked(self, at, source, target):
        if self.inside(target):
            self.add(at, 'link', source, target)

    def call_link(self, at, a, result):
        self.linked(at, unescape(a[0]), unescape(a[1]))

    def call_linkat(self, at, a, result):
        source = self.at(a[0], a[1])
        match = re.match(rb'^/proc/self/fd/(\d+)$', unescape(a[1]))
        if match:
            raise Unreadable('a link from a descriptor')
        self.linked(at, source, self.at(a[2], a[3]))


class File:
    """An inode: its bytes as they are on disk for certain, and what was written since."""

    def __init__(self, data=b''):
        self.synced = bytearray(data)
        self.later = []  # (operation number, offset, bytes) or (number, None, length)
        self.times = None

    def now(self):
        return self.after(lambda number, page: True)

    def after(self, survives):
        """The bytes, with those pages of later writes that survive; lengths follow the journal."""
        data = bytearray(self.synced)
        for number, offset, what in self.later:
            if offset is None:
                if survives(number, None):
                    del data[what:]
                    data.extend(bytes(what - len(data)))
                continue
            for start in range(0, len(what), PAGE):
                piece = what[start:start + PAGE]
                if not survives(number, start):
                    continue
                end = offset + start + len(piece)
                if len(data) < end:
                    data.extend(bytes(end - len(data)))
                data[offset + start:end] = piece
        return data


class Disk:
    """A folder below root, from base (a copy of how it was), through operations."""

    def __init__(self, root, base, orderly):
        self.root = os.fsencode(os.path.realpath(root))
        self.base = os.fsencode(base)
        self.orderly = orderly  # nothing is ever lost: somebody else's machine

    def load(self):
        names = {self.root: None}  # path -> File, or None for a folder
        for folder, folders, files in os.walk(self.base):
            below = os.path.normpath(os.path.join(self.root, os.path.relpath(folder, self.base)))
            for name in folders:
                names[os.path.join(below, name)] = None
            for name in files:
                path = os.path.join(folder, name)
                if name.endswith(b'-shm'):
                    continue
                with open(path, 'rb') as file:
                    entry = File(file.read())
                facts = os.stat(path)
                entry.times = (facts.st_atime_ns, facts.st_mtime_ns)
                names[os.path.join(below, name)] = entry
        return names

    def mine(self, path):
        return path is not None and (path == self.root or path.startswith(self.root + b'/'))

    def leave(self, operations, target, chance):
        """Write to target what a crash behind operations leaves."""
        names, journal_end = self.load(), len(operations)
        if not self.orderly:
            last_sync = max((n for n, op in enumerate(operations)
                             if op[1] == 'sync-all' or (op[1] == 'sync' and self.mine(op[2]))), default=-1)
            journal_end = chance.randint(last_sync + 1, len(operations))
        for number, operation in enumerate(operations):
            self.apply(names, number, operation, number < journal_end)
        pages = {}

        def survives(number, page):
            if self.orderly:
                return True
            if page is None:
                return number < journal_end
            return pages.setdefault((number, page), chance.random() < 0.5)

        self.write(names, target, survives)

    def apply(self, names, number, operation, in_journal):
        kind, rest = operation[1], operation[2:]
        path = rest[0] if rest else None
        if kind == 'sync-all':
            for entry in names.values():
                self.settle(entry)
        elif kind == 'copy':
            self.apply_copy(names, number, rest)
        elif kind in ('rename', 'exchange', 'link'):
            if in_journal and self.mine(rest[1]):
                self.apply_move(names, kind, path, rest[1])
        elif not self.mine(path):
            return
        elif kind in ('make', 'folder'):
            if in_journal and path not in names:
                names[path] = None if kind == 'folder' else File()
        elif kind == 'remove':
            if in_journal:
                names.pop(path, None)
        else:
            self.apply_to_file(names.get(path), number, kind, rest)

    @staticmethod
    def settle(entry):
        if entry is not None:
            entry.synced, entry.later = entry.now(), []

    def apply_to_file(self, entry, number, kind, rest):
        if entry is None:
            return
        if kind == 'write':
            entry.later.append((number, rest[1], rest[2]))
        elif kind == 'truncate':
            entry.later.append((number, None, rest[1]))
        elif kind == 'times':
            entry.times = (rest[1], rest[2])
        elif kind == 'allocate':
            mode, offset, length = rest[1:4]
            size = len(entry.now())
            if 'PUNCH_HOLE' in mode or 'ZERO_RANGE' in mode:
                end = offset + length if 'KEEP_SIZE' not in mode else min(size, offset + length)
                if end > offset:
                    entry.later.append((number, offset, bytes(end - offset)))
            elif 'KEEP_SIZE' not in mode and offset + length > size:
                entry.later.append((number, None, offset + length))
        elif kind == 'sync':
            self.settle(entry)

    def apply_copy(self, names, number, rest):
        source, offset, target, target_offset, length = rest
        if self.mine(target) and names.get(target) is not None and names.get(source) is not None:
            data = bytes(names[source].now()[offset:offset + length])
            names[target].later.append((number, target_offset, data))

    @staticmethod
    def apply_move(names, kind, source, target):
        if source not in names:
            return
        if kind == 'link':
            names[target] = names[source]
            return
        moved = {path: names[path] for path in names if path == source or path.startswith(source + b'/')}
        back = {path: names[path] for path in names if path == target or path.startswith(target + b'/')}
        for path in list(moved) + list(back):
            del names[path]
        names.update({target + path[len(source):]: entry for path, entry in moved.items()})
        if kind == 'exchange':
            names.update({source + path[len(target):]: entry for path, entry in back.items()})

    def write(self, names, target, survives):
        target = os.fsencode(target)
        shutil.rmtree(target, ignore_errors=True)
        os.makedirs(target, mode=0o700)
        for path in sorted(names):
            place = target + path[len(self.root):]
            if not os.path.isdir(os.path.dirname(place)):
                continue
            if names[path] is None:
                os.makedirs(place, mode=0o700, exist_ok=True)
                continue
            with open(place, 'wb') as file:
                os.fchmod(file.fileno(), 0o600)
                file.write(names[path].after(survives))
            if names[path].times:
                os.utime(place, ns=names[path].times)


def chances(seed):
    return random.Random(seed)
