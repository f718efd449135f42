//! Failures of exported functions, and the statuses that they become.
//!
//! Invariant: every failure has a status, and a kind without a number becomes `DORMOUSE_OTHER`.

use std::{borrow::Cow, fmt};

use dormouse::{
    AliasError, DeliveryError, DeployError, EventError, HostError, InvokeError, InvokeErrorKind, MatchError,
    PublishError, RedriveError, TriggerError,
};
#[cfg(feature = "durable")]
use dormouse::{StoreError, StoreProblem};

use crate::status::{dormouse_status, dormouse_status as S, dormouse_trap, of_outcome};

/// Why an exported function failed, before the message is made.
pub(crate) enum Failure {
    /// A failure that the edge itself found.
    Edge(dormouse_status, Cow<'static, str>),
    Deploy(DeployError),
    Invoke(InvokeError),
    /// The reply does not fit into the caller's room. `report` is that of the invocation.
    NoRoom {
        needed: usize,
        room: usize,
        report: Box<dormouse::Report>,
    },
}

impl Failure {
    #[cold]
    pub(crate) fn null(parameter: &'static str) -> Self {
        Self::Edge(S::DORMOUSE_NULL, format!("`{parameter}` is NULL").into())
    }

    #[cold]
    pub(crate) fn argument(problem: String) -> Self {
        Self::Edge(S::DORMOUSE_ARGUMENT, problem.into())
    }

    #[cold]
    pub(crate) fn utf8(parameter: &'static str, at: usize) -> Self {
        Self::Edge(S::DORMOUSE_UTF8, format!("`{parameter}` is not UTF-8, from byte {at} on").into())
    }

    #[cold]
    pub(crate) fn no_room(problem: String) -> Self {
        Self::Edge(S::DORMOUSE_NO_ROOM, problem.into())
    }

    #[cold]
    pub(crate) fn not_found(what: String) -> Self {
        Self::Edge(S::DORMOUSE_NOT_FOUND, what.into())
    }

    /// A key-value store failed. Only a store in a file can fail.
    #[cold]
    pub(crate) fn store(problem: HostError) -> Self {
        #[cfg(feature = "durable")]
        let problem = match problem.downcast::<StoreError>() {
            Ok(error) => return (*error).into(),
            Err(problem) => problem,
        };
        Self::Edge(S::DORMOUSE_OTHER, problem.to_string().into())
    }

    #[cold]
    pub(crate) fn no_thread(error: std::io::Error) -> Self {
        Self::Edge(S::DORMOUSE_NO_THREAD, format!("the system cannot start a thread: {error}").into())
    }

    #[cold]
    #[cfg(not(feature = "durable"))]
    pub(crate) fn not_built(feature: &str) -> Self {
        Self::Edge(S::DORMOUSE_NOT_BUILT, format!("this library was built without its feature `{feature}`").into())
    }

    pub(crate) fn status(&self) -> dormouse_status {
        match self {
            Self::Edge(status, _) => *status,
            Self::Deploy(error) => of_deploy(error),
            Self::Invoke(error) => of_invoke(error.kind()),
            Self::NoRoom { .. } => S::DORMOUSE_NO_ROOM,
        }
    }

    pub(crate) fn report(&self) -> Option<&dormouse::Report> {
        match self {
            Self::Invoke(error) => error.report(),
            Self::NoRoom { report, .. } => Some(report),
            Self::Edge(..) | Self::Deploy(_) => None,
        }
    }

    pub(crate) fn trap(&self) -> dormouse_trap {
        let mut kind = match self {
            Self::Invoke(error) => error.kind(),
            Self::Deploy(DeployError::Initialise { cause, .. }) => cause,
            _ => return dormouse_trap::DORMOUSE_TRAP_NONE,
        };
        loop {
            kind = match kind {
                InvokeErrorKind::Trap(trap) => return (*trap).into(),
                InvokeErrorKind::Initialise { cause, .. } | InvokeErrorKind::GuestError { ended: Some(cause), .. } => {
                    cause
                }
                _ => return dormouse_trap::DORMOUSE_TRAP_NONE,
            };
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Edge(_, text) => f.write_str(text),
            Self::Deploy(error) => error.fmt(f),
            Self::Invoke(error) => error.fmt(f),
            Self::NoRoom { needed, room, .. } => {
                write!(f, "the output has {needed} bytes, the caller's buffer has room for {room}")
            }
        }
    }
}

impl From<DeployError> for Failure {
    fn from(error: DeployError) -> Self {
        Self::Deploy(error)
    }
}

impl From<InvokeError> for Failure {
    fn from(error: InvokeError) -> Self {
        Self::Invoke(error)
    }
}

impl From<InvokeErrorKind> for Failure {
    fn from(kind: InvokeErrorKind) -> Self {
        Self::Invoke(kind.into())
    }
}

impl From<EventError> for Failure {
    fn from(error: EventError) -> Self {
        Self::Edge(S::DORMOUSE_EVENT, error.to_string().into())
    }
}

impl From<MatchError> for Failure {
    fn from(error: MatchError) -> Self {
        Self::Edge(of_match(&error), error.to_string().into())
    }
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        Self::Edge(of_publish(&error), error.to_string().into())
    }
}

