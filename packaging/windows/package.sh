#!/bin/sh
# SPDX-License-Identifier: MIT
#
# package.sh OUT VERSION SOURCES DRIVER COMMAND SERVICE: sign the three files of a build by MinGW, and make the installer.
#
#    OUT/package/             driveway.sys, driveway.exe, drivewayd.exe (signed), driveway.inf, driveway-test.cer
#    OUT/driveway-setup.exe   the installer of all that (signed)
#    OUT/driveway-test.pem    the certificate, for osslsigncode verify -CAfile
#
# The key is made here, used, and thrown away: it is good for machines that have test-signing switched on, and nothing
# that is signed by it can be signed again.
set -eu
out=$1 version=$2 sources=$3 driver=$4 command=$5 service=$6

keys=$(mktemp -d)
trap 'rm -rf "$keys"' EXIT
umask 077

openssl req -x509 -newkey rsa:3072 -sha256 -nodes -days 365 -keyout "$keys/key.pem" -out "$keys/test.pem" \
	-subj "/CN=Driveway test, throw-away" -addext "keyUsage=critical,digitalSignature" \
	-addext "extendedKeyUsage=codeSigning" 2> "$keys/said" || { cat "$keys/said" >&2; exit 1; }

# sign IN OUT
sign() {
	rm -f "$2"
	osslsigncode sign -h sha256 -certs "$keys/test.pem" -key "$keys/key.pem" -n Driveway -in "$1" -out "$2" \
		> "$keys/said" 2>&1 || { cat "$keys/said" >&2; exit 1; }
	chmod 644 "$2"
}

rm -rf "$out/package"
mkdir -p "$out/package"
chmod 755 "$out/package"
for file in "$driver" "$command" "$service"; do
	# Its symbols stay with the build.
	x86_64-w64-mingw32-strip --strip-debug -o "$keys/stripped" "$file"
	sign "$keys/stripped" "$out/package/$(basename "$file")"
done
sed "s|@VERSION@|$version|; s|@DATE@|$(date -u +%m/%d/%Y)|" "$sources/driveway.inf" > "$out/package/driveway.inf"
openssl x509 -in "$keys/test.pem" -outform DER -out "$out/package/driveway-test.cer"
cp "$keys/test.pem" "$out/driveway-test.pem"
chmod 644 "$out/package/driveway.inf" "$out/package/driveway-test.cer" "$out/driveway-test.pem"
makensis -V2 -DVERSION="$version" -DFILES="$(realpath "$out/package")" -DOUT="$keys/driveway-setup.exe" "$sources/driveway.nsi"
sign "$keys/driveway-setup.exe" "$out/driveway-setup.exe"
