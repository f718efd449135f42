//! The contenders, each in the fastest setting that is fair, and what each does for one event.

use std::{
    hint::black_box,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use dormouse::{Function, Runtime};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, InstancePre, Linker, Module, ModuleExport,
    PoolingAllocationConfig, Store, Strategy,
};

use crate::{
    measure::{Contender, median, repeat},
    raw::{self, Raw},
};

/// A contender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// This library: warm, on an instance of its pool, which it cleans after each event. For cold
    /// starts, it deploys the module again.
    Dormouse,
    /// wasmi with one instance for all events, without cleaning.
    WasmiFloor,
    /// wasmi with a new store and instance for each event, or from bytes with lazy translation.
    WasmiFresh,
    /// Wasmtime with a new store and pooled instance for each event, its memory a copy-on-write
    /// mapping.
    Wasmtime,
    /// The same with `PAGEMAP_SCAN`.
    WasmtimeScan,
    /// Wasmtime with its baseline compiler.
    Winch,
    /// Extism with one plug-in for all events, which keeps its state.
    ExtismKept,
    /// Extism with a new plug-in for each event, from a compiled one.
    ExtismNew,
    /// Wasm3, which parses the bytes again for each store.
    Wasm3,
}

impl Peer {
    pub(crate) const ALL: [Self; 9] = [
        Self::Dormouse,
        Self::WasmiFloor,
        Self::WasmiFresh,
        Self::Wasmtime,
        Self::WasmtimeScan,
        Self::Winch,
        Self::ExtismKept,
        Self::ExtismNew,
        Self::Wasm3,
    ];

    /// Its name in `results.tsv`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Dormouse => "dormouse",
            Self::WasmiFloor => "wasmi-floor",
            Self::WasmiFresh => "wasmi",
            Self::Wasmtime => "wasmtime",
            Self::WasmtimeScan => "wasmtime-scan",
            Self::Winch => "wasmtime-winch",
            Self::ExtismKept => "extism-kept",
            Self::ExtismNew => "extism-new",
            Self::Wasm3 => "wasm3",
        }
    }

    /// Whether the contender removes what one event leaves behind before the next.
    pub(crate) fn is_stateless(self) -> bool {
        !matches!(self, Self::WasmiFloor | Self::ExtismKept)
    }
}

/// A module in the buffer contract, an event, and the right answer.
#[derive(Clone, Copy)]
pub(crate) struct Guest<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) event: &'a [u8],
    pub(crate) answer: &'a [u8],
}

/// An echo by every contender, in a memory of so many pages of 64 KiB.
pub(crate) fn echo<'a>(guest: &Guest<'a>, pages: u32) -> Vec<(Peer, Contender<'a>)> {
    let mut contenders = stateless(guest);
    let guest = *guest;
    let engine = raw::engine();
    let mut raw = Raw::new(&engine, &raw::compile(&engine, guest.bytes));
    let mut reply = Vec::new();
    let floor = move || {
        raw.run_again(black_box(guest.event), &mut reply);
        assert_eq!(reply, guest.answer);
    };
    contenders.push((Peer::WasmiFloor, repeat(floor)));

    let compiled = extism::CompiledPlugin::new(extism::PluginBuilder::new(plug_in(pages)).with_cache_disabled())
        .expect("the plug-in compiles");
    let call = move |plug_in: &mut extism::Plugin| {
        let reply: &[u8] = plug_in.call("handle", black_box(guest.event)).expect("it answers");
        assert_eq!(reply, guest.answer);
    };
    let new = move || extism::Plugin::new_from_compiled(&compiled).expect("it instantiates");
    let mut kept = new();
    contenders.push((Peer::ExtismKept, repeat(move || call(&mut kept))));
    contenders.push((Peer::ExtismNew, repeat(move || call(&mut new()))));
    contenders
}

/// One event by the contenders that forget the one before.
pub(crate) fn stateless<'a>(guest: &Guest<'a>) -> Vec<(Peer, Contender<'a>)> {
    let guest = *guest;
    let function = deploy(&guest);
    let ours = move || {
        let reply = function.invoke(black_box(guest.event)).expect("it answers");
        assert_eq!(reply.output(), guest.answer);
    };
    let engine = raw::engine();
    let module = raw::compile(&engine, guest.bytes);
    let mut reply = Vec::new();
    let fresh = move || {
        Raw::new(&engine, &module).run(black_box(guest.event), &mut reply);
        assert_eq!(reply, guest.answer);
    };
    let mut contenders = vec![(Peer::Dormouse, repeat(ours)), (Peer::WasmiFresh, repeat(fresh))];
    for peer in [Peer::Wasmtime, Peer::WasmtimeScan] {
        let pooled = Pooled::new(&wasmtime(peer), guest.bytes);
        let mut reply = Vec::new();
        let once = move || {
            pooled.run(black_box(guest.event), &mut reply);
            assert_eq!(reply, guest.answer);
        };
        contenders.push((peer, repeat(once)));
    }
    contenders.push((Peer::Wasm3, wasm3(guest)));
    contenders
}

