//! The code of one function while the generator makes it: its operands, its locals, and the sources
//! of values.

use wasm_encoder::{Encode, Function, Instruction, ValType};

use super::super::Random;
use super::census::Census;
use super::control::Frame;
use super::operators::{Care, Operator, comparisons, giving};
use super::plan::{Plan, Signature};
use super::types::{Ty, Types};
use super::weights::{Weights, chance, choose};

/// A value on the operand stack.
#[derive(Clone, Copy)]
pub(super) struct Operand {
    pub(super) ty: Ty,
    /// Whether its bits are the same in every engine.
    pub(super) clean: bool,
}

/// What the code of all functions of a module shares.
pub(super) struct Shared<'a> {
    pub(super) plan: &'a Plan,
    pub(super) weights: &'a Weights,
    pub(super) types: &'a mut Types,
    pub(super) random: &'a mut Random,
    pub(super) census: &'a mut Census,
}

pub(super) struct Code<'a> {
    pub(super) plan: &'a Plan,
    pub(super) weights: &'a Weights,
    pub(super) types: &'a mut Types,
    pub(super) random: &'a mut Random,
    pub(super) census: &'a mut Census,
    pub(super) signature: &'a Signature,
    /// Parameters and locals, each with what the code may do with it.
    pub(super) locals: Vec<Local>,
    pub(super) stack: Vec<Operand>,
    pub(super) frames: Vec<Frame>,
    /// About how many operators the generator may still make.
    pub(super) left: i32,
    /// How deep the generator is in making operands for operands.
    pub(super) nested: u32,
    /// The operands below this height belong to the operator whose operand is being made.
    floor: usize,
    out: Vec<u8>,
}

#[derive(Clone, Copy)]
pub(super) struct Local {
    ty: Ty,
    usage: Usage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Usage {
    Any,
    /// It holds only numbers from 0 to 255, so that it is an address that the digest covers.
    Small,
    /// It belongs to a sequence of operators that ends before another begins.
    Scratch,
}

impl<'a> Code<'a> {
    /// Makes the function of this signature.
    pub(super) fn function(shared: &'a mut Shared<'_>, signature: &'a Signature, size: i32) -> Function {
        let locals = signature.params.iter().map(|ty| Local { ty: *ty, usage: Usage::Any }).collect();
        let mut code = Code {
            plan: shared.plan,
            weights: shared.weights,
            types: shared.types,
            random: shared.random,
            census: shared.census,
            signature,
            locals,
            stack: Vec::new(),
            frames: vec![Frame::function(signature)],
            left: size,
            nested: 0,
            floor: 0,
            out: Vec::new(),
        };
        for _ in 0..code.below(9) {
            let ty = code.ty();
            code.locals.push(Local { ty, usage: Usage::Any });
        }
        if code.chance(60) {
            code.locals.push(Local { ty: Ty::I32, usage: Usage::Small });
        }
        code.entry();
        code.body(size);
        code.settle();
        code.emit(&Instruction::End);
        let locals: Vec<ValType> = code.locals[signature.params.len()..].iter().map(|local| local.ty.val()).collect();
        let mut function = Function::new_with_locals_types(locals);
        function.raw(code.out);
        function
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.random.below(bound)
    }

    pub(super) fn chance(&mut self, percent: u32) -> bool {
        chance(self.random, percent)
    }

    /// Whether something that may trap is left as it is.
    pub(super) fn traps(&mut self) -> bool {
        chance(self.random, self.weights.trapping)
    }

    pub(super) fn choose<T: Copy>(&mut self, weighted: &[(u32, T)]) -> T {
        choose(self.random, weighted)
    }

    pub(super) fn one_of<T: Copy>(&mut self, all: &[T]) -> Option<T> {
        (!all.is_empty()).then(|| all[self.random.below(all.len() as u64) as usize])
    }

    pub(super) fn ty(&mut self) -> Ty {
        self.weights.ty(self.random)
    }

