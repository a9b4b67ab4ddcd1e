//! A device that only enqueues: it stands for every asynchronous accelerator in tests.
//!
//! Work is kept in a queue and executed, by the CPU's backend, when somebody waits. Its memory
//! cannot be read by the host before. It counts read-backs and can refuse them, which is how a
//! test proves that a forward pass makes none.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bitnet_tensor::backend::{Backend, DeviceMemory, OpDesc, registry};
use bitnet_tensor::memory::HybridMemoryPool;
use bitnet_tensor::ops::Op;
use bitnet_tensor::{
    BitNetDType, BitNetTensor, BlockFormat, CodeLayout, Device, DeviceBuffer, ErrorContext,
    HostBuffer, Layout, Result, Storage, TensorOpError,
};

/// The mock device. Clones are the same device.
#[derive(Clone)]
pub struct MockDevice {
    device: Device,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    queue: Mutex<VecDeque<Work>>,
    /// The first failure of enqueued work, reported when somebody waits.
    failure: Mutex<Option<TensorOpError>>,
    lacking: Mutex<Vec<&'static str>>,
    reads_forbidden: AtomicBool,
    read_backs: AtomicUsize,
    enqueued: AtomicUsize,
}

type Work = Box<dyn FnOnce() -> Result<()> + Send>;
/// The device's memory: held by buffers and by the work that uses it, as a driver does.
type Memory = Arc<Mutex<Vec<u8>>>;

/// What unwritten memory holds: floats read from it are NaN.
const UNWRITTEN: u8 = 0xff;

/// A buffer of the mock device.
struct MockBuffer {
    device: Device,
    byte_len: usize,
    memory: Memory,
}

impl fmt::Debug for MockBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MockBuffer({} bytes on {})", self.byte_len, self.device)
    }
}

impl DeviceBuffer for MockBuffer {
    fn device(&self) -> Device {
        self.device
    }

    fn byte_len(&self) -> usize {
        self.byte_len
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// While this lives, the device refuses downloads and synchronisation.
#[derive(Debug)]
pub struct ReadsForbidden {
    mock: MockDevice,
}

impl Drop for ReadsForbidden {
    fn drop(&mut self) {
        self.mock.state.reads_forbidden.store(false, SeqCst);
    }
}

impl MockDevice {
    /// Device `mock:index`, registered. Registering an index again replaces that device.
    ///
    /// # Errors
    /// Never for a mock; the registry's signature has them.
    pub fn register(index: u32) -> Result<Self> {
        let mock = Self { device: Device::new("mock", index), state: Arc::default() };
        registry::register(Arc::new(mock.clone()))?;
        Ok(mock)
    }

    /// The device's name.
    pub fn device(&self) -> Device {
        self.device
    }

    /// From now on the device cannot execute the operations of these names.
    pub fn lack(&self, operations: &[&'static str]) {
        lock(&self.state.lacking).extend(operations);
    }

    /// Refuses downloads and synchronisation until the returned value is dropped.
    pub fn forbid_reads(&self) -> ReadsForbidden {
        self.state.reads_forbidden.store(true, SeqCst);
        ReadsForbidden { mock: self.clone() }
    }

    /// How often the host asked for bytes or waited, refused attempts included.
    pub fn read_backs(&self) -> usize {
        self.state.read_backs.load(SeqCst)
    }

    /// How many operations were enqueued so far.
    pub fn enqueued(&self) -> usize {
        self.state.enqueued.load(SeqCst)
    }

    /// How many operations wait in the queue.
    pub fn pending(&self) -> usize {
        lock(&self.state.queue).len()
    }

    fn enqueue(&self, work: Work) {
        self.state.enqueued.fetch_add(1, SeqCst);
        lock(&self.state.queue).push_back(work);
    }

    /// Executes what waits, in order. A failure stays, as on a device that is lost.
    fn wait(&self, operation: &'static str) -> Result<()> {
        self.state.read_backs.fetch_add(1, SeqCst);
        if self.state.reads_forbidden.load(SeqCst) {
            let reason = "the device was read inside a part that must not wait";
            return Err(TensorOpError::BackendError(ErrorContext::new(operation, &[], reason)));
        }
        loop {
            if let Some(failure) = lock(&self.state.failure).clone() {
                return Err(failure);
            }
            let Some(work) = lock(&self.state.queue).pop_front() else { return Ok(()) };
            if let Err(failure) = work() {
                *lock(&self.state.failure) = Some(failure);
            }
        }
    }

    fn storage(&self, bytes: Vec<u8>) -> Storage {
        let byte_len = bytes.len();
        let memory = Arc::new(Mutex::new(bytes));
        Storage::Device(Arc::new(MockBuffer { device: self.device, byte_len, memory }))
    }

    fn refuse_what_is_lacking(&self, op: &Op, inputs: &[&BitNetTensor]) -> Result<()> {
        if !lock(&self.state.lacking).contains(&op.name()) {
            return Ok(());
        }
        let context = ErrorContext::new(op.name(), inputs, "the device lacks it");
        Err(TensorOpError::UnsupportedOperation(context))
    }
}

impl fmt::Debug for MockDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MockDevice({})", self.device)
    }
}

impl DeviceMemory for MockDevice {
    fn allocate(&self, byte_len: usize) -> Result<Storage> {
        Ok(self.storage(vec![UNWRITTEN; byte_len]))
    }

