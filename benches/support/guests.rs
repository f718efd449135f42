//! The guests of the benches, in text and built, and their events.
//!
//! All follow the buffer contract: `memory`, `alloc(len) -> at`,
//! `handle(at, len) -> at << 32 | len`.

/// The event of the echoes: 256 bytes.
pub(crate) const EVENT: [u8; 256] = [b'x'; 256];

/// An order for the guests named json, and what they answer.
pub(crate) const ORDER: &[u8] = br#"{"user": "ann", "min": 10, "items": [{"name": "pen", "price": 2, "qty": 3}, {"name": "book", "price": 12, "qty": 1}, {"name": "lamp", "price": 5, "qty": 4}]}"#;
pub(crate) const KEPT: &[u8] = br#"{"user":"ann","kept":["book","lamp"],"total":32}"#;

/// A bump allocator. The raw contenders reset its top.
const ALLOC: &str = r#"
  (global $top (export "top") (mut i32) (i32.const 1024))
  (func (export "alloc") (param $len i32) (result i32)
    (local $p i32) (local $short i32)
    (local.set $p (global.get $top))
    (global.set $top (i32.and (i32.add (i32.add (local.get $p) (local.get $len)) (i32.const 7)) (i32.const -8)))
    (local.set $short (i32.sub (global.get $top) (i32.mul (memory.size) (i32.const 65536))))
    (if (i32.gt_s (local.get $short) (i32.const 0))
      (then (if (i32.lt_s (memory.grow (i32.div_u (i32.add (local.get $short) (i32.const 65535)) (i32.const 65536)))
                          (i32.const 0))
        (then unreachable))))
    (local.get $p))"#;

/// Where `ALLOC` begins.
pub(crate) const TOP: i32 = 1024;

/// An echo in a memory of `pages` of 64 KiB, with so many functions in all. Three pages of 4 KiB
/// are not zero.
///
/// It stores one number, as any real guest writes to its memory. A guest that does not leaves less
/// to clean.
pub(crate) fn echo(pages: u32, functions: u32) -> Vec<u8> {
    // Each adds its own number to its parameter.
    let others: String = (2..functions)
        .map(|number| format!("(func (param i32) (result i32) (i32.add (local.get 0) (i32.const {number})))"))
        .collect();
    let data = data();
    module(&format!(
        r#"(module
          (memory (export "memory") {pages}) {ALLOC}
          (func (export "handle") (param $ptr i32) (param $len i32) (result i64)
            (i32.store (i32.const 512) (local.get $len))
            (i64.or (i64.shl (i64.extend_i32_u (local.get $ptr)) (i64.const 32)) (i64.extend_i32_u (local.get $len))))
          {others} {data})"#
    ))
}

/// An echo that also writes to as many pages of 4 KiB as the first four bytes of the event say. It
/// takes every third page from the second 64 KiB on, so that no two are neighbours.
pub(crate) fn writer(pages: u32) -> Vec<u8> {
    let data = data();
    module(&format!(
        r#"(module
          (memory (export "memory") {pages}) {ALLOC}
          (func (export "handle") (param $ptr i32) (param $len i32) (result i64)
            (local $at i32) (local $end i32)
            (local.set $at (i32.const 65536))
            (local.set $end (i32.add (local.get $at) (i32.mul (i32.load (local.get $ptr)) (i32.const 12288))))
            (block $done
              (loop $next
                (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
                (i32.store (local.get $at) (local.get $at))
                (local.set $at (i32.add (local.get $at) (i32.const 12288)))
                (br $next)))
            (i64.or (i64.shl (i64.extend_i32_u (local.get $ptr)) (i64.const 32)) (i64.extend_i32_u (local.get $len))))
          {data})"#
    ))
}

/// The event that makes [`writer`] write to so many pages, and that it echoes.
pub(crate) fn write_to(pages: u32) -> [u8; 8] {
    (u64::from(pages)).to_le_bytes()
}

/// Adds two numbers. It has nothing that it could write to.
pub(crate) fn adder() -> Vec<u8> {
    module(r#"(module (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))"#)
}

/// A built guest of tests/guests.
pub(crate) fn built(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/guests/{name}.wasm", crate::REPOSITORY);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Three pages of 4 KiB that are not zero.
fn data() -> String {
    let segment = |at| format!("(data (i32.const {at}) \"{}\")", "dormouse".repeat(512));
    ["0x4000", "0x8000", "0xf000"].map(segment).concat()
}

/// A module from its text.
fn module(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"))
}
