//! Makes a module with a difference smaller, and prints the code that is left.
//!
//! It removes exports first, then operators: it cuts out pieces of code, or replaces them by
//! constants. The module must stay valid and the engines must go on to differ. The difference that
//! is left need not be the first one.

use wasm_encoder::{
    CodeSection, ExportKind, ExportSection, Function, Instruction, RawSection,
    reencode::{Reencode, RoundtripReencoder},
};
use wasmparser::{FunctionBody, Parser, Payload, Validator};

/// The most rounds over the whole module.
const ROUNDS: usize = 8;

struct Body<'a> {
    source: FunctionBody<'a>,
    code: Vec<Instruction<'a>>,
}

struct Parts<'a> {
    sections: Vec<(u8, &'a [u8])>,
    exports: Vec<(&'a str, u32)>,
    bodies: Vec<Body<'a>>,
}

impl<'a> Parts<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut parts = Self { sections: Vec::new(), exports: Vec::new(), bodies: Vec::new() };
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload.ok()?;
            if let Some((id, range)) = payload.as_section() {
                parts.sections.push((id, &bytes[range]));
            }
            match payload {
                Payload::ExportSection(reader) => {
                    for export in reader {
                        let export = export.ok()?;
                        if export.kind == wasmparser::ExternalKind::Func {
                            parts.exports.push((export.name, export.index));
                        }
                    }
                }
                Payload::CodeSectionEntry(source) => {
                    let operators = source.get_operators_reader().ok()?;
                    let code: Option<Vec<_>> = operators
                        .into_iter()
                        .map(|operator| RoundtripReencoder.instruction(operator.ok()?).ok())
                        .collect();
                    parts.bodies.push(Body { source, code: code? });
                }
                _ => {}
            }
        }
        Some(parts)
    }

    fn bytes(&self) -> Vec<u8> {
        let mut module = wasm_encoder::Module::new();
        for &(id, data) in &self.sections {
            match id {
                7 => {
                    let mut exports = ExportSection::new();
                    for (name, index) in &self.exports {
                        exports.export(name, ExportKind::Func, *index);
                    }
                    module.section(&exports);
                }
                10 => {
                    let mut bodies = CodeSection::new();
                    for body in &self.bodies {
                        let mut function = RoundtripReencoder
                            .new_function_with_parsed_locals(&body.source)
                            .unwrap_or_else(|_| Function::new([]));
                        for instruction in &body.code {
                            function.instruction(instruction);
                        }
                        bodies.function(&function);
                    }
                    module.section(&bodies);
                }
                _ => drop(module.section(&RawSection { id, data })),
            }
        }
        module.finish()
    }
}

/// Makes a module smaller as long as this holds for it. It changes only the code of the first so
/// many functions.
pub fn reduce(bytes: &[u8], functions: usize, mut differs: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
    let Some(mut parts) = Parts::read(bytes) else { return bytes.to_vec() };
    let mut holds = |parts: &Parts<'_>| {
        let bytes = parts.bytes();
        Validator::new().validate_all(&bytes).is_ok() && differs(&bytes)
    };
    let mut at = 0;
    while at < parts.exports.len() && parts.exports.len() > 1 {
        let export = parts.exports.remove(at);
        if !holds(&parts) {
            parts.exports.insert(at, export);
            at += 1;
        }
    }
    for _ in 0..ROUNDS {
        let before: usize = parts.bodies.iter().map(|body| body.code.len()).sum();
        for function in 0..parts.bodies.len().min(functions) {
            // Large pieces first.
            let mut length = parts.bodies[function].code.len().next_power_of_two();
            while length > 0 {
                let mut at = 0;
                while at < parts.bodies[function].code.len() {
                    // A call that makes NaNs the same stays as long as what comes before it.
                    let is_helper = matches!(parts.bodies[function].code[at], Instruction::Call(callee) if callee as usize >= functions);
                    if is_helper || !replaced(&mut parts, function, at, length, &mut holds) {
                        at += 1;
                    }
                }
                length /= 2;
            }
        }
        if parts.bodies.iter().map(|body| body.code.len()).sum::<usize>() == before {
            break;
        }
    }
    parts.bytes()
}