    fn upload(&self, host: Arc<HostBuffer>) -> Result<Storage> {
        Ok(self.storage(host.bytes().to_vec()))
    }

    fn download(&self, storage: &Storage) -> Result<Arc<HostBuffer>> {
        self.wait("download")?;
        let memory = memory_of(storage)?;
        let bytes = lock(&memory);
        let mut block = HybridMemoryPool::global().allocate(bytes.len())?;
        block.copy_from_slice(&bytes);
        Ok(Arc::new(HostBuffer::Pool(block)))
    }
}

impl Backend for MockDevice {
    fn device(&self) -> Device {
        self.device
    }

    fn memory(&self) -> &dyn DeviceMemory {
        self
    }

    fn supports(&self, desc: &OpDesc<'_>) -> bool {
        !lock(&self.state.lacking).contains(&desc.op.name()) && registry::cpu().supports(desc)
    }

    fn execute(
        &self,
        op: &Op,
        inputs: &[&BitNetTensor],
        outputs: &mut [BitNetTensor],
    ) -> Result<()> {
        self.refuse_what_is_lacking(op, inputs)?;
        let op = op.clone();
        let inputs: Vec<Operand> =
            inputs.iter().map(|input| Operand::of(input)).collect::<Result<_>>()?;
        let targets: Vec<Dense> = outputs.iter().map(Dense::of).collect::<Result<_>>()?;
        self.enqueue(Box::new(move || {
            let inputs: Vec<BitNetTensor> =
                inputs.iter().map(Operand::read).collect::<Result<_>>()?;
            let mut outputs: Vec<BitNetTensor> = targets
                .iter()
                .map(|target| BitNetTensor::empty(target.layout.shape(), target.dtype, Device::CPU))
                .collect::<Result<_>>()?;
            registry::cpu().execute(&op, &inputs.iter().collect::<Vec<_>>(), &mut outputs)?;
            targets.iter().zip(&outputs).try_for_each(|(target, output)| target.write(output))
        }));
        Ok(())
    }

    fn execute_in_place(
        &self,
        op: &Op,
        target: &mut BitNetTensor,
        others: &[&BitNetTensor],
    ) -> Result<()> {
        self.refuse_what_is_lacking(op, others)?;
        let op = op.clone();
        let target = Dense::of(target)?;
        let others: Vec<Operand> =
            others.iter().map(|other| Operand::of(other)).collect::<Result<_>>()?;
        self.enqueue(Box::new(move || {
            let others: Vec<BitNetTensor> =
                others.iter().map(Operand::read).collect::<Result<_>>()?;
            let mut host = target.read()?.copy()?;
            registry::cpu().execute_in_place(&op, &mut host, &others.iter().collect::<Vec<_>>())?;
            target.write(&host)
        }));
        Ok(())
    }

    fn prepare_weight(&self, parts: &[&BitNetTensor]) -> Result<BitNetTensor> {
        // Happens when a model is loaded, where waiting is allowed.
        let parts: Vec<BitNetTensor> =
            parts.iter().map(|part| part.to_device(Device::CPU)).collect::<Result<_>>()?;
        let parts: Vec<&BitNetTensor> = parts.iter().collect();
        registry::cpu().prepare_weight(&parts)?.to_device(self.device)
    }

    fn synchronize(&self) -> Result<()> {
        self.wait("synchronize")
    }
}

/// An operand as enqueued work remembers it: not the tensor, whose storage would then be shared.
enum Operand {
    Dense(Dense),
    Ternary {
        layout: CodeLayout,
        codes: Dense,
        scales: Dense,
        shape: [usize; 2],
    },
    Grouped {
        format: BlockFormat,
        tiles: Dense,
        shape: [usize; 2],
    },
    /// Rows of blocks.
    Blocks(Dense),
}

struct Dense {
    memory: Memory,
    layout: Layout,
    dtype: BitNetDType,
}

impl Operand {
    fn of(tensor: &BitNetTensor) -> Result<Self> {
        if let Some((format, tiles)) = tensor.grouped_parts() {
            let shape = [tensor.shape()[0], tensor.shape()[1]];
            return Ok(Self::Grouped { format, tiles: Dense::of(tiles)?, shape });
        }
        if matches!(tensor.dtype(), BitNetDType::Block(_)) {
            return Ok(Self::Blocks(Dense::of(tensor)?));
        }
        match tensor.packed_parts() {
            None => Ok(Self::Dense(Dense::of(tensor)?)),
            Some((layout, codes, scales)) => Ok(Self::Ternary {
                layout,
                codes: Dense::of(codes)?,
                scales: Dense::of(scales)?,
                shape: [tensor.shape()[0], tensor.shape()[1]],
            }),
        }
    }

