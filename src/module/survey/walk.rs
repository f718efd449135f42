//! One pass over a module: each section and each operator is validated, and noted.
//!
//! Invariant: what needs the validator's operands is asked before it takes them away, and kept once
//! it has accepted the operator.

use wasmparser::{
    FuncToValidate, FuncValidatorAllocations, FunctionBody, Operator, Parser, ValidPayload, Validator,
    ValidatorResources, WasmFeatures,
};

use super::{
    Edit, How, Refusal, Survey,
    facts::Body,
    moves::{MOVES_MAX, MOVES_PER_BYTE, bounded},
    within,
};
use crate::{
    error::LimitKind,
    limits::Limits,
    module::{
        calls::{Callee, dedup},
        cure::Cure,
    },
};

/// One pass over a module.
pub(super) struct Surveyor<'a, 'l> {
    pub(super) survey: Survey<'a>,
    pub(super) limits: &'l Limits,
    features: WasmFeatures,
    validator: Validator,
    allocations: FuncValidatorAllocations,
    /// Whether `data.drop` names a data segment. Their kinds are known only after the code.
    pub(super) dropped: Vec<bool>,
    /// A function without parameters and results is imported.
    pub(super) imports_bare: bool,
    /// Some function type has so many parameters and results that operators of that type must be
    /// paid for.
    pub(super) wide: bool,
    /// What is left of [`MOVES_MAX`].
    pub(super) moves: u64,
}

impl<'a, 'l> Surveyor<'a, 'l> {
    pub(super) fn new(features: WasmFeatures, limits: &'l Limits, module: &'a [u8]) -> Self {
        Self {
            survey: Survey { module, ..Survey::default() },
            limits,
            features,
            validator: Validator::new_with_features(features),
            allocations: FuncValidatorAllocations::default(),
            dropped: Vec::new(),
            imports_bare: false,
            wide: false,
            moves: MOVES_MAX,
        }
    }

    pub(super) fn run(mut self) -> Result<Survey<'a>, Refusal> {
        let bytes = self.survey.module;
        let mut parser = Parser::new(0);
        parser.set_features(self.features);
        self.moves += MOVES_PER_BYTE * bytes.len() as u64;
        for payload in parser.parse_all(bytes) {
            let payload = payload?;
            self.count(&payload)?;
            match self.validator.payload(&payload)? {
                ValidPayload::Func(function, body) => self.body(function, &body)?,
                _ => self.read(payload)?,
            }
        }
        let Self { mut survey, dropped, .. } = self;
        // Dropping an active segment again changes nothing: it was dropped when it was applied.
        survey.drops_segments |=
            survey.data.iter().zip(&dropped).any(|(data, &dropped)| dropped && data.active.is_none());
        Ok(survey)
    }

    /// Validates the body of a function, operator by operator, and notes what it can change.
    fn body(&mut self, function: FuncToValidate<ValidatorResources>, body: &FunctionBody<'a>) -> Result<(), Refusal> {
        let module = self.survey.module;
        // Bodies are in the order of the defined functions, and the validator has counted them.
        let index = self.survey.imported_functions + self.survey.bodies.len() as u32;
        let mut validator = function.into_validator(std::mem::take(&mut self.allocations));
        let mut declared = body.get_locals_reader()?;
        let mut locals = 0u64;
        for _ in 0..declared.get_count() {
            let offset = declared.original_position();
            let (count, ty) = declared.read()?;
            locals += u64::from(count);
            within(LimitKind::Locals, locals, u64::from(self.limits.locals))?;
            validator.define_locals(offset, count, ty)?;
        }
        let mut operators = body.get_operators_reader()?;
        let begins = operators.original_position();
        let called = self.survey.callees.len();
        let mut operands = 0;
        let mut before = 0;
        while !operators.eof() {
            let at = operators.original_position();
            let previous = std::mem::replace(&mut before, module[at]);
            if let Some(callee) = Callee::of(&module[at..]) {
                self.survey.callees.push(callee);
            }
            // Most operators only need to be validated, which is faster without making an
            // `Operator` of them.
            if !self.wide && !self.is_notable(&module[at..], previous) {
                operators.visit_operator(&mut validator.visitor(at))??;
                operands = operands.max(bounded(&validator, index, at)?);
                continue;
            }
            let operator = operators.read()?;
            // A target is one byte, and moves as much as a branch.
            if self.wide || matches!(operator, Operator::BrTable { .. }) {
                let frame = |depth| validator.get_control_frame(depth as usize).map(|f| (f.kind, f.block_type));
                self.spend(&operator, index, at, frame)?;
            }
            let Survey { types, block_types, .. } = &mut self.survey;
            let cure = Cure::of(&operator, module, at, previous, &validator, types, block_types)?;
            validator.op(at, &operator)?;
            self.note(&operator, index, at)?;
            if let Some(cure) = cure {
                self.survey.edits.push(Edit { at, how: How::Cure(cure) });
            }
            operands = operands.max(bounded(&validator, index, at)?);
        }
        validator.finish(operators.original_position())?;
        let callees = dedup(&mut self.survey.callees, called);
        let (bytes, locals) = (body.range(), validator.len_locals());
        self.survey.bodies.push(Body { bytes, operators: begins, locals, operands, callees });
        self.allocations = validator.into_allocations();
        Ok(())
    }
}
