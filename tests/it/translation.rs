//! Modules that are hard to rewrite or to translate: each is refused, or translated in a moment,
//! and does what it says.

use std::time::{Duration, Instant};

use dormouse::{DeployError, Runtime, Value};

use crate::support::{outcome, wat};

fn leb(mut number: usize, out: &mut Vec<u8>) {
    while number > 0x7f {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn section(id: u8, content: &[u8], out: &mut Vec<u8>) {
    out.push(id);
    leb(content.len(), out);
    out.extend_from_slice(content);
}

/// A module with the types 0, `() -> ()`, and 1, `() -> (16 times i32)`. Its `run` has this code
/// and ten locals of type i32.
fn with_code(code: &[u8]) -> Vec<u8> {
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    section(1, &[&[2, 0x60, 0, 0, 0x60, 0, 16][..], &[0x7f; 16]].concat(), &mut module);
    section(3, &[1, 0], &mut module);
    section(7, b"\x01\x03run\0\0", &mut module);
    let mut bodies = vec![1];
    leb(code.len() + 4, &mut bodies);
    bodies.extend_from_slice(&[1, 10, 0x7f]);
    bodies.extend_from_slice(code);
    bodies.push(0x0b);
    section(10, &bodies, &mut module);
    module
}

#[test]
fn a_function_that_the_interpreter_cannot_translate_fails_the_same_each_time() {
    let code = [[0x41, 0].repeat(65_530), [0x1a].repeat(65_530)].concat();
    let function = Runtime::new().deploy("f", &with_code(&code)).unwrap();
    let first = outcome(&function, u64::MAX, "run", &[]);
    assert!(first.0.contains("too many operands"), "{first:?}");
    for _ in 0..2 {
        assert_eq!(outcome(&function, u64::MAX, "run", &[]), first);
    }
}

/// Translation on first use burns no fuel and meets no deadline.
#[test]
fn no_code_takes_more_than_a_moment_to_translate() {
    let fill: [&[u8]; 3] = [&[0x20, 0], &[0x41, 0], &[0x20, 0, 0x45]];
    // A block, a loop, an if with else, a branch, local.set, local.tee.
    let churn: [&[u8]; 6] = [
        &[0x02, 0x40, 0x0b],
        &[0x03, 0x40, 0x0b],
        &[0x20, 0, 0x04, 0x40, 0x05, 0x0b],
        &[0x02, 0x40, 0x20, 0, 0x0d, 0, 0x0b],
        &[0x41, 0, 0x21, 0],
        &[0x20, 0, 0x20, 1, 0x21, 0, 0x1a],
    ];
    for fill in fill {
        for churn in churn {
            let mut code = fill.repeat(29_000);
            code.extend_from_slice(&churn.repeat(500_000 / churn.len()));
            code.extend_from_slice(&[0x1a].repeat(29_000));
            let function = Runtime::new().deploy("f", &with_code(&code)).unwrap();
            let began = Instant::now();
            function.call("run", &[]).unwrap();
            assert!(began.elapsed() < Duration::from_secs(5), "{fill:x?}, {churn:x?}: {:?}", began.elapsed());
        }
    }
}

#[test]
fn branch_tables_that_move_operands_without_end_are_refused() {
    // A target is one byte and moves 16 operands.
    let mut code = Vec::new();
    for _ in 0..12 {
        code.extend_from_slice(&[0x02, 1]);
        code.extend_from_slice(&[0x41, 3].repeat(16));
        code.extend_from_slice(&[0x20, 0, 0x0e]);
        leb(65_000, &mut code);
        code.extend_from_slice(&[0; 65_001]);
        code.push(0x0b);
        code.extend_from_slice(&[0x1a; 16]);
    }
    let error = Runtime::new().deploy("f", &with_code(&code)).unwrap_err();
    assert!(matches!(error, DeployError::Refused { .. }), "{error}");
}

/// A module may move 4,000,000 operands, and 8 more for each of its bytes.
#[test]
fn as_many_operands_as_a_module_may_move_are_accepted_and_one_operator_more_is_refused() {
    let (wide, results) = ((300, 700), (0, 1_000));
    for (ty, around, operator, moves) in [
        (wide, "", "call $f", 1_000),
        (results, "", "call $f", 1_000),
        (wide, "", "return_call $f", 1_000),
        (wide, "", "call_indirect (type $w)", 1_000),
        (wide, "", "return_call_indirect (type $w)", 1_000),
        (wide, "", "return", 1_000),
        (wide, "", "block (type $w) unreachable end", 2_000),
        (wide, "", "loop (type $w) unreachable end", 2_000),
        (wide, "", "if (type $w) unreachable else unreachable end", 2_000),
        // A branch moves the results of a block, and the parameters of a loop.
        (wide, "block (type $w)", "br 0", 1_400),
        (wide, "loop (type $w)", "br 0", 600),
        (wide, "block (type $w)", "br_if 0", 1_400),
        (wide, "block (type $w)", "br_table 0 0 0", 2_800),
    ] {
        let before = if around.is_empty() { 0 } else { 2_000 };
        let module = |count: usize| {
            let (params, results, code) =
                ("i32 ".repeat(ty.0), "i32 ".repeat(ty.1), format!("unreachable {operator} ").repeat(count));
            let end = if around.is_empty() { "" } else { "unreachable end" };
            wat(&format!(
                "(module (type $w (func (param {params}) (result {results}))) (table 1 funcref) (func $f (type $w) unreachable)
                   (func (type $w) unreachable {around} {code} {end} unreachable))"
            ))
        };
        let most = |bytes: usize| (4_000_000 + 8 * bytes - before) / moves;
        let count = (0..3).fold(0, |count, _| most(module(count).len()));
        for count in [count, count + 2] {
            let module = module(count);
            let deployed = Runtime::new().deploy("f", &module);
            assert_eq!(deployed.is_ok(), count <= most(module.len()), "{around} {operator} {count}: {deployed:?}");
        }
    }
}

/// Counts of sections and the memory's index after `memory.grow` may have more bytes than they
/// need.
#[test]
fn numbers_in_more_bytes_than_they_need_are_rewritten_right() {
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    section(1, &[0x81, 0x80, 0x00, 0x60, 0, 1, 0x7f], &mut module);
    section(3, &[0x82, 0x80, 0x80, 0x80, 0x00, 0, 0], &mut module);
    section(5, &[0x82, 0x00, 1, 1, 5, 1, 0, 9], &mut module);
    section(7, b"\x02\x06second\0\0\x05first\0\x01", &mut module);
    // The sum of grow 1, grow 2 and size of the second memory, and that of grow 3, size and grow -1
    // of the first.
    let second = [
        &[0, 0x41, 1, 0x40, 0x81, 0x80, 0x80, 0x80, 0x00][..],
        &[0x41, 2, 0x40, 0x81, 0x00, 0x6a, 0x3f, 0x81, 0x00, 0x6a, 0x0b],
    ];
    let first = [&[0, 0x41, 3, 0x40, 0x80, 0x00, 0x3f, 0x80, 0x00, 0x6a][..], &[0x41, 0x7f, 0x40, 0, 0x6a, 0x0b]];
    let mut code = vec![2];
    for body in [second.concat(), first.concat()] {
        leb(body.len(), &mut code);
        code.extend_from_slice(&body);
    }
    section(10, &code, &mut module);
    let function = Runtime::new().deploy("f", &module).unwrap();
    for (export, sum) in [("second", 1 + 3), ("first", 1 + 4 - 1)] {
        let returned = function.call(export, &[]).unwrap();
        assert_eq!((returned.values(), returned.report().fuel()), (&[Value::I32(sum)][..], 3_080), "{export}");
    }
}
