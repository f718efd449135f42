//! The blocks of Extism plug-ins, as host functions see them.
//!
//! Invariant: bytes of blocks are only copied in and out, and the guest pays for them before.

use super::{Context, State};
use crate::{
    error::InvokeErrorKind,
    guest::extism::state::{ExtismState, absent},
};

impl Context<'_> {
    /// Copies the bytes of a block out of an Extism plug-in, by the handle that it passed. Empty
    /// for handle 0.
    ///
    /// Functions of `extism:host/user` pass bytes in this way: a handle is an `i64` (`u64` here).
    /// The plug-in keeps the blocks that it passes, and owns a block that it is given.
    ///
    /// ```
    /// # let module = wat::parse_str(r#"(module
    /// #   (import "extism:host/env" "input_offset" (func $input (result i64)))
    /// #   (import "extism:host/env" "length" (func $length (param i64) (result i64)))
    /// #   (import "extism:host/env" "output_set" (func $output (param i64 i64)))
    /// #   (import "extism:host/user" "shout" (func $shout (param i64) (result i64)))
    /// #   (func (export "greet") (local $loud i64) (local.set $loud (call $shout (call $input)))
    /// #     (call $output (local.get $loud) (call $length (local.get $loud)))))"#).unwrap();
    /// use dormouse::{Context, InvokeErrorKind, Runtime};
    ///
    /// let greet = Runtime::new()
    ///     .deployment("greet", &module)
    ///     .host("extism:host/user", "shout", |guest: &mut Context, text: u64| -> Result<u64, InvokeErrorKind> {
    ///         let loud = guest.read_block(text)?.to_ascii_uppercase();
    ///         guest.new_block(&loud)
    ///     })
    ///     .deploy()?;
    /// assert_eq!(greet.invoke(b"hello")?.output(), b"HELLO");
    /// # Ok::<(), dormouse::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`InvokeErrorKind::InvalidHandle`] if the handle is not exactly that of a live block;
    /// [`InvokeErrorKind::Contract`] if the guest is not a plug-in; [`InvokeErrorKind::OutOfFuel`].
    pub fn read_block(&mut self, handle: u64) -> Result<Vec<u8>, InvokeErrorKind> {
        let extism = self.extism()?;
        if handle == 0 {
            return Ok(Vec::new());
        }
        let at = extism.block(handle).ok_or(InvokeErrorKind::InvalidHandle { handle })?;
        self.pay(at.len() as u64)?;
        Ok(self.extism()?.bytes(at).to_vec())
    }

    /// The length of a block of an Extism plug-in, by the handle that it passed. 0 for handle 0.
    /// Costs no fuel.
    ///
    /// # Errors
    /// As [`read_block`](Self::read_block), except [`InvokeErrorKind::OutOfFuel`].
    pub fn block_len(&mut self, handle: u64) -> Result<usize, InvokeErrorKind> {
        let extism = self.extism()?;
        if handle == 0 {
            return Ok(0);
        }
        Ok(extism.block(handle).ok_or(InvokeErrorKind::InvalidHandle { handle })?.len())
    }

    /// Copies `bytes` into a block of an Extism plug-in: all or nothing. `at` is the block's
    /// handle, or an offset added to it. Handle 0 is the empty block, which takes no bytes.
    ///
    /// # Errors
    /// As [`read_block`](Self::read_block). The handle is invalid if the bytes do not lie in one
    /// live block.
    pub fn write_block(&mut self, at: u64, bytes: &[u8]) -> Result<(), InvokeErrorKind> {
        self.pay(bytes.len() as u64)?;
        let written = self.extism()?.write(at, bytes) || (at == 0 && bytes.is_empty());
        if written { Ok(()) } else { Err(InvokeErrorKind::InvalidHandle { handle: at }) }
    }

    /// Copies `bytes` into a new block of an Extism plug-in and returns its handle: 0 for zero
    /// bytes.
    ///
    /// # Errors
    /// [`InvokeErrorKind::MemoryLimit`]; [`InvokeErrorKind::Contract`] if the guest is not a
    /// plug-in; [`InvokeErrorKind::OutOfFuel`]. [`InvokeErrorKind::Busy`] ends the invocation, even
    /// if the function ignores it.
    pub fn new_block(&mut self, bytes: &[u8]) -> Result<u64, InvokeErrorKind> {
        self.pay(bytes.len() as u64)?;
        let made = self.state().give_block(bytes);
        if let Err(kind @ InvokeErrorKind::Busy(_)) = &made {
            self.state().host.ending = Some(kind.clone());
        }
        made
    }

    /// Frees a block of an Extism plug-in. Does nothing if the handle is not exactly that of a live
    /// block.
    ///
    /// # Errors
    /// [`InvokeErrorKind::Contract`] if the guest is not a plug-in.
    pub fn free_block(&mut self, handle: u64) -> Result<(), InvokeErrorKind> {
        self.extism()?.free(handle);
        Ok(())
    }

    /// The host's state for a plug-in.
    pub(crate) fn extism(&mut self) -> Result<&mut ExtismState, InvokeErrorKind> {
        self.state().host.guest.extism.as_deref_mut().ok_or_else(absent)
    }
}

impl State {
    /// Bytes that linear memories leave of `Limits::memory_bytes`.
    pub(crate) fn memory_left(&self) -> u64 {
        self.memory_max.saturating_sub(self.memory_bytes)
    }

    /// Copies bytes into a new block of the plug-in, and returns its handle: 0 for zero bytes.
    pub(crate) fn give_block(&mut self, bytes: &[u8]) -> Result<u64, InvokeErrorKind> {
        let left = self.memory_left();
        let Self { host, reservation, memory_max, .. } = self;
        let extism = host.guest.extism.as_deref_mut().ok_or_else(absent)?;
        let (wanted, limit) = (bytes.len() as u64, *memory_max);
        extism.give(bytes, left, reservation)?.ok_or(InvokeErrorKind::MemoryLimit { wanted, limit })
    }
}
