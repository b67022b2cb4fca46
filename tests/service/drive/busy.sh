#!/bin/sh
# SPDX-License-Identifier: MIT
# unmap of a drive in use says who uses it, and --force does it anyway.
. "$(dirname "$0")/lib.sh"

must driveway map "$T/a" memory:
echo content >"$T/a/file"

# Somebody has a file open, somebody else stands in a folder, a third one has mapped a file.
sleep 60 <"$T/a/file" &
reader=$!
(cd "$T/a" && exec sleep 60) &
stander=$!
stands_there()
{
	[ "$(readlink "/proc/$1/cwd")" = "$T/a" ] && [ "$(cat "/proc/$1/comm")" = sleep ]
}
wait_until 5 stands_there "$stander" || fail "the test's own process does not stand in the drive"
must_say "$T/a is in use by: .*close them, or use --force" unmap "$T/a"
grep -q "$reader (sleep)" "$T/err" || fail "the reader $reader is not named: $(cat "$T/err")"
grep -q "$stander (sleep)" "$T/err" || fail "who stands there, $stander, is not named: $(cat "$T/err")"
[ "$(cat "$T/a/file")" = content ] || fail "the refused unmap has broken the drive"
[ "$(field state)" = ready ] || fail "state: $(field state)"

kill "$reader"
wait "$reader" 2>/dev/null
must_say "$stander (sleep)" unmap "$T/a"
! grep -q "$reader (sleep)" "$T/err" || fail "the reader is still named"

keeper=$(keeper_pid)
must driveway unmap --force "$T/a"
nothing_is_mapped
[ -z "$(ls -A "$T/a")" ] || fail "something of the drive is left"
wait_until 5 is_gone "$keeper" || fail "the keeper does not end after --force"
kill "$stander"
wait "$stander" 2>/dev/null

# Unmounted behind our back: the drive goes from the table, and the processes with the last one.
must driveway map "$T/a" memory:
must driveway map "$T/b" memory:
keeper=$(keeper_pid)
umount "$T/a" 2>/dev/null || fusermount3 -u "$T/a" || fail "cannot unmount"
one_is_left()
{
	[ "$(drive_count)" = 1 ]
}
wait_until 5 one_is_left || fail "the unmounted drive is still listed: $(driveway list)"
umount "$T/b" 2>/dev/null || fusermount3 -u "$T/b" || fail "cannot unmount"
wait_until 5 is_gone "$keeper" || fail "the keeper does not end when the last drive was unmounted"
