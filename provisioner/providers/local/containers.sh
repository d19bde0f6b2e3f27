#!/bin/sh
# containers.sh ROOTFS BASE WORK CGROUP: build the bundle's container images at native speed, with
# the guest's own Docker running in a chroot of the guest's root file system. Started in mount and
# process namespaces of its own, so that nothing of it outlives the command that started it.
#
# BASE is a tar archive, the base of the images; WORK a folder of root's for what comes and goes.
set -eu
rootfs=$1 base=$2 work=$3 cgroup=$4

mount --bind "$rootfs" "$rootfs"
mount -t proc proc "$rootfs/proc"
mount --rbind /sys "$rootfs/sys"
mount --rbind /dev "$rootfs/dev"
mkdir -p "$work/tmp"
mount --bind "$work/tmp" "$rootfs/tmp"
mount -t tmpfs -o mode=755 tmpfs "$rootfs/run"
# Where the guest's /etc/resolv.conf points to; gone with /run.
mkdir -p "$rootfs/run/systemd/resolve" "$rootfs/run/base"
cp /etc/resolv.conf "$rootfs/run/systemd/resolve/stub-resolv.conf"
touch "$rootfs/run/base.tar"
mount --bind "$base" "$rootfs/run/base.tar"

# Builds behind a proxy need the proxy of whoever bakes.
mkdir -p "$rootfs/run/docker-client"
cat > "$rootfs/run/docker-client/config.json" <<END
{"proxies": {"default": {"httpProxy": "${http_proxy:-${HTTP_PROXY:-}}",
 "httpsProxy": "${https_proxy:-${HTTPS_PROXY:-}}", "noProxy": "${no_proxy:-${NO_PROXY:-}}"}}}
END

exec chroot "$rootfs" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
    DOCKER_CONFIG=/run/docker-client DOCKER_HOST=unix:///run/bake.sock \
    HTTP_PROXY="${http_proxy:-${HTTP_PROXY:-}}" HTTPS_PROXY="${https_proxy:-${HTTPS_PROXY:-}}" \
    CGROUP="$cgroup" /bin/sh -eu <<'END'
# Without the right to administer the network, dockerd cannot touch the host's: as it is, told to
# have no bridge it would delete another Docker's.
setpriv --bounding-set=-net_admin dockerd --host="$DOCKER_HOST" --storage-driver=overlay2 \
    --bridge=none --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false \
    --cgroup-parent="$CGROUP" --pidfile=/run/bake.pid --exec-root=/run/bake \
    > /tmp/dockerd.log 2>&1 < /dev/null &
daemon=$!
tries=0
until docker version > /dev/null 2>&1; do
    tries=$((tries + 1))
    if [ $tries -gt 120 ] || ! kill -0 $daemon; then
        tail -n 20 /tmp/dockerd.log
        exit 1
    fi
    sleep 0.5
done

. /opt/provision/bundle/.env
docker import /run/base.tar "$PROVISION_DEBIAN_BASE"
sh /opt/provision/bundle/build < /dev/null
docker builder prune --all --force > /dev/null
docker image prune --force > /dev/null
docker image ls

kill $daemon
wait $daemon || true
# Identity and networks are each machine's own.
rm -rf /opt/provision/bundle /var/lib/docker/engine-id /var/lib/docker/network \
    /var/lib/docker/containerd /var/lib/docker/buildkit /var/lib/docker/tmp
END
