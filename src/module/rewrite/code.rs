//! The code section: bodies with what changes in them, and the functions that are added.
//!
//! Invariant: a body in which nothing changes is copied as it is.

use wasm_encoder::{CodeSection, Encode, Function, ValType};

use super::Writer;
use crate::module::{
    leb::leb,
    residue::{Cleaner, ZEROED_MAX, rounded},
    survey::{Body, Edit, Growable, How},
};

impl Writer<'_> {
    /// Writes the code section.
    pub(super) fn code(&mut self) {
        let survey = self.survey;
        let mut section = CodeSection::new();
        let mut written = Vec::new();
        for (body, cleaner) in survey.bodies.iter().zip(&self.residue.cleaners) {
            let edits = survey.edits_of(body);
            if edits.is_empty() && cleaner.is_none() {
                section.raw(&survey.module[body.bytes.clone()]);
            } else {
                written.clear();
                self.body(body, edits, *cleaner, &mut written);
                section.raw(&written);
            }
        }
        for (stub, growable) in self.growables.iter().enumerate() {
            let mut function = Function::new([]);
            let mut code = function.instructions();
            for param in 0..growable.signature(survey).0.len() as u32 {
                code.local_get(param);
            }
            code.i32_const(stub as i32).call_indirect(survey.tables.len() as u32, self.stub_type(stub as u32)).end();
            section.function(&function);
        }
        for cells in &self.zeroing {
            // The interpreter zeroes the function's locals, which are all that it has.
            let mut function = Function::new([((*cells).min(ZEROED_MAX), ValType::I64)]);
            if *cells > ZEROED_MAX {
                function.instructions().call(self.zeroes(cells - ZEROED_MAX));
            }
            function.instructions().end();
            section.function(&function);
        }
        for (index, cells) in &self.residue.roots {
            let mut function = Function::new([(*cells, ValType::I64)]);
            let mut code = function.instructions();
            for param in 0..survey.function_type(*index).params().len() as u32 {
                code.local_get(param);
            }
            // A tail call of a bare function of the host is fault 3.
            if *index < survey.imported_functions { code.call(*index) } else { code.return_call(*index) }.end();
            section.function(&function);
        }
        self.put(&section);
    }

    /// Writes a body in which something changes.
    fn body(&self, body: &Body, edits: &[Edit], cleaner: Option<Cleaner>, out: &mut Vec<u8>) {
        let module = self.survey.module;
        let mut copied = body.bytes.start;
        if let Some(cleaner) = cleaner {
            copied = body.operators;
            match cleaner {
                Cleaner::Calls(cells) => {
                    out.extend_from_slice(&module[body.bytes.start..body.operators]);
                    out.push(0x10); // call
                    self.zeroes(rounded(cells)).encode(out);
                }
                Cleaner::Copies(cells) => {
                    // A group of locals is added, of one i64 that the interpreter zeroes.
                    let (groups, len) = leb(&module[body.bytes.start..]);
                    (groups + 1).encode(out);
                    out.extend_from_slice(&module[body.bytes.start + len..body.operators]);
                    out.extend([1, 0x7e]);
                    for _ in 0..cells {
                        out.push(0x20); // local.get
                        body.locals.encode(out);
                    }
                    // An empty block makes the interpreter copy locals that stand among the
                    // operands to their cells.
                    out.extend([0x02, 0x40, 0x0b]); // block end
                    out.resize(out.len() + cells as usize, 0x1a); // drop
                }
            }
        }
        for Edit { at, how } in edits {
            out.extend_from_slice(&module[copied..*at]);
            copied = match how {
                How::Grow(what) => {
                    // Each growth has a stub among the growables.
                    let stub = self.growables.partition_point(|growable| growable < what);
                    out.push(0x10); // call
                    (self.survey.functions.len() as u32 + stub as u32).encode(out);
                    self.after(*at, *what)
                }
                How::Cure(cure) => cure.write(module, *at, self.stub_type(self.growables.len() as u32), out),
            };
        }
        out.extend_from_slice(&module[copied..body.bytes.end]);
    }

    /// Where an operator that grows something ends. It is a byte, for a table also a number, and
    /// the index of what it grows.
    fn after(&self, at: usize, what: Growable) -> usize {
        let numbers = match what {
            Growable::Memory(_) => 1,
            Growable::Table(_) => 2,
        };
        (0..numbers).fold(at + 1, |at, _| at + leb(&self.survey.module[at..]).1)
    }
}