#[cfg(feature = "durable")]
impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Edge(of_store(&error), error.to_string().into())
    }
}

impl From<RedriveError> for Failure {
    fn from(error: RedriveError) -> Self {
        let status = match &error {
            RedriveError::NoSuchLetter { .. } | RedriveError::NoSuchTrigger { .. } => S::DORMOUSE_NOT_FOUND,
            RedriveError::Publish(error) => of_publish(error),
            _ => S::DORMOUSE_OTHER,
        };
        Self::Edge(status, error.to_string().into())
    }
}

impl From<TriggerError> for Failure {
    fn from(error: TriggerError) -> Self {
        let status = match &error {
            TriggerError::InvalidId { .. } => S::DORMOUSE_INVALID_NAME,
            TriggerError::Pattern(_) => S::DORMOUSE_PATTERN,
            TriggerError::Taken { .. } => S::DORMOUSE_TAKEN,
            TriggerError::TooMany { .. } => S::DORMOUSE_TOO_MANY_TRIGGERS,
            _ => S::DORMOUSE_INVALID_TRIGGER,
        };
        Self::Edge(status, error.to_string().into())
    }
}

impl From<AliasError> for Failure {
    fn from(error: AliasError) -> Self {
        let status = match &error {
            AliasError::InvalidName { .. } => S::DORMOUSE_INVALID_NAME,
            AliasError::NoSuchVersion { .. } => S::DORMOUSE_NOT_FOUND,
            AliasError::TooMany { .. } => S::DORMOUSE_TOO_MANY_ALIASES,
            _ => S::DORMOUSE_OTHER,
        };
        Self::Edge(status, error.to_string().into())
    }
}

impl From<DeliveryError> for Failure {
    fn from(error: DeliveryError) -> Self {
        match error {
            DeliveryError::Invoke(error) => Self::Invoke(error),
            DeliveryError::ReplyRefused(error) => error.into(),
            error @ (DeliveryError::Reply(_) | DeliveryError::ReplyType { .. }) => {
                Self::Edge(S::DORMOUSE_REPLY, error.to_string().into())
            }
            other => Self::Edge(S::DORMOUSE_OTHER, other.to_string().into()),
        }
    }
}

fn of_match(error: &MatchError) -> dormouse_status {
    match error {
        MatchError::Ambiguous { .. } => S::DORMOUSE_AMBIGUOUS,
        _ => S::DORMOUSE_EVENT,
    }
}

fn of_publish(error: &PublishError) -> dormouse_status {
    match error {
        PublishError::QueueFull { .. } => S::DORMOUSE_QUEUE_FULL,
        PublishError::TooLarge { .. } => S::DORMOUSE_EVENT_TOO_LARGE,
        PublishError::Match(error) => of_match(error),
        PublishError::Reserved { .. } => S::DORMOUSE_RESERVED_TYPE,
        #[cfg(feature = "durable")]
        PublishError::Store(error) => of_store(error),
        _ => S::DORMOUSE_OTHER,
    }
}

#[cfg(feature = "durable")]
fn of_store(error: &StoreError) -> dormouse_status {
    match error.problem() {
        StoreProblem::Full => S::DORMOUSE_STORE_FULL,
        StoreProblem::InUse => S::DORMOUSE_STORE_IN_USE,
        StoreProblem::Corrupt => S::DORMOUSE_STORE_CORRUPT,
        StoreProblem::Io => S::DORMOUSE_STORE_IO,
        _ => S::DORMOUSE_OTHER,
    }
}

fn of_deploy(error: &DeployError) -> dormouse_status {
    match error {
        DeployError::InvalidName { .. } => S::DORMOUSE_INVALID_NAME,
        DeployError::InvalidOption { .. } => S::DORMOUSE_INVALID_OPTION,
        DeployError::TooLarge { .. } => S::DORMOUSE_TOO_LARGE,
        DeployError::InvalidModule { .. } => S::DORMOUSE_INVALID_MODULE,
        DeployError::MissingProposal { .. } => S::DORMOUSE_MISSING_PROPOSAL,
        DeployError::UnknownImports { .. } => S::DORMOUSE_UNKNOWN_IMPORTS,
        DeployError::Entry { .. } => S::DORMOUSE_ENTRY,
        DeployError::SegmentOutOfBounds { .. } => S::DORMOUSE_SEGMENT_OUT_OF_BOUNDS,
        DeployError::Initialise { .. } => S::DORMOUSE_INITIALISE,
        DeployError::UnrepeatableInitialisation { .. } => S::DORMOUSE_UNREPEATABLE_INITIALISATION,
        DeployError::Refused { .. } => S::DORMOUSE_REFUSED,
        DeployError::UnsafeBuild { .. } => S::DORMOUSE_UNSAFE_BUILD,
        DeployError::TooManyFunctions { .. } => S::DORMOUSE_TOO_MANY_FUNCTIONS,
        DeployError::Busy(_) => S::DORMOUSE_BUSY,
        _ => S::DORMOUSE_OTHER,
    }
}

fn of_invoke(kind: &InvokeErrorKind) -> dormouse_status {
    of_outcome(kind.name())
}
