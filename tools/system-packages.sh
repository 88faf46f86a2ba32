#!/bin/sh
# Install the system programs that some tests need (or the packages named as arguments), where that can be done:
# as root, with apt-get. Elsewhere say what is missing and succeed: those tests are then skipped with the reason.
set -eu

# program:package. The list is short on purpose: a test that needs another program adds it here.
needed='
turnutils_uclient:coturn
mn:mininet
mnexec:mininet
brctl:bridge-utils
tshark:tshark
chromium:chromium
ip:iproute2
unshare:util-linux
nft:nftables
conntrack:conntrack
ethtool:ethtool
setpriv:util-linux
kamailio:kamailio
sipp:sip-tester
baresip:baresip-core
node:nodejs
npm:npm
certutil:libnss3-tools
dockerd:docker.io
docker-compose:docker-compose
mmdebstrap:mmdebstrap
'
PATH=$PATH:/usr/sbin:/sbin

if [ $# -gt 0 ]; then
    packages=$*
else
    packages=
    for pair in $needed; do
        command -v "${pair%%:*}" >/dev/null 2>&1 || packages="$packages ${pair##*:}"
    done
fi
packages=$(printf '%s\n' $packages | sort -u | tr '\n' ' ')
[ -n "${packages% }" ] || exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    printf 'not installed, so the tests that need them are skipped:  %s\n' "$packages" >&2
    printf 'to have them, as root on Debian or Ubuntu:  apt-get install --no-install-recommends %s\n' "$packages" >&2
    exit 0
fi

# coturn and Kamailio would start their daemons when installed; the lab starts its own where it needs one.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
printf 'installing system packages: %s\n' "$packages"
install_packages() {
    # shellcheck disable=SC2086  # a list of package names
    apt-get install -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 -o Acquire::Retries=3 \
        $packages </dev/null >/dev/null
}
# The package lists are read anew only where the ones at hand do not do: it is the slow part.
if ! install_packages 2>/dev/null; then
    apt-get update -qq </dev/null && install_packages ||
        printf 'cannot install %s: the tests that need them are skipped\n' "$packages" >&2
fi
