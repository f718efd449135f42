//! The differences that this program must find, on modules written by hand.

use crate::{
    Case,
    compare::compare,
    engine::{Engine, node::Node},
    fitted::{self, Fitted},
    ours::Ours,
    outcome::Answer,
    runs::Run,
    tally::Tally,
};

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("it is well-formed")
}

fn differences(text: &str, oracle: &mut dyn Engine, tally: &mut Tally) -> String {
    let ours = Ours::new();
    let bytes = wat(text);
    let mut all = String::new();
    for seed in 0..12 {
        all += &compare(&Case { seed, bytes: &bytes, has_patterns: false, is_verbose: false }, &ours, oracle, tally);
    }
    all
}

/// Node with another module than the library's.
struct Another(Node, Fitted);

impl Engine for Another {
    fn answer(&mut self, _: &Fitted, runs: &[Run]) -> Result<Answer, String> {
        self.0.answer(&self.1, runs)
    }
}

#[test]
fn every_kind_of_trap_is_the_same() {
    let mut node = Node::start().expect("Node is there");
    let mut tally = Tally::default();
    // Six exports of each module are called.
    let some = r#"(module (memory 1) (table 3 funcref) (elem (i32.const 1) $f) (type $t (func (param f32)))
        (func $f)
        (func (export "unreachable") unreachable)
        (func (export "load") (result i64) (i64.load (i32.const 65529)))
        (func (export "get") (drop (table.get (i32.const 3))))
        (func (export "out") (call_indirect (i32.const 3)))
        (func (export "null") (call_indirect (i32.const 0)))
        (func (export "signature") (call_indirect (type $t) (f32.const 0) (i32.const 1))))"#;
    let others = r#"(module (memory 1) (table 3 funcref) (data $d "ab") (elem $e func)
        (func (export "zero") (param i32) (result i32) (i32.rem_u (local.get 0) (i32.const 0)))
        (func (export "overflow") (result i64) (i64.div_s (i64.const 0x8000000000000000) (i64.const -1)))
        (func (export "nan") (result i32) (i32.trunc_f32_s (f32.const nan)))
        (func (export "far") (result i32) (i32.trunc_f64_u (f64.const 1e300)))
        (func (export "data") (memory.init $d (i32.const 0) (i32.const 1) (i32.const 2)))
        (func (export "elements") (table.init $e (i32.const 0) (i32.const 1) (i32.const 2))))"#;
    for module in [some, others] {
        assert_eq!(differences(module, &mut node, &mut tally), "");
    }
    let kinds: Vec<&str> = tally.ended.keys().map(String::as_str).collect();
    let traps = [
        "trap BadConversion",
        "trap BadSignature",
        "trap DivisionByZero",
        "trap IndirectCallToNull",
        "trap IntegerOverflow",
        "trap MemoryOutOfBounds",
        "trap TableOutOfBounds",
        "trap Unreachable",
        "values",
    ];
    assert_eq!(kinds, traps);
}

#[test]
fn a_start_that_traps_does_so_in_both() {
    let mut node = Node::start().expect("Node is there");
    let mut tally = Tally::default();
    for module in [
        "(module (start $f) (func $f unreachable))",
        r#"(module (memory 1) (data (i32.const 65535) "ab"))"#,
        "(module (table 1 funcref) (elem (i32.const 1) func $f) (func $f))",
    ] {
        assert_eq!(differences(module, &mut node, &mut tally), "", "{module}");
    }
    assert_eq!(tally.refused.len(), 3, "{tally}");
    let mut another = Another(node, fitted::fit(&wat("(module)")).expect("it is a module"));
    let said = differences("(module (start $f) (func $f unreachable))", &mut another, &mut tally);
    assert!(said.contains("ours trap Unreachable, theirs ends well"), "{said}");
}

#[test]
fn numbers_of_all_types_keep_their_bits() {
    let mut node = Node::start().expect("Node is there");
    let mut tally = Tally::default();
    let module = r#"(module
        (func (export "all") (param i32 i64 f32 f64) (result f64 f32 i64 i32)
            (local.get 3) (local.get 2) (local.get 1) (local.get 0))
        (func (export "nan") (result f32 f64) (f32.const nan:0x200001) (f64.const -nan:0x1)))"#;
    assert_eq!(differences(module, &mut node, &mut tally), "");
    assert!(tally.calls > 100, "{tally}");
}

#[test]
fn what_runs_forever_or_too_deep_is_skipped() {
    let mut node = Node::start().expect("Node is there");
    let mut tally = Tally::default();
    let module = r#"(module (func (export "forever") (loop (br 0))) (func $deep (export "deep") (call $deep)))"#;
    assert_eq!(differences(module, &mut node, &mut tally), "");
    let by: Vec<&str> = tally.skipped.keys().copied().collect();
    assert_eq!(by, ["fuel", "the stack"]);
}

#[test]
fn each_difference_is_seen() {
    let pairs = [
        // A value.
        (
            r#"(module (func (export "f") (result i32) (i32.const 1)))"#,
            r#"(module (func (export "f") (result i32) (i32.const 2)))"#,
        ),
        // A sign of a zero.
        (
            r#"(module (func (export "f") (result f64) (f64.const 0)))"#,
            r#"(module (func (export "f") (result f64) (f64.const -0)))"#,
        ),
        // Another trap.
        (
            r#"(module (func (export "f") unreachable))"#,
            r#"(module (func (export "f") (drop (i32.div_u (i32.const 1) (i32.const 0)))))"#,
        ),
        // What memory holds after a trap.
        (
            r#"(module (memory 1) (func (export "f") (i32.store8 (i32.const 65535) (i32.const 1)) unreachable))"#,
            r#"(module (memory 1) (func (export "f") (i32.store8 (i32.const 65535) (i32.const 3)) unreachable))"#,
        ),
        // The size of a memory and of a table, and the growths that they refuse.
        (
            r#"(module (memory 1) (func (export "f") (drop (memory.grow (i32.const 1)))))"#,
            r#"(module (memory 1) (func (export "f") (drop (memory.grow (i32.const 0)))))"#,
        ),
        (
            r#"(module (table 1 externref) (func (export "f") (drop (table.grow (ref.null extern) (i32.const 1)))))"#,
            r#"(module (table 1 externref) (func (export "f")))"#,
        ),
        // A global, and an element that is null.
        (
            r#"(module (global (mut f32) (f32.const 0)) (func (export "f") (global.set 0 (f32.const 1))))"#,
            r#"(module (global (mut f32) (f32.const 0)) (func (export "f")))"#,
        ),
        (
            r#"(module (table 2 funcref) (elem (i32.const 0) $f) (func $f (export "f") (table.set (i32.const 0) (ref.null func))))"#,
            r#"(module (table 2 funcref) (elem (i32.const 0) $f) (func $f (export "f")))"#,
        ),
    ];
    for (ours, theirs) in pairs {
        let node = Node::start().expect("Node is there");
        let mut another = Another(node, fitted::fit(&wat(theirs)).expect("it is a module"));
        let said = differences(ours, &mut another, &mut Tally::default());
        assert!(said.contains("ours") && said.contains("theirs"), "{ours}: {said}");
        let said = differences(ours, &mut Node::start().expect("Node is there"), &mut Tally::default());
        assert_eq!(said, "", "{ours}");
    }
}
