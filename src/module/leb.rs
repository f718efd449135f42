//! Reads LEB128 numbers from a module's bytes.
//!
//! Invariant: the validator has accepted the number, or accepts or refuses it before its value is
//! used.

/// The value of an unsigned LEB128 number of 32 bits, and how many bytes it takes.
pub(super) fn leb(bytes: &[u8]) -> (u32, usize) {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate() {
        value |= u32::from(byte & 0x7f) << (7 * at as u32).min(31);
        if byte & 0x80 == 0 {
            return (value, at + 1);
        }
    }
    (value, bytes.len())
}
