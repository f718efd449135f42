//! Statements: the choice among them, and those that no other file has.

use wasm_encoder::Instruction;

use super::code::Code;
use super::operators::giving;
use super::types::Ty;
use super::weights::{Step, chance, choose};

impl Code<'_> {
    /// Statements of about this many operators, as long as the code is reachable.
    pub(super) fn body(&mut self, size: i32) {
        let until = (self.left - size).max(0);
        while self.left > until {
            if self.is_dead() && !chance(self.random, self.weights.dead) {
                return;
            }
            let step = choose(self.random, &self.weights.steps);
            self.step(step);
            while self.here() > 70 {
                self.observe();
            }
        }
    }

    pub(super) fn random_step(&mut self) {
        let step = choose(self.random, &self.weights.steps);
        self.step(step);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Numeric => self.some_numeric(),
            Step::Constant => {
                let ty = self.ty();
                self.constant(ty);
            }
            Step::LocalGet => {
                if let Some((local, ty)) = self.some_local() {
                    self.emit(&Instruction::LocalGet(local));
                    self.push(ty, false);
                }
            }
            Step::LocalSet => {
                if let Some((local, ty)) = self.some_local() {
                    self.need(&[ty]);
                    self.emit(&Instruction::LocalSet(local));
                    self.pop(1);
                }
            }
            Step::LocalTee => {
                if let Some((local, ty)) = self.some_local() {
                    self.need(&[ty]);
                    self.emit(&Instruction::LocalTee(local));
                    self.replace(1, ty, false);
                }
            }
            Step::Drop => {
                if self.here() > 0 || self.is_dead() {
                    self.emit(&Instruction::Drop);
                    self.pop(1);
                }
            }
            Step::Select => {
                let ty = if self.chance(50) { self.top() } else { None };
                let ty = ty.unwrap_or_else(|| self.ty());
                self.select(ty);
            }
            Step::Global => self.global_step(),
            Step::Load => drop(self.load(None)),
            Step::Store => self.store(),
            Step::Bulk => self.bulk(),
            Step::Table => self.table_step(),
            Step::Reference => self.reference(),
            Step::Block => self.block(),
            Step::Ladder => self.ladder(),
            Step::Br => self.br(),
            Step::BrIf => self.br_if(),
            Step::BrTable => self.br_table(),
            Step::Return => self.leave(),
            Step::Unreachable => self.unreachable(),
            Step::Nop => self.emit(&Instruction::Nop),
            Step::Call => self.call(),
            Step::CallIndirect => self.call_indirect(false),
            Step::TailCall => self.tail_call(),
            Step::Burst => self.burst(),
            Step::Late => self.late(),
            Step::Fold => self.fold(),
            Step::Vector => self.vector(None),
            Step::VectorMemory => self.vector_memory(),
        }
    }

    fn some_numeric(&mut self) {
        // An operator of a type that this module uses, if one is found soon.
        for _ in 0..6 {
            let all = giving(self.ty());
            if let Some(operator) = self.one_of(all) {
                return self.numeric(operator);
            }
        }
        let all = giving(Ty::I32);
        let at = self.below(all.len() as u64) as usize;
        self.numeric(all[at]);
    }

    pub(super) fn select(&mut self, ty: Ty) {
        self.need_and_choice(&[ty, ty]);
        self.census.shape("select", 1, self.here() > 3, self.frames.last());
        let untyped = !ty.is_reference() && self.chance(70);
        self.emit(&if untyped { Instruction::Select } else { Instruction::TypedSelect(ty.val()) });
        self.replace(3, ty, false);
    }

    /// Many operands at once.
    fn burst(&mut self) {
        let count = [3, 5, 8, 20, 55][self.below(5) as usize];
        let alike = self.chance(40).then(|| self.ty());
        for _ in 0..count {
            let ty = alike.unwrap_or_else(|| self.ty());
            self.fetch(ty);
        }
    }

    /// Copies of a local, and the local is written while they lie on the stack.
    fn late(&mut self) {
        let ty = self.ty();
        let local = self.local_or_new(ty);
        for _ in 0..1 + self.below(3) {
            self.emit(&Instruction::LocalGet(local));
            self.push(ty, false);
        }
        if self.left > 0 && self.nested < 3 {
            self.nested += 1;
            if self.chance(25) {
                // The operands that a block takes lie above the copies.
                let params = vec![self.ty(); 1 + usize::from(self.chance(30))];
                self.produce_all(&params);
                self.block_with(params);
            }
            for _ in 0..self.below(3) {
                self.random_step();
            }
            self.nested -= 1;
        }
        self.produce(ty);
        let tee = self.chance(30);
        self.emit(&if tee { Instruction::LocalTee(local) } else { Instruction::LocalSet(local) });
        if !tee {
            self.pop(1);
        }
    }

    /// Combines operands, so that the values on the stack matter.
    fn fold(&mut self) {
        for _ in 0..1 + self.below(6) {
            let Some(ty) = self.top() else { return };
            if !self.ends_with(&[ty, ty]) || ty.is_reference() {
                return self.observe();
            }
            let instruction = match ty {
                Ty::I32 => [Instruction::I32Add, Instruction::I32Xor, Instruction::I32Sub],
                Ty::I64 => [Instruction::I64Add, Instruction::I64Xor, Instruction::I64Sub],
                Ty::F32 => [Instruction::F32Add, Instruction::F32Sub, Instruction::F32Mul],
                Ty::F64 => [Instruction::F64Add, Instruction::F64Sub, Instruction::F64Mul],
                _ => [Instruction::I8x16Add, Instruction::V128Xor, Instruction::I64x2Sub],
            };
            let at = self.below(3) as usize;
            self.emit(&instruction[at]);
            self.replace(2, ty, false);
        }
    }

    /// Removes the topmost operand. Some ways keep its value, others drop it.
    pub(super) fn observe(&mut self) {
        let Some(ty) = self.top() else { return };
        let kind = self.below(10);
        match (kind, self.local(ty), self.global(ty)) {
            (0..4, Some(local), _) => self.emit(&Instruction::LocalSet(local)),
            (4..8, _, Some(global)) => self.emit(&Instruction::GlobalSet(global)),
            _ => self.emit(&Instruction::Drop),
        }
        self.pop(1);
    }
}
