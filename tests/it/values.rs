//! Values of exports as Rust numbers and as texts: what converts keeps its bits, and what does not
//! says why.

use dormouse::{Runtime, Value, ValueError, ValueType, Values};

use crate::support::wat;

#[test]
fn a_number_comes_back_out_of_a_value_with_all_its_bits() {
    for number in [0, 1, -1, i32::MIN, i32::MAX] {
        assert_eq!(i32::try_from(Value::from(number)), Ok(number));
        assert_eq!(u32::try_from(Value::from(number)), Ok(number as u32));
        assert_eq!(u32::try_from(Value::from(number as u32)), Ok(number as u32));
    }
    for number in [0, 1, -1, i64::MIN, i64::MAX] {
        assert_eq!(i64::try_from(Value::from(number)), Ok(number));
        assert_eq!(u64::try_from(Value::from(number)), Ok(number as u64));
        assert_eq!(u64::try_from(Value::from(number as u64)), Ok(number as u64));
    }
    for bits in [0, 1, 0x7fc0_0001, 0xff80_0000] {
        assert_eq!(f32::try_from(Value::F32(f32::from_bits(bits))).unwrap().to_bits(), bits);
    }
    for bits in [0, 1, 0x7ff8_0000_0000_0001, 0xfff0_0000_0000_0000] {
        assert_eq!(f64::try_from(Value::F64(f64::from_bits(bits))).unwrap().to_bits(), bits);
    }
}

#[test]
fn a_value_of_another_type_is_refused_and_the_error_says_what_it_was() {
    let refused = |expected, found| ValueError::Type { expected, found };
    assert_eq!(i32::try_from(Value::I64(1)), Err(refused(ValueType::I32, Value::I64(1))));
    assert_eq!(u32::try_from(Value::F32(1.0)), Err(refused(ValueType::I32, Value::F32(1.0))));
    assert_eq!(i64::try_from(Value::I32(1)), Err(refused(ValueType::I64, Value::I32(1))));
    assert_eq!(u64::try_from(Value::F64(1.0)), Err(refused(ValueType::I64, Value::F64(1.0))));
    assert_eq!(f32::try_from(Value::F64(1.0)), Err(refused(ValueType::F32, Value::F64(1.0))));
    let error = f64::try_from(Value::I32(-7)).unwrap_err();
    assert_eq!(error, refused(ValueType::F64, Value::I32(-7)));
    assert_eq!(error.to_string(), "the value is i32:-7, not of type f64");
}

#[test]
fn the_text_of_a_value_and_of_a_type_is_read_again() {
    let values =
        [Value::I32(-1), Value::I64(i64::MIN), Value::F32(1.5e-40), Value::F64(-0.0), Value::F64(f64::INFINITY)];
    for value in values {
        assert_eq!(value.to_string().parse(), Ok(value));
        assert_eq!(value.ty().to_string().parse(), Ok(value.ty()));
    }
    for text in ["", "i32", "i32:", "i32:x", "i32:2147483648", "u32:1", "i32: 1"] {
        assert_eq!(text.parse::<Value>(), Err(ValueError::Text { text: text.into() }));
    }
    let long = "ä".repeat(200);
    let ValueError::Text { text } = long.parse::<ValueType>().unwrap_err() else { panic!() };
    assert_eq!(*text, long[..256]);
}

#[test]
fn results_are_walked_over_and_borrowed_as_a_slice() {
    let module = wat(r#"(module (func (export "run") (result i32 i64) (i32.const 1) (i64.const 2)))"#);
    let returned = Runtime::new().deploy("f", &module).unwrap().call("run", &[]).unwrap();
    let values: Values = returned.into_value();
    let mut types = Vec::new();
    for value in &values {
        types.push(value.ty());
    }
    assert_eq!(types, [ValueType::I32, ValueType::I64]);
    let slice: &[Value] = values.as_ref();
    assert_eq!(slice, [Value::I32(1), Value::I64(2)]);
    assert_eq!(values, values.clone());
}
