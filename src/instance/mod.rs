//! One live instance of a function: a store, its memories, and the handles that invocations need.
//!
//! ```text
//!            arm()                settle()             reset()
//!   clean ----------> running ----------------> dirty ----------> clean
//!     ^                  |                        |
//!  create()              | host code panicked     | grew, or dropped a segment
//!                        +------------------------+-----> discarded (dropped)
//! ```
//!
//! Invariant: an instance marked clean is equal to the image in memory, globals and tables. Its
//! host side holds nothing of an earlier invocation. Only this file and [`reset`] change the mark.

mod cancel;
mod export;
mod gate;
mod grow;
mod image;
mod reset;
mod slices;
mod state;

use std::{sync::Arc, time::Duration};

use wasmi::{Extern, Func, Global, Memory, MemoryType, Ref, Store, Table, TypedFunc, Val, WasmParams, WasmResults};

pub use cancel::Cancel;
pub(crate) use gate::Gate;
// For the tests in `sys` of what could hide a written page.
#[cfg(all(test, target_os = "linux", target_pointer_width = "64"))]
pub(crate) use gate::moment;
pub(crate) use image::{Image, MemoryImage};
pub(crate) use reset::{Cleaned, Technique};
pub(crate) use slices::{Fault, charge};
pub(crate) use state::memory_and_state;
pub(crate) use state::{HostSide, State, memory_read, memory_size, memory_write};

use crate::{
    budget::Reservation,
    clock::Clock,
    error::InvokeErrorKind,
    module::{Code, Prepared},
    sys::{Mapped, Regions},
    usage::Label,
    value::{Value, Values},
};
use slices::kind_of;

/// The state of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Clean,
    Running,
    Dirty,
}

/// One live instance.
pub(crate) struct Instance<H: HostSide> {
    store: Store<State<H>>,
    /// The same as in the store. With this copy, the store can be changed while this is read.
    prepared: Arc<Prepared>,
    mark: Mark,
    instance: wasmi::Instance,
    /// Globals and tables that code can change, in the order of `Prepared`.
    globals: Vec<Global>,
    tables: Vec<Table>,
    /// State that belongs to this store, so an image cannot hold it: the tables' elements and the
    /// values of reference globals after initialisation.
    pristine_tables: Vec<Vec<Ref>>,
    pristine_references: Vec<Option<Val>>,
    /// Handles of exported functions. Each is looked up at its first use.
    functions: Vec<Option<export::Handle<H>>>,
    /// A gate for each memory if memories are on regions, otherwise empty.
    gates: Vec<Gate>,
    /// How often the instance was made clean.
    uses: u32,
}

/// All that is needed to make an instance.
pub(crate) struct Request<'a, H: HostSide> {
    pub(crate) prepared: &'a Arc<Prepared>,
    pub(crate) code: &'a Code,
    pub(crate) label: &'a Arc<Label>,
    /// Makes the host function for the import with this index.
    pub(crate) import: &'a dyn Fn(usize, &mut Store<State<H>>) -> Func,
    /// What the host keeps for the instance.
    pub(crate) host: H,
    pub(crate) clock: &'a Arc<dyn Clock>,
    pub(crate) memory_max: u64,
    pub(crate) table_elements_max: u64,
    pub(crate) log_max: u64,
    pub(crate) reservation: Reservation,
}

