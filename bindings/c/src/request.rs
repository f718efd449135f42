//! Requests: the router half of a gateway, for a host that has the sockets.
//!
//! Invariant: a failure of the function becomes a response, not a failure of the call.

use std::{ffi::c_char, ptr};

use dormouse::Request;

use crate::{
    edge::Given,
    error::dormouse_error,
    failure::Failure,
    runtime::dormouse_runtime,
    status::dormouse_status,
    text::{Text, dormouse_string},
};

/// A header of a request or of a response.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct dormouse_header {
    /// Its name.
    pub name: dormouse_string,
    /// Its value.
    pub value: dormouse_string,
}

plain!(dormouse_header);

/// A request of a host's server. Fill it in with `dormouse_request_options_init`, then change it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct dormouse_request_options {
    /// The size of this struct, which tells the library the header's version.
    pub size: usize,
    /// The method, such as `GET`. Required.
    pub method: dormouse_string,
    /// The target, such as `/items/7?verbose=1`. Required.
    pub target: dormouse_string,
    /// The headers.
    pub headers: *const dormouse_header,
    /// How many.
    pub headers_len: usize,
    /// The body.
    pub body: *const u8,
    /// How many bytes.
    pub body_len: usize,
}

options!(dormouse_request_options);

/// What a host's server sends back. The caller owns it and frees it with `dormouse_response_free`.
/// It never changes, so any number of threads may read it.
pub struct dormouse_response {
    status: u16,
    headers: Vec<(Text, Text)>,
    body: Vec<u8>,
    error: Option<Text>,
}

owned!(dormouse_response);

exported! { fallible:
    /// Fills in the defaults. `size` is `sizeof *options`.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT.
    pub unsafe extern "C" fn dormouse_request_options_init(
        options: *mut dormouse_request_options,
        size: usize,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        crate::options::init(options, size, |_| ())
    }

    /// Gives a request to the function whose route it fits, on this thread, and gives the response.
    /// There is a response too if no route fits (404), or the function fails (502 and others).
    /// Neither is a failure of this call. The function is given the request as JSON data of an
    /// event of the type `dormouse.request`. It answers with any JSON, or with an object of
    /// `status`, `headers` and `body`.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT, DORMOUSE_UTF8.
    pub unsafe extern "C" fn dormouse_runtime_request(
        runtime: *const dormouse_runtime,
        options: *const dormouse_request_options,
        response_out: *mut *mut dormouse_response,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let (runtime, place) = (runtime.get()?, response_out.required()?);
        let given = crate::options::needed(options)?;
        // SAFETY: the options are the caller's, and so is what they point to, for as long as their
        // lengths say.
        let request = unsafe {
            let mut request = Request::new(given.method.get("options->method")?, given.target.get("options->target")?);
            for header in Given::new(given.headers, "options->headers").slice(given.headers_len)? {
                let name = header.name.get("options->headers->name")?;
                request = request.header(name, header.value.get("options->headers->value")?);
            }
            request.body(Given::new(given.body, "options->body").slice(given.body_len)?)
        };
        let response = runtime.0.request(&request);
        place.give(Box::new(dormouse_response {
            status: response.status,
            headers: response.headers.into_iter().map(|(name, value)| (Text::new(name), Text::new(value))).collect(),
            body: response.body,
            error: response.error.map(Text::new),
        }));
        Ok(())
    }

    /// Gives the header at `index`, lent until the response is freed, with a NUL behind name and
    /// value. DORMOUSE_NOT_FOUND after the last header.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_NOT_FOUND.
    pub unsafe extern "C" fn dormouse_response_header(
        response: *const dormouse_response,
        index: usize,
        header_out: *mut dormouse_header,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let (response, place) = (response.get()?, header_out.required()?);
        let header = response.headers.get(index);
        let (name, value) = header.ok_or_else(|| Failure::not_found(format!("there is no header {index}")))?;
        place.put(dormouse_header { name: name.string(), value: value.string() });
        Ok(())
    }
}

exported! { total:
    /// The status of the response, 100 to 599. 0 for NULL.
    pub unsafe extern "C" fn dormouse_response_status(response: *const dormouse_response) -> u32 {
        response.optional().map_or(0, |response| response.status.into())
    }

    /// The body. Lent until the response is freed. NULL for NULL. `len_out` may be NULL.
    pub unsafe extern "C" fn dormouse_response_body(response: *const dormouse_response, len_out: *mut usize) -> *const u8 {
        response.optional().map_or(ptr::null(), |response| {
            if let Some(place) = len_out.optional() {
                place.put(response.body.len());
            }
            response.body.as_ptr()
        })
    }

    /// What went wrong, in words for the host's log, not for the client. NULL if the function
    /// answered itself, and for NULL. Lent until the response is freed. `len_out` may be NULL. Lent
    /// until the response is freed. `len_out` may be NULL.
    pub unsafe extern "C" fn dormouse_response_error(
        response: *const dormouse_response,
        len_out: *mut usize,
    ) -> *const c_char {
        response.optional().and_then(|response| response.error.as_ref()).map_or(ptr::null(), |text| text.lend(len_out))
    }

    /// Frees a response. NULL is allowed.
    pub unsafe extern "C" fn dormouse_response_free(response: *mut dormouse_response) {
        drop(response.take());
    }
}