/// Tries to replace so many operators by fewer.
fn replaced<'a>(
    parts: &mut Parts<'a>,
    function: usize,
    at: usize,
    length: usize,
    holds: &mut impl FnMut(&Parts<'_>) -> bool,
) -> bool {
    use Instruction::{Drop, F32Const, F64Const, I32Const, I64Const, Unreachable};
    let constants = [I32Const(1), I64Const(1), F32Const(1.), F64Const(1.)];
    let mut instead: Vec<Vec<Instruction<'a>>> = vec![vec![]];
    instead.push(vec![Unreachable]);
    for constant in &constants {
        instead.push(vec![constant.clone()]);
    }
    if length <= 2 {
        instead.push(vec![Drop]);
        for constant in &constants {
            instead.push(vec![Drop, constant.clone()]);
        }
    }
    let end = at + length;
    if end > parts.bodies[function].code.len() {
        return false;
    }
    let old: Vec<Instruction<'a>> = parts.bodies[function].code[at..end].to_vec();
    for new in instead {
        if new.len() > length || (new.len() == length && is_plain(&old)) {
            continue;
        }
        let count = new.len();
        parts.bodies[function].code.splice(at..end, new);
        if holds(parts) {
            return count == 0;
        }
        parts.bodies[function].code.splice(at..at + count, old.iter().cloned());
    }
    // A block without its beginning and its end.
    if length == 1
        && matches!(old[0], Instruction::Block(_) | Instruction::Loop(_) | Instruction::If(_))
        && let Some(end) = end_of(&parts.bodies[function].code, at)
    {
        let is_if = matches!(old[0], Instruction::If(_));
        let whole = parts.bodies[function].code.clone();
        let code = &mut parts.bodies[function].code;
        code.remove(end);
        if is_if {
            code[at] = Drop;
        } else {
            code.remove(at);
        }
        if holds(parts) {
            return true;
        }
        parts.bodies[function].code = whole;
    }
    false
}

/// The smallest form of an operator.
fn is_plain(code: &[Instruction<'_>]) -> bool {
    use Instruction::{Drop, F32Const, F64Const, I32Const, I64Const, Unreachable};
    code.iter().all(|one| matches!(one, I32Const(_) | I64Const(_) | F32Const(_) | F64Const(_) | Drop | Unreachable))
}

/// The end of the block that begins here.
fn end_of(code: &[Instruction<'_>], at: usize) -> Option<usize> {
    let mut depth = 0;
    for (here, instruction) in code.iter().enumerate().skip(at) {
        match instruction {
            Instruction::Block(_) | Instruction::Loop(_) | Instruction::If(_) => depth += 1,
            Instruction::End => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(here);
        }
    }
    None
}

/// Types, and the code of the first so many functions.
pub fn listing(bytes: &[u8], functions: usize) -> String {
    let mut text = String::new();
    for payload in Parser::new(0).parse_all(bytes).flatten() {
        match payload {
            Payload::TypeSection(reader) => {
                for (at, ty) in reader.into_iter_err_on_gc_types().flatten().enumerate() {
                    text += &format!("type {at}: {:?} -> {:?}\n", ty.params(), ty.results());
                }
            }
            Payload::FunctionSection(reader) => {
                text += &format!("functions: {:?}\n", reader.into_iter().flatten().collect::<Vec<_>>())
            }
            _ => {}
        }
    }
    for (at, body) in Parts::read(bytes).iter().flat_map(|parts| parts.bodies.iter()).take(functions).enumerate() {
        let locals: Vec<_> = body.source.get_locals_reader().into_iter().flatten().flatten().collect();
        text += &format!("function {at}, locals {locals:?}\n");
        let mut depth = 1;
        for instruction in &body.code {
            if matches!(instruction, Instruction::End | Instruction::Else) {
                depth -= 1;
            }
            text += &format!("{}{instruction:?}\n", "  ".repeat(depth));
            if matches!(
                instruction,
                Instruction::Block(_) | Instruction::Loop(_) | Instruction::If(_) | Instruction::Else
            ) {
                depth += 1;
            }
        }
    }
    text
}