    pub(super) fn list(&mut self) -> Vec<Ty> {
        self.weights.list(self.random)
    }

    pub(super) fn emit(&mut self, instruction: &Instruction<'_>) {
        instruction.encode(&mut self.out);
        self.left -= 1;
    }

    // The operand stack.

    pub(super) fn frame(&self) -> &Frame {
        self.frames.last().expect("the function's own frame stays until the end")
    }

    /// Whether the code here is unreachable.
    pub(super) fn is_dead(&self) -> bool {
        self.frame().dead
    }

    /// The operands of the innermost frame.
    pub(super) fn here(&self) -> usize {
        self.stack.len() - self.frame().height
    }

    pub(super) fn push(&mut self, ty: Ty, clean: bool) {
        self.stack.push(Operand { ty, clean });
    }

    pub(super) fn push_all(&mut self, types: &[Ty]) {
        for ty in types {
            self.push(*ty, false);
        }
    }

    /// Takes operands away. In unreachable code, missing ones count as present.
    pub(super) fn pop(&mut self, count: usize) {
        let count = count.min(self.here());
        self.stack.truncate(self.stack.len() - count);
    }

    pub(super) fn replace(&mut self, count: usize, ty: Ty, clean: bool) {
        self.pop(count);
        self.push(ty, clean);
    }

    /// The operands that may be taken.
    fn free(&self) -> usize {
        self.stack.len() - self.frame().height.max(self.floor)
    }

    /// Runs something that leaves the present operands alone.
    pub(super) fn apart<R>(&mut self, make: impl FnOnce(&mut Self) -> R) -> R {
        let floor = std::mem::replace(&mut self.floor, self.stack.len());
        let made = make(self);
        self.floor = floor;
        made
    }

    /// The type of the topmost operand that may be taken.
    pub(super) fn top(&self) -> Option<Ty> {
        (self.free() > 0).then(|| self.stack[self.stack.len() - 1].ty)
    }

    /// Whether the topmost operands that may be taken are these.
    pub(super) fn ends_with(&self, types: &[Ty]) -> bool {
        self.free() >= types.len()
            && self.stack[self.stack.len() - types.len()..].iter().zip(types).all(|(operand, ty)| operand.ty == *ty)
    }

    /// Brings these operands to the top: those that lie there, and new ones for the rest.
    pub(super) fn need(&mut self, types: &[Ty]) {
        if self.is_dead() && self.here() == 0 && self.chance(60) {
            // What is missing is of any type.
            let missing = self.below(types.len() as u64 + 1) as usize;
            return self.produce_all(&types[missing..]);
        }
        let most = if chance(self.random, self.weights.anew) { 0 } else { types.len() };
        let there = (0..=most).rev().find(|count| self.ends_with(&types[..*count])).unwrap_or(0);
        self.produce_all(&types[there..]);
    }

    pub(super) fn produce_all(&mut self, types: &[Ty]) {
        for ty in types {
            self.produce(*ty);
        }
    }

    /// An operator whose operands are on the stack.
    pub(super) fn operator(&mut self, operator: &Operator) {
        self.emit(&operator.instruction);
        let keeps = matches!(
            operator.instruction,
            Instruction::F32Abs
                | Instruction::F32Neg
                | Instruction::F64Abs
                | Instruction::F64Neg
                | Instruction::F32Copysign
                | Instruction::F64Copysign
        );
        let count = operator.params.len();
        let first = self.here() >= count && self.stack[self.stack.len() - count].clean;
        self.replace(count, operator.result, operator.clean || (keeps && first));
    }

