//! Blocks, and branches out of them and back. They may have several values, leave operands behind,
//! or stand in unreachable code.

use wasm_encoder::{BlockType, Instruction};

use super::code::Code;
use super::plan::{Signature, TURNS};
use super::types::Ty;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Function,
    Block,
    Loop,
    If,
    Else,
}

/// A block that is open.
pub(super) struct Frame {
    pub(super) kind: Kind,
    pub(super) params: Vec<Ty>,
    pub(super) results: Vec<Ty>,
    /// The operands that lie below it.
    pub(super) height: usize,
    /// Whether what follows in it is unreachable.
    pub(super) dead: bool,
}

impl Frame {
    pub(super) fn function(signature: &Signature) -> Self {
        Self { kind: Kind::Function, params: Vec::new(), results: signature.results.clone(), height: 0, dead: false }
    }

    /// The types of the values that a branch to it takes along.
    pub(super) fn label(&self) -> &[Ty] {
        if self.kind == Kind::Loop { &self.params } else { &self.results }
    }
}

/// How deep blocks are nested at most.
const FRAMES_MAX: usize = 8;

impl Code<'_> {
    fn at(&self, depth: usize) -> &Frame {
        &self.frames[self.frames.len() - 1 - depth]
    }

    fn label(&self, depth: usize) -> Vec<Ty> {
        self.at(depth).label().to_vec()
    }

    fn is_loop(&self, depth: usize) -> bool {
        self.at(depth).kind == Kind::Loop
    }

    fn some_depth(&mut self) -> usize {
        self.below(self.frames.len() as u64) as usize
    }

    /// Marks what follows in this block as unreachable.
    pub(super) fn ends_here(&mut self) {
        let frame = self.frames.last_mut().expect("a frame");
        frame.dead = true;
        let height = frame.height;
        self.stack.truncate(height);
    }

    // Blocks.

    /// Opens a block. Its parameters, and the condition of an `if`, are on the stack.
    fn open(&mut self, kind: Kind, params: &[Ty], results: &[Ty]) {
        let spelt_out = self.chance(10);
        let ty = self.types.block(params, results, spelt_out);
        let (name, instruction) = match kind {
            Kind::Loop => ("loop", Instruction::Loop(ty)),
            Kind::If => ("if", Instruction::If(ty)),
            _ => ("block", Instruction::Block(ty)),
        };
        let taken = params.len() + usize::from(kind == Kind::If);
        self.census.shape(name, params.len(), self.here() > taken, self.frames.last());
        self.emit(&instruction);
        self.pop(taken);
        let height = self.stack.len();
        let (params, results) = (params.to_vec(), results.to_vec());
        self.frames.push(Frame { kind, params: params.clone(), results, height, dead: false });
        self.push_all(&params);
    }

    /// Ends the innermost block, whose results are on the stack.
    fn close(&mut self) {
        self.emit(&Instruction::End);
        let frame = self.frames.pop().expect("a frame");
        self.stack.truncate(frame.height);
        self.push_all(&frame.results);
    }

    /// A block of any kind.
    pub(super) fn block(&mut self) {
        if self.frames.len() >= FRAMES_MAX {
            return self.emit(&Instruction::Nop);
        }
        let results = self.some_results();
        let params = if self.random.below(100) >= u64::from(self.weights.params) {
            Vec::new()
        } else if self.here() > 0 && self.chance(60) {
            let count = 1 + self.below(self.here().min(4) as u64) as usize;
            self.stack[self.stack.len() - count..].iter().map(|operand| operand.ty).collect()
        } else {
            self.list()
        };
        self.block_of(params, results);
    }

    /// A block with one result.
    pub(super) fn block_giving(&mut self, ty: Ty) {
        self.block_of(Vec::new(), vec![ty]);
    }

    /// A block with these parameters, which lie on the stack.
    pub(super) fn block_with(&mut self, params: Vec<Ty>) {
        if self.frames.len() < FRAMES_MAX {
            let results = self.some_results();
            self.block_of(params, results);
        }
    }

    fn some_results(&mut self) -> Vec<Ty> {
        // It has the type of another block around it, so that a table may branch to both.
        if self.chance(45) {
            let depth = self.some_depth();
            return self.at(depth).results.clone();
        }
        self.list()
    }

    fn block_of(&mut self, params: Vec<Ty>, results: Vec<Ty>) {
        let kind = self.choose(&[(4, Kind::Block), (4, Kind::Loop), (4, Kind::If)]);
        if kind == Kind::If {
            self.need_and_choice(&params);
        } else {
            self.need(&params);
        }
        self.open(kind, &params, &results);
        self.inside();
        if kind == Kind::Loop && !self.is_dead() && self.chance(75) {
            self.back(0);
        }
        self.settle();
        if kind == Kind::If && (params != results || self.chance(60)) {
            self.emit(&Instruction::Else);
            let frame = self.frames.last_mut().expect("a frame");
            frame.dead = false;
            frame.kind = Kind::Else;
            let height = frame.height;
            self.stack.truncate(height);
            self.push_all(&params);
            self.inside();
            self.settle();
        }
        self.close();
    }

    fn inside(&mut self) {
        let most = self.left.clamp(2, 40) as u64;
        let size = self.below(most) as i32;
        self.body(size);
    }

    /// Directly nested blocks with the same results, and a table that branches out of them.
    pub(super) fn ladder(&mut self) {
        let results = self.some_results();
        let count = (2 + self.below(4) as usize).min(FRAMES_MAX.saturating_sub(self.frames.len()));
        if count < 2 {
            return self.emit(&Instruction::Nop);
        }
        for _ in 0..count {
            if self.chance(15) {
                let ty = self.ty();
                self.fetch(ty);
            }
            self.open(Kind::Block, &[], &results);
        }
        let size = self.below(12) as i32;
        self.body(size);
        if self.chance(80) {
            self.br_table();
        }
        for _ in 0..count {
            self.settle();
            self.close();
            let size = self.below(6) as i32;
            self.body(size);
        }
    }

    /// Turns the operands of the innermost block into its results.
    pub(super) fn settle(&mut self) {
        let results = self.frame().results.clone();
        let is_settled = self.here() == results.len() && self.ends_with(&results);
        if !self.is_dead() && !is_settled {
            self.settle_live(&results);
        }
        if self.is_dead() {
            while self.here() > results.len() || !self.ends_with(&results[results.len() - self.here()..]) {
                self.emit(&Instruction::Drop);
                self.pop(1);
            }
            if self.here() == 0 && self.chance(40) {
                let missing = self.below(results.len() as u64 + 1) as usize;
                self.produce_all(&results[missing..]);
            }
        }
    }

    fn settle_live(&mut self, results: &[Ty]) {
        match self.choose(&[(3, 0), (4, 1), (4, 2)]) {
            0 if self.frame().kind != Kind::Loop => {
                self.leave_behind();
                self.need(results);
                let is_function = self.frame().kind == Kind::Function;
                match self.below(4) {
                    0 => {
                        self.index(1);
                        self.jump("br_table to one", results.len(), 1);
                        self.emit(&Instruction::BrTable(vec![0; 2].into(), 0));
                    }
                    1 | 2 if is_function => {
                        self.jump("return", results.len(), 0);
                        self.emit(&Instruction::Return);
                    }
                    _ => {
                        self.jump("br", results.len(), 0);
                        self.emit(&Instruction::Br(0));
                    }
                }
                self.ends_here();
            }
            1 => {
                // Through locals.
                self.need(results);
                let mut locals = Vec::new();
                for ty in results.iter().rev() {
                    let local = self.local_or_new(*ty);
                    self.emit(&Instruction::LocalSet(local));
                    self.pop(1);
                    locals.push(local);
                }
                while self.here() > 0 {
                    self.observe();
                }
                for (local, ty) in locals.into_iter().rev().zip(results) {
                    self.emit(&Instruction::LocalGet(local));
                    self.push(*ty, false);
                }
            }
            _ => {
                while self.here() > results.len() || !self.ends_with(&results[..self.here()]) {
                    self.observe();
                }
                let there = self.here();
                self.produce_all(&results[there..]);
            }
        }
    }

    // Branches.

    /// Counts a branch that takes so many values along, with `more` operands on top of them.
    fn jump(&mut self, name: &'static str, values: usize, more: usize) {
        self.census.shape(name, values, self.here() > values + more, self.frames.last());
    }

    /// Operands that a branch does not take along.
    fn leave_behind(&mut self) {
        if self.random.below(100) < u64::from(self.weights.behind) {
            for _ in 0..1 + self.below(3) {
                let ty = self.ty();
                self.produce(ty);
            }
        }
    }

    /// Ends a block early. This is mostly within an `if`, so that runs reach what follows too.
    fn perhaps(&mut self, end: impl FnOnce(&mut Self)) {
        if self.is_dead() || self.frames.len() >= FRAMES_MAX || self.chance(30) {
            return end(self);
        }
        self.choice();
        self.open(Kind::If, &[], &[]);
        end(self);
        self.settle();
        self.close();
    }

    pub(super) fn br(&mut self) {
        self.perhaps(|code| {
            let depth = code.some_depth();
            code.br_to(depth);
        });
    }

    fn br_to(&mut self, depth: usize) {
        if self.is_loop(depth) {
            return self.back(depth);
        }
        let types = self.label(depth);
        self.leave_behind();
        self.need(&types);
        self.jump("br", types.len(), 0);
        self.emit(&Instruction::Br(depth as u32));
        self.ends_here();
    }

    pub(super) fn br_if(&mut self) {
        let depth = self.some_depth();
        let types = self.label(depth);
        if self.chance(30) {
            self.leave_behind();
        }
        if self.is_loop(depth) {
            self.need(&types);
            self.go();
            if self.chance(40) {
                self.choice();
                self.emit(&Instruction::I32And);
                self.pop(1);
            }
        } else {
            self.need_and_choice(&types);
        }
        self.branch_if(depth, &types);
    }

    fn branch_if(&mut self, depth: usize, types: &[Ty]) {
        self.jump(if self.is_loop(depth) { "br_if back" } else { "br_if" }, types.len(), 1);
        self.emit(&Instruction::BrIf(depth as u32));
        self.pop(types.len() + 1);
        self.push_all(types);
    }

    pub(super) fn br_table(&mut self) {
        let depth = self.some_depth();
        let types = self.label(depth);
        let same: Vec<usize> = (0..self.frames.len()).filter(|depth| self.at(*depth).label() == types).collect();
        self.leave_behind();
        let mut targets: Vec<usize> =
            (0..1 + [1, 1, 2, 3, 5, 0][self.below(6) as usize]).filter_map(|_| self.one_of(&same)).collect();
        let goes_back = targets.iter().any(|depth| self.is_loop(*depth));
        let out: Vec<usize> = same.iter().copied().filter(|depth| !self.is_loop(*depth)).collect();
        let out = self.one_of(&out);
        match out {
            Some(out) if goes_back => targets.insert(0, out),
            None => self.stop(),
            _ => {}
        }
        self.need(&types);
        self.index(targets.len());
        if goes_back && out.is_some() {
            self.go();
            self.emit(&Instruction::I32Mul);
            self.pop(1);
        }
        let heights: Vec<usize> = targets.iter().map(|depth| self.at(*depth).height).collect();
        let even = heights.iter().all(|height| *height == heights[0]);
        let name = match (targets.iter().all(|target| *target == targets[0]), even) {
            (true, _) => "br_table to one",
            (_, true) => "br_table of one height",
            _ => "br_table",
        };
        self.jump(name, types.len(), 1);
        let targets: Vec<u32> = targets.iter().map(|depth| *depth as u32).collect();
        let (default, targets) = targets.split_last().expect("it has one");
        self.emit(&Instruction::BrTable(targets.into(), *default));
        self.ends_here();
    }

    /// Pushes the index of a table that has so many targets.
    fn index(&mut self, targets: usize) {
        match self.below(12) {
            0 => self.constant(Ty::I32),
            1..3 => self.condition(),
            3..5 => self.fetch(Ty::I32),
            5 => self.produce(Ty::I32),
            6..8 => {
                self.produce(Ty::I32);
                self.emit(&Instruction::I32Const(targets as i32));
                self.emit(&Instruction::I32RemU);
            }
            _ => self.small(false, if targets > 2 { 3 } else { 1 }),
        }
    }

    /// Returns, from any depth.
    pub(super) fn leave(&mut self) {
        self.perhaps(|code| {
            code.leave_behind();
            let results = &code.signature.results;
            code.need(results);
            code.jump("return", results.len(), 0);
            code.emit(&Instruction::Return);
            code.ends_here();
        });
    }

    pub(super) fn unreachable(&mut self) {
        if self.is_dead() {
            self.jump("unreachable", 0, 0);
            self.emit(&Instruction::Unreachable);
            self.ends_here();
        } else if self.traps() {
            self.perhaps(|code| {
                code.jump("unreachable", 0, 0);
                code.emit(&Instruction::Unreachable);
                code.ends_here();
            });
        }
    }

    // The bound of a run. The code checks it when it goes back and when a function begins. It does
    // not check it at the head of a loop, as that would move the operands that the loop takes.

    /// Pushes whether code may go back, and takes a turn.
    fn go(&mut self) {
        use Instruction as Op;
        let kind = self.below(8);
        if kind == 0 {
            self.emit(&Op::Call(self.plan.helpers.turn));
            return self.push(Ty::I32, true);
        }
        let turns = Op::GlobalGet(TURNS);
        self.emit(&turns);
        if kind % 2 == 0 {
            self.emit(&Op::I32Const(1));
            self.emit(&Op::I32Sub);
        } else {
            self.emit(&Op::I32Const(-1));
            self.emit(&Op::I32Add);
        }
        let again = if kind > 5 {
            let local = self.scratch(Ty::I32);
            self.emit(&Op::LocalTee(local));
            Op::LocalGet(local)
        } else {
            turns
        };
        self.emit(&Op::GlobalSet(TURNS));
        let sequence: &[Op<'_>] = match self.below(7) {
            0 => &[again, Op::I32Const(0), Op::I32GtS],
            1 => &[Op::I32Const(0), again, Op::I32LtS],
            2 => &[again, Op::I32Const(0), Op::I32LeS, Op::I32Eqz],
            3 => &[again, Op::I32Const(1), Op::I32GeS],
            4 => &[again, Op::I64ExtendI32S, Op::I64Const(0), Op::I64GtS],
            5 => &[again, Op::I32Const(0), Op::I32LtS, Op::I32Const(1), Op::I32Xor],
            _ => &[again, Op::F64ConvertI32S, Op::F64Const(0.0), Op::F64Gt],
        };
        sequence.iter().for_each(|instruction| self.emit(instruction));
        self.push(Ty::I32, true);
    }

    /// Leaves if no turn is left.
    fn stop(&mut self) {
        self.go();
        self.emit(&Instruction::I32Eqz);
        self.emit(&Instruction::If(BlockType::Empty));
        self.pop(1);
        let height = self.stack.len();
        self.frames.push(Frame { kind: Kind::If, params: Vec::new(), results: Vec::new(), height, dead: false });
        if self.chance(8) {
            self.emit(&Instruction::Unreachable);
        } else {
            let out: Vec<usize> = (1..self.frames.len()).filter(|depth| !self.is_loop(*depth)).collect();
            let out = self.one_of(&out).expect("the function's own frame is not a loop");
            for ty in self.label(out) {
                self.fetch(ty);
            }
            let is_function = out + 1 == self.frames.len();
            let leaves = if is_function { Instruction::Return } else { Instruction::Br(out as u32) };
            self.emit(&leaves);
        }
        self.ends_here();
        self.close();
    }

    /// A branch back to the loop at this depth, while turns are left.
    fn back(&mut self, depth: usize) {
        let types = self.label(depth);
        let others: Vec<usize> =
            (0..self.frames.len()).filter(|other| !self.is_loop(*other) && self.at(*other).label() == types).collect();
        let other = self.one_of(&others);
        match (self.below(6), other) {
            (0, _) if self.frames.len() < FRAMES_MAX => {
                self.go();
                self.open(Kind::If, &[], &[]);
                self.leave_behind();
                self.need(&types);
                self.jump("br back", types.len(), 0);
                self.emit(&Instruction::Br(depth as u32 + 1));
                self.ends_here();
                self.close();
            }
            (1, _) => {
                self.stop();
                self.leave_behind();
                self.need(&types);
                self.jump("br back", types.len(), 0);
                self.emit(&Instruction::Br(depth as u32));
                self.ends_here();
            }
            (2..4, Some(other)) => {
                self.leave_behind();
                self.need(&types);
                self.go();
                self.jump("br_table back", types.len(), 1);
                self.emit(&Instruction::BrTable(vec![other as u32].into(), depth as u32));
                self.ends_here();
            }
            _ => {
                self.need(&types);
                self.go();
                self.branch_if(depth, &types);
            }
        }
    }

    /// Takes a turn at the beginning of the function.
    pub(super) fn entry(&mut self) {
        self.stop();
    }
}
