//! Spans as they are recorded: small and of one size, so that recording disturbs little. Types and
//! shapes of operands lie one after the other in a list of their own.

use std::time::Duration;

use super::{Event, Execution, OperationEvent, Span};
use crate::ops::{Op, OperationType};
use crate::{BitNetDType, BitNetTensor, Device, TensorShape};

/// Spans for which there is room from the start: growing takes time from what is measured.
const CAPACITY: usize = 1 << 14;

pub(super) struct Log {
    records: Vec<Record>,
    /// Of each operand of each operation its type and rank.
    operands: Vec<(BitNetDType, u8)>,
    /// The sizes of all of them.
    sizes: Vec<usize>,
}

/// When and where.
pub(super) struct Entry {
    pub(super) start: Duration,
    pub(super) duration: Duration,
    pub(super) recording: Duration,
    pub(super) thread: u32,
}

struct Record {
    entry: Entry,
    what: What,
}

enum What {
    Scope(&'static str),
    Operation {
        operation: OperationType,
        device: Device,
        kind: Execution,
        operand_count: u32,
        bytes: Option<u64>,
        flops: Option<u64>,
    },
}

impl Log {
    pub(super) fn new() -> Self {
        Self {
            records: Vec::with_capacity(CAPACITY),
            operands: Vec::with_capacity(2 * CAPACITY),
            sizes: Vec::with_capacity(6 * CAPACITY),
        }
    }

    pub(super) fn scope(&mut self, entry: Entry, name: &'static str) {
        self.records.push(Record { entry, what: What::Scope(name) });
    }

    pub(super) fn operation(
        &mut self,
        entry: Entry,
        op: &Op,
        device: Device,
        kind: Execution,
        inputs: &[&BitNetTensor],
        outputs: &[BitNetTensor],
    ) {
        for input in inputs {
            self.operands.push((input.dtype(), input.rank() as u8));
            self.sizes.extend_from_slice(input.shape());
        }
        let operation = op.operation();
        let bytes = match kind {
            Execution::View => Some(0),
            _ => operation.bytes(inputs, outputs),
        };
        let what = What::Operation {
            operation: op.operation_type(),
            device,
            kind,
            operand_count: inputs.len() as u32,
            bytes,
            flops: operation.flops(inputs, outputs),
        };
        self.records.push(Record { entry, what });
    }

    /// How long it took to record the last span.
    pub(super) fn took(&mut self, recording: Duration) {
        if let Some(record) = self.records.last_mut() {
            record.entry.recording = recording;
        }
    }

    pub(super) fn into_spans(self) -> Vec<Span> {
        let (mut operands, mut sizes) = (self.operands.into_iter(), self.sizes.into_iter());
        let span = |record: Record| {
            let event = match record.what {
                What::Scope(name) => Event::Scope(name),
                What::Operation { operation, device, kind, operand_count, bytes, flops } => {
                    let own = operands.by_ref().take(operand_count as usize);
                    let operands = own.map(|(dtype, rank)| {
                        (dtype, sizes.by_ref().take(rank.into()).collect::<TensorShape>())
                    });
                    Event::Operation(OperationEvent {
                        operation,
                        device,
                        is_view: kind == Execution::View,
                        is_fallback: kind == Execution::Fallback,
                        operands: operands.collect(),
                        bytes,
                        flops,
                    })
                }
            };
            let Entry { start, duration, recording, thread } = record.entry;
            Span { start, duration, recording, thread, event }
        };
        self.records.into_iter().map(span).collect()
    }
}
