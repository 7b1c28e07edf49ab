//! Downloads: a URL that opens once, and ranges of bytes (RFC 9110, section 14).

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use axum::http::{HeaderValue, Method, StatusCode, header};
use futures::stream;
use jiff::{SignedDuration, Timestamp};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::http::cors;
use crate::http::error::Refusal;
use crate::http::request::Call;
use crate::http::response::Answer;
use crate::random;
use crate::state::Upstream;
use crate::storage::Content;

/// Where tickets are shown.
pub(crate) const PATH: &str = "/dl";

/// How many tickets are remembered; older ones are forgotten.
const CAPACITY: usize = 10_000;

/// How long a ticket opens the file, in minutes, as at Box.
const LIFE: i64 = 15;

/// What a ticket opens, and to pages of which app.
#[derive(Debug)]
struct Ticket {
    secret: String,
    content: Content,
    name: String,
    client_id: String,
    until: Timestamp,
}

/// The tickets that nobody used yet.
#[derive(Debug, Default)]
pub(crate) struct Tickets(Mutex<Unused>);

#[derive(Debug, Default)]
struct Unused {
    last: u64,
    by_number: BTreeMap<u64, Ticket>,
}

impl Tickets {
    /// A new ticket's text.
    pub(crate) fn issue(&self, content: Content, name: &str, client_id: &str, now: Timestamp) -> String {
        let secret = random::alphanumeric(32);
        let mut unused = self.lock();
        unused.by_number.retain(|_, ticket| now < ticket.until);
        if unused.by_number.len() == CAPACITY {
            unused.by_number.pop_first();
        }
        unused.last += 1;
        let text = format!("{}-{secret}", unused.last);
        let ticket = Ticket {
            secret,
            content,
            name: name.to_owned(),
            client_id: client_id.to_owned(),
            until: now.checked_add(SignedDuration::from_mins(LIFE)).unwrap_or(now),
        };
        let number = unused.last;
        unused.by_number.insert(number, ticket);
        text
    }

    /// What a ticket opens. It opens nothing a second time.
    fn redeem(&self, text: &str, now: Timestamp) -> Option<Ticket> {
        let (number, secret) = text.split_once('-')?;
        let number = number.parse().ok()?;
        let mut unused = self.lock();
        unused.by_number.get(&number).filter(|ticket| ticket.secret == secret)?;
        unused.by_number.remove(&number).filter(|ticket| now < ticket.until)
    }

    fn lock(&self) -> MutexGuard<'_, Unused> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `GET /dl?ticket=…`.
pub(crate) fn answer(box_: &Upstream, call: &Call) -> Result<Answer, Refusal> {
    if call.method != Method::GET {
        return Err(Refusal::method_not_allowed());
    }
    let ticket = call.query("ticket").and_then(|ticket| box_.tickets.redeem(&ticket, box_.now()));
    let ticket = ticket.ok_or_else(Refusal::not_found)?;
    let app = box_.app(&ticket.client_id).ok_or_else(Refusal::not_found)?;
    cors::check(&app, call)?;
    let mut answer = bytes(&ticket.content, &ticket.name, call)?
        .header(header::CONTENT_DISPOSITION, attachment(&ticket.name));
    answer.headers.extend(cors::headers(Some(&app), call));
    Ok(answer)
}

/// The bytes, or those of them that `Range` asks for.
pub(crate) fn bytes(content: &Content, name: &str, call: &Call) -> Result<Answer, Refusal> {
    let size = content.size();
    let asked = call.header("range").map(|range| ranges(range, size));
    let range = match &asked {
        Some(Asked::Bytes(range)) => range.clone(),
        Some(Asked::Beyond) => {
            return Err(Refusal::api(
                StatusCode::RANGE_NOT_SATISFIABLE,
                "invalid_range",
                format!("The file has {size} bytes: the range lies beyond its end"),
            ));
        }
        Some(Asked::Whole) | None => 0..size,
    };
    let part = matches!(asked, Some(Asked::Bytes(_)));
    let mut answer = Answer::empty(if part { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK })
        .header(header::CONTENT_TYPE, HeaderValue::from_static(media_type(name)))
        .header(header::CONTENT_LENGTH, HeaderValue::from(range.end - range.start))
        .header(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Ok(etag) = HeaderValue::from_str(&format!("\"{}\"", content.sha1())) {
        answer = answer.header(header::ETAG, etag);
    }
    if part
        && let Ok(value) =
            HeaderValue::from_str(&format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1)))
    {
        answer = answer.header(header::CONTENT_RANGE, value);
    }
    answer.stretch = Some(Stretch { content: content.clone(), range });
    Ok(answer)
}