    fn read(&self) -> Result<BitNetTensor> {
        match self {
            Self::Dense(dense) => dense.read(),
            Self::Ternary { layout, codes, scales, shape } => {
                BitNetTensor::packed_from_parts(*layout, codes.read()?, scales.read()?, *shape)
            }
            Self::Grouped { format, tiles, shape } => {
                BitNetTensor::grouped_from_parts(*format, tiles.read()?, *shape)
            }
            Self::Blocks(dense) => {
                let BitNetDType::Block(format) = dense.dtype else {
                    return dense.read();
                };
                let columns = dense.layout.shape().last().copied().unwrap_or(1).max(1);
                let row_bytes = format.row_bytes(columns).unwrap_or(0);
                let first = dense.layout.offset() / columns * row_bytes;
                let rows = dense.layout.shape().element_count() / columns;
                let bytes = lock(&dense.memory)[first..][..rows * row_bytes].to_vec();
                let (length, shape) = (bytes.len(), dense.layout.shape());
                BitNetTensor::from_foreign(Arc::new(bytes), 0..length, dense.dtype, shape)
            }
        }
    }
}

impl Dense {
    fn of(tensor: &BitNetTensor) -> Result<Self> {
        let memory = memory_of(tensor.storage())?;
        Ok(Self { memory, layout: tensor.layout().clone(), dtype: tensor.dtype() })
    }

    fn element_size(&self) -> usize {
        self.dtype.size_in_bytes().unwrap_or(0)
    }

    /// The elements in row-major order, on the host.
    fn read(&self) -> Result<BitNetTensor> {
        let memory = lock(&self.memory);
        let size = self.element_size();
        let bytes: Vec<u8> = self
            .positions()
            .flat_map(|position| memory[position * size..][..size].iter().copied())
            .collect();
        let length = bytes.len();
        BitNetTensor::from_foreign(Arc::new(bytes), 0..length, self.dtype, self.layout.shape())
    }

    /// Stores the elements of `host`, which lies in row-major order from its storage's beginning.
    fn write(&self, host: &BitNetTensor) -> Result<()> {
        let Storage::Host(source) = host.storage() else {
            return Err(TensorOpError::InternalError(ErrorContext::new(
                "write",
                &[host],
                "not on the host",
            )));
        };
        let (mut memory, size) = (lock(&self.memory), self.element_size());
        for (n, position) in self.positions().enumerate() {
            memory[position * size..][..size].copy_from_slice(&source.bytes()[n * size..][..size]);
        }
        Ok(())
    }

    fn positions(&self) -> impl Iterator<Item = usize> + use<> {
        self.layout.positions()
    }
}

fn memory_of(storage: &Storage) -> Result<Memory> {
    let buffer = match storage {
        Storage::Device(buffer) => buffer.as_any().downcast_ref::<MockBuffer>(),
        _ => None,
    };
    match buffer {
        Some(buffer) => Ok(buffer.memory.clone()),
        None => Err(TensorOpError::InternalError(ErrorContext::new(
            "mock",
            &[],
            "the storage is another device's",
        ))),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_waits_until_somebody_reads() {
        let mock = MockDevice::register(90).expect("registered");
        let x = BitNetTensor::scalar(2.0f32)
            .expect("memory")
            .to_device(mock.device())
            .expect("uploaded");
        let y = x.square().expect("enqueued").square().expect("enqueued");
        assert_eq!((mock.pending(), mock.read_backs()), (2, 0));
        assert_eq!(y.item::<f32>().expect("read"), 16.0);
        assert_eq!((mock.pending(), mock.read_backs()), (0, 1));
    }

    #[test]
    fn forbidden_reads_fail_and_are_counted() {
        let mock = MockDevice::register(91).expect("registered");
        let x = BitNetTensor::scalar(2.0f32)
            .expect("memory")
            .to_device(mock.device())
            .expect("uploaded");
        let guard = mock.forbid_reads();
        assert!(matches!(x.item::<f32>(), Err(TensorOpError::BackendError(_))));
        assert!(matches!(mock.synchronize(), Err(TensorOpError::BackendError(_))));
        drop(guard);
        assert_eq!(mock.read_backs(), 2);
        assert_eq!(x.item::<f32>().expect("read"), 2.0);
    }

    #[test]
    fn failures_of_enqueued_work_are_reported_by_the_next_wait() {
        let mock = MockDevice::register(92).expect("registered");
        let on = |t: Result<BitNetTensor>| t.and_then(|t| t.to_device(mock.device()));
        let table = on(BitNetTensor::from_vec(vec![1.0f32, 2.0], [2])).expect("uploaded");
        let index = on(BitNetTensor::from_vec(vec![7u32], [1])).expect("uploaded");
        let chosen = table.index_select(0, &index).expect("enqueued: the index is not known yet");
        assert!(matches!(chosen.to_vec::<f32>(), Err(TensorOpError::ComputationError(_))));
    }

    #[test]
    fn unwritten_memory_reads_as_nan() {
        let mock = MockDevice::register(93).expect("registered");
        let x = BitNetTensor::empty([3], BitNetDType::F32, mock.device()).expect("memory");
        assert!(x.to_vec::<f32>().expect("read").iter().all(|x| x.is_nan()));
    }
}