    /// Makes the topmost operand's bits the same in every engine, if it is a float.
    pub(super) fn clean(&mut self) {
        if self.here() == 0 {
            return;
        }
        let top = self.stack.len() - 1;
        let Operand { ty, clean } = self.stack[top];
        if clean || !ty.is_float() {
            return;
        }
        self.stack[top].clean = true;
        let helpers = self.plan.helpers;
        if self.chance(50) {
            self.emit(&Instruction::Call(if ty == Ty::F32 { helpers.canon_f32 } else { helpers.canon_f64 }));
            return;
        }
        let local = self.scratch(ty);
        let (nan, equal) = match ty {
            Ty::F32 => (Instruction::F32Const(f32::NAN), Instruction::F32Eq),
            _ => (Instruction::F64Const(f64::NAN), Instruction::F64Eq),
        };
        let get = Instruction::LocalGet(local);
        for instruction in [&Instruction::LocalTee(local), &nan, &get, &get, &equal, &Instruction::Select] {
            self.emit(instruction);
        }
    }

    // Locals.

    fn new_local(&mut self, ty: Ty, usage: Usage) -> u32 {
        self.locals.push(Local { ty, usage });
        self.locals.len() as u32 - 1
    }

    fn locals_of(&self, ty: Ty, usage: Usage) -> Vec<u32> {
        let fits = |(_, local): &(usize, &Local)| local.ty == ty && local.usage == usage;
        self.locals.iter().enumerate().filter(fits).map(|(index, _)| index as u32).collect()
    }

    /// The local for sequences of operators that end before another begins.
    pub(super) fn scratch(&mut self, ty: Ty) -> u32 {
        let found = self.locals_of(ty, Usage::Scratch).first().copied();
        found.unwrap_or_else(|| self.new_local(ty, Usage::Scratch))
    }

    /// A local that any value of this type may be put in.
    pub(super) fn local(&mut self, ty: Ty) -> Option<u32> {
        let all = self.locals_of(ty, Usage::Any);
        self.one_of(&all)
    }

    /// The same. It is made if there is none.
    pub(super) fn local_or_new(&mut self, ty: Ty) -> u32 {
        self.local(ty).unwrap_or_else(|| self.new_local(ty, Usage::Any))
    }

    /// A local that holds numbers from 0 to 255.
    pub(super) fn small_local(&mut self) -> u32 {
        let all = self.locals_of(Ty::I32, Usage::Small);
        self.one_of(&all).unwrap_or_else(|| self.new_local(Ty::I32, Usage::Small))
    }

    pub(super) fn some_local(&mut self) -> Option<(u32, Ty)> {
        let ty = match self.top() {
            Some(ty) if self.chance(60) => ty,
            _ => self.ty(),
        };
        Some((self.local(ty)?, ty))
    }

    // Where values come from.

    /// Pushes a value of this type.
    pub(super) fn produce(&mut self, ty: Ty) {
        self.nested += 1;
        let computed = if self.nested > 4 || self.left <= 0 { 0 } else { self.weights.computed };
        if chance(self.random, computed) {
            self.apart(|code| code.compute(ty));
        } else {
            self.fetch(ty);
        }
        self.nested -= 1;
    }

    /// Pushes a local, a global or a constant.
    pub(super) fn fetch(&mut self, ty: Ty) {
        match self.below(10) {
            0..6 => {
                if let Some(local) = self.local(ty) {
                    self.emit(&Instruction::LocalGet(local));
                    return self.push(ty, false);
                }
            }
            6 => {
                if let Some(global) = self.global(ty) {
                    self.emit(&Instruction::GlobalGet(global));
                    return self.push(ty, false);
                }
            }
            _ => {}
        }
        self.constant(ty);
    }

