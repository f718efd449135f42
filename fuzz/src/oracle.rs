//! The oracle: raw wasmi on the original bytes, with a fresh store and instance for each call.
//! Every call of the library, cold or warm and after anything, must have the output, trap and fuel
//! of the oracle. One difference is a defect.

use std::{collections::HashMap, time::Duration};

use dormouse::{DeployError, Function, InvokeErrorKind, Limits, Reset, Runtime, Trap, Value};
use wasm_encoder::{
    BlockType, CodeSection, Function as Body, FunctionSection, Instruction, TypeSection, ValType,
    reencode::{self, Reencode},
};
use wasmi::{Config, CustomFuelCosts, Engine, Instance, Linker, Module, ResourceLimiter, Store, TrapCode, Val};

use wasmparser::{FrameKind, FuncValidatorAllocations, Operator, Validator, WasmFeatures};

use super::{Random, smith};

/// The most fuel of a call and of initialisation.
pub const FUEL: u64 = 200_000;
/// The most bytes of an instance's memories.
pub const MEMORY: u64 = 4 << 20;
/// The most elements of an instance's tables.
pub const TABLE_ELEMENTS: u64 = 5_000;

/// Every way of cleaning an instance must give the same outcomes.
pub const RESETS: [Reset; 3] = [Reset::Portable, Reset::ByFaultCount, Reset::ByPageScan];

/// The outcome of one call: values or a trap's text, and fuel.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub result: Result<Vec<u64>, String>,
    pub fuel: u64,
}

/// Raw wasmi, with the same fuel as in the library (translation and validation cost nothing) and
/// the same limits.
pub struct Oracle {
    engine: Engine,
    module: Module,
    memory: u64,
    elements: u64,
    /// Whether the module contains `memory.grow` or `table.grow`.
    pub grows: bool,
}

/// All memories of an instance together, and tables, within their limits.
struct Bounds {
    memory: Bound,
    elements: Bound,
}

struct Bound {
    left: usize,
}

impl Bound {
    fn of(most: u64) -> Self {
        Self { left: most as usize }
    }

    fn growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> bool {
        let more = desired - current;
        let fits = more <= self.left && maximum.is_none_or(|maximum| desired <= maximum);
        if fits {
            self.left -= more;
        }
        fits
    }
}

impl ResourceLimiter for Bounds {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool, wasmi_core::LimiterError> {
        Ok(self.memory.growing(current, desired, maximum))
    }

    fn memory_grow_failed(&mut self, _: &wasmi_core::MemoryError) -> Result<(), wasmi_core::LimiterError> {
        // The only failure left is a lack of fuel, which ends the run.
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool, wasmi_core::LimiterError> {
        Ok(self.elements.growing(current, desired, maximum))
    }

    fn instances(&self) -> usize {
        usize::MAX
    }

    fn tables(&self) -> usize {
        usize::MAX
    }

    fn memories(&self) -> usize {
        usize::MAX
    }
}

impl Oracle {
    /// Compiles a module whose memories and tables have these limits. `None` if wasmi refuses it.
    pub fn new(bytes: &[u8], limits: &Limits) -> Option<Self> {
        let mut config = Config::default();
        config.consume_fuel(true).fuel_cost(CustomFuelCosts {
            bytes_copied_per_fuel: 64,
            fuel_per_bytes_translated: 0,
            fuel_per_bytes_validated: 0,
        });
        let cleaning = dormouse::cleaning(bytes, limits).unwrap_or_default();
        // If code calls functions that clean, there are more calls than the guest has, as in the
        // library.
        let calls = cleaning.iter().map(|(calls, _)| *calls).max().unwrap_or_default();
        config.set_max_stack_height(1 << 20).set_max_recursion_depth((limits.call_depth + calls) as usize);
        let engine = Engine::new(&config);
        // wasmi refuses it as it is, or compiles it right.
        Module::validate(&engine, bytes).ok()?;
        let module = Module::new(&engine, spelt_out(bytes, cleaning)?).ok()?;
        Some(Self { engine, module, memory: limits.memory_bytes, elements: limits.table_elements, grows: grows(bytes) })
    }

