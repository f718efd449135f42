//! The host functions behind `memory.grow` and `table.grow`. The rewriting has replaced each
//! operator by a stub that calls one of them.
//!
//! Invariants: the answer and the fuel are those of the operator in wasmi. The answer is -1,
//! without a charge, if the operator's own maximum or a limit forbids the growth. Otherwise each 64
//! bytes that are added cost 1 fuel. Growth counts against the runtime's budget. If the budget is
//! used up, the invocation ends as busy. So a guest cannot see what other functions do.

use std::sync::Arc;

use wasmi::{Caller, ExternRef, Func, Instance, Nullable, Ref, RefType, Store, Table, WasmTy};

use super::{
    Fault, HostSide, State,
    slices::{charge, refund_stub},
};
use crate::{
    error::InvokeErrorKind,
    module::{ELEMENT_BYTES, Growable, WRITTEN_ELEMENT_BYTES},
};

/// Puts a growth function for each memory and table that can grow into the table through which the
/// stubs call.
pub(crate) fn install<H: HostSide>(
    store: &mut Store<State<H>>,
    instance: &Instance,
    stubs: Table,
) -> Result<(), wasmi::Error> {
    let prepared = Arc::clone(&store.data().prepared);
    for (at, growable) in prepared.growables.iter().enumerate() {
        let function = match *growable {
            Growable::Memory(index) => memory_function(store, index),
            Growable::Table(index) => {
                // The rewriting has exported each table that code changes.
                let name = prepared.tables.iter().find(|(table, _)| *table == index);
                let Some(table) = name.and_then(|(_, name)| instance.get_table(&*store, name)) else { continue };
                match table.ty(&*store).element() {
                    RefType::Func => table_function::<H, Nullable<Func>>(store, index, table),
                    RefType::Extern => table_function::<H, Nullable<ExternRef>>(store, index, table),
                }
            }
        };
        stubs.set(&mut *store, at as u64, Ref::Func(Nullable::Val(function)))?;
    }
    Ok(())
}

fn memory_function<H: HostSide>(store: &mut Store<State<H>>, index: u32) -> Func {
    if store.data().prepared.memories[index as usize].ty.memory64 {
        Func::wrap(store, move |mut caller: Caller<'_, State<H>>, delta: i64| {
            grow_memory(&mut caller, index, delta as u64).map(|size| size.map_or(-1, |size| size as i64))
        })
    } else {
        Func::wrap(store, move |mut caller: Caller<'_, State<H>>, delta: i32| {
            grow_memory(&mut caller, index, u64::from(delta as u32)).map(|size| size.map_or(-1, |size| size as i32))
        })
    }
}

fn table_function<H: HostSide, R: WasmTy + Into<Ref>>(store: &mut Store<State<H>>, index: u32, table: Table) -> Func {
    if table.ty(&*store).is_64() {
        Func::wrap(store, move |mut caller: Caller<'_, State<H>>, value: R, delta: i64| {
            let size = grow_table(&mut caller, (index, table), value.into(), delta as u64)?;
            Ok::<_, wasmi::Error>(size.map_or(-1, |size| size as i64))
        })
    } else {
        Func::wrap(store, move |mut caller: Caller<'_, State<H>>, value: R, delta: i32| {
            let size = grow_table(&mut caller, (index, table), value.into(), u64::from(delta as u32))?;
            Ok::<_, wasmi::Error>(size.map_or(-1, |size| size as i32))
        })
    }
}

/// Grows a memory. Returns its size before, in pages, or `None` if it cannot grow.
fn grow_memory<H: HostSide>(
    caller: &mut Caller<'_, State<H>>,
    index: u32,
    delta: u64,
) -> Result<Option<u64>, wasmi::Error> {
    refund_stub(caller, Growable::Memory(index))?;
    let index = index as usize;
    let memory = caller.data().memories[index];
    let size = memory.size(&*caller);
    if delta == 0 {
        return Ok(Some(size));
    }
    let state = caller.data();
    let fact = &state.prepared.memories[index];
    let absolute = if fact.ty.memory64 { u64::MAX } else { (1 << 32) >> fact.page_log2() };
    let maximum = fact.ty.maximum.unwrap_or(u64::MAX).min(absolute);
    if size.checked_add(delta).is_none_or(|desired| desired > maximum) {
        return Ok(None);
    }
    let Some(bytes) = delta.checked_mul(1 << fact.page_log2()) else { return Ok(None) };
    if state.bytes_in_use().checked_add(bytes).is_none_or(|total| total > state.memory_max) {
        return Ok(None);
    }
    let grow = |context: &mut Caller<'_, State<H>>| memory.grow(context, delta).is_ok();
    if !grow_within(caller, bytes, bytes, grow)? {
        return Ok(None);
    }
    caller.data_mut().memory_bytes += bytes;
    Ok(Some(size))
}

/// Grows a table by elements that are `value`. Returns its size before, in elements, or `None` if
/// it cannot grow.
fn grow_table<H: HostSide>(
    caller: &mut Caller<'_, State<H>>,
    (index, table): (u32, Table),
    value: Ref,
    delta: u64,
) -> Result<Option<u64>, wasmi::Error> {
    refund_stub(caller, Growable::Table(index))?;
    let size = table.size(&*caller);
    if delta == 0 {
        return Ok(Some(size));
    }
    let ty = table.ty(&*caller);
    let absolute = if ty.is_64() { u64::MAX } else { u64::from(u32::MAX) };
    let maximum = ty.maximum().unwrap_or(u64::MAX).min(absolute);
    if size.checked_add(delta).is_none_or(|desired| desired > maximum) {
        return Ok(None);
    }
    let state = caller.data();
    if state.table_elements.checked_add(delta).is_none_or(|total| total > state.table_elements_max) {
        return Ok(None);
    }
    let (moved, held) = (delta.saturating_mul(ELEMENT_BYTES), delta.saturating_mul(WRITTEN_ELEMENT_BYTES));
    if !grow_within(caller, moved, held, |context| table.grow(context, delta, value).is_ok())? {
        return Ok(None);
    }
    caller.data_mut().table_elements += delta;
    Ok(Some(size))
}

/// Grows by `moved` bytes, which the guest pays for, and `held` bytes, which must fit the runtime's
/// budget. Returns `false` if the machine does not have the memory.
fn grow_within<H: HostSide>(
    caller: &mut Caller<'_, State<H>>,
    moved: u64,
    held: u64,
    grow: impl FnOnce(&mut Caller<'_, State<H>>) -> bool,
) -> Result<bool, wasmi::Error> {
    charge(caller, moved / 64)?;
    let reserved = caller.data_mut().reservation.grow(held);
    reserved.map_err(|busy| Fault::error(InvokeErrorKind::Busy(busy)))?;
    let grown = grow(caller);
    if !grown {
        caller.data_mut().reservation.shrink(held);
    }
    Ok(grown)
}