    /// Pushes a constant.
    pub(super) fn constant(&mut self, ty: Ty) {
        let number = match self.below(8) {
            0..3 => self.below(4),
            3 => self.below(300),
            4 => u64::MAX - self.below(3),
            5 => [i32::MIN as u32 as u64, i32::MAX as u64, i64::MIN as u64, i64::MAX as u64][self.below(4) as usize],
            _ => self.random.next(),
        };
        let float = [0.0, -0.0, 1.0, -1.0, 0.5, 3.7, 1e10, 1e300, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
        let float = float[self.below(11) as usize];
        let is_any = self.chance(30);
        let instruction = match ty {
            Ty::I32 => Instruction::I32Const(number as i32),
            Ty::I64 => Instruction::I64Const(number as i64),
            Ty::F32 => Instruction::F32Const(if is_any { f32::from_bits(number as u32) } else { float as f32 }),
            Ty::F64 => Instruction::F64Const(if is_any { f64::from_bits(number) } else { float }),
            Ty::V128 => Instruction::V128Const((i128::from(number) << 64) | i128::from(self.random.next())),
            Ty::Func if self.chance(60) => Instruction::RefFunc(self.some_function()),
            Ty::Func | Ty::Extern => Instruction::RefNull(ty.heap()),
        };
        self.emit(&instruction);
        self.push(ty, true);
    }

    /// Pushes the result of an operator.
    fn compute(&mut self, ty: Ty) {
        let kinds = [(10, 0), (3, 1), (3, 2), (3, 3), (1, 4), (1, 5), (2, 6)];
        match self.choose(&kinds) {
            1 => self.select(ty),
            2 if self.load(Some(ty)) => {}
            3 => {
                let local = self.local_or_new(ty);
                self.produce(ty);
                self.emit(&Instruction::LocalTee(local));
            }
            4 if self.call_giving(ty) => {}
            5 if self.frames.len() < 6 => self.block_giving(ty),
            6 if self.global(ty).is_some() => self.fetch(ty),
            _ => match ty {
                Ty::V128 => self.vector(Some(ty)),
                Ty::Func | Ty::Extern => self.constant(ty),
                _ => {
                    let all = giving(ty);
                    let at = self.below(all.len() as u64) as usize;
                    self.numeric(all[at]);
                }
            },
        }
    }

    /// A scalar operator with its operands. Mostly it is kept from trapping.
    pub(super) fn numeric(&mut self, operator: &Operator) {
        let last = *operator.params.last().expect("every operator here has operands");
        match operator.care() {
            Care::Divisor if !self.traps() => {
                self.need(&operator.params[..1]);
                if self.chance(50) {
                    let by = (self.below(9) + 2) as i32;
                    let by = if last == Ty::I32 { Instruction::I32Const(by) } else { Instruction::I64Const(by.into()) };
                    self.emit(&by);
                } else {
                    self.produce(last);
                    self.pop(1);
                    let odd: [Instruction<'_>; 2] = match last {
                        Ty::I32 => [Instruction::I32Const(1), Instruction::I32Or],
                        _ => [Instruction::I64Const(1), Instruction::I64Or],
                    };
                    odd.iter().for_each(|instruction| self.emit(instruction));
                }
                self.push(last, true);
            }
            Care::Truncation if !self.traps() => {
                self.small(false, 0xff);
                let by = if last == Ty::F32 { Instruction::F32ConvertI32U } else { Instruction::F64ConvertI32U };
                self.emit(&by);
                self.replace(1, last, true);
                if self.chance(30) {
                    let (half, sub) = match last {
                        Ty::F32 => (Instruction::F32Const(0.5), Instruction::F32Mul),
                        _ => (Instruction::F64Const(0.5), Instruction::F64Mul),
                    };
                    self.emit(&half);
                    self.emit(&sub);
                }
            }
            Care::Bits => {
                self.need(operator.params);
                self.clean();
            }
            _ => self.need(operator.params),
        }
        self.operator(operator);
    }

    /// Pushes a number from 0 to this mask, which is one less than a power of two and at most 255.
    /// It is an address or an index of 64 or of 32 bits.
    pub(super) fn small(&mut self, is_64: bool, mask: u8) {
        let kind = self.choose(&[(4, 0), (5, 1), (3, 2), (2, 3), (2, 4), (1, 5), (1, 6)]);
        let addresses = self.locals_of(Ty::I32, Usage::Small);
        match (kind, self.one_of(&addresses)) {
            (0, _) => {
                let number = self.below(u64::from(mask) + 1) as i32;
                if is_64 {
                    self.emit(&Instruction::I64Const(number.into()));
                    return self.push(Ty::I64, true);
                }
                self.emit(&Instruction::I32Const(number));
            }
            (2, Some(local)) if mask == 0xff => self.emit(&Instruction::LocalGet(local)),
            (3, Some(local)) => {
                self.small_plain(mask);
                self.emit(&Instruction::LocalTee(local));
                self.pop(1);
            }
            (4, _) if mask == 0xff && !self.plan.memories.is_empty() => {
                self.load_byte();
                self.pop(1);
            }
            (5, _) if mask > 0 => {
                self.condition();
                self.pop(1);
            }
            (6, _) if is_64 => {
                self.produce(Ty::I64);
                self.emit(&Instruction::I64Const(mask.into()));
                self.emit(&Instruction::I64And);
                return self.replace(1, Ty::I64, true);
            }
            _ => {
                self.small_plain(mask);
                self.pop(1);
            }
        }
        if is_64 {
            self.emit(&Instruction::I64ExtendI32U);
        }
        self.push(Ty::index(is_64), true);
    }

    fn small_plain(&mut self, mask: u8) {
        self.produce(Ty::I32);
        if mask == 0xff && self.chance(20) {
            self.emit(&Instruction::I32Const(24));
            self.emit(&Instruction::I32ShrU);
        } else {
            self.emit(&Instruction::I32Const(mask.into()));
            self.emit(&Instruction::I32And);
        }
    }

    /// Pushes a condition, 0 or 1, of a kind that wasmi may fuse with what follows.
    pub(super) fn condition(&mut self) {
        self.nested += 1;
        self.apart(|code| {
            let kind = code.choose(&[(4, 0), (2, 1), (1, 2), (1, 3), (2, 4), (1, 5), (2, 6)]);
            if let Some(all) = comparisons().get(kind) {
                let at = code.below(all.len() as u64) as usize;
                code.numeric(all[at]);
                return code.negate();
            }
            if kind == 6 {
                // wasmi fuses these with a branch or with a test for zero behind them.
                code.need(&[Ty::I32, Ty::I32]);
                let by = [Instruction::I32And, Instruction::I32Or, Instruction::I32Xor];
                let at = code.below(3) as usize;
                code.emit(&by[at]);
                code.replace(2, Ty::I32, true);
                if code.chance(50) {
                    code.emit(&Instruction::I32Eqz);
                    return code.negate();
                }
                code.emit(&Instruction::I32Const(0));
                return code.emit(&Instruction::I32Ne);
            }
            let ty = if code.chance(70) { Ty::Func } else { Ty::Extern };
            code.need(&[ty]);
            code.emit(&Instruction::RefIsNull);
            code.replace(1, Ty::I32, true);
        });
        self.nested -= 1;
    }

    /// Negates a condition now and then, once or twice.
    fn negate(&mut self) {
        if self.chance(15) {
            for _ in 0..1 + self.below(2) {
                self.emit(&Instruction::I32Eqz);
            }
        }
    }

    /// Pushes an i32 to branch or select by: a condition, or any number.
    pub(super) fn choice(&mut self) {
        match self.below(10) {
            0..6 => self.condition(),
            6 => {
                // Any number, from an operator that is fused with a branch.
                self.produce(Ty::I32);
                self.apart(|code| code.produce(Ty::I32));
                let by = [Instruction::I32And, Instruction::I32Or, Instruction::I32Xor, Instruction::I32Sub];
                let at = self.below(4) as usize;
                self.emit(&by[at]);
                self.replace(2, Ty::I32, true);
            }
            _ => self.produce(Ty::I32),
        }
    }

    /// Brings these to the top, with the operand that chooses.
    pub(super) fn need_and_choice(&mut self, types: &[Ty]) {
        if self.chance(30) {
            let all: Vec<Ty> = types.iter().copied().chain([Ty::I32]).collect();
            return self.need(&all);
        }
        self.need(types);
        self.choice();
    }
}
