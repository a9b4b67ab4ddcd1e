# What `.ci/run` and `.ci/full` need for machines other than this one: emulated processors, whose tests
# run under QEMU, Vulkan drivers that compute on the processor, and type checks for systems that are not
# at hand. On Debian, where it installs all three.
# shellcheck shell=bash

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# install_packages PACKAGE…: those that are missing.
install_packages() {
  if ! dpkg -s "$@" >/dev/null 2>&1; then
    as_root apt-get update -qq
    as_root apt-get install -y -qq --no-install-recommends "$@" >/dev/null
  fi
}

# Debian's own Rust has the standard library of other processors, and its source.
install_debian_rust() {
  dpkg --print-foreign-architectures | grep -qx arm64 || as_root dpkg --add-architecture arm64
  install_packages rustc-web cargo-web rust-web-src libstd-rust-web-dev:arm64 gcc-aarch64-linux-gnu \
    libc6-dev-arm64-cross qemu-user
}

# In a folder of its own; without optimising dependencies, which costs more than it saves here.
debian_cargo() {
  local command=$1
  shift
  PATH=/usr/bin:$PATH cargo "$command" --quiet --target-dir target/other-machines \
    --config 'profile.dev.package."*".opt-level=0' "$@"
}

# x86_test CPU ARGUMENT…: `cargo test` on an emulated x86-64 processor.
x86_test() {
  local cpu=$1
  shift
  CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="qemu-x86_64 -cpu $cpu" cargo test --quiet "$@"
}

# aarch64_test CPU ARGUMENT…: the same on an AArch64 one.
aarch64_test() {
  local cpu=$1
  shift
  CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -cpu $cpu" \
    debian_cargo test --target aarch64-unknown-linux-gnu "$@"
}

# macos_check ARGUMENT…: `cargo check` for Apple's processors.
macos_check() {
  RUSTC_BOOTSTRAP=1 debian_cargo check -Zbuild-std --target aarch64-apple-darwin "$@"
}

# on_lavapipe COMMAND…: with Mesa's driver as the only GPU, which tests then require; without its layer
# that looks for a display and complains where there is none; nothing is kept from run to run.
on_lavapipe() {
  install_packages mesa-vulkan-drivers libvulkan1
  NODEVICE_SELECT=1 VK_ICD_FILENAMES=$(echo /usr/share/vulkan/icd.d/lvp_icd.*.json) BITNET_REQUIRE_GPU=1 BITNET_CACHE_DIR=none "$@"
}

# on_swiftshader COMMAND…: with the driver that Chromium brings; its subgroups and its rounding are
# others.
on_swiftshader() {
  local folder=$PWD/target/swiftshader
  install_packages libvulkan1
  if ! [ -e "$folder/usr/lib/chromium/vk_swiftshader_icd.json" ]; then
    mkdir -p "$folder"
    (cd "$folder" && apt-get download -qq chromium-common && dpkg-deb -x chromium-common_*.deb .)
  fi
  NODEVICE_SELECT=1 VK_ICD_FILENAMES=$folder/usr/lib/chromium/vk_swiftshader_icd.json BITNET_REQUIRE_GPU=1 BITNET_CACHE_DIR=none "$@"
}
