#!/bin/sh
# SPDX-License-Identifier: MIT
# Every mistake has a message of its own that says what to do, and leaves nothing behind.
. "$(dirname "$0")/lib.sh"

echo x >"$T/afile"
mkdir "$T/full"
touch "$T/full/something"

# Without a service, and so that none stays when the first map fails.
must_say "there is no folder $T/none: make it first, mkdir -p $T/none" map "$T/none" memory:
must_say "there is no folder $T/none/deep: make it first" map "$T/none/deep" memory:
must_say "is not mapped" unmap "$T/a"
nothing_is_mapped

must driveway map "$T/b" memory:

must_say "there is no folder" map "$T/none" memory:
must_say "$T/afile is not a folder" map "$T/afile" memory:
must_say "$T/full is not empty: choose an empty folder, or map over what it holds with -o nonempty" map "$T/full" memory:
must_say "there is no provider \"nosuch\": use one of memory, local" map "$T/a" nosuch:
must_say "write PROVIDER:REST" map "$T/a" memory
must_say "$T/b is already mapped, to memory:" map "$T/b" memory:
mkdir "$T/b/inside"
must_say "lies on the drive $T/b" map "$T/b/inside" memory:
must_say "lies on the drive $T/b, and a drive cannot be made of another" map "$T/a" "local:$T/b/inside"
must_say "would cover its own source" map "$T/source" "local:$T/source/file" -o nonempty
must_say "would cover the drive $T/b" map "$T" memory: -o nonempty
must_say 'option transport cannot be "fast": write auto, io_uring or plain' map "$T/a" memory: -o transport=fast
must_say 'option workers cannot be "0": write a number' map "$T/a" memory: -o workers=0
must_say "bogus" map "$T/a" memory: -o bogus=1
must_say "$T/missing" map "$T/a" "local:$T/missing"
must_say "local: lacks a path" map "$T/a" local:
must_say "cannot use the cache folder" map "$T/a" memory: --cache "$T/afile"
must_say "there is no plug-in $T/missing.so: correct the path" map "$T/a" "$T/missing.so:"
cp "$T/afile" "$T/text.so"
must_say "$T/text.so is not a Driveway plug-in" map "$T/a" "$T/text.so:"
must_say "it does not export driveway_provider" map "$T/a" "$plugins/no_symbol.so:"
must_say "was built for version 2 of the interface and this is version 1: build it again" map "$T/a" "$plugins/generation.so:"
must_say "too short" map "$T/a" "$plugins/short.so:"
must_say "is not a complete provider" map "$T/a" "$plugins/no_open.so:"
must_say "sizes that are too short" map "$T/a" "$plugins/short_ops.so:"
must_say "cannot be opened: Input/output error" map "$T/a" "$plugins/no_answer.so:"
must_say "cannot be opened: Network is unreachable" map "$T/a" "$plugins/says_nothing.so:"
touch "$T/flag-fail"
must_say "remove it" map "$T/a" "$plugins/odd.so:" -o "fail-if=$T/flag-fail"
must_say "$T/a is not mapped: driveway list shows what is" unmap "$T/a"
must_say "$T/a is not mapped" status "$T/a"
must_say "not valid UTF-8" map "$T/a" memory: --label "$(printf '\377')"

# A mistake in how the command is called is status 2 and a line too.
for arguments in "" "bogus" "map" "map $T/a" "map $T/a memory: more" "map --bogus" "map $T/a memory: -o" "unmap" \
	"unmap --bogus $T/a" "list more" "status a b" "help bogus" "version more"; do
	# shellcheck disable=SC2086
	driveway $arguments >"$T/out" 2>"$T/err"
	code=$?
	[ "$code" = 2 ] && [ "$(wc -l <"$T/err")" = 1 ] || fail "driveway $arguments: $code, $(cat "$T/err")"
done

# None of it has left a drive, a mount, or harm to the one that was there.
[ "$(drive_count)" = 1 ] || fail "drives: $(driveway list)"
[ "$(mounts_here)" = "$T/b" ] || fail "mounts: $(mounts_here)"
[ -d "$T/b/inside" ] || fail "the drive that was there has suffered"
[ "$(service_pid)" ] && [ "$(field restarts)" = 0 ] || fail "the service did not get through it in one piece"

# What was refused works when the mistake is corrected.
rm "$T/flag-fail"
must driveway map "$T/a" "$plugins/odd.so:" -o "fail-if=$T/flag-fail"
[ "$(cat "$T/a/file")" = "content of an odd drive" ] || fail "the plug-in's drive"
must driveway unmap "$T/a"
must driveway map "$T/full" memory: -o nonempty
must driveway unmap "$T/full"
[ -e "$T/full/something" ] || fail "what was under the drive is gone"
must driveway unmap "$T/b"

# The first map of a service that fails ends the service again.
nothing_is_mapped
must_say "there is no provider" map "$T/a" nosuch:
nothing_is_mapped

# Runtime folders that are no good.
export DRIVEWAY_RUNTIME_DIR=relative
must_say "is not an absolute path: correct DRIVEWAY_RUNTIME_DIR" map "$T/a" memory:
export DRIVEWAY_RUNTIME_DIR=$T/open
mkdir -m 755 "$T/open"
must_say "is open to other users: chmod 700" map "$T/a" memory:
export DRIVEWAY_RUNTIME_DIR=$T/run