    /// A fresh instance, or the outcome of its instantiation.
    fn instantiate(&self) -> Result<(Store<Bounds>, Instance), String> {
        let mut store =
            Store::new(&self.engine, Bounds { memory: Bound::of(self.memory), elements: Bound::of(self.elements) });
        store.limiter(|bounds| bounds);
        store.set_fuel(FUEL).unwrap();
        let instance = Linker::new(&self.engine)
            .instantiate_and_start(&mut store, &self.module)
            .map_err(|error| error.to_string())?;
        let text = |error: wasmi::Error| error.to_string();
        if let Ok(initialise) = instance.get_typed_func::<(), ()>(&store, "_initialize") {
            initialise.call(&mut store, ()).map_err(text)?;
        }
        // The buffer contract lets the heap grow once before any event. The oracle does the same.
        let handle = instance.get_typed_func::<(i32, i32), i64>(&store, "handle");
        let has_memory = self.module.exports().any(|export| export.ty().memory().is_some());
        if let (Ok(alloc), Ok(_), true) = (instance.get_typed_func::<i32, i32>(&store, "alloc"), handle, has_memory) {
            let at = alloc.call(&mut store, 1024).map_err(text)?;
            if let Ok(dealloc) = instance.get_typed_func::<(i32, i32), ()>(&store, "dealloc") {
                dealloc.call(&mut store, (at, 1024)).map_err(text)?;
            }
        }
        Ok((store, instance))
    }

    /// One call on a fresh instance.
    pub fn call(&self, export: &str, args: &[Value], fuel: u64) -> Outcome {
        self.on_its_stack(|| self.call_here(export, args, fuel))
    }

    fn call_here(&self, export: &str, args: &[Value], fuel: u64) -> Outcome {
        let (mut store, instance) = self.instantiate().expect("it was deployed");
        let function = instance.get_func(&store, export).unwrap();
        store.set_fuel(fuel).unwrap();
        let args: Vec<Val> = args.iter().map(val).collect();
        let mut results = vec![Val::I32(0); function.ty(&store).results().len()];
        let result = match function.call(&mut store, &args, &mut results) {
            Ok(()) => Ok(results.iter().map(|value| bits(value).unwrap()).collect()),
            Err(error) => Err(match error.as_trap_code() {
                Some(TrapCode::OutOfFuel) => "fuel".to_owned(),
                // wasmi has a misprint in this one.
                Some(TrapCode::IndirectCallToNull) => "uninitialized element".to_owned(),
                _ => error.to_string(),
            }),
        };
        Outcome { result, fuel: fuel - store.get_fuel().unwrap() }
    }

    /// Failed growths can overflow the native stack of raw wasmi (seed 487129 did, on 2 MiB). So
    /// the oracle has a stack that is large enough for all its fuel. The library runs on the test's
    /// own stack.
    fn on_its_stack<T: Send>(&self, run: impl FnOnce() -> T + Send) -> T {
        if !self.grows {
            return run();
        }
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(128 << 20);
            thread.spawn_scoped(scope, run).unwrap().join().unwrap()
        })
    }

    /// The exports that take and return only numbers, with a zero of each parameter's type.
    pub fn scalar_exports(&self) -> Vec<(String, Vec<Value>)> {
        let mut exports = Vec::new();
        for export in self.module.exports() {
            let Some(ty) = export.ty().func() else { continue };
            let zero = |ty: &wasmi::ValType| match ty {
                wasmi::ValType::I32 => Some(Value::I32(0)),
                wasmi::ValType::I64 => Some(Value::I64(0)),
                wasmi::ValType::F32 => Some(Value::F32(0.0)),
                wasmi::ValType::F64 => Some(Value::F64(0.0)),
                _ => None,
            };
            let params: Option<Vec<_>> = ty.params().iter().map(zero).collect();
            if let (Some(params), true) = (params, ty.results().iter().all(|ty| zero(ty).is_some())) {
                exports.push((export.name().to_owned(), params));
            }
        }
        exports
    }
}

