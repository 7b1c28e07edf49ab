//! The retries of a call to Box.
//!
//! Each remedy is used once and with a new assertion. All attempts share one time limit, and all calls share one
//! budget for retries that are made without a hint from Box.

use std::mem::discriminant;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tower::retry::budget::{Budget as _, TpsBudget};

use super::clock_offset::ClockOffset;
use super::diagnosis::{self, BoxErrorBody, CallKind, RefusalMeaning};
use super::error::BoxError;
use super::request::{BoxRequest, PreparedRequest};
use super::response::BoxResponse;
use super::transport::{Transport, TransportError};
use super::upstream::UpstreamMessage;
use crate::clock::{Clock, Monotonic};
use crate::domain::box_refusal::BoxRefusal;
use crate::entropy::Entropy;

/// The time limit of a call with all its attempts.
const BOX_RETRY_BUDGET: Duration = Duration::from_secs(5);

/// The wait after a 429 without `Retry-After`.
const DEFAULT_RATE_LIMIT_WAIT: Duration = Duration::from_secs(1);

/// The longest wait within a call that Box may demand.
const MAX_RATE_LIMIT_WAIT: Duration = Duration::from_secs(2);

/// The longest pause before a retry without a hint from Box.
const MAX_JITTER: Duration = Duration::from_millis(100);

/// A 200, and both clocks just before it was requested.
pub(super) struct TimedResponse {
    pub response: BoxResponse,
    pub asked_at: (Timestamp, Monotonic),
}

/// A remedy for a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RetryStrategy {
    /// Repeat: the connection broke or a server failed, and the next one may succeed.
    Repeat,
    /// Follow Box's clock, by which our time is wrong.
    FollowClock,
    /// Use a new `jti`: Box has seen the last one.
    NewJti,
    /// Wait for this time, which is short enough for a caller.
    Wait(Duration),
}

impl RetryStrategy {
    /// Returns true for a retry without a hint from Box. Retries with one are outside the budget.
    fn is_blind(self) -> bool {
        matches!(self, Self::Repeat | Self::Wait(_))
    }
}

/// A failed attempt.
struct FailedAttempt {
    error: BoxError,
    remedy: Option<RetryStrategy>,
}

impl From<BoxError> for FailedAttempt {
    fn from(error: BoxError) -> Self {
        Self { error, remedy: None }
    }
}

/// A transport that repeats failed requests. All clones of a client share one.
#[derive(Debug)]
pub(super) struct RetryingTransport {
    pub(super) transport: Transport,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) offset: ClockOffset,
    /// The retry budget: a fifth of all calls, and ten a second in any case.
    pub(super) budget: TpsBudget,
}

impl RetryingTransport {
    /// Repeats the request until Box answers 200, no remedy is left, or 5 s have passed. Without `may_repeat`,
    /// only remedies that Box hints at are used.
    pub(super) async fn send(
        &self,
        request: BoxRequest<'_>,
        may_repeat: bool,
    ) -> Result<TimedResponse, BoxError> {
        match tokio::time::timeout(BOX_RETRY_BUDGET, self.send_with_retries(request, may_repeat)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(BoxError::unavailable(format!("no answer within {BOX_RETRY_BUDGET:?}"))),
        }
    }

    async fn send_with_retries(
        &self,
        request: BoxRequest<'_>,
        may_repeat: bool,
    ) -> Result<TimedResponse, BoxError> {
        self.budget.deposit();
        let mut taken: Vec<RetryStrategy> = Vec::new();
        loop {
            let FailedAttempt { error, remedy } = match self.send_once(request).await {
                Ok(answered) => return Ok(answered),
                Err(failed) => failed,
            };
            let is_new =
                |remedy: &RetryStrategy| !taken.iter().any(|one| discriminant(one) == discriminant(remedy));
            let Some(remedy) = remedy.filter(is_new) else { return Err(error) };
            // If many calls fail, retries would make it worse.
            if remedy.is_blind() && !(may_repeat && self.budget.withdraw()) {
                return Err(error);
            }
            tracing::debug!(?remedy, %error, "asking Box again");
            taken.push(remedy);
            match remedy {
                RetryStrategy::Repeat => tokio::time::sleep(self.jitter(MAX_JITTER)).await,
                RetryStrategy::Wait(wait) => tokio::time::sleep(wait + self.jitter(MAX_JITTER)).await,
                RetryStrategy::FollowClock | RetryStrategy::NewJti => {}
            }
        }
    }

