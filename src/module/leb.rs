//! Reads numbers of a module's bytes where they have been validated.

/// An unsigned LEB128 number of 32 bits that has been validated: its value, and the bytes that it takes.
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