/// From bytes to the first reply.
pub(crate) fn cold<'a>(guest: &Guest<'a>) -> Vec<(Peer, Contender<'a>)> {
    let guest = *guest;
    let runtime = Runtime::new();
    let mut reply = Vec::new();
    let lazy = move || {
        // wasmi's engines free code only when they are dropped, so a program that deploys has one
        // for each module.
        let engine = raw::engine();
        let module = raw::compile(&engine, black_box(guest.bytes));
        Raw::new(&engine, &module).run(guest.event, &mut reply);
        assert_eq!(reply, guest.answer);
    };
    let ours = move || {
        let function = runtime.deploy("f", black_box(guest.bytes)).expect("it deploys");
        assert_eq!(function.invoke(guest.event).expect("it answers").output(), guest.answer);
        // The others too drop what they have compiled before they compile again.
        assert!(runtime.undeploy("f"));
    };
    let mut contenders = vec![(Peer::Dormouse, repeat(ours)), (Peer::WasmiFresh, repeat(lazy))];
    for peer in [Peer::Wasmtime, Peer::Winch] {
        // Wasmtime's engines do free code. So one serves all, and its pool of memories stays.
        let engine = wasmtime(peer);
        let mut reply = Vec::new();
        let compile = move || {
            Pooled::new(&engine, black_box(guest.bytes)).run(guest.event, &mut reply);
            assert_eq!(reply, guest.answer);
        };
        contenders.push((peer, repeat(compile)));
    }
    contenders.push((Peer::Wasm3, wasm3(guest)));
    contenders
}

/// The time that one event on each of so many threads takes, in nanoseconds: the median of eleven
/// spans.
pub(crate) fn events_on(threads: usize, peer: Peer, guest: &Guest<'_>) -> f64 {
    const SPAN: Duration = Duration::from_millis(200);
    let function = deploy(guest);
    let pooled = Pooled::new(&wasmtime(peer), guest.bytes);
    let engine = raw::engine();
    let module = raw::compile(&engine, guest.bytes);
    let once = |reply: &mut Vec<u8>| {
        match peer {
            Peer::Dormouse => drop(function.invocation(black_box(guest.event)).run_into(reply).expect("it answers")),
            Peer::WasmiFresh => Raw::new(&engine, &module).run(black_box(guest.event), reply),
            _ => pooled.run(black_box(guest.event), reply),
        }
        assert_eq!(reply, guest.answer);
    };
    let meet = Barrier::new(threads);
    let work = || {
        let mut reply = Vec::new();
        // It runs until the instance stands where it will stay.
        (0..1_000).for_each(|_| once(&mut reply));
        meet.wait();
        let (began, mut events) = (Instant::now(), 0u64);
        while began.elapsed() < SPAN {
            (0..64).for_each(|_| once(&mut reply));
            events += 64;
        }
        events as f64 / began.elapsed().as_secs_f64()
    };
    let spans = (0..11).map(|_| {
        let rates: Vec<f64> = thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            workers.into_iter().map(|worker| worker.join().expect("no contender panics")).collect()
        });
        1e9 * threads as f64 / rates.iter().sum::<f64>()
    });
    median(spans.collect())
}

/// This library. Fuel, a deadline and limits are on, as always.
fn deploy(guest: &Guest<'_>) -> Function {
    let function = Runtime::new().deploy("f", guest.bytes).expect("it deploys");
    assert_eq!(function.invoke(guest.event).expect("it answers").output(), guest.answer);
    function
}

/// Wasmtime's engine, without fuel and epochs, which would slow its guests. An instance comes from
/// a pool. Its memory is an image mapped copy-on-write, which is the default.
///
/// With `PAGEMAP_SCAN` it resets written pages one by one, up to the size that is kept resident.
/// Here that is all of them. Without it, Wasmtime rewrites what is kept resident and lets the
/// kernel drop the rest. 4 KiB, where these guests write, is the fastest size of 0, 4 KiB, 64 KiB
/// and 1 MiB.
fn wasmtime(peer: Peer) -> Engine {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_memories(64).total_core_instances(64).total_tables(64).max_memory_size(64 << 20);
    if peer == Peer::WasmtimeScan {
        pool.pagemap_scan(Enabled::Yes).linear_memory_keep_resident(64 << 20);
    } else {
        pool.linear_memory_keep_resident(4 << 10);
    }
    let mut config = Config::new();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    if peer == Peer::Winch {
        config.strategy(Strategy::Winch);
    }
    Engine::new(&config).expect("the pool can be had")
}

