#!/bin/sh
# SPDX-License-Identifier: MIT
# The service dies while it is mapping: exactly one drive results, or none when it cannot be opened.
. "$(dirname "$0")/lib.sh"

must driveway map "$T/b" memory:

is_mapping()
{
	# The drive that is being mapped, not the one that is there.
	driveway list --json | grep -q '"state": "mapping"'
}

touch "$T/flag-wait"
driveway map "$T/a" "$plugins/odd.so:" -o "wait-while=$T/flag-wait" 2>"$T/map-err" &
map=$!
wait_until 10 is_mapping || fail "the map does not begin"
must_say "is already mapped" map "$T/a" memory:
must_say "is mapping just now" unmap "$T/a"
service=$(service_pid)
kill -9 "$service"
wait_until 10 is_not "$service" service_pid || fail "there is no new service"
rm "$T/flag-wait"
wait "$map" || fail "map failed: $(cat "$T/map-err")"
[ "$(drive_count)" = 2 ] || fail "drives: $(driveway list)"
[ "$(mounts_here | wc -l)" = 2 ] || fail "mounts: $(mounts_here)"
[ "$(timeout 10 cat "$T/a/file")" = "content of an odd drive" ] || fail "the drive does not answer"
must driveway unmap "$T/a"

# The same, but the next service cannot open it: the map fails and nothing is left.
touch "$T/flag-wait"
driveway map "$T/a" "$plugins/odd.so:" -o "wait-while=$T/flag-wait" -o "fail-if=$T/flag-fail" 2>"$T/map-err" &
map=$!
wait_until 10 is_mapping || fail "the map does not begin"
touch "$T/flag-fail"
service=$(service_pid)
kill -9 "$service"
wait_until 10 is_not "$service" service_pid || fail "there is no new service"
rm "$T/flag-wait"
! wait "$map" || fail "a map that cannot work says that it did"
grep -q "remove it" "$T/map-err" || fail "map said: $(cat "$T/map-err")"
[ "$(drive_count)" = 1 ] || fail "drives: $(driveway list)"
[ "$(mounts_here)" = "$T/b" ] || fail "mounts: $(mounts_here)"

# A drive in use that cannot be opened again answers with errors, says why, and comes back when it can.
rm "$T/flag-fail"
must driveway map "$T/a" "$plugins/odd.so:" -o "fail-if=$T/flag-fail"
exec 5<"$T/a/file"
touch "$T/flag-fail"
service=$(service_pid)
kill -9 "$service"
wait_until 10 state_is "$T/a" failed || fail "state: $(field state "$T/a")"
field error "$T/a" | grep -q "remove it" || fail "error: $(field error "$T/a")"
! timeout 10 ls "$T/a/other" 2>"$T/err" || fail "a failed drive answers"
grep -q 'Input/output error' "$T/err" || fail "a failed drive says: $(cat "$T/err")"
[ "$(timeout 10 ls "$T/b" | wc -l)" = 0 ] || fail "the other drive has suffered"
rm "$T/flag-fail"
wait_until 10 state_is "$T/a" ready || fail "it does not come back: $(driveway status)"
[ "$(timeout 10 cat "$T/a/file")" = "content of an odd drive" ] || fail "it came back and does not answer"
exec 5<&-
must driveway unmap "$T/a"
must driveway unmap "$T/b"
nothing_is_mapped