/// Bytes of a file that an answer sends.
#[derive(Debug)]
pub(crate) struct Stretch {
    content: Content,
    range: Range<u64>,
}

impl Stretch {
    /// A body that reads the bytes as they are sent, never all at once.
    pub(crate) fn body(self) -> Body {
        let content = Arc::new(self.content);
        Body::from_stream(stream::try_unfold(self.range, move |left| {
            let content = content.clone();
            async move {
                if left.is_empty() {
                    return Ok::<_, std::io::Error>(None);
                }
                let piece = content.read(left.start, left.end - left.start).await?;
                let next = left.start + piece.len() as u64;
                Ok(Some((piece, next..left.end)))
            }
        }))
    }
}

/// What a `Range` header asks for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    /// These bytes.
    Bytes(Range<u64>),
    /// Bytes that are not there.
    Beyond,
    /// Something that may be answered with the whole: another unit, several ranges, nonsense.
    Whole,
}

fn ranges(header: &str, size: u64) -> Asked {
    let Some((first, last)) = header.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Asked::Whole;
    };
    let range = match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => first..last.saturating_add(1).min(size),
        (Ok(first), Err(_)) if last.trim().is_empty() => first..size,
        (Err(_), Ok(last)) if first.trim().is_empty() => size.saturating_sub(last)..size,
        _ => return Asked::Whole,
    };
    if range.is_empty() { Asked::Beyond } else { Asked::Bytes(range) }
}

/// A header that lets browsers save the file under its name (RFC 6266, section 4.3).
fn attachment(name: &str) -> HeaderValue {
    let plain: String = name
        .chars()
        .map(|one| if one.is_ascii_graphic() && !matches!(one, '"' | '\\') || one == ' ' { one } else { '_' })
        .collect();
    let encoded = utf8_percent_encode(name, NON_ALPHANUMERIC);
    let text = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}");
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("attachment"))
}

/// The media type that a name's ending stands for.
pub(crate) fn media_type(name: &str) -> &'static str {
    match extension(name).as_str() {
        "txt" | "md" | "log" | "csv" | "rs" | "py" | "js" | "ts" | "css" | "yml" | "toml" => {
            "text/plain; charset=utf-8"
        }
        "json" => "application/json",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "svg" => "image/svg+xml",
        "pdf" => "application/pdf",
        _ => "application/octet-stream",
    }
}

/// The ending of a name, in lower case and without its dot; empty where there is none.
pub(crate) fn extension(name: &str) -> String {
    name.rsplit_once('.').map(|(_, ending)| ending.to_lowercase()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_as_http_has_it() {
        for (header, asked) in [
            ("bytes=0-3", Asked::Bytes(0..4)),
            ("bytes=8-", Asked::Bytes(8..10)),
            ("bytes=-4", Asked::Bytes(6..10)),
            ("bytes=-40", Asked::Bytes(0..10)),
            ("bytes=5-99", Asked::Bytes(5..10)),
            ("bytes=10-", Asked::Beyond),
            ("bytes=-0", Asked::Beyond),
            ("bytes=4-3", Asked::Whole),
            ("bytes=0-1,3-4", Asked::Whole),
            ("lines=0-1", Asked::Whole),
            ("bytes=x-1", Asked::Whole),
        ] {
            assert_eq!(ranges(header, 10), asked, "{header}");
        }
    }
}
