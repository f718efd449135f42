//! Calls: direct, through tables, recursive, and as tail calls.

use wasm_encoder::Instruction;

use super::code::Code;
use super::types::Ty;

impl Code<'_> {
    /// Any function of the module, as a reference to it.
    pub(super) fn some_function(&mut self) -> u32 {
        self.below(self.plan.functions.len() as u64) as u32
    }

    pub(super) fn call(&mut self) {
        let function = self.some_function();
        self.call_of(function);
    }

    fn call_of(&mut self, function: u32) {
        let signature = &self.plan.functions[function as usize];
        self.need(&signature.params);
        self.census.shape("call", signature.params.len(), self.here() > signature.params.len(), self.frames.last());
        self.emit(&Instruction::Call(function));
        self.pop(signature.params.len());
        self.push_all(&signature.results);
    }

    /// Calls a function that returns only this type, if there is one.
    pub(super) fn call_giving(&mut self, ty: Ty) -> bool {
        let functions = self.plan.functions.iter().enumerate();
        let fitting: Vec<u32> =
            functions.filter(|(_, signature)| signature.results == [ty]).map(|(index, _)| index as u32).collect();
        let function = self.one_of(&fitting);
        if let Some(function) = function {
            self.call_of(function);
        }
        function.is_some()
    }

    /// A call through a table. As a tail call, the function has the same results as this one.
    pub(super) fn call_indirect(&mut self, returns: bool) {
        let mut fitting = Vec::new();
        for (table_index, table) in self.plan.tables.iter().enumerate() {
            for (element, function) in table.functions.iter().enumerate() {
                let signature = &self.plan.functions[*function as usize];
                if !returns || signature.results == self.signature.results {
                    fitting.push((table_index as u32, table.is_64, element as i32, *function));
                }
            }
        }
        let Some((table_index, is_64, element, function)) = self.one_of(&fitting) else { return };
        let plan = self.plan;
        let signature = &plan.functions[function as usize];
        self.need(&signature.params);
        if self.traps() {
            self.produce(Ty::index(is_64));
        } else {
            self.element(is_64, element);
        }
        let name = if returns { "return_call_indirect" } else { "call_indirect" };
        let params = signature.params.len();
        self.census.shape(name, params, self.here() > params + 1, self.frames.last());
        let type_index = signature.ty;
        self.emit(&if returns {
            Instruction::ReturnCallIndirect { type_index, table_index }
        } else {
            Instruction::CallIndirect { type_index, table_index }
        });
        if returns {
            return self.ends_here();
        }
        self.pop(params + 1);
        self.push_all(&signature.results);
    }

    /// Pushes the index of this element, as a constant or from a local.
    fn element(&mut self, is_64: bool, element: i32) {
        let ty = Ty::index(is_64);
        let constant = if is_64 { Instruction::I64Const(element.into()) } else { Instruction::I32Const(element) };
        self.emit(&constant);
        match self.below(3) {
            0 => {
                let local = self.scratch(ty);
                self.emit(&Instruction::LocalTee(local));
            }
            1 => {
                let local = self.scratch(ty);
                self.emit(&Instruction::LocalSet(local));
                self.emit(&Instruction::LocalGet(local));
            }
            _ => {}
        }
        self.push(ty, true);
    }

    /// A tail call.
    pub(super) fn tail_call(&mut self) {
        if self.chance(40) {
            return self.call_indirect(true);
        }
        let functions = self.plan.functions.iter().enumerate();
        let fitting: Vec<u32> = functions
            .filter(|(_, signature)| signature.results == self.signature.results)
            .map(|(index, _)| index as u32)
            .collect();
        let Some(function) = self.one_of(&fitting) else { return };
        let plan = self.plan;
        let params = &plan.functions[function as usize].params;
        self.need(params);
        self.census.shape("return_call", params.len(), self.here() > params.len(), self.frames.last());
        self.emit(&Instruction::ReturnCall(function));
        self.ends_here();
    }
}
