//! Raw wasmi, as a program without this library uses it: with fuel, and with nothing else around
//! it.

use wasmi::{
    CompilationMode, Config, CustomFuelCosts, Engine, Global, Instance, Memory, Module, Store, TypedFunc, Val,
};

use crate::guests::TOP;

/// The fuel of each run, the same as in `Limits::default()`.
pub(crate) const FUEL: u64 = 1_000_000_000;

/// An engine that compiles functions when they are first called.
pub(crate) fn engine() -> Engine {
    let mut config = Config::default();
    config
        .consume_fuel(true)
        .fuel_cost(CustomFuelCosts {
            bytes_copied_per_fuel: 64,
            fuel_per_bytes_translated: 0,
            fuel_per_bytes_validated: 0,
        })
        .compilation_mode(CompilationMode::LazyTranslation)
        .ignore_custom_sections(true);
    Engine::new(&config)
}

pub(crate) fn compile(engine: &Engine, bytes: &[u8]) -> Module {
    Module::new(engine, bytes).expect("it compiles")
}

/// An instance with the handles of the buffer contract.
pub(crate) struct Raw {
    store: Store<()>,
    memory: Memory,
    top: Option<Global>,
    alloc: TypedFunc<i32, i32>,
    handle: TypedFunc<(i32, i32), i64>,
}

impl Raw {
    pub(crate) fn new(engine: &Engine, module: &Module) -> Self {
        let mut store = Store::new(engine, ());
        store.set_fuel(FUEL).expect("fuel is metered");
        let instance = Instance::new(&mut store, module, &[]).expect("it instantiates");
        if let Ok(initialise) = instance.get_typed_func::<(), ()>(&store, "_initialize") {
            initialise.call(&mut store, ()).expect("_initialize");
        }
        let (alloc, handle) = (instance.get_typed_func(&store, "alloc"), instance.get_typed_func(&store, "handle"));
        Self {
            memory: instance.get_memory(&store, "memory").expect("a memory"),
            top: instance.get_global(&store, "top"),
            alloc: alloc.expect("alloc"),
            handle: handle.expect("handle"),
            store,
        }
    }

    /// One event.
    pub(crate) fn run(&mut self, event: &[u8], reply: &mut Vec<u8>) {
        let store = &mut self.store;
        store.set_fuel(FUEL).expect("fuel is metered");
        let len = event.len() as i32;
        let at = self.alloc.call(&mut *store, len).expect("alloc");
        self.memory.write(&mut *store, at as usize, event).expect("within bounds");
        let answer = self.handle.call(&mut *store, (at, len)).expect("handle") as u64;
        let (at, len) = ((answer >> 32) as usize, answer as u32 as usize);
        reply.clear();
        reply.extend_from_slice(&self.memory.data(&*store)[at..at + len]);
    }

    /// One event on a kept instance. It resets only the allocator's top, as the guest would run out
    /// of memory otherwise.
    pub(crate) fn run_again(&mut self, event: &[u8], reply: &mut Vec<u8>) {
        self.run(event, reply);
        let top = self.top.expect("the allocator's top is exported");
        top.set(&mut self.store, Val::I32(TOP)).expect("it is mutable");
    }
}
