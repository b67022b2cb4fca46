#!/bin/sh
# SPDX-License-Identifier: MIT
# Access control lists: what they grant, and that a default one takes the umask's place; on drives that are for their
# owner only, where the kernel checks nothing, as on those for all. The folder itself shows what is right.
. "$(dirname "$0")/lib.sh"

command -v setfacl >/dev/null || skip "there is no setfacl"
setfacl -m u:7001:r "$T/source/file" 2>/dev/null || skip "$T keeps no access control lists"
setfacl -b "$T/source/file"

# What new things in a folder with a default ACL look like, made with a umask that would take everything.
new_things()
{
	mkdir "$1/plain" "$1/with" || fail "mkdir in $1"
	setfacl -d -m u:7001:rwx,g::rx,o::rx,m::rwx "$1/with" || fail "setfacl in $1"
	for folder in plain with; do
		(
			umask 077
			cd "$1/$folder" || exit 1
			: >file && mkdir folder && mkfifo pipe && ln -s file link
			python3 -c "import os; os.link('/proc/self/fd/%d' % os.open('.', os.O_TMPFILE | os.O_RDWR, 0o666),
			'nameless', src_dir_fd=0, follow_symlinks=True)"
		) || fail "making things in $1/$folder"
	done
	(cd "$1" && getfacl -n plain/* with/* && stat -c '%n %a' plain/* with/*)
}

new_things "$T/source" >"$T/right"
grep -q 'user:7001:rwx.*' "$T/right" || fail "the native folder does not inherit: $(cat "$T/right")"
rm -r "$T/source/plain" "$T/source/with"
for source in memory: "local:$T/source"; do
	for options in transport=plain allow-other; do
		must driveway map "$T/a" "$source" -o "$options"
		new_things "$T/a" >"$T/got"
		diff "$T/right" "$T/got" >&2 || fail "$source with $options differs from the native folder"
		rm -r "$T/a/plain" "$T/a/with"
		must driveway unmap "$T/a"
	done
done

[ "$(id -u)" = 0 ] || exit 0
command -v setpriv >/dev/null || skip "there is no setpriv"

# may UID GID LETTER FILE: access(2) says so
may()
{
	setpriv --reuid="$1" --regid="$2" --clear-groups test "-$3" "$4"
}

# What a user, a member of a group, somebody else and root may do with a file, one letter each.
granted()
{
	for who in '7001 7009' '7008 7002' '7008 7009' '0 0'; do
		for letter in r w x; do
			# shellcheck disable=SC2086 # two words
			may $who $letter "$1" && printf %s $letter || printf -
		done
		printf ' '
	done
}

chmod 755 "$T"
for source in memory: "local:$T/source"; do
	must driveway map "$T/a" "$source" -o allow-other
	chmod 755 "$T/a"
	echo x >"$T/a/access"
	chmod 640 "$T/a/access"
	setfacl -m u:7001:rwx,g:7002:rw,m:rw "$T/a/access"
	[ "$(granted "$T/a/access")" = "rw- rw- --- rw- " ] || fail "$source: access(2) says $(granted "$T/a/access")"
	setfacl -m m:rwx "$T/a/access"
	[ "$(granted "$T/a/access")" = "rwx rw- --- rwx " ] || fail "$source: access(2) says $(granted "$T/a/access")"
	setpriv --reuid=7001 --regid=7009 --clear-groups cat "$T/a/access" >/dev/null || fail "$source: the ACL does not open"
	! setpriv --reuid=7008 --regid=7009 --clear-groups cat "$T/a/access" 2>/dev/null || fail "$source: everybody may read"
	must driveway unmap "$T/a"

	# For root alone: nobody else gets in, and root may do all but execute what nobody may execute.
	must driveway map "$T/a" "$source"
	chmod 755 "$T/a"
	rm -f "$T/a/access"
	echo x >"$T/a/access"
	setfacl -m u:7001:rw "$T/a/access"
	[ "$(granted "$T/a/access")" = "--- --- --- rw- " ] || fail "$source, private: access(2) says $(granted "$T/a/access")"
	must driveway unmap "$T/a"
done
nothing_is_mapped
