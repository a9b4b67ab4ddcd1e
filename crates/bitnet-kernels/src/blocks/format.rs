//! What block formats there are, and how large their rows.

use std::fmt;
use std::str::FromStr;

use crate::quantized::OperandError;

/// A format of weight files that stores a row as blocks: codes of a few bits and their scales.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum BlockFormat {
    /// 32 codes of 8 bits and a scale.
    Q8_0,
    /// 32 codes of 4 bits, less 8, and a scale.
    Q4_0,
    /// 32 codes of 4 bits, a scale and a minimum.
    Q4_1,
    /// 32 codes of 5 bits, less 16, and a scale.
    Q5_0,
    /// 32 codes of 5 bits, a scale and a minimum.
    Q5_1,
    /// 256 codes of 2 bits; a scale and a minimum of 4 bits for each 16 of them.
    Q2K,
    /// 256 codes of 3 bits, less 4; a scale of 6 bits for each 16 of them.
    Q3K,
    /// 256 codes of 4 bits; a scale and a minimum of 6 bits for each 32 of them.
    Q4K,
    /// 256 codes of 5 bits; a scale and a minimum of 6 bits for each 32 of them.
    Q5K,
    /// 256 codes of 6 bits, less 32; a scale of 8 bits for each 16 of them.
    Q6K,
    /// 256 ternary codes, five to a byte, and a scale.
    Tq1_0,
    /// 256 ternary codes of 2 bits and a scale.
    Tq2_0,
    /// 128 signs and a scale.
    Q1_0,
    /// 64 codes of 2 bits, less 1, and a scale; ternary where no code is 3.
    Q2_0,
    /// [`Q2_0`](Self::Q2_0) in blocks of 128 (the fork of PrismML).
    Pq2_0,
    /// [`Tq1_0`](Self::Tq1_0) in blocks of 128 (the fork of PrismML).
    Ptq1_0,
    /// Ternary codes, 64 in 13 bytes, and one `f16` scale before each row (the fork
    /// ik_llama.cpp).
    Iq1Bn,
    /// Ternary codes, 64 in 16 bytes, and one `f32` scale before each row (the fork
    /// ik_llama.cpp).
    Iq2Bn,
}

impl BlockFormat {
    /// Every format.
    pub const ALL: [Self; 18] = [
        Self::Q8_0,
        Self::Q4_0,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q5_1,
        Self::Q2K,
        Self::Q3K,
        Self::Q4K,
        Self::Q5K,
        Self::Q6K,
        Self::Tq1_0,
        Self::Tq2_0,
        Self::Q1_0,
        Self::Q2_0,
        Self::Pq2_0,
        Self::Ptq1_0,
        Self::Iq1Bn,
        Self::Iq2Bn,
    ];

