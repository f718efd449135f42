//! Why an invalid module is invalid.

use wasmparser::{BinaryReaderError, WasmFeatures};

use super::{Refusal, walk::Surveyor};
use crate::{
    error::DeployError,
    limits::Limits,
    module::features::{PROPOSALS, features},
    text::cut,
};

/// Says why an invalid module is invalid. It lacks a proposal if the validator gets further with
/// that proposal turned on.
pub(super) fn explain(bytes: &[u8], limits: &Limits, error: &BinaryReaderError) -> DeployError {
    // A component: layer 1 instead of 0, of any version. The parser takes the number for an unknown
    // version.
    if matches!(bytes, [b'\0', b'a', b's', b'm', _, _, 1, 0, ..]) {
        let problem = "this is a component; deploy the core module inside it".into();
        return DeployError::InvalidModule { offset: 4, problem };
    }
    // Without the feature `simd` the parser does not know the operators, whatever features are on.
    let simd = error.message().starts_with("unexpected SIMD opcode");
    let further = |features| match Surveyor::new(features, limits, bytes).run() {
        Ok(_) | Err(Refusal::Limit(_)) => true,
        Err(Refusal::Invalid(other)) => other.offset() > error.offset(),
    };
    // All proposals are tried at once first: most modules are invalid for another reason, and a
    // large module takes time.
    let all = PROPOSALS.iter().fold(features(), |all, (feature, ..)| all | *feature);
    let proposals = if simd || further(all) { PROPOSALS } else { &[] };
    for &(feature, proposal, remedy) in proposals {
        if simd && feature == WasmFeatures::SIMD {
            return DeployError::MissingProposal { proposal, offset: error.offset(), remedy };
        }
        if !features().contains(feature) && further(features() | feature) {
            return DeployError::MissingProposal { proposal, offset: error.offset(), remedy };
        }
    }
    let problem = match bytes {
        // The message can name exports and imports, of any length.
        [b'\0', b'a', b's', b'm', ..] => cut(error.message()),
        _ if std::str::from_utf8(bytes).is_ok_and(|text| text.trim_start().starts_with(['(', ';'])) => {
            "this is the text format; turn it into a binary first, with wat2wasm or the crate wat".into()
        }
        [] => "there are no bytes at all, where a module begins with 00 61 73 6d".into(),
        _ => {
            let begin: Vec<_> = bytes.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
            format!("a module begins with the bytes 00 61 73 6d, this one with {}", begin.join(" ")).into()
        }
    };
    DeployError::InvalidModule { offset: error.offset(), problem }
}