/// A linked module of Wasmtime, with its exports looked up beforehand.
struct Pooled {
    engine: Engine,
    linked: InstancePre<()>,
    memory: ModuleExport,
    alloc: ModuleExport,
    handle: ModuleExport,
    initialise: Option<ModuleExport>,
}

impl Pooled {
    fn new(engine: &Engine, bytes: &[u8]) -> Self {
        let module = Module::new(engine, bytes).expect("it compiles");
        let export = |name| module.get_export_index(name);
        Self {
            engine: engine.clone(),
            linked: Linker::new(engine).instantiate_pre(&module).expect("it imports nothing"),
            memory: export("memory").expect("memory"),
            alloc: export("alloc").expect("alloc"),
            handle: export("handle").expect("handle"),
            initialise: export("_initialize"),
        }
    }

    /// One event on a new instance.
    fn run(&self, event: &[u8], reply: &mut Vec<u8>) {
        let mut store = Store::new(&self.engine, ());
        let instance = self.linked.instantiate(&mut store).expect("the pool has room");
        let mut function = |export| {
            let found = instance.get_module_export(&mut store, export).and_then(|export| export.into_func());
            found.expect("a function")
        };
        let (alloc, handle) = (function(&self.alloc), function(&self.handle));
        if let Some(initialise) = self.initialise.as_ref().map(&mut function) {
            let initialise = initialise.typed::<(), ()>(&store).expect("its type");
            initialise.call(&mut store, ()).expect("_initialize");
        }
        let memory = instance.get_module_export(&mut store, &self.memory).and_then(|export| export.into_memory());
        let memory = memory.expect("a memory");
        let alloc = alloc.typed::<i32, i32>(&store).expect("its type");
        let handle = handle.typed::<(i32, i32), i64>(&store).expect("its type");

        let len = event.len() as i32;
        let at = alloc.call(&mut store, len).expect("alloc");
        memory.write(&mut store, at as usize, event).expect("within bounds");
        let answer = handle.call(&mut store, (at, len)).expect("handle") as u64;
        let (at, len) = ((answer >> 32) as usize, answer as u32 as usize);
        reply.clear();
        reply.extend_from_slice(&memory.data(&store)[at..at + len]);
    }
}

/// Wasm3, which parses the bytes each time, as a parsed module belongs to one store. It fills its
/// stack with zeros each time, so it gets a small one.
fn wasm3(guest: Guest<'_>) -> Contender<'_> {
    let mut config = wasm3x::Config::new();
    config.stack_size(64 << 10);
    let engine = wasm3x::Engine::new(&config);
    let module = wasm3x::Module::new(&engine, guest.bytes).expect("it parses");
    let linker = wasm3x::Linker::<()>::new(&engine);
    let mut reply = Vec::new();
    repeat(move || {
        let mut store = wasm3x::Store::new(&engine, ());
        let instance = linker.instantiate_and_start(&mut store, &module).expect("it instantiates");
        if let Ok(initialise) = instance.get_typed_func::<(), ()>(&store, "_initialize") {
            initialise.call(&mut store, ()).expect("_initialize");
        }
        let alloc = instance.get_typed_func::<i32, i32>(&store, "alloc").expect("alloc");
        let handle = instance.get_typed_func::<(i32, i32), i64>(&store, "handle").expect("handle");
        let memory = instance.get_memory(&store).expect("a memory");

        let len = guest.event.len() as i32;
        let at = alloc.call(&mut store, len).expect("alloc");
        memory.write(&mut store, at as usize, black_box(guest.event)).expect("within bounds");
        let answer = handle.call(&mut store, (at, len)).expect("handle") as u64;
        let (at, len) = ((answer >> 32) as usize, answer as u32 as usize);
        reply.clear();
        reply.extend_from_slice(&memory.data(&store)[at..at + len]);
        assert_eq!(reply, guest.answer);
    })
}

/// An echo as a plug-in of Extism, with the fewest calls of its host: it returns the input where it
/// lies. It stores one number, as the other echoes do.
fn plug_in(pages: u32) -> Vec<u8> {
    let data = ["0x4000", "0x8000", "0xf000"];
    let data = data.map(|at| format!("(data (i32.const {at}) \"{}\")", "dormouse".repeat(512))).concat();
    let text = format!(
        r#"(module
          (import "extism:host/env" "input_offset" (func $input (result i64)))
          (import "extism:host/env" "input_length" (func $length (result i64)))
          (import "extism:host/env" "output_set" (func $output (param i64 i64)))
          (memory (export "memory") {pages})
          (func (export "handle") (result i32)
            (i64.store (i32.const 512) (call $length))
            (call $output (call $input) (call $length))
            (i32.const 0))
          {data})"#
    );
    wat::parse_str(text).expect("the module is written above")
}
