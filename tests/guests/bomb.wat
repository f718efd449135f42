;; SPDX-License-Identifier: Apache-2.0
;; Memory bombs. grow_all grows by a page until the host says no, and answers
;; with the pages it got; touch_all also writes to each page; grow(n) is one step.
(module
  (memory (export "memory") 1)
  (func (export "grow") (param $n i32) (result i32) (memory.grow (local.get $n)))
  (func (export "grow_all") (result i32)
    (loop $again (br_if $again (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
    (memory.size))
  (func (export "touch_all") (result i32)
    (local $old i32)
    (loop $again
      (local.set $old (memory.grow (i32.const 1)))
      (if (i32.ne (local.get $old) (i32.const -1)) (then
        (i32.store8 (i32.mul (local.get $old) (i32.const 65536)) (i32.const 1))
        (br $again))))
    (memory.size))
  (func (export "size") (result i32) (memory.size)))
