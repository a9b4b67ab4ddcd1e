//! Which instructions this CPU has, detected once, and the value that proves it.
//!
//! A [`Cpu`] can only be obtained by detection, so holding one is the proof that its
//! instructions may be executed; every kernel takes one as its first argument. The tiers
//! of one architecture are tested by running the same cases with each of
//! [`Cpu::available`].

use std::fmt;
use std::sync::OnceLock;

use crate::simd::{Kernel, Scalar};

/// An instruction set tier. Tiers of one architecture are ordered from the portable one up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Isa {
    /// Plain Rust; what the target's baseline offers.
    Scalar,
    /// x86-64 with SSE4.1 (Penryn 2008, Bulldozer 2011, and later).
    Sse41,
    /// x86-64 with AVX2, FMA and F16C (Haswell 2013, Zen 2017, and later).
    Avx2,
    /// The same with AVX-VNNI (Alder Lake 2021, Zen 5 2024, and later).
    AvxVnni,
    /// x86-64 with AVX-512 F, BW, DQ, VL and VNNI (Cascade Lake 2019 and later).
    Avx512,
    /// The same with VBMI (Ice Lake 2019, Zen 4 2022, and later).
    Avx512Vbmi,
    /// The same with AMX-INT8 (Sapphire Rapids 2023 and later), on Linux.
    Amx,
    /// AArch64: NEON is part of it.
    Neon,
    /// The same with `dotprod` (Cortex-A76 2018, Neoverse N1, Apple A13 2019, and later).
    NeonDotprod,
    /// The same with `i8mm` (Neoverse V1 and N2, Cortex-A710, Apple M2, and later).
    NeonI8mm,
}

impl Isa {
    /// Every tier, in order.
    const ALL: [Isa; 10] = [
        Isa::Scalar,
        Isa::Sse41,
        Isa::Avx2,
        Isa::AvxVnni,
        Isa::Avx512,
        Isa::Avx512Vbmi,
        Isa::Amx,
        Isa::Neon,
        Isa::NeonDotprod,
        Isa::NeonI8mm,
    ];

    /// The name used in reports and in the `BITNET_ISA` environment variable.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Scalar => "scalar",
            Isa::Sse41 => "sse4.1",
            Isa::Avx2 => "avx2",
            Isa::AvxVnni => "avx-vnni",
            Isa::Avx512 => "avx512-vnni",
            Isa::Avx512Vbmi => "avx512-vbmi",
            Isa::Amx => "amx",
            Isa::Neon => "neon",
            Isa::NeonDotprod => "neon-dotprod",
            Isa::NeonI8mm => "neon-i8mm",
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Proof that the running CPU supports an [`Isa`].
///
/// ```
/// use bitnet_kernels::Cpu;
/// let cpu = Cpu::best();
/// assert!(Cpu::available().contains(&cpu));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cpu {
    isa: Isa, // private: only detection makes one
}

impl Cpu {
    /// The best tier of this CPU, or the lower one whose [name](Isa::name) `BITNET_ISA` has. A name
    /// that this CPU does not support changes nothing;
    /// [`from_environment`](Self::from_environment) tells.
    pub fn best() -> Cpu {
        static BEST: OnceLock<Cpu> = OnceLock::new();
        *BEST.get_or_init(|| {
            let asked = Cpu::from_environment().ok().flatten();
            asked.or(Cpu::available().last().copied()).unwrap_or(Cpu { isa: Isa::Scalar })
        })
    }

    /// The tier that `BITNET_ISA` asks for; `None` when it is not set, or empty.
    ///
    /// # Errors
    /// Names what this CPU has, when that is not among it.
    pub fn from_environment() -> Result<Option<Cpu>, String> {
        const NAME: &str = "BITNET_ISA";
        let value = std::env::var_os(NAME).unwrap_or_default();
        Self::named(&value.to_string_lossy()).map_err(|reason| format!("{NAME}: {reason}"))
    }