    /// Returns a random time up to `most`, so that calls that failed together do not return together.
    fn jitter(&self, most: Duration) -> Duration {
        let mut random = [0];
        self.entropy.fill(&mut random);
        most * u32::from(random[0]) / 255
    }

    async fn send_once(&self, call: BoxRequest<'_>) -> Result<TimedResponse, FailedAttempt> {
        let box_now = self.clock.wall().saturating_add(self.offset.get()).unwrap_or(Timestamp::MAX);
        let request = call.prepare(box_now, &*self.entropy).await.map_err(BoxError::from)?;
        let asked_at = (self.clock.wall(), self.clock.monotonic());
        let sent = self.transport.send(&request).await;
        if let Some(theirs) = sent.as_ref().ok().and_then(BoxResponse::date) {
            self.offset.see(theirs, self.clock.wall());
        }
        match sent {
            Ok(response) if response.status == 200 => Ok(TimedResponse { response, asked_at }),
            Ok(answer) => Err(self.failure(call.kind(), &request, &answer)),
            // An attempt that took its whole time leaves none for another.
            Err(lost) => {
                let remedy = matches!(lost, TransportError::Connection(_)).then_some(RetryStrategy::Repeat);
                Err(FailedAttempt { error: lost.into(), remedy })
            }
        }
    }

    /// Interprets an answer other than 200.
    fn failure(&self, place: CallKind, request: &PreparedRequest, answer: &BoxResponse) -> FailedAttempt {
        let status = answer.status;
        match status {
            429 => {
                let retry_after = answer.retry_after(self.clock.wall()).unwrap_or(DEFAULT_RATE_LIMIT_WAIT);
                let remedy = (retry_after <= MAX_RATE_LIMIT_WAIT).then_some(RetryStrategy::Wait(retry_after));
                FailedAttempt { error: BoxError::RateLimited { retry_after }, remedy }
            }
            500..=599 => {
                let retry_after = answer.retry_after(self.clock.wall());
                let reason = format!("it answered {status}");
                let remedy = matches!(status, 500 | 502 | 503 | 504).then_some(RetryStrategy::Repeat);
                FailedAttempt { error: BoxError::Unavailable { reason, retry_after }, remedy }
            }
            400..=499 => {
                let words = BoxErrorBody::read(answer);
                let finding = match &words {
                    Some(words) => Some(words.finding(place, status)),
                    None => diagnosis::without_words(place, status),
                };
                let upstream = match words {
                    Some(words) => words.upstream(status, &request.sent),
                    None => UpstreamMessage { status, ..UpstreamMessage::default() },
                };
                match finding {
                    Some(finding) => self.refused(place, finding, upstream, answer),
                    None => BoxError::protocol(format!("a {status} without an error in it")).into(),
                }
            }
            300..=399 => BoxError::protocol(format!("a redirect ({status}), which is never followed")).into(),
            _ => BoxError::protocol(format!("a {status} where a 200 belongs")).into(),
        }
    }

    fn refused(
        &self,
        place: CallKind,
        finding: RefusalMeaning,
        upstream: UpstreamMessage,
        answer: &BoxResponse,
    ) -> FailedAttempt {
        match finding {
            RefusalMeaning::Refused(refusal) => BoxError::Refused { refusal, upstream }.into(),
            RefusalMeaning::TokenDead if place == CallKind::Exchange => {
                BoxError::ParentDead { upstream }.into()
            }
            RefusalMeaning::TokenDead => BoxError::TokenDead { upstream }.into(),
            RefusalMeaning::Replayed => FailedAttempt {
                error: BoxError::protocol("a fresh assertion's jti was taken for a used one, twice"),
                remedy: Some(RetryStrategy::NewJti),
            },
            RefusalMeaning::WrongTime => {
                let ours = self.clock.wall();
                let learnt = answer.date().is_some_and(|theirs| self.offset.learn(theirs, ours));
                if learnt {
                    tracing::warn!(offset = %self.offset.get(), "Box's clock differs from ours: following it");
                }
                let error = BoxError::Refused { refusal: BoxRefusal::ClockSkew, upstream };
                FailedAttempt { error, remedy: learnt.then_some(RetryStrategy::FollowClock) }
            }
        }
    }
}
