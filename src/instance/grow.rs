//! What stands behind `memory.grow`: a host function, called by the stub that the rewriting put in its place.
//!
//! Same answer and same fuel as the operator has in wasmi: -1 without a charge where the memory's own maximum or a limit
//! forbids it, else 1 fuel for each 64 bytes that are added. Growth is counted against the runtime's budget; where that is
//! used up, the invocation ends as busy instead of showing the guest what other functions do.

use wasmi::{AsContextMut, Caller, Func, Nullable, Ref, Store, Table};

use super::{
    Fault, State,
    slices::{charge, refund_stub},
};
use crate::error::InvokeErrorKind;

/// Puts a growth function for each memory into the table that the stubs call through.
pub(crate) fn install(store: &mut Store<State>, table: Table) -> Result<(), wasmi::Error> {
    for index in 0..store.data().memories.len() {
        let wide = store.data().prepared.memories[index].ty.memory64;
        let function = if wide {
            Func::wrap(&mut *store, move |mut caller: Caller<'_, State>, delta: i64| {
                grow(&mut caller, index, delta as u64).map(|pages| pages.map_or(-1, |pages| pages as i64))
            })
        } else {
            Func::wrap(&mut *store, move |mut caller: Caller<'_, State>, delta: i32| {
                grow(&mut caller, index, u64::from(delta as u32)).map(|pages| pages.map_or(-1, |pages| pages as i32))
            })
        };
        table.set(&mut *store, index as u64, Ref::Func(Nullable::Val(function)))?;
    }
    Ok(())
}

/// The size before, in pages, or `None` if the memory cannot grow.
fn grow(caller: &mut Caller<'_, State>, index: usize, delta: u64) -> Result<Option<u64>, wasmi::Error> {
    refund_stub(caller)?;
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
    charge(caller, bytes / 64)?;
    let mut context = caller.as_context_mut();
    let state = context.data_mut();
    state.reservation.grow(bytes).map_err(|busy| Fault::error(InvokeErrorKind::Busy(busy)))?;
    // What fails here is the machine's memory.
    if memory.grow(&mut context, delta).is_err() {
        context.data_mut().reservation.shrink(bytes);
        return Ok(None);
    }
    context.data_mut().memory_bytes += bytes;
    Ok(Some(size))
}
