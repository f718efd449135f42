//! Extism plug-ins: what a deployment gives them, and their blocks, as host functions see them.
//!
//! Invariant: the bytes of a block are copied, all or none, and the guest pays for them. They are
//! never lent.

use dormouse::LogLevel;

use crate::{
    edge::Given, error::dormouse_error, failure::Failure, host::dormouse_context, status::dormouse_status,
    text::dormouse_string,
};

/// A variable that an Extism plug-in finds in each invocation.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct dormouse_plugin_variable {
    /// Its key.
    pub key: dormouse_string,
    /// Its bytes. May be NULL if `value_len` is 0.
    pub value: *const u8,
    /// How many.
    pub value_len: usize,
}

plain!(dormouse_plugin_variable);

impl dormouse_plugin_variable {
    /// Its key and its bytes.
    ///
    /// # Safety
    /// The caller of an exported function gave it, and that call is not over.
    pub(crate) unsafe fn get<'a>(&self) -> Result<(&'a str, &'a [u8]), Failure> {
        // SAFETY: the caller's; the pointer is followed by its length.
        unsafe {
            let key = self.key.get("options->vars->key")?;
            Ok((key, Given::new(self.value, "options->vars->value").slice(self.value_len)?))
        }
    }
}

/// The lowest level of an Extism plug-in's log that is kept: one of the DORMOUSE_LOG_ constants.
pub type dormouse_log_level = u32;

/// All of the log.
pub const DORMOUSE_LOG_TRACE: dormouse_log_level = 0;
/// All of the log except traces.
pub const DORMOUSE_LOG_DEBUG: dormouse_log_level = 1;
/// Information, warnings and errors.
pub const DORMOUSE_LOG_INFO: dormouse_log_level = 2;
/// Warnings and errors.
pub const DORMOUSE_LOG_WARN: dormouse_log_level = 3;
/// Errors only.
pub const DORMOUSE_LOG_ERROR: dormouse_log_level = 4;
/// Nothing.
pub const DORMOUSE_LOG_OFF: dormouse_log_level = 5;

/// The level that a constant stands for.
pub(crate) fn log_level(said: dormouse_log_level) -> Result<LogLevel, Failure> {
    Ok(match said {
        DORMOUSE_LOG_TRACE => LogLevel::Trace,
        DORMOUSE_LOG_DEBUG => LogLevel::Debug,
        DORMOUSE_LOG_INFO => LogLevel::Info,
        DORMOUSE_LOG_WARN => LogLevel::Warn,
        DORMOUSE_LOG_ERROR => LogLevel::Error,
        DORMOUSE_LOG_OFF => LogLevel::Off,
        other => return Err(Failure::argument(format!("{other} is not a dormouse_log_level"))),
    })
}

exported! { fallible:
    /// Gives the length of a block of an Extism plug-in, by the handle that it passed to a function
    /// of `extism:host/user`. 0 for handle 0. The handle must be exactly that of a live block.
    /// Costs no fuel.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_INVALID_HANDLE, DORMOUSE_CONTRACT if the guest is not a
    /// plug-in.
    pub unsafe extern "C" fn dormouse_context_block_len(
        context: *mut dormouse_context,
        handle: u64,
        len_out: *mut usize,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let (context, place) = (context.get()?, len_out.required()?);
        place.put(context.with(|guest| guest.block_len(handle))?);
        Ok(())
    }

    /// Copies all bytes of a block out. `dormouse_context_block_len` gives their number. The
    /// plug-in keeps the block.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_NO_ROOM, DORMOUSE_INVALID_HANDLE, DORMOUSE_CONTRACT,
    /// DORMOUSE_OUT_OF_FUEL.
    pub unsafe extern "C" fn dormouse_context_read_block(
        context: *mut dormouse_context,
        handle: u64,
        bytes: *mut u8,
        room: usize,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let context = context.get()?;
        // SAFETY: the pointer is followed by its length.
        let room = unsafe { bytes.room(room) }?;
        // The room is checked before the guest pays.
        let needed = context.with(|guest| guest.block_len(handle))?;
        if needed > room.len() {
            return Err(Failure::no_room(format!("`bytes` needs room for {needed}, it has {}", room.len())));
        }
        room.fill(&context.with(|guest| guest.read_block(handle))?);
        Ok(())
    }

    /// Copies bytes into a block: all or nothing. `at` is the block's handle, or an offset added to
    /// it. Handle 0 is the empty block, which takes no bytes.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_INVALID_HANDLE if they do not lie in one live block,
    /// DORMOUSE_CONTRACT, DORMOUSE_OUT_OF_FUEL.
    pub unsafe extern "C" fn dormouse_context_write_block(
        context: *mut dormouse_context,
        at: u64,
        bytes: *const u8,
        len: usize,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let context = context.get()?;
        // SAFETY: the pointer is followed by its length.
        let bytes = unsafe { bytes.slice(len) }?;
        Ok(context.with(|guest| guest.write_block(at, bytes))?)
    }

    /// Copies bytes into a new block and gives its handle: 0 for zero bytes. The plug-in owns the
    /// block, as it owns what a function of `extism:host/user` returns.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_MEMORY_LIMIT, DORMOUSE_CONTRACT, DORMOUSE_OUT_OF_FUEL,
    /// DORMOUSE_BUSY, which ends the invocation.
    pub unsafe extern "C" fn dormouse_context_new_block(
        context: *mut dormouse_context,
        bytes: *const u8,
        len: usize,
        handle_out: *mut u64,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let (context, place) = (context.get()?, handle_out.required()?);
        // SAFETY: the pointer is followed by its length.
        let bytes = unsafe { bytes.slice(len) }?;
        place.put(context.with(|guest| guest.new_block(bytes))?);
        Ok(())
    }

    /// Frees a block. Does nothing if the handle is not exactly that of a live block.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_CONTRACT.
    pub unsafe extern "C" fn dormouse_context_free_block(
        context: *mut dormouse_context,
        handle: u64,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        Ok(context.get()?.with(|guest| guest.free_block(handle))?)
    }
}
