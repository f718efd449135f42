//! Routes: methods and path templates, and the search for the route of a request, by the crate
//! matchit.

use std::{collections::BTreeMap, fmt};

use super::{TriggerError, error::cut};

const PATH_MAX: usize = 4_096;

/// A method and a path template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    method: Box<str>,
    path: Box<str>,
}

impl Route {
    pub(super) fn parse(method: &str, path: &str) -> Result<Self, TriggerError> {
        let route = Self { method: cut(method), path: cut(path) };
        // The characters of RFC 9110, section 5.6.2, that methods are written with.
        if !(1..=32).contains(&method.len()) || !method.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-') {
            return Err(route.wrong("has a method that is not 1 to 32 of the characters A-Z and -".to_owned()));
        }
        if !path.starts_with('/') || path.len() > PATH_MAX {
            return Err(
                route.wrong(format!("has a path that does not begin with / or is longer than {PATH_MAX} bytes"))
            );
        }
        matchit::Router::new().insert(path, ()).map_err(|error| route.wrong(format!("is not a route: {error}")))?;
        Ok(route)
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    fn wrong(&self, problem: String) -> TriggerError {
        TriggerError::Route { method: self.method.clone(), path: self.path.clone(), problem: problem.into() }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// What a request finds.
pub(crate) enum Found<T> {
    /// A trigger, and the values of the parameters in its path.
    Trigger(T, Vec<(String, String)>),
    /// No trigger, except that the path takes these other methods.
    Methods(Vec<String>),
    Nothing,
}

/// The routes of each method, with the numbers of their triggers.
#[derive(Default)]
pub(super) struct Routes {
    by_method: BTreeMap<Box<str>, matchit::Router<u64>>,
}

impl Routes {
    pub(super) fn add(&mut self, route: &Route, number: u64) -> Result<(), TriggerError> {
        let router = self.by_method.entry(route.method.clone()).or_default();
        router.insert(&*route.path, number).map_err(|error| route.wrong(format!("cannot be bound: {error}")))
    }

    pub(super) fn remove(&mut self, route: &Route) {
        if let Some(router) = self.by_method.get_mut(&route.method) {
            router.remove(&*route.path);
        }
    }

    pub(super) fn find<T>(&self, method: &str, path: &str, usable: impl Fn(u64) -> Option<T>) -> Found<T> {
        let at = |router: &matchit::Router<u64>| {
            let found = router.at(path).ok()?;
            let params = found.params.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
            Some((usable(*found.value)?, params.collect()))
        };
        if let Some((trigger, params)) = self.by_method.get(method).and_then(at) {
            return Found::Trigger(trigger, params);
        }
        let others = self.by_method.iter().filter(|(_, router)| at(router).is_some());
        let methods: Vec<String> = others.map(|(method, _)| method.to_string()).collect();
        if methods.is_empty() { Found::Nothing } else { Found::Methods(methods) }
    }
}
