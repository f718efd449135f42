//! Globals, memories, tables and references.

use wasm_encoder::{Instruction, MemArg};

use super::code::Code;
use super::types::Ty;

type Access = (fn(MemArg) -> Instruction<'static>, Ty, u32);

const LOADS: &[Access] = &[
    (Instruction::I32Load, Ty::I32, 2),
    (Instruction::I64Load, Ty::I64, 3),
    (Instruction::F32Load, Ty::F32, 2),
    (Instruction::F64Load, Ty::F64, 3),
    (Instruction::I32Load8S, Ty::I32, 0),
    (Instruction::I32Load8U, Ty::I32, 0),
    (Instruction::I32Load16S, Ty::I32, 1),
    (Instruction::I32Load16U, Ty::I32, 1),
    (Instruction::I64Load8S, Ty::I64, 0),
    (Instruction::I64Load8U, Ty::I64, 0),
    (Instruction::I64Load16S, Ty::I64, 1),
    (Instruction::I64Load16U, Ty::I64, 1),
    (Instruction::I64Load32S, Ty::I64, 2),
    (Instruction::I64Load32U, Ty::I64, 2),
];

const STORES: &[Access] = &[
    (Instruction::I32Store, Ty::I32, 2),
    (Instruction::I64Store, Ty::I64, 3),
    (Instruction::F32Store, Ty::F32, 2),
    (Instruction::F64Store, Ty::F64, 3),
    (Instruction::I32Store8, Ty::I32, 0),
    (Instruction::I32Store16, Ty::I32, 1),
    (Instruction::I64Store8, Ty::I64, 0),
    (Instruction::I64Store16, Ty::I64, 1),
    (Instruction::I64Store32, Ty::I64, 2),
];

const PAGE: u64 = 65_536;

impl Code<'_> {
    // Globals.

    /// A global of this type.
    pub(super) fn global(&mut self, ty: Ty) -> Option<u32> {
        let globals = self.plan.globals.iter().enumerate();
        let fitting: Vec<u32> = globals.filter(|(_, (of, _))| *of == ty).map(|(index, _)| index as u32 + 1).collect();
        self.one_of(&fitting)
    }

    pub(super) fn global_step(&mut self) {
        let count = self.plan.globals.len() as u64;
        if count == 0 {
            return;
        }
        let index = self.below(count) as u32;
        let ty = self.plan.globals[index as usize].0;
        if self.chance(50) {
            self.emit(&Instruction::GlobalGet(index + 1));
            return self.push(ty, false);
        }
        self.need(&[ty]);
        self.emit(&Instruction::GlobalSet(index + 1));
        self.pop(1);
    }

    // Memories.

    /// A memory that has a page from the start, or any memory if the code may trap.
    pub(super) fn some_memory(&mut self) -> Option<u32> {
        let any = self.traps();
        let memories = self.plan.memories.iter().enumerate();
        let fitting: Vec<u32> =
            memories.filter(|(_, memory)| any || memory.min > 0).map(|(index, _)| index as u32).collect();
        self.one_of(&fitting)
    }

    fn any_memory(&mut self) -> Option<u32> {
        let all: Vec<u32> = (0..self.plan.memories.len() as u32).collect();
        self.one_of(&all)
    }

    fn is_64(&self, memory: u32) -> bool {
        self.plan.memories[memory as usize].is_64
    }

    /// Pushes an address, and returns the offset that an operator adds. Stores stay within what the
    /// digest covers, or out of bounds.
    pub(super) fn address(&mut self, memory: u32, align: u32, stores: bool) -> MemArg {
        let is_64 = self.is_64(memory);
        let min = self.plan.memories[memory as usize].min;
        let any = if stores { self.weights.whole && self.chance(30) } else { self.traps() };
        if any {
            self.produce(Ty::index(is_64));
        } else {
            self.small(is_64, 0xff);
        }
        let offset = match self.below(12) {
            0..5 => 0,
            5..8 => self.below(200),
            8..10 if min > 1 => PAGE * (1 + self.below(min - 1)) + self.below(200),
            10 if min > 1 => PAGE * (1 + self.below(min - 1)) - 1 - self.below(16),
            _ if self.traps() => match self.below(5) {
                0 => PAGE * min.max(1) - 1 - self.below(16),
                1 => PAGE * min + self.below(200),
                2 => u64::from(u32::MAX) - self.below(20),
                3 if is_64 => u64::MAX - self.below(300),
                _ => 1 << 31,
            },
            _ => self.below(3),
        };
        let align = self.below(u64::from(align) + 1) as u32;
        MemArg { offset, align, memory_index: memory }
    }

    /// A load, of this type if one is given. Returns whether there is a memory.
    pub(super) fn load(&mut self, ty: Option<Ty>) -> bool {
        let fitting: Vec<Access> = LOADS.iter().copied().filter(|(_, of, _)| ty.is_none_or(|ty| ty == *of)).collect();
        let Some((load, ty, align)) = self.one_of(&fitting) else { return false };
        let Some(memory) = self.some_memory() else { return false };
        let memarg = self.address(memory, align, false);
        self.emit(&load(memarg));
        self.replace(1, ty, true);
        true
    }

    /// Pushes a byte of a memory, or another number as small.
    pub(super) fn load_byte(&mut self) {
        match self.some_memory() {
            Some(memory) => {
                let memarg = self.address(memory, 0, false);
                self.emit(&Instruction::I32Load8U(memarg));
                self.replace(1, Ty::I32, true);
            }
            None => {
                self.emit(&Instruction::I32Const(7));
                self.push(Ty::I32, true);
            }
        }
    }

    pub(super) fn store(&mut self) {
        let Some(memory) = self.some_memory() else { return };
        let (store, ty, align) = STORES[self.below(STORES.len() as u64) as usize];
        let memarg = self.address(memory, align, true);
        if !self.is_64(memory) && !ty.is_float() && self.chance(15) {
            // The address and the value are a local that was just set.
            let local = self.small_local();
            for instruction in
                [Instruction::LocalSet(local), Instruction::LocalGet(local), Instruction::LocalGet(local)]
            {
                self.emit(&instruction);
            }
            if ty == Ty::I64 {
                self.emit(&Instruction::I64ExtendI32U);
            }
            self.push(ty, true);
        } else {
            self.produce(ty);
            self.clean();
        }
        self.emit(&store(memarg));
        self.pop(2);
    }

    pub(super) fn bulk(&mut self) {
        match self.below(6) {
            0 => {
                let Some(memory) = self.any_memory() else { return };
                self.emit(&Instruction::MemorySize(memory));
                self.push(Ty::index(self.is_64(memory)), true);
            }
            1 => {
                let Some(memory) = self.any_memory() else { return };
                let ty = Ty::index(self.is_64(memory));
                if self.chance(70) {
                    self.small(ty == Ty::I64, 1);
                } else {
                    self.need(&[ty]);
                }
                self.emit(&Instruction::MemoryGrow(memory));
                self.replace(1, ty, true);
            }
            2 => {
                let Some(memory) = self.some_memory() else { return };
                let is_64 = self.is_64(memory);
                self.small(is_64, 0xff);
                self.produce(Ty::I32);
                self.small(is_64, 0xff);
                self.emit(&Instruction::MemoryFill(memory));
                self.pop(3);
            }
            3 => {
                let (Some(from), Some(to)) = (self.some_memory(), self.some_memory()) else { return };
                let (from_64, to_64) = (self.is_64(from), self.is_64(to));
                self.small(to_64, 0xff);
                self.small(from_64, 0xff);
                self.small(from_64 && to_64, 0xff);
                self.emit(&Instruction::MemoryCopy { src_mem: from, dst_mem: to });
                self.pop(3);
            }
            4 => self.memory_init(),
            _ => {
                let count = self.plan.datas.len() as u64;
                if count > 0 && (self.is_dead() || self.traps() || self.chance(10)) {
                    let data = self.below(count) as u32;
                    self.emit(&Instruction::DataDrop(data));
                }
            }
        }
    }

    fn memory_init(&mut self) {
        let count = self.plan.datas.len() as u64;
        let Some(memory) = self.some_memory() else { return };
        if count == 0 {
            return;
        }
        let index = self.below(count) as u32;
        let data = &self.plan.datas[index as usize];
        // An active segment is empty once the module runs.
        let len = if data.active.is_some() { 0 } else { data.bytes.len() as u64 };
        self.small(self.is_64(memory), 0xff);
        self.part(len, false);
        self.emit(&Instruction::MemoryInit { mem: memory, data_index: index });
        self.pop(3);
    }

    /// Pushes the start and the length of a part of something this long.
    fn part(&mut self, len: u64, is_64: bool) {
        if self.traps() {
            self.small(false, 3);
            self.small(is_64, 7);
            return;
        }
        let from = self.below(len + 1);
        let len = self.below(len - from + 1);
        self.emit(&Instruction::I32Const(from as i32));
        self.push(Ty::I32, true);
        let len = if is_64 { Instruction::I64Const(len as i64) } else { Instruction::I32Const(len as i32) };
        self.emit(&len);
        self.push(Ty::index(is_64), true);
    }

    // Tables and references.

    /// A table of these references that has so many elements from the start, or any table if the
    /// code may trap.
    fn some_table(&mut self, ty: Option<Ty>, min: u64) -> Option<u32> {
        let any = self.traps();
        let tables = self.plan.tables.iter().enumerate();
        let fitting = tables.filter(|(_, table)| ty.is_none_or(|ty| ty == table.ty) && (any || table.min >= min));
        let fitting: Vec<u32> = fitting.map(|(index, _)| index as u32).collect();
        self.one_of(&fitting)
    }

    /// Pushes the index of an element that exists from the start.
    fn place(&mut self, table: u32) {
        let (is_64, min) = (self.plan.tables[table as usize].is_64, self.plan.tables[table as usize].min);
        if self.traps() {
            return self.produce(Ty::index(is_64));
        }
        let mask = match min {
            8.. => 7,
            4.. => 3,
            2.. => 1,
            _ => 0,
        };
        self.small(is_64, mask);
    }

    pub(super) fn table_step(&mut self) {
        let kind = self.below(9);
        let least = if kind < 3 { 0 } else { 1 };
        let Some(table) = self.some_table(None, least) else { return };
        let plan = self.plan;
        let (ty, is_64, min) = {
            let table = &plan.tables[table as usize];
            (table.ty, table.is_64, table.min)
        };
        match kind {
            0 => {
                self.emit(&Instruction::TableSize(table));
                self.push(Ty::index(is_64), true);
            }
            1 => {
                self.need(&[ty]);
                self.small(is_64, 3);
                self.emit(&Instruction::TableGrow(table));
                self.replace(2, Ty::index(is_64), true);
            }
            2 => {
                let count = plan.elements.len() as u64;
                if count > 0 && (self.is_dead() || self.traps() || self.chance(10)) {
                    let segment = self.below(count) as u32;
                    self.emit(&Instruction::ElemDrop(self.passive(segment)));
                }
            }
            3 | 4 => {
                self.place(table);
                self.emit(&Instruction::TableGet(table));
                self.replace(1, ty, true);
            }
            5 | 6 => {
                self.place(table);
                self.produce(ty);
                self.emit(&Instruction::TableSet(table));
                self.pop(2);
            }
            7 => {
                let (from, len) = (self.below(min + 1), self.below(min + 1));
                let len = if self.traps() { len } else { len.min(min - from) };
                self.number(is_64, from);
                self.produce(ty);
                self.number(is_64, len);
                self.emit(&Instruction::TableFill(table));
                self.pop(3);
            }
            _ if self.chance(50) => {
                let Some(other) = self.some_table(Some(ty), 1) else { return };
                let (other_64, other_min) = (plan.tables[other as usize].is_64, plan.tables[other as usize].min);
                let len = self.below(min.min(other_min) + 1);
                let (to, from) = (self.below(min - len.min(min) + 1), self.below(other_min - len.min(other_min) + 1));
                self.number(is_64, to);
                self.number(other_64, from);
                self.number(is_64 && other_64, len);
                self.emit(&Instruction::TableCopy { src_table: other, dst_table: table });
                self.pop(3);
            }
            _ => {
                let fitting = plan.elements.iter().enumerate().filter(|(_, segment)| segment.ty == ty);
                let fitting: Vec<(u32, u64)> =
                    fitting.map(|(index, segment)| (index as u32, segment.items.len() as u64)).collect();
                let Some((segment, len)) = self.one_of(&fitting) else { return };
                let len = self.below(len.min(min) + 1);
                let to = self.below(min - len + 1);
                self.number(is_64, to);
                self.number(false, 0);
                self.number(false, len);
                self.emit(&Instruction::TableInit { elem_index: self.passive(segment), table });
                self.pop(3);
            }
        }
    }

    /// The index of a passive element segment among all. The declaration and the active ones come
    /// first.
    fn passive(&self, segment: u32) -> u32 {
        1 + self.plan.tables.iter().filter(|table| !table.functions.is_empty()).count() as u32 + segment
    }

    /// Pushes a number, as a constant or from a local.
    fn number(&mut self, is_64: bool, number: u64) {
        let ty = Ty::index(is_64);
        let constant = if is_64 { Instruction::I64Const(number as i64) } else { Instruction::I32Const(number as i32) };
        self.emit(&constant);
        if self.chance(30) {
            let local = self.scratch(ty);
            self.emit(&Instruction::LocalSet(local));
            self.emit(&Instruction::LocalGet(local));
        }
        self.push(ty, true);
    }

    pub(super) fn reference(&mut self) {
        let ty = if self.chance(65) { Ty::Func } else { Ty::Extern };
        if self.chance(40) {
            return self.constant(ty);
        }
        self.need(&[ty]);
        self.emit(&Instruction::RefIsNull);
        self.replace(1, Ty::I32, true);
    }
}