    fn named(name: &str) -> Result<Option<Cpu>, String> {
        let available = Cpu::available();
        match available.iter().find(|cpu| cpu.isa.name() == name.trim()) {
            Some(cpu) => Ok(Some(*cpu)),
            None if name.trim().is_empty() => Ok(None),
            None => {
                let names: Vec<_> = available.iter().map(|cpu| cpu.isa.name()).collect();
                Err(format!("this processor has no {name:?}; it has: {}", names.join(", ")))
            }
        }
    }

    /// Every tier that this CPU supports, the portable one first.
    pub fn available() -> &'static [Cpu] {
        static AVAILABLE: OnceLock<Vec<Cpu>> = OnceLock::new();
        AVAILABLE.get_or_init(|| {
            let detected = Isa::ALL.into_iter().filter(|&isa| is_detected(isa));
            detected.map(|isa| Cpu { isa }).collect()
        })
    }

    /// The tier that this value proves.
    pub fn isa(self) -> Isa {
        self.isa
    }

    /// Runs `kernel`, compiled for this tier's instructions.
    #[inline]
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self.isa {
            Isa::Scalar => kernel.run(Scalar),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a `Cpu` of this tier exists only after detection of its features.
            Isa::Sse41 => unsafe { crate::simd::sse41::run(kernel) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Isa::AvxVnni if K::INTEGER_DOTS => unsafe { crate::simd::avx2::run_vnni(kernel) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above; what has AVX-VNNI has the rest.
            Isa::Avx2 | Isa::AvxVnni => unsafe { crate::simd::avx2::run(kernel) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Isa::Avx512Vbmi | Isa::Amx if K::INTEGER_DOTS => unsafe {
                crate::simd::avx512::run_vbmi(kernel)
            },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above; what has VBMI has the rest.
            Isa::Avx512 | Isa::Avx512Vbmi | Isa::Amx => unsafe { crate::simd::avx512::run(kernel) },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: as above.
            Isa::NeonI8mm if K::INTEGER_DOTS => unsafe { crate::simd::neon::run_i8mm(kernel) },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: as above.
            Isa::NeonDotprod if K::INTEGER_DOTS => unsafe {
                crate::simd::neon::run_dotprod(kernel)
            },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: as above; what has more has NEON.
            Isa::Neon | Isa::NeonDotprod | Isa::NeonI8mm => unsafe {
                crate::simd::neon::run(kernel)
            },
            _ => unreachable!("{} is never detected on this architecture", self.isa),
        }
    }
}

impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.isa.fmt(f)
    }
}

fn is_detected(isa: Isa) -> bool {
    match isa {
        Isa::Scalar => true,
        #[cfg(target_arch = "x86_64")]
        Isa::Sse41 => is_x86_feature_detected!("ssse3") && is_x86_feature_detected!("sse4.1"),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => {
            is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c")
        }
        #[cfg(target_arch = "x86_64")]
        Isa::AvxVnni => is_detected(Isa::Avx2) && is_x86_feature_detected!("avxvnni"),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => {
            is_detected(Isa::Avx2)
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512vnni")
        }
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vbmi => is_detected(Isa::Avx512) && is_x86_feature_detected!("avx512vbmi"),
        #[cfg(target_arch = "x86_64")]
        Isa::Amx => is_detected(Isa::Avx512Vbmi) && crate::simd::amx::is_detected(),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => {
            cfg!(target_endian = "little") && std::arch::is_aarch64_feature_detected!("neon")
        }
        #[cfg(target_arch = "aarch64")]
        Isa::NeonDotprod => {
            is_detected(Isa::Neon) && std::arch::is_aarch64_feature_detected!("dotprod")
        }
        #[cfg(target_arch = "aarch64")]
        Isa::NeonI8mm => {
            is_detected(Isa::NeonDotprod) && std::arch::is_aarch64_feature_detected!("i8mm")
        }
        _ => false, // of another architecture
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_are_found_by_name() {
        for &cpu in Cpu::available() {
            assert_eq!(Cpu::named(cpu.isa().name()), Ok(Some(cpu)));
        }
        assert_eq!(Cpu::named(""), Ok(None));
        assert!(Cpu::named("sse9").is_err_and(|reason| reason.contains("scalar")));
    }
}
