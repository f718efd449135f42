;; SPDX-License-Identifier: Apache-2.0
;; Indirect calls through a table that swap mutates, and an exported table.
;; apply(i, x) calls entry i: 0 is x+1, 1 is x*2, 2 is null, 3 has another type.
(module
  (type $op (func (param i32) (result i32)))
  (table $t (export "table") 4 6 funcref)
  (elem (i32.const 0) $inc $dbl)
  (elem (i32.const 3) $other)
  (func $inc (type $op) (i32.add (local.get 0) (i32.const 1)))
  (func $dbl (type $op) (i32.mul (local.get 0) (i32.const 2)))
  (func $other (result i64) (i64.const 7))
  (func (export "apply") (param $i i32) (param $x i32) (result i32)
    (call_indirect $t (type $op) (local.get $x) (local.get $i)))
  (func (export "swap")
    (table.set $t (i32.const 2) (table.get $t (i32.const 0)))
    (table.set $t (i32.const 0) (table.get $t (i32.const 1)))
    (table.set $t (i32.const 1) (table.get $t (i32.const 2)))
    (table.set $t (i32.const 2) (ref.null func)))
  (func (export "copy") (table.copy (i32.const 2) (i32.const 0) (i32.const 2)))
  (func (export "fill") (table.fill $t (i32.const 0) (ref.null func) (i32.const 4)))
  (func (export "size") (result i32) (table.size $t)))
