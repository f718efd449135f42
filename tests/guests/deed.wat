;; SPDX-License-Identifier: Apache-2.0
;; Tells the host what it is given, and does what the first byte says: e answers with the rest, t traps, f loops without end,
;; g grows its memory, r rejects it; anything else succeeds with an empty answer.
(module
  (import "test" "note" (func $note (param i32 i32)))
  (memory (export "memory") 1 4)
  (func (export "alloc") (param $len i32) (result i32) (i32.const 1024))
  (func (export "handle") (param $ptr i32) (param $len i32) (result i64)
    (local $deed i32)
    (call $note (local.get $ptr) (local.get $len))
    (local.set $deed (i32.load8_u (local.get $ptr)))
    (if (i32.eq (local.get $deed) (i32.const 116)) (then unreachable))
    (if (i32.eq (local.get $deed) (i32.const 102)) (then (loop (br 0))))
    (if (i32.eq (local.get $deed) (i32.const 103)) (then (drop (memory.grow (i32.const 1)))))
    (if (i32.eq (local.get $deed) (i32.const 114)) (then (return (i64.const -1))))
    (if (i32.eq (local.get $deed) (i32.const 101))
      (then (return (i64.or
        (i64.shl (i64.extend_i32_u (i32.add (local.get $ptr) (i32.const 1))) (i64.const 32))
        (i64.extend_i32_u (i32.sub (local.get $len) (i32.const 1)))))))
    (i64.const 0)))