/// One call of the library.
pub fn ours(function: &Function, export: &str, args: &[Value], fuel: u64) -> Outcome {
    match function.invocation(b"").fuel(fuel).call(export, args) {
        Ok(returned) => Outcome {
            result: Ok(returned.values().iter().map(|value| value.as_u64()).collect()),
            fuel: returned.report().fuel(),
        },
        Err(error) => Outcome {
            fuel: error.report().unwrap_or_else(|| panic!("no report: {error}")).fuel(),
            result: Err(match error.into_kind() {
                InvokeErrorKind::OutOfFuel { .. } => "fuel".to_owned(),
                InvokeErrorKind::Trap(trap) => trap.to_string(),
                other => other.to_string(),
            }),
        },
    }
}

fn val(value: &Value) -> Val {
    match *value {
        Value::I32(value) => Val::I32(value),
        Value::I64(value) => Val::I64(value),
        Value::F32(value) => Val::F32(wasmi::F32::from_bits(value.to_bits())),
        Value::F64(value) => Val::F64(wasmi::F64::from_bits(value.to_bits())),
    }
}

fn bits(value: &Val) -> Option<u64> {
    match value {
        Val::I32(value) => Some(u64::from(*value as u32)),
        Val::I64(value) => Some(*value as u64),
        Val::F32(value) => Some(u64::from(value.to_bits())),
        Val::F64(value) => Some(value.to_bits()),
        _ => None,
    }
}

/// Numbers of these types: small ones, addresses, those near the end, and any.
pub fn random_args(types: &[Value], mut below: impl FnMut(u64) -> u64) -> Vec<Value> {
    let mut number = || match below(4) {
        0 => below(4),
        1 => below(1 << 17),
        2 => u64::MAX - below(4),
        _ => below(u64::MAX),
    };
    let one = |value: &Value| match value {
        Value::I32(_) => Value::I32(number() as i32),
        Value::I64(_) => Value::I64(number() as i64),
        Value::F32(_) => Value::F32(f32::from_bits(number() as u32)),
        Value::F64(_) => Value::F64(f64::from_bits(number())),
    };
    types.iter().map(one).collect()
}

/// The only difference from raw wasmi: a recursion may reach the end of the stack a little earlier
/// or later. Cleaning takes some of the stack, and a growth counts as a call. `Limits::call_depth`
/// documents that.
pub fn is_the_same(ours: &Outcome, theirs: &Outcome) -> bool {
    ours == theirs || (ours.result == theirs.result && ours.result == Err(Trap::StackOverflow.to_string()))
}

/// Runs random sequences of calls on both. Returns how many were compared, or why the library does
/// not deploy the module.
pub fn compare(bytes: &[u8], seed: u64, calls: u64, reset: Reset) -> Result<u64, DeployError> {
    let limits = Limits { fuel: FUEL, memory_bytes: MEMORY, table_elements: TABLE_ELEMENTS, ..Limits::default() };
    let Some(oracle) = Oracle::new(bytes, &limits) else { return Ok(0) };
    // The oracle provides no imports.
    if oracle.module.imports().len() > 0 {
        return Ok(0);
    }
    let runtime = Runtime::builder().reset(reset).build();
    let function = match runtime.deployment("f", bytes).limits(limits).instances(0..=2).deploy() {
        Ok(function) => function,
        Err(DeployError::TooLarge { .. }) => return Ok(0),
        // A module that does not initialise here must not instantiate in the oracle.
        Err(error @ (DeployError::Initialise { .. } | DeployError::SegmentOutOfBounds { .. })) => {
            let is_refused = oracle.on_its_stack(|| oracle.instantiate().is_err());
            assert!(is_refused, "seed {seed}: ours refuses with: {error}");
            return Ok(0);
        }
        Err(error) => return Err(error),
    };
    let exports = oracle.scalar_exports();
    if exports.is_empty() {
        return Ok(0);
    }
    let mut random = Random::new(seed);
    for call in 0..calls {
        let (export, types) = &exports[random.below(exports.len() as u64) as usize];
        let args = random_args(types, |bound| random.below(bound));
        let fuel = match random.below(3) {
            0 => random.below(100),
            1 => random.below(5_000),
            _ => FUEL,
        };
        // Then the next start is cold, on an instance from the image instead of the one that
        // deployment left.
        if random.below(4) == 0 {
            function.trim(Duration::ZERO);
        }
        let theirs = oracle.call(export, &args, fuel);
        let ours = ours(&function, export, &args, fuel);
        assert!(
            is_the_same(&ours, &theirs),
            "seed {seed}, call {call}: {export}{args:?} with {fuel} fuel: {ours:?} where {theirs:?} is right"
        );
    }
    Ok(calls)
}

