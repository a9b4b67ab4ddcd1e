# What `.ci/run` and `.ci/full` need for machines other than this one: emulated processors, whose tests
# run under QEMU, Windows under Wine, Vulkan drivers that compute on the processor, and type checks for
# systems that are not at hand. On Debian, where it installs all of these.
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

# windows_test ARGUMENT…: `cargo test` for Windows, under Wine. Its version 8 lacks the library that Rust's
# standard library asks for random numbers.
windows_test() {
  install_packages wine wine64 gcc-mingw-w64-x86-64-posix
  install_debian_rust
  export WINEPREFIX=$PWD/target/wine WINEDEBUG=-all
  local system=$WINEPREFIX/drive_c/windows/system32
  wineboot --init
  x86_64-w64-mingw32-gcc-posix -shared -x c - -o "$system/bcryptprimitives.dll" -ladvapi32 <<'END'
#include <stddef.h>
unsigned char __stdcall SystemFunction036(void *bytes, unsigned long size);
__declspec(dllexport) int ProcessPrng(unsigned char *bytes, size_t size) {
  return SystemFunction036(bytes, (unsigned long)size);
}
END
  RUSTC_BOOTSTRAP=1 CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER=x86_64-w64-mingw32-gcc-posix \
    CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER=wine \
    debian_cargo test -Zbuild-std --target x86_64-pc-windows-gnu "$@"
}

# on_driver FILE COMMAND…: with one driver as the only GPU, which tests then require; without Mesa's layer
# that looks for a display and complains where there is none; nothing is kept from run to run.
on_driver() {
  local driver=$1
  shift
  NODEVICE_SELECT=1 VK_ICD_FILENAMES=$driver BITNET_REQUIRE_GPU=1 BITNET_CACHE_DIR=none "$@"
}

# on_lavapipe COMMAND…: with Mesa's.
on_lavapipe() {
  install_packages mesa-vulkan-drivers libvulkan1
  on_driver "$(echo /usr/share/vulkan/icd.d/lvp_icd.*.json)" "$@"
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
  on_driver "$folder/usr/lib/chromium/vk_swiftshader_icd.json" "$@"
}
