//! Word count in Rust, in the buffer contract: `alloc` makes room for the event, `handle` answers.

/// Room for an event of `len` bytes.
#[no_mangle]
pub extern "C" fn alloc(len: usize) -> *mut u8 {
    Vec::leak(vec![0; len]).as_mut_ptr()
}

/// The reply's address in the upper half, its length in the lower. Nothing is freed: the next invocation finds the memory
/// as it was.
///
/// # Safety
/// The event lies at `at`, where `alloc` made room for it.
#[no_mangle]
pub unsafe extern "C" fn handle(at: *const u8, len: usize) -> u64 {
    let reply = Vec::leak(count(std::slice::from_raw_parts(at, len)).into_bytes());
    (reply.as_ptr() as u64) << 32 | reply.len() as u64
}

fn count(event: &[u8]) -> String {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let lines = event.iter().filter(|byte| **byte == b'\n').count();
    let words = event.split(is_space).filter(|word| !word.is_empty()).count();
    format!(r#"{{"lines":{lines},"words":{words},"bytes":{}}}"#, event.len())
}