/// The module with an empty block before every operator. wasmi 2.0.0 mistranslates some operators
/// whose operands are in its registers. A block brings them to the stack, and costs no fuel.
/// `src/module/cure.rs` says how the library finds those operators. The oracle need not know.
///
/// That does not cure a table of branches. It gets a block of its own, which costs 1 fuel: see
/// [`tables`]. Functions that clean the stack above them burn the same fuel as in the library:
/// `cleaning` says how much.
fn spelt_out(bytes: &[u8], cleaning: Vec<(u32, u32)>) -> Option<Vec<u8>> {
    struct Spelt {
        cleaning: std::vec::IntoIter<(u32, u32)>,
        functions: u32,
        tables: HashMap<usize, Vec<ValType>>,
        types: u32,
        added: Vec<Vec<ValType>>,
    }
    impl Reencode for Spelt {
        type Error = std::convert::Infallible;

        fn parse_type_section(
            &mut self,
            types: &mut TypeSection,
            section: wasmparser::TypeSectionReader<'_>,
        ) -> Result<(), reencode::Error<Self::Error>> {
            self.types = section.count();
            reencode::utils::parse_type_section(self, types, section)?;
            let mut all: Vec<_> = self.tables.values().cloned().collect();
            all.sort_by_key(|values| format!("{values:?}"));
            all.dedup();
            for values in &all {
                let taken = [&values[..], &[ValType::I32]].concat();
                types.ty().function(taken, values.iter().copied());
            }
            types.ty().function([], []);
            self.added = all;
            Ok(())
        }

        fn parse_function_section(
            &mut self,
            functions: &mut FunctionSection,
            section: wasmparser::FunctionSectionReader<'_>,
        ) -> Result<(), reencode::Error<Self::Error>> {
            self.functions = section.count();
            reencode::utils::parse_function_section(self, functions, section)?;
            functions.function(self.types + self.added.len() as u32);
            Ok(())
        }

        fn parse_code_section(
            &mut self,
            code: &mut CodeSection,
            section: wasmparser::CodeSectionReader<'_>,
        ) -> Result<(), reencode::Error<Self::Error>> {
            reencode::utils::parse_code_section(self, code, section)?;
            let mut nothing = Body::new([]);
            nothing.instruction(&Instruction::End);
            code.function(&nothing);
            Ok(())
        }

        fn parse_function_body(
            &mut self,
            code: &mut CodeSection,
            body: wasmparser::FunctionBody<'_>,
        ) -> Result<(), reencode::Error<Self::Error>> {
            let mut function = self.new_function_with_parsed_locals(&body)?;
            let (calls, constants) = self.cleaning.next().unwrap_or_default();
            for _ in 0..calls {
                function.instruction(&Instruction::Call(self.functions));
            }
            for _ in 0..constants {
                function.instruction(&Instruction::I64Const(0)).instruction(&Instruction::Drop);
            }
            let mut operators = body.get_operators_reader()?;
            while !operators.eof() {
                function.instruction(&Instruction::Block(BlockType::Empty)).instruction(&Instruction::End);
                let values = self.tables.get(&operators.original_position());
                match (operators.read()?, values.and_then(|values| self.added.iter().position(|ty| ty == values))) {
                    (Operator::BrTable { targets }, Some(number)) => {
                        let default = targets.default();
                        let depths: Result<Vec<u32>, _> = targets
                            .targets()
                            .map(|depth| depth.map(|d| if d == default { 0 } else { d + 1 }))
                            .collect();
                        function
                            .instruction(&Instruction::Block(BlockType::FunctionType(self.types + number as u32)))
                            .instruction(&Instruction::BrTable(depths?.into(), 0))
                            .instruction(&Instruction::End)
                            .instruction(&Instruction::Br(default));
                    }
                    (operator, _) => {
                        function.instruction(&self.instruction(operator)?);
                    }
                }
            }
            code.function(&function);
            Ok(())
        }
    }
    let mut module = wasm_encoder::Module::new();
    let mut spelt =
        Spelt { cleaning: cleaning.into_iter(), functions: 0, tables: tables(bytes)?, types: 0, added: Vec::new() };
    spelt.parse_core_module(&mut module, wasmparser::Parser::new(0), bytes).ok()?;
    Some(module.finish())
}