/// The initial content of a new instance's memories.
pub(crate) enum Content<'a> {
    /// The active data segments. Initialisation follows.
    Segments(&'a [Segment]),
    /// The image. Nothing needs to run.
    Image(&'a Image),
    /// The image, mapped: each memory is on a region.
    Mapped(&'a Image, &'a [Mapped]),
}

/// An active data segment. It lies within its memory.
pub(crate) struct Segment {
    pub(crate) memory: usize,
    pub(crate) at: usize,
    pub(crate) bytes: Box<[u8]>,
}

/// The limits of one run.
pub(crate) struct Allowance {
    pub(crate) fuel: u64,
    pub(crate) deadline: Duration,
    /// The deadline of an outer run, which this run must not exceed.
    pub(crate) deadline_at_most: Duration,
    pub(crate) cancel: Option<Cancel>,
}

/// What one run has used.
pub(crate) struct Used {
    pub(crate) fuel: u64,
    pub(crate) duration: Duration,
    pub(crate) memory: u64,
    pub(crate) host_calls: u64,
    pub(crate) log_cut: bool,
}

impl<H: HostSide> Instance<H> {
    /// Instantiates the module. With an image as content the instance is complete and clean. With
    /// segments it is dirty: the start function and the contract run next, then [`Instance::seal`].
    pub(crate) fn new(request: Request<'_, H>, content: &Content<'_>) -> Result<Self, InvokeErrorKind> {
        let prepared = Arc::clone(request.prepared);
        let (code, import, memory_max) = (request.code, request.import, request.memory_max);
        let state = State::new(request);
        let mut store = Store::new(&code.engine, state);
        let mut instantiate = || -> Result<_, wasmi::Error> {
            let mut externs = Vec::with_capacity(prepared.imports + prepared.memories.len());
            for index in 0..prepared.imports {
                externs.push(Extern::Func(import(index, &mut store)));
            }
            for (index, fact) in prepared.memories.iter().enumerate() {
                let pages = match content {
                    Content::Segments(_) => fact.ty.initial,
                    Content::Image(image) | Content::Mapped(image, _) => image.memories[index].pages,
                };
                let mut ty = MemoryType::builder();
                ty.memory64(fact.ty.memory64).min(pages).max(fact.ty.maximum).page_size_log2(fact.page_log2() as u8);
                let ty = ty.build()?;
                let memory = match content {
                    Content::Mapped(_, mapped) => {
                        let most =
                            fact.ty.maximum.map_or(u64::MAX, |pages| pages.saturating_mul(1 << fact.page_log2()));
                        let capacity = usize::try_from(most.min(memory_max)).unwrap_or(usize::MAX);
                        Regions::memory(&mut store, ty, &mapped[index], capacity, |state| &mut state.regions)
                            .map_err(|error| wasmi::Error::new(error.to_string()))?
                    }
                    Content::Segments(_) | Content::Image(_) => Memory::new(&mut store, ty)?,
                };
                let bytes = memory.data_size(&store) as u64;
                store.data_mut().memories.push(memory);
                store.data_mut().memory_bytes += bytes;
                externs.push(Extern::Memory(memory));
            }
            let memories = &store.data().memories;
            store.data_mut().main_memory = prepared.main_memory.map(|index| memories[index]);
            let instance = wasmi::Instance::new(&mut store, &code.module, &externs)?;
            if let Some(table) = prepared.grow_table.as_deref().and_then(|name| instance.get_table(&store, name)) {
                grow::install(&mut store, &instance, table)?;
            }
            Ok(instance)
        };
        let instance = match instantiate() {
            Ok(instance) => instance,
            Err(error) => return Err(kind_of(&error, &store.data().meter)),
        };
        // The rewriting has exported each of them.
        let globals: Vec<_> = prepared.globals.iter().filter_map(|name| instance.get_global(&store, name)).collect();
        let tables = prepared.tables.iter().filter_map(|(_, name)| instance.get_table(&store, name)).collect();
        let mut new = Self {
            store,
            prepared,
            mark: Mark::Dirty,
            instance,
            pristine_references: vec![None; globals.len()],
            globals,
            tables,
            pristine_tables: Vec::new(),
            functions: Vec::new(),
            gates: Vec::new(),
            uses: 0,
        };
        match content {
            Content::Segments(segments) => {
                for segment in *segments {
                    let data = new.memory(segment.memory).data_mut(&mut new.store);
                    data[segment.at..segment.at + segment.bytes.len()].copy_from_slice(&segment.bytes);
                }
            }
            Content::Image(image) => {
                for (index, memory) in image.memories.iter().enumerate() {
                    memory.fill(new.memory(index).data_mut(&mut new.store));
                }
                new.begin_clean(image)?;
            }
            Content::Mapped(image, mapped) => {
                new.gates.resize_with(mapped.len(), Gate::default);
                new.begin_clean(image)?;
            }
        }
        Ok(new)
    }

    /// Completes an instance whose memories are equal to the image.
    fn begin_clean(&mut self, image: &Image) -> Result<(), InvokeErrorKind> {
        if !self.set_globals(image) {
            return Err(InvokeErrorKind::Interpreter { problem: "a global does not take its value".into() });
        }
        self.mark = Mark::Clean;
        Ok(())
    }

    fn memory(&self, index: usize) -> Memory {
        self.store.data().memories[index]
    }

    /// Makes the state after initialisation the pristine state of this instance. Keeps the part
    /// that an image cannot hold.
    pub(crate) fn seal(&mut self) {
        debug_assert_eq!(self.mark, Mark::Dirty, "initialisation has run");
        let store = &self.store;
        let entries = |table: &Table| (0..table.size(store)).filter_map(|at| table.get(store, at)).collect();
        self.pristine_tables = self.tables.iter().map(entries).collect();
        self.pristine_references = self.globals.iter().map(|global| reference(global.get(store))).collect();
        self.store.data_mut().host.seal();
        self.store.data_mut().clear();
        self.mark = Mark::Clean;
    }

    /// Copies the state of a sealed instance. Other instances begin with it.
    pub(crate) fn capture(&self) -> Image {
        debug_assert_eq!(self.mark, Mark::Clean, "only a sealed instance is captured");
        let memories = &self.store.data().memories;
        let number = |global: &Global| match global.get(&self.store) {
            Val::FuncRef(_) | Val::ExternRef(_) => None,
            number => Some(number),
        };
        Image {
            memories: memories.iter().map(|memory| MemoryImage::capture(*memory, &self.store)).collect(),
            globals: self.globals.iter().map(number).collect(),
        }
    }

    /// Begins a run on a clean instance, or initialisation on a new one. Returns the time at which
    /// it begins.
    pub(crate) fn arm(&mut self, allowance: Allowance) -> Duration {
        self.mark = Mark::Running;
        let moment = gate::moment();
        for gate in &mut self.gates {
            gate.arm(moment);
        }
        slices::arm(&mut self.store, allowance)
    }

    /// Ends a run. Returns what it has used. The instance is dirty afterwards.
    pub(crate) fn settle(&mut self, began: Duration) -> Used {
        debug_assert_eq!(self.mark, Mark::Running, "only a run is settled");
        self.mark = Mark::Dirty;
        let state = self.store.data();
        Used {
            fuel: slices::used(&self.store),
            duration: state.meter.now().saturating_sub(began),
            memory: state.memory_bytes,
            host_calls: state.host_calls,
            log_cut: state.log.cut,
        }
    }

    /// Whether its memories are on regions, and how often it was made clean.
    pub(crate) fn history(&self) -> (bool, u32) {
        (!self.gates.is_empty(), self.uses)
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.mark == Mark::Clean
    }

    /// The deadline of the run, for nested runs.
    pub(crate) fn deadline_at(&self) -> Duration {
        self.store.data().meter.deadline_at()
    }

    pub(crate) fn log(&self) -> &[u8] {
        &self.store.data().log.text
    }

    pub(crate) fn prepared(&self) -> &Prepared {
        &self.prepared
    }

    /// The name and version of its function.
    pub(crate) fn label(&self) -> &Arc<Label> {
        &self.store.data().label
    }

    /// Finds a function by type, under its name in the rewritten module.
    pub(crate) fn typed<P: WasmParams, R: WasmResults>(&self, name: &str) -> Option<TypedFunc<P, R>> {
        self.instance.get_typed_func(&self.store, name).ok()
    }

    /// Calls the export with this index in `Prepared::exports`. Its name is looked up only once.
    /// Returns `None` if it does not take these arguments. `is_late` means that time may have
    /// passed since the run began.
    pub(crate) fn call(
        &mut self,
        index: usize,
        args: &[Value],
        is_late: bool,
    ) -> Option<Result<Values, InvokeErrorKind>> {
        if self.functions.is_empty() {
            self.functions.resize_with(self.prepared.exports.len(), || None);
        }
        let handle = match &mut self.functions[index] {
            Some(handle) => handle,
            empty => {
                let export = &self.prepared.exports[index];
                // This always succeeds: the rewriting keeps all exports.
                let function = self.instance.get_func(&self.store, &export.name)?;
                empty.insert(export::handle(&self.store, function, export))
            }
        };
        handle.call(&mut self.store, args, is_late)
    }

    pub(crate) fn call_typed<P: WasmParams, R: WasmResults>(
        &mut self,
        function: &TypedFunc<P, R>,
        params: P,
    ) -> Result<R, InvokeErrorKind> {
        slices::call_typed(&mut self.store, function, params)
    }

    /// What the host keeps for the instance.
    pub(crate) fn host(&mut self) -> &mut H {
        &mut self.store.data_mut().host
    }

    #[cfg(feature = "extism")]
    pub(crate) fn state(&mut self) -> &mut State<H> {
        self.store.data_mut()
    }

    pub(crate) fn read(&self, at: u64, len: u64) -> Result<&[u8], InvokeErrorKind> {
        state::slice(&self.store, at, len)
    }

    pub(crate) fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), InvokeErrorKind> {
        memory_write(&mut self.store, at, bytes)
    }
}

/// A reference. `None` for a number.
fn reference(value: Val) -> Option<Val> {
    matches!(value, Val::FuncRef(_) | Val::ExternRef(_)).then_some(value)
}
