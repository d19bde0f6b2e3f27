#!/bin/sh
# build.sh ROOTFS DATA BASE WORK CGROUP: build the images of the bundle in WORK/bundle with the guest's
# own Docker, whose data-root is DATA, in the network of whoever starts this. Everything stays there
# for the next build. Writes WORK/tmp/images, and WORK/tmp/images.tar with those images that are not
# named in WORK/have. Images tagged with a word of WORK/drop are forgotten.
set -eu
rootfs=$1 data=$2 base=$3 work=$4 cgroup=$5
root=$work/root

mkdir -p "$root" "$work/upper" "$work/work" "$work/tmp"
mount -t overlay overlay "$root" -o "lowerdir=$rootfs,upperdir=$work/upper,workdir=$work/work"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount --bind "$work/tmp" "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mkdir -p "$root/run/systemd/resolve" "$root/run/client" "$root/run/bundle" "$root/var/lib/docker"
cp /etc/resolv.conf "$root/run/systemd/resolve/stub-resolv.conf"
mount --bind "$data" "$root/var/lib/docker"
mount --bind "$work/bundle" "$root/run/bundle"
touch "$root/run/base.tar"
mount --bind "$base" "$root/run/base.tar"
cp "$work/have" "$work/drop" "$root/run/"
cat > "$root/run/client/config.json" <<END
{"proxies": {"default": {"httpProxy": "${http_proxy:-${HTTP_PROXY:-}}",
 "httpsProxy": "${https_proxy:-${HTTPS_PROXY:-}}", "noProxy": "${no_proxy:-${NO_PROXY:-}}"}}}
END

exec chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
    DOCKER_CONFIG=/run/client DOCKER_HOST=unix:///run/build.sock CGROUP="$cgroup" /bin/sh -eu <<'END'
# Without the right to administer the network, dockerd leaves another Docker's bridge alone.
rm -f /var/lib/docker/network/files/local-kv.db
setpriv --bounding-set=-net_admin dockerd --host="$DOCKER_HOST" --storage-driver=overlay2 \
    --bridge=none --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false \
    --cgroup-parent="$CGROUP" --pidfile=/run/build.pid --exec-root=/run/build \
    > /tmp/dockerd.log 2>&1 < /dev/null &
daemon=$!
tries=0
until docker version > /dev/null 2>&1; do
    tries=$((tries + 1))
    if [ $tries -gt 600 ] || ! kill -0 $daemon; then
        tail -n 20 /tmp/dockerd.log
        exit 1
    fi
    sleep 0.1
done

. /run/bundle/.env
docker image inspect "$PROVISION_DEBIAN_BASE" > /dev/null 2>&1 ||
    docker import /run/base.tar "$PROVISION_DEBIAN_BASE"
sh /run/bundle/build < /dev/null
for tag in $(cat /run/drop); do
    for name in caddy custom hub notebook proxy; do
        docker image rm "provision-$name:$tag" > /dev/null 2>&1 || true
    done
done
docker image prune --force > /dev/null
docker builder prune --force --keep-storage 12GB > /dev/null
missing=
for name in caddy hub notebook proxy; do
    id=$(docker image inspect --format '{{.Id}}' "provision-$name:$PROVISION_TAG")
    echo "$name $id" >> /tmp/images
    grep -qx "$id" /run/have || missing="$missing provision-$name:$PROVISION_TAG"
done
if [ -s /run/have ] && [ -n "$missing" ]; then
    # shellcheck disable=SC2086 # one word each
    docker save --output /tmp/images.tar $missing
fi
kill $daemon
wait $daemon || true
END
