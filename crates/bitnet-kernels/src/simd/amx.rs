//! The tile registers of x86-64 (AMX): products of matrices of bytes. Their intrinsics are not stable,
//! so they are written as assembly.

use std::arch::asm;
use std::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};
use std::marker::PhantomData;

use super::PlaneBytes;

/// Most rows of a tile.
pub(crate) const ROWS: usize = 16;

/// Bytes of a row of a tile.
pub(crate) const ROW_BYTES: usize = 64;

/// Whether this CPU has AMX-INT8, and the system lets this process use it.
pub(crate) fn is_detected() -> bool {
    const AMX_TILE: u32 = 1 << 24;
    const AMX_INT8: u32 = 1 << 25;
    if __cpuid(0).eax < 0x1d {
        return false;
    }
    let features = __cpuid_count(7, 0).edx;
    // Palette 1: eight tiles of sixteen rows of 64 bytes.
    let palette = __cpuid_count(0x1d, 1);
    let is_expected = palette.ebx == 8 << 16 | 64 && palette.ecx & 0xffff == 16;
    features & AMX_TILE != 0
        && features & AMX_INT8 != 0
        && is_expected
        && are_tiles_saved()
        && is_permitted()
}

/// Whether the system saves tiles (their configuration and their data) when it switches threads.
fn are_tiles_saved() -> bool {
    const OSXSAVE: u32 = 1 << 27;
    const TILES: u64 = 0b11 << 17;

    /// # Safety
    /// The CPU must have XSAVE, and the system must have enabled it.
    #[target_feature(enable = "xsave")]
    unsafe fn saved_states() -> u64 {
        // SAFETY: the caller's promise.
        unsafe { _xgetbv(0) }
    }

    // SAFETY: asked only if the system has enabled XSAVE.
    __cpuid(1).ecx & OSXSAVE != 0 && unsafe { saved_states() } & TILES == TILES
}

/// Asks Linux for tiles, which it gives to processes that do: all threads of this one have them then.
#[cfg(target_os = "linux")]
fn is_permitted() -> bool {
    const ARCH_PRCTL: i64 = 158;
    const ARCH_REQ_XCOMP_PERM: u64 = 0x1023;
    const XFEATURE_XTILEDATA: u64 = 18;
    let mut result = ARCH_PRCTL;
    // SAFETY: a system call that reads and writes no memory of the process, with the registers that
    // calls of this architecture change.
    unsafe {
        asm!("syscall", inlateout("rax") result,
            in("rdi") ARCH_REQ_XCOMP_PERM, in("rsi") XFEATURE_XTILEDATA,
            lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result == 0
}

/// Other systems have other ways to ask.
#[cfg(not(target_os = "linux"))]
fn is_permitted() -> bool {
    false
}

/// The shapes of the eight tiles, as `ldtilecfg` reads them.
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// Four products of sixteen rows of codes with up to sixteen tokens: `[2 · i + j][t][r]` of token `t`
/// of the `i`-th tile of tokens and row `r` of the `j`-th block of rows.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Products(pub(crate) [[[i32; ROWS]; ROWS]; 4]);

impl Products {
    pub(crate) const ZERO: Self = Products([[[0; ROWS]; ROWS]; 4]);
}

/// Configured tiles of this thread, released when dropped.
pub(crate) struct Tiles {
    tokens: [usize; 2],
    /// Tiles belong to a thread.
    not_send: PhantomData<*const ()>,
}

impl Tiles {
    /// Tiles for products of two times up to sixteen tokens.
    ///
    /// # Safety
    /// [`is_detected`] has returned true, and this thread has no other value of this type.
    ///
    /// # Panics
    /// If a number of tokens is not in 1 to 16.
    pub(crate) unsafe fn configure(tokens: [usize; 2]) -> Tiles {
        assert!(tokens.iter().all(|tokens| (1..=ROWS).contains(tokens)), "{tokens:?} tokens");
        let [first, second] = tokens.map(|tokens| tokens as u8);
        let (mut row_bytes, mut rows) = ([0; 16], [0; 16]);
        row_bytes[..8].fill(ROW_BYTES as u16);
        // Sums of the first tokens and of the second, then their activations, then codes.
        rows[..8].copy_from_slice(&[first, first, second, second, first, second, 16, 16]);
        let configuration =
            Configuration { palette: 1, start_row: 0, reserved: [0; 14], row_bytes, rows };
        // SAFETY: the caller's promise; 64 bytes are read, of a valid configuration.
        unsafe {
            asm!("ldtilecfg [{}]", in(reg) &configuration, options(readonly, nostack, preserves_flags));
        }
        Tiles { tokens, not_send: PhantomData }
    }

    /// `products[2i + j][t][r] = Σ codes[j][k][4r + b] · q[i][t · stride + 4k + b]`, over `b` < 4 and the
    /// first `16 · steps` planes `k`, whose codes are unsigned.
    ///
    /// # Panics
    /// If there are fewer planes, or the activations of a token end early.
    pub(crate) fn multiply(
        &self,
        q: [&[i8]; 2],
        stride: usize,
        codes: [&[PlaneBytes]; 2],
        steps: usize,
        products: &mut Products,
    ) {
        for i in 0..2 {
            assert!(codes[i].len() >= ROWS * steps, "planes of codes");
            let last = (self.tokens[i] - 1).checked_mul(stride);
            let end = last.and_then(|last| last.checked_add(ROW_BYTES * steps));
            assert!(end.is_some_and(|end| end <= q[i].len()), "activations");
        }
        if steps == 0 {
            *products = Products::ZERO;
            return;
        }
        // SAFETY: a value of this type proves that this thread's tiles are configured as `configure`
        // says. Loads of codes are of 1024 bytes for each step; loads of activations of 64 bytes from
        // each token's place on for each step: within the slices, as checked. Stores are of up to
        // sixteen rows of 64 bytes into each of four products.
        unsafe {
            asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "2:",
                "tileloadd tmm4, [{q0} + {stride}*1]",
                "tileloadd tmm6, [{codes0} + {row}*1]",
                "tileloadd tmm7, [{codes1} + {row}*1]",
                "tdpbsud tmm0, tmm4, tmm6",
                "tileloadd tmm5, [{q1} + {stride}*1]",
                "tdpbsud tmm1, tmm4, tmm7",
                "tdpbsud tmm2, tmm5, tmm6",
                "tdpbsud tmm3, tmm5, tmm7",
                "add {q0}, 64",
                "add {q1}, 64",
                "add {codes0}, 1024",
                "add {codes1}, 1024",
                "dec {steps}",
                "jnz 2b",
                "tilestored [{products} + {row}*1], tmm0",
                "tilestored [{products} + {row}*1 + 1024], tmm1",
                "tilestored [{products} + {row}*1 + 2048], tmm2",
                "tilestored [{products} + {row}*1 + 3072], tmm3",
                q0 = inout(reg) q[0].as_ptr() => _,
                q1 = inout(reg) q[1].as_ptr() => _,
                codes0 = inout(reg) codes[0].as_ptr() => _,
                codes1 = inout(reg) codes[1].as_ptr() => _,
                steps = inout(reg) steps => _,
                stride = in(reg) stride,
                row = in(reg) ROW_BYTES,
                products = in(reg) products.0.as_mut_ptr(),
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: a value of this type proves AMX, and is the only one of its thread that uses tiles.
        unsafe { asm!("tilerelease", options(nomem, nostack, preserves_flags)) }
    }
}
