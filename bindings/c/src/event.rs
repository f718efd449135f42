//! Events: CloudEvents 1.0, from parts and from JSON.
//!
//! Invariant: an event never changes after it is made.

use std::{ffi::c_char, ptr, sync::OnceLock};

use dormouse::{Attribute, Event};

use crate::{
    edge::Given,
    error::dormouse_error,
    failure::Failure,
    runtime::dormouse_runtime,
    status::dormouse_status,
    text::{Text, dormouse_string, dormouse_text},
};

/// An event of CloudEvents 1.0. The caller owns it and frees it with `dormouse_event_free`. It
/// never changes, so any number of threads may use it. A call that takes an event leaves it with
/// the caller. Events that dead letters lend are freed with the dead letters.
pub struct dormouse_event {
    pub(crate) event: Event,
    json: OnceLock<Text>,
}

owned!(dormouse_event);

impl dormouse_event {
    pub(crate) fn new(event: Event) -> Box<Self> {
        Box::new(Self { event, json: OnceLock::new() })
    }
}

/// The kind of an event's data: one of the DORMOUSE_DATA_ constants.
pub type dormouse_data_kind = u32;

/// The event has no data.
pub const DORMOUSE_DATA_NONE: dormouse_data_kind = 0;
/// JSON. The bytes are kept as they are.
pub const DORMOUSE_DATA_JSON: dormouse_data_kind = 1;
/// Text in UTF-8.
pub const DORMOUSE_DATA_TEXT: dormouse_data_kind = 2;
/// Bytes, opaque to patterns.
pub const DORMOUSE_DATA_BINARY: dormouse_data_kind = 3;

/// The kind of an extension's value: one of the DORMOUSE_EXTENSION_ constants.
pub type dormouse_extension_kind = u32;

/// The text.
pub const DORMOUSE_EXTENSION_TEXT: dormouse_extension_kind = 0;
/// The number.
pub const DORMOUSE_EXTENSION_INTEGER: dormouse_extension_kind = 1;
/// Whether the number is not 0.
pub const DORMOUSE_EXTENSION_BOOLEAN: dormouse_extension_kind = 2;

/// An attribute of an event beyond those that CloudEvents defines.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct dormouse_extension {
    /// Made of a-z and 0-9.
    pub name: dormouse_string,
    /// Its value, if it is a text.
    pub text: dormouse_string,
    /// Its value, if it is an integer or a boolean.
    pub number: i32,
    /// What its value is.
    pub kind: dormouse_extension_kind,
}

/// The parts of an event. Fill them in with `dormouse_event_options_init`, then change them.
///
/// cbindgen:field-names=[size, type, id, source, subject, time, data_content_type, data_schema, data, data_len, data_kind, extensions, extensions_len]
#[repr(C)]
#[derive(Clone, Copy)]
pub struct dormouse_event_options {
    /// The size of this struct, which tells the library the header's version.
    pub size: usize,
    /// What happened, such as `order.created`. Required.
    pub type_: dormouse_string,
    /// Its id, unique for its source. If there is none, it is drawn from the runtime's seed.
    pub id: dormouse_string,
    /// Where it happened, as a URI reference. If there is none, `/dormouse`.
    pub source: dormouse_string,
    /// What it is about.
    pub subject: dormouse_string,
    /// When it happened, in RFC 3339. If there is none, the runtime's date.
    pub time: dormouse_string,
    /// The media type of the data.
    pub data_content_type: dormouse_string,
    /// The schema of the data, an absolute URI.
    pub data_schema: dormouse_string,
    /// The data.
    pub data: *const u8,
    /// How many bytes.
    pub data_len: usize,
    /// The kind of the data; DORMOUSE_DATA_NONE.
    pub data_kind: dormouse_data_kind,
    /// The extensions.
    pub extensions: *const dormouse_extension,
    /// How many.
    pub extensions_len: usize,
}

options!(dormouse_event_options);

