#!/bin/sh
# SPDX-License-Identifier: MIT
# A drive whose file system hangs delays no other, nor status, and can be unmapped.
. "$(dirname "$0")/lib.sh"

touch "$T/flag-hang"
must driveway map "$T/a" "$plugins/odd.so:$T/flag-hang" -o workers=4
must driveway map "$T/b" memory:
for i in 1 2 3 4 5 6; do
	(timeout 60 ls "$T/a/hang$i" >"$T/ls-$i" 2>&1) &
done
sleep 0.3

# More requests hang than the drive has threads, and the other one works.
for i in 1 2 3 4 5 6 7 8 9 10; do
	timeout 5 sh -c "echo $i >'$T/b/file$i' && cat '$T/b/file$i'" >/dev/null || fail "the other drive waits"
done
timeout 10 "$driveway_program" status >/dev/null || fail "status waits"
timeout 10 "$driveway_program" list >/dev/null || fail "list waits"
[ "$(field in_flight "$T/a")" -ge 4 ] || fail "nothing hangs: $(field in_flight "$T/a")"

# The service is replaced although calls hang; they hang again in the next one, and end when they can.
service=$(service_pid)
kill -9 "$service"
wait_until 10 is_not "$service" service_pid || fail "there is no new service"
timeout 10 cat "$T/b/file1" >/dev/null || fail "the other drive does not come back"
rm "$T/flag-hang"
wait
grep -q 'No such file' "$T/ls-1" || fail "a request that hung did not end: $(cat "$T/ls-1")"

# A drive that never answers again is got rid of by force, and the other survives that.
touch "$T/flag-hang"
(timeout 60 ls "$T/a/hang" >/dev/null 2>&1) &
sleep 0.2
must driveway unmap --force "$T/a"
wait_until 15 state_is "$T/b" ready || fail "the other drive: $(driveway status)"
[ "$(timeout 10 cat "$T/b/file10")" = 10 ] || fail "the other drive has lost a file"
[ "$(mounts_here)" = "$T/b" ] || fail "mounts: $(mounts_here)"
[ "$(drive_count)" = 1 ] || fail "drives: $(driveway list)"
wait
must driveway unmap "$T/b"
nothing_is_mapped
