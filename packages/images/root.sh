#!/bin/sh
# sh packages/images/root.sh ARCH FOLDER: lays out what is in the image of the executable. ARCH is amd64 or arm64.
set -eu
arch=$1
folder=$2
executable=build/images/$arch/gyrfalcon

if ! [ -f "$executable" ]; then
  # Zig comes from pip; OpenSSL needs cargo, perl and make.
  apt-get -qq update
  apt-get -qq install -y --no-install-recommends python3 python3-pip cargo perl make
  npm ci
  node scripts/pack-images.mjs --executable "$arch"
fi

mkdir -p "$folder/srv" "$folder/licenses"
cp "$executable" "$folder/gyrfalcon"
chmod 755 "$folder/gyrfalcon"
cp LICENSE packages/engine/LICENSES.txt "$folder/licenses"
cp packages/images/index.html "$folder/srv"
chmod 644 "$folder"/licenses/* "$folder/srv/index.html"
