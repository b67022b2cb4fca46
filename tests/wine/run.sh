#!/bin/sh
# SPDX-License-Identifier: MIT
# run.sh TEST DRIVER...: a test of the driver under Wine, in a prefix of its own, which is gone afterwards.
set -u
prefix=$(mktemp -d "${TMPDIR:-/tmp}/driveway-wine-XXXXXX") || exit 1
export WINEPREFIX="$prefix" WINEDEBUG="${WINEDEBUG:--all,err+ntoskrnl,err+seh}" WINEDLLOVERRIDES="mscoree,mshtml="
trap 'wineserver -k >/dev/null 2>&1; rm -rf "$prefix"' EXIT
# What the new prefix starts must have ended, or it is in the way of our services.
wineboot -i >/dev/null 2>&1 || exit 77
wineserver -w
program=$1
shift
for driver; do
	set -- "$@" "$(winepath -w "$driver" 2>/dev/null)"
	shift
done
wine "$program" "$@"