/// The tables of branches that wasmi 2.0.0 mistranslates, by their offsets, with the types of the
/// values that they take. These take two values or more, or a vector, to different targets, over
/// other operands. In a block around it, the table's heights differ, so wasmi copies the values.
fn tables(bytes: &[u8]) -> Option<HashMap<usize, Vec<ValType>>> {
    let mut found = HashMap::new();
    let mut types = Vec::new();
    let mut validator = Validator::new_with_features(WasmFeatures::all());
    for payload in wasmparser::Parser::new(0).parse_all(bytes) {
        let payload = payload.ok()?;
        if let wasmparser::Payload::TypeSection(section) = &payload {
            types = section.clone().into_iter_err_on_gc_types().collect::<Result<Vec<_>, _>>().ok()?;
        }
        let wasmparser::ValidPayload::Func(function, body) = validator.payload(&payload).ok()? else { continue };
        let mut validator = function.into_validator(FuncValidatorAllocations::default());
        let mut locals = body.get_binary_reader();
        validator.read_locals(&mut locals).ok()?;
        let mut operators = body.get_operators_reader().ok()?;
        while !operators.eof() {
            let at = operators.original_position();
            let operator = operators.read().ok()?;
            if let Operator::BrTable { targets } = &operator {
                let frame = |depth: u32| validator.get_control_frame(depth as usize);
                let default = frame(targets.default())?;
                let values = match (default.block_type, default.kind) {
                    (wasmparser::BlockType::FuncType(ty), FrameKind::Loop) => types[ty as usize].params().to_vec(),
                    (wasmparser::BlockType::FuncType(ty), _) => types[ty as usize].results().to_vec(),
                    (wasmparser::BlockType::Type(ty), kind) if kind != FrameKind::Loop => vec![ty],
                    _ => Vec::new(),
                };
                let all: Vec<u32> = targets.targets().map(Result::ok).collect::<Option<_>>()?;
                let is_dead = frame(0)?.unreachable;
                let takes = values.len() > 1 || values == [wasmparser::ValType::V128];
                if takes && !is_dead && all.iter().any(|depth| *depth != targets.default()) {
                    let bottom = validator.operand_stack_height() as usize - 1 - values.len();
                    if all
                        .iter()
                        .chain([&targets.default()])
                        .any(|depth| frame(*depth).is_some_and(|f| f.height < bottom))
                    {
                        let values = values.iter().map(|ty| ValType::try_from(*ty)).collect::<Result<_, _>>().ok()?;
                        found.insert(at, values);
                    }
                }
            }
            validator.op(at, &operator).ok()?;
        }
    }
    Some(found)
}

/// Whether a module contains `memory.grow` or `table.grow`.
fn grows(bytes: &[u8]) -> bool {
    wasmparser::Parser::new(0).parse_all(bytes).any(|payload| {
        let Ok(wasmparser::Payload::CodeSectionEntry(body)) = payload else { return false };
        let mut operators = body.get_operators_reader().unwrap().into_iter();
        operators.any(|operator| {
            use wasmparser::Operator::{MemoryGrow, TableGrow};
            matches!(operator, Ok(MemoryGrow { .. } | TableGrow { .. }))
        })
    })
}

/// A module that wasm-smith makes of these bytes: see [`smith::module`].
///
/// Which of two NaNs a sum or a product is made of is left open (WebAssembly core specification,
/// 4.3.3, NaN propagation): in wasmi it is the one in the register, so that an empty block changes
/// it. With the feature `deterministic` there is one NaN only.
pub fn generated(bytes: &[u8]) -> Option<Vec<u8>> {
    smith::module(bytes, !cfg!(feature = "deterministic"))
}
