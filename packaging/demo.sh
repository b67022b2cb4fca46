#!/bin/sh
# SPDX-License-Identifier: MIT
#
# demo.sh: build, map three drives under ./drives/, show what they hold, and leave them mapped. Run again, it maps what is
# missing. demo.sh --unmap unmaps them.
set -eu
cd "$(dirname "$0")/.."
driveway=./build/tool/driveway
drives="memory archive mirror"
said=

# Where there is no session of a user (su, a container), the runtime folder is ours.
if [ "$(id -u)" -ne 0 ] && [ -z "${DRIVEWAY_RUNTIME_DIR-}" ] && [ ! -d "${XDG_RUNTIME_DIR-/nowhere}" ]; then
	export DRIVEWAY_RUNTIME_DIR="$PWD/build/demo/run"
	said="DRIVEWAY_RUNTIME_DIR=$DRIVEWAY_RUNTIME_DIR "
fi

is_mapped() {
	mountpoint -q "$1" 2> /dev/null
}

if [ "${1-}" = --unmap ]; then
	for drive in $drives; do
		if is_mapped "drives/$drive"; then
			"$driveway" unmap "drives/$drive" || exit 1
		fi
	done
	rmdir drives/* drives 2> /dev/null || true
	exit 0
fi

show() {
	printf '\n$ %s\n' "$*"
	sh -c "$*"
}

if [ ! -e /dev/fuse ]; then
	[ "$(id -u)" -eq 0 ] && modprobe fuse 2> /dev/null || true
fi
if [ ! -e /dev/fuse ]; then
	echo "There is no /dev/fuse: this kernel has no FUSE, or this is a container that was not given the device" >&2
	echo "(docker run --device /dev/fuse --cap-add SYS_ADMIN). Drives cannot be mapped here." >&2
	exit 1
fi

mkdir -p build/demo
test -f build/build.ninja || meson setup build > build/demo/build.log || { cat build/demo/build.log && exit 1; }
ninja -C build > build/demo/build.log || { cat build/demo/build.log && exit 1; }
[ -z "${DRIVEWAY_RUNTIME_DIR-}" ] || mkdir -p -m 700 "$DRIVEWAY_RUNTIME_DIR"

# Something real to open as a drive: the kernel's C headers and this project's own documents.
archive=build/demo/headers.tar.gz
if [ ! -f "$archive" ]; then
	tar -czf "$archive.new" -C "$PWD" README.md docs -C /usr/include linux
	mv "$archive.new" "$archive"
fi
if [ ! -d build/demo/folder ]; then
	mkdir -p build/demo/folder/letters
	cp README.md LICENSE build/demo/folder/
	echo 'This file lives in build/demo/folder.' > build/demo/folder/letters/hello
fi

for drive in $drives; do
	is_mapped "drives/$drive" && continue
	mkdir -p "drives/$drive"
	case $drive in
	memory) "$driveway" map drives/memory memory: ;;
	archive) "$driveway" map drives/archive "archive:$archive" ;;
	mirror) "$driveway" map drives/mirror local:build/demo/folder ;;
	esac
done

echo
echo "Three drives are mapped under ./drives/."
show "$driveway list"
printf '\nA drive in memory: written to, read back.\n'
show 'echo "Hello, drive" > drives/memory/greeting && cat drives/memory/greeting'
show 'mkdir -p drives/memory/folder && cp README.md drives/memory/folder && ls -l drives/memory drives/memory/folder'
printf '\nAn archive, opened as a drive: nothing is unpacked.\n'
show 'ls drives/archive/linux | wc -l'
show 'grep -h "define FUSE_KERNEL_VERSION" drives/archive/linux/fuse.h'
printf '\nA mirror of a folder: what is written on one side is on the other.\n'
show 'cat drives/mirror/letters/hello'
show 'date > drives/mirror/letters/today && cat build/demo/folder/letters/today'

cat << END

They stay mapped. From here:
  ls drives/memory                                  use them, with any program
  $said$driveway list                       what is mapped
  $said$driveway status                     how it is served
  $said$driveway unmap drives/memory        take one away
  mkdir -p drives/mine && $said$driveway map drives/mine local:\$HOME
END
