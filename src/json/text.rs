//! Turns escapes of strings into characters, and characters into escapes.

use std::borrow::Cow;

use super::Raw;

/// A string without its escapes, in `room` if it has some. The scanner has checked the string.
#[inline(always)]
pub(crate) fn decode<'r>(raw: Raw<'r>, room: &'r mut Vec<u8>) -> &'r [u8] {
    if raw.escaped { unescape(raw.bytes, room) } else { raw.bytes }
}

/// Takes the bytes, not the `Raw`: every possible caller would have to keep that in memory.
#[cold]
fn unescape<'r>(bytes: &[u8], room: &'r mut Vec<u8>) -> &'r [u8] {
    room.clear();
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|&byte| byte == b'\\') {
        room.extend_from_slice(&rest[..at]);
        rest = &rest[at + 2..];
        let plain = match bytes[bytes.len() - rest.len() - 1] {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let mut character = unit(rest);
                rest = &rest[4..];
                if (0xd800..0xdc00).contains(&character) {
                    character = 0x10000 + ((character - 0xd800) << 10) + (unit(&rest[2..]) - 0xdc00);
                    rest = &rest[6..];
                }
                let character = char::from_u32(character).unwrap_or(char::REPLACEMENT_CHARACTER);
                room.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            same => same,
        };
        room.push(plain);
    }
    room.extend_from_slice(rest);
    room
}

/// Four hexadecimal digits.
fn unit(digits: &[u8]) -> u32 {
    digits[..4].iter().fold(0, |unit, &digit| unit << 4 | char::from(digit).to_digit(16).unwrap_or(0))
}

impl<'a> Raw<'a> {
    /// The string's characters.
    pub(crate) fn text(self) -> Cow<'a, str> {
        if !self.escaped {
            return String::from_utf8_lossy(self.bytes);
        }
        let mut room = Vec::new();
        decode(self, &mut room);
        Cow::Owned(String::from_utf8_lossy(&room).into_owned())
    }
}

/// A string with its quotes and escapes.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for &byte in text.as_bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            8 => out.extend_from_slice(b"\\b"),
            12 => out.extend_from_slice(b"\\f"),
            0..0x20 => {
                out.extend_from_slice(b"\\u00");
                out.extend([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}