    /// The name in GGUF files: `Q6_K`, `TQ2_0`, `IQ1_BN`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Q8_0 => "Q8_0",
            Self::Q4_0 => "Q4_0",
            Self::Q4_1 => "Q4_1",
            Self::Q5_0 => "Q5_0",
            Self::Q5_1 => "Q5_1",
            Self::Q2K => "Q2_K",
            Self::Q3K => "Q3_K",
            Self::Q4K => "Q4_K",
            Self::Q5K => "Q5_K",
            Self::Q6K => "Q6_K",
            Self::Tq1_0 => "TQ1_0",
            Self::Tq2_0 => "TQ2_0",
            Self::Q1_0 => "Q1_0",
            Self::Q2_0 => "Q2_0",
            Self::Pq2_0 => "PQ2_0",
            Self::Ptq1_0 => "PTQ1_0",
            Self::Iq1Bn => "IQ1_BN",
            Self::Iq2Bn => "IQ2_BN",
        }
    }

    /// Numbers in a block.
    pub const fn block_len(self) -> usize {
        match self {
            Self::Q8_0 | Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 => 32,
            Self::Q2K | Self::Q3K | Self::Q4K | Self::Q5K | Self::Q6K => 256,
            Self::Tq1_0 | Self::Tq2_0 => 256,
            Self::Q1_0 | Self::Pq2_0 | Self::Ptq1_0 => 128,
            Self::Q2_0 | Self::Iq1Bn | Self::Iq2Bn => 64,
        }
    }

    /// Bytes of a block.
    pub const fn block_bytes(self) -> usize {
        match self {
            Self::Q8_0 => 2 + 32,
            Self::Q4_0 => 2 + 16,
            Self::Q4_1 => 2 + 2 + 16,
            Self::Q5_0 => 2 + 4 + 16,
            Self::Q5_1 => 2 + 2 + 4 + 16,
            Self::Q2K => 16 + 64 + 2 + 2,
            Self::Q3K => 32 + 64 + 12 + 2,
            Self::Q4K => 2 + 2 + 12 + 128,
            Self::Q5K => 2 + 2 + 12 + 32 + 128,
            Self::Q6K => 128 + 64 + 16 + 2,
            Self::Tq1_0 => 48 + 4 + 2,
            Self::Tq2_0 => 64 + 2,
            Self::Q1_0 => 2 + 16,
            Self::Q2_0 => 2 + 16,
            Self::Pq2_0 => 2 + 32,
            Self::Ptq1_0 => 24 + 2 + 2,
            Self::Iq1Bn => 12 + 1,
            Self::Iq2Bn => 16,
        }
    }

    /// Bytes before the blocks of a row: the scale of formats that have one for the row.
    pub const fn row_prefix_bytes(self) -> usize {
        match self {
            Self::Iq1Bn => 2,
            Self::Iq2Bn => 4,
            _ => 0,
        }
    }

    /// Bytes of a row of `cols` numbers.
    ///
    /// # Errors
    /// [`OperandError::BlockColumns`] if `cols` is no multiple of the block,
    /// [`OperandError::TooLarge`] if the number overflows.
    ///
    /// ```
    /// use bitnet_kernels::blocks::BlockFormat;
    /// assert_eq!(BlockFormat::Q4_1.row_bytes(576)?, 18 * 20);
    /// assert!(BlockFormat::Q6K.row_bytes(576).is_err());
    /// # Ok::<(), bitnet_kernels::OperandError>(())
    /// ```
    pub fn row_bytes(self, cols: usize) -> Result<usize, OperandError> {
        if !cols.is_multiple_of(self.block_len()) {
            let (format, block) = (self.name(), self.block_len());
            return Err(OperandError::BlockColumns { format, cols, block });
        }
        (cols / self.block_len())
            .checked_mul(self.block_bytes())
            .and_then(|bytes| bytes.checked_add(self.row_prefix_bytes()))
            .ok_or(OperandError::TooLarge { rows: 1, cols })
    }

    /// Bytes of `rows` rows of `cols` numbers.
    ///
    /// # Errors
    /// As [`row_bytes`](Self::row_bytes).
    pub fn byte_len(self, rows: usize, cols: usize) -> Result<usize, OperandError> {
        let row = self.row_bytes(cols)?;
        row.checked_mul(rows).ok_or(OperandError::TooLarge { rows, cols })
    }

    /// Numbers that share a scale.
    pub(crate) const fn part_len(self) -> usize {
        match self {
            Self::Q2K | Self::Q3K | Self::Q6K => 16,
            Self::Q4K | Self::Q5K => 32,
            _ => self.block_len(),
        }
    }

    /// The code that stands for zero, in formats without minima.
    pub(crate) const fn zero_code(self) -> u8 {
        match self {
            Self::Q8_0 => 128,
            Self::Q4_0 => 8,
            Self::Q5_0 => 16,
            Self::Q3K => 4,
            Self::Q6K => 32,
            Self::Q4_1 | Self::Q5_1 | Self::Q2K | Self::Q4K | Self::Q5K => 0,
            _ => 1,
        }
    }

    /// Whether parts have a minimum.
    pub(crate) const fn has_minima(self) -> bool {
        matches!(self, Self::Q4_1 | Self::Q5_1 | Self::Q2K | Self::Q4K | Self::Q5K)
    }

    /// Whether [`quantize`](super::quantize) can write this format.
    pub const fn can_quantize(self) -> bool {
        !matches!(self, Self::Q2K | Self::Q3K | Self::Q4K | Self::Q5K)
    }

    /// Whether the codes are −1, 0 and 1 (or +2, where two bits say it), or −1 and 1: what
    /// [`unpack_block_row`](crate::ternary::unpack_block_row) reads.
    pub const fn has_ternary_codes(self) -> bool {
        matches!(
            self,
            Self::Tq1_0
                | Self::Tq2_0
                | Self::Q1_0
                | Self::Q2_0
                | Self::Pq2_0
                | Self::Ptq1_0
                | Self::Iq1Bn
                | Self::Iq2Bn
        )
    }
}

impl fmt::Display for BlockFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for BlockFormat {
    type Err = String;

    /// By name, in upper or lower case.
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|format| format.name().eq_ignore_ascii_case(text))
            .ok_or_else(|| format!("{text} is no block format"))
    }
}