exported! { fallible:
    /// Fills in the defaults: every part is absent. `size` is `sizeof *options`.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT.
    pub unsafe extern "C" fn dormouse_event_options_init(
        options: *mut dormouse_event_options,
        size: usize,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        crate::options::init(options, size, |_| ())
    }

    /// Makes an event from its parts. Required parts that the caller leaves out come from the
    /// runtime.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT, DORMOUSE_UTF8, DORMOUSE_EVENT.
    pub unsafe extern "C" fn dormouse_runtime_event(
        runtime: *const dormouse_runtime,
        options: *const dormouse_event_options,
        event_out: *mut *mut dormouse_event,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let (runtime, place) = (runtime.get()?, event_out.required()?);
        let parts = crate::options::needed(options)?;
        // SAFETY: the options are the caller's, and so is what they point to, for as long as their
        // lengths say.
        let builder = unsafe {
            let mut builder = Event::builder(parts.type_.get("options->type")?);
            if let Some(id) = parts.id.optional("options->id")? {
                builder = builder.id(id);
            }
            if let Some(source) = parts.source.optional("options->source")? {
                builder = builder.source(source);
            }
            if let Some(subject) = parts.subject.optional("options->subject")? {
                builder = builder.subject(subject);
            }
            if let Some(time) = parts.time.optional("options->time")? {
                builder = builder.time_text(time);
            }
            if let Some(content_type) = parts.data_content_type.optional("options->data_content_type")? {
                builder = builder.data_content_type(content_type);
            }
            if let Some(schema) = parts.data_schema.optional("options->data_schema")? {
                builder = builder.data_schema(schema);
            }
            for extension in Given::new(parts.extensions, "options->extensions").slice(parts.extensions_len)? {
                let name = extension.name.get("options->extensions->name")?;
                builder = match extension.kind {
                    DORMOUSE_EXTENSION_TEXT => {
                        let text = extension.text.get("options->extensions->text")?;
                        builder.extension(name, Attribute::String(text.into()))
                    }
                    DORMOUSE_EXTENSION_INTEGER => builder.extension(name, Attribute::Integer(extension.number)),
                    DORMOUSE_EXTENSION_BOOLEAN => builder.extension(name, Attribute::Boolean(extension.number != 0)),
                    other => return Err(Failure::argument(format!("{other} is not a dormouse_extension_kind"))),
                };
            }
            let data = Given::new(parts.data, "options->data").slice(parts.data_len)?;
            match parts.data_kind {
                DORMOUSE_DATA_NONE if data.is_empty() => builder,
                DORMOUSE_DATA_NONE => {
                    let problem = "`options->data` is given, but `options->data_kind` is DORMOUSE_DATA_NONE";
                    return Err(Failure::argument(problem.into()));
                }
                DORMOUSE_DATA_JSON => builder.data_json(data),
                DORMOUSE_DATA_TEXT => builder.data_text(text("options->data", data)?),
                DORMOUSE_DATA_BINARY => builder.data_binary(data),
                other => return Err(Failure::argument(format!("{other} is not a dormouse_data_kind"))),
            }
        };
        place.give(dormouse_event::new(runtime.0.event(builder)?));
        Ok(())
    }

    /// Reads an event in its JSON form, `application/cloudevents+json`. It may have 1 MiB.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_EVENT.
    pub unsafe extern "C" fn dormouse_event_from_json(
        json: *const c_char,
        json_len: usize,
        event_out: *mut *mut dormouse_event,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let place = event_out.required()?;
        // SAFETY: the pointer is followed by its length.
        let json = unsafe { json.text(json_len) }?;
        place.give(dormouse_event::new(Event::parse(json.as_bytes())?));
        Ok(())
    }

    /// Gives an attribute or extension by its name in CloudEvents, such as `type`, `id`, `source`,
    /// `subject`, `time`, `datacontenttype` or `partitionkey`. The value is its text, its number in
    /// decimal, `true` or `false`. Free it.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_NOT_FOUND.
    pub unsafe extern "C" fn dormouse_event_attribute(
        event: *const dormouse_event,
        name: *const c_char,
        name_len: usize,
        value_out: *mut *mut dormouse_text,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let (event, place) = (event.get()?, value_out.required()?);
        // SAFETY: the pointer is followed by its length.
        let name = unsafe { name.text(name_len) }?;
        let missing = || {
            let name = name.chars().take(100).collect::<String>();
            Failure::not_found(format!("the event has no attribute {name:?}"))
        };
        let value = event.event.attribute(name).ok_or_else(missing)?;
        place.give(dormouse_text::new(value.to_string()));
        Ok(())
    }
}

exported! { total:
    /// The event in its JSON form. Lent until the event is freed. NULL for NULL. `len_out` may be
    /// NULL.
    pub unsafe extern "C" fn dormouse_event_json(event: *const dormouse_event, len_out: *mut usize) -> *const c_char {
        event.optional().map_or(ptr::null(), |event| {
            let json = || Text::new(String::from_utf8_lossy(&event.event.to_json()));
            event.json.get_or_init(json).lend(len_out)
        })
    }

    /// The bytes of the event's data. NULL if it has none, and for NULL. Lent until the event is
    /// freed. `len_out` may be NULL. Lent until the event is freed. `len_out` may be NULL.
    pub unsafe extern "C" fn dormouse_event_data(event: *const dormouse_event, len_out: *mut usize) -> *const u8 {
        event.optional().and_then(|event| event.event.data()).map_or(ptr::null(), |data| {
            if let Some(place) = len_out.optional() {
                place.put(data.len());
            }
            data.as_ptr()
        })
    }

    /// Frees an event. NULL is allowed.
    pub unsafe extern "C" fn dormouse_event_free(event: *mut dormouse_event) {
        drop(event.take());
    }
}

fn text<'a>(name: &'static str, bytes: &'a [u8]) -> Result<&'a str, Failure> {
    std::str::from_utf8(bytes).map_err(|error| Failure::utf8(name, error.valid_up_to()))
}
