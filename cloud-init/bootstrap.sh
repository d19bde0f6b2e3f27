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
    # shellcheck disable=SC2086 # $cli may be nothing
    apt install --no-install-recommends docker.io $cli $compose docker-buildx
    docker compose version || {
        say "this release has no Compose version 2; use Debian 13 or Ubuntu 24.04"
        return 1
    }
}

start_docker() {
    systemctl is-active --quiet docker.service || systemctl enable --now docker.service
    retry docker info > /dev/null
}

ensure_secrets() {
    install -d -m 0700 $root/secrets $root/secrets/tls
    [ -s $root/secrets/proxy.env ] && return
    say "making the proxy's token"
    token=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
    (umask 077 && echo "CONFIGPROXY_AUTH_TOKEN=$token" > $root/secrets/proxy.env.new)
    mv $root/secrets/proxy.env.new $root/secrets/proxy.env
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
    apt install --no-install-recommends mmdebstrap
    mmdebstrap --variant=minbase --include=ca-certificates trixie $root/base.tar \
        ${PROVISION_APT_MIRROR:+"deb $PROVISION_APT_MIRROR trixie main"}
    docker import $root/base.tar "$PROVISION_DEBIAN_BASE"
    rm $root/base.tar
}

build() {
    docker compose --progress plain --project-directory $bundle --profile build build
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
start_docker
ensure_secrets
ensure_images
install_stack
say "done"
