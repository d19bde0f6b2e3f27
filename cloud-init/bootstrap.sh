#!/bin/sh
# Makes any fresh Debian or Ubuntu server able to run the bundle. Every step asks first whether it
# is done, so running it again is harmless; in a golden image nearly everything is.
set -eu
umask 022

root=/opt/provision
bundle=$root/bundle

say() { echo "bootstrap [$(cut -d' ' -f1 /proc/uptime)s] $*"; }

# retry COMMAND…: five attempts, with a longer pause after each
retry() {
    for pause in 2 5 15 30 0; do
        "$@" && return 0
        say "failed: $*"
        sleep $pause
    done
    return 1
}

apt() {
    DEBIAN_FRONTEND=noninteractive retry \
        apt-get -q -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@"
}

ensure_docker() {
    if docker compose version > /dev/null 2>&1; then return; fi
    say "installing Docker and Compose"
    apt update
    compose=docker-compose # Debian's name for version 2, Ubuntu's for version 1
    if apt-cache show docker-compose-v2 > /dev/null 2>&1; then compose=docker-compose-v2; fi
    cli=
    if apt-cache show docker-cli > /dev/null 2>&1; then cli=docker-cli; fi
    keep_containers
    # shellcheck disable=SC2086 # $cli may be nothing
    apt install --no-install-recommends docker.io $cli $compose docker-buildx
    docker compose version || {
        say "this release has no Compose version 2; use Debian 13 or Ubuntu 24.04"
        return 1
    }
}

# A restart of Docker, such as an upgrade of it, need not end everybody's work. Whoever had Docker
# before us (host.json is of a machine that is somebody's) has it as it was.
keep_containers() {
    [ -e /etc/docker/daemon.json ] && return
    mkdir -p /etc/docker
    echo '{"live-restore": true}' > /etc/docker/daemon.json
    if systemctl is-active --quiet docker.service; then systemctl reload docker.service; fi
}

# The file system of people's homes, and what packs them for `provision backup`.
ensure_xfs() {
    command -v xfs_quota > /dev/null && command -v mkfs.xfs > /dev/null &&
        command -v zstd > /dev/null && return
    say "installing the tools of XFS"
    apt update
    apt install --no-install-recommends xfsprogs zstd
}

# What fetches shared data from elsewhere: `provision` has the server ask for it itself.
ensure_curl() {
    command -v curl > /dev/null && return
    say "installing curl"
    apt update
    apt install --no-install-recommends curl ca-certificates
}

start_docker() {
    systemctl is-active --quiet docker.service || systemctl enable --now docker.service
    retry docker info > /dev/null
}

ensure_secrets() {
    install -d -m 0700 $root/secrets $root/secrets/tls
    ensure_token proxy.env CONFIGPROXY_AUTH_TOKEN
    ensure_token hub.env PROVISION_HUB_TOKEN
}

# ensure_token FILE VARIABLE
ensure_token() {
    [ -s "$root/secrets/$1" ] && return
    token=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
    (umask 077 && echo "$2=$token" > "$root/secrets/$1.new")
    mv "$root/secrets/$1.new" "$root/secrets/$1"
}

have_images() {
    for image in caddy hub notebook proxy; do
        docker image inspect "provision-$image:$PROVISION_TAG" > /dev/null 2>&1 || return 1
    done
}

# The base of our own images: Debian's image where a registry answers, else made from packages.
ensure_base() {
    docker image inspect "$PROVISION_DEBIAN_BASE" > /dev/null 2>&1 && return
    say "fetching the Debian base image"
    if docker pull -q debian:trixie-slim; then
        docker tag debian:trixie-slim "$PROVISION_DEBIAN_BASE"
        return
    fi
    say "no registry answers; making the base image from packages"
    apt update
    apt install --no-install-recommends mmdebstrap debian-archive-keyring # which Ubuntu lacks
    mmdebstrap --variant=minbase --include=ca-certificates trixie $root/base.tar \
        ${PROVISION_APT_MIRROR:+"deb $PROVISION_APT_MIRROR trixie main"}
    docker import $root/base.tar "$PROVISION_DEBIAN_BASE"
    rm $root/base.tar
}

build() {
    sh $bundle/build
}

# Elsewhere than on a machine that is somebody's it comes over SSH, once the operator is there.
await_bundle() {
    [ -e $bundle/.env ] && return
    say "waiting for the bundle"
    until [ -e $bundle/.env ]; do sleep 1; done
}

ensure_images() {
    # shellcheck source=/dev/null
    . $bundle/.env
    if have_images; then
        say "images are here"
        return
    fi
    ensure_base
    # Builds look in ca/ for authorities that only this institution trusts.
    for authority in /usr/local/share/ca-certificates/*.crt; do
        if [ -e "$authority" ]; then cp "$authority" $bundle/ca/; fi
    done
    say "building images"
    build || { # once more, in case it was the network; a wrong package name stays wrong
        say "the build failed; once more"
        sleep 10
        build
    }
    have_images
}

install_stack() {
    systemctl enable provision-stack.service # makes systemd read its units again, too
}

say "start"
ensure_docker
[ -e $root/host.json ] || keep_containers
start_docker
ensure_xfs
ensure_curl
ensure_secrets
await_bundle
ensure_images
install_stack
sync --file-system $root # a mark without what it stands for would be believed
: > $root/bootstrapped
say "done"
