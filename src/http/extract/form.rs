//! Forms, as OAuth has them (RFC 6749, section 3.2 and appendix B).

use std::borrow::Cow;

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use percent_encoding::percent_decode;
use serde::de::value::{Error, MapDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer, Visitor};
use serde::{Deserializer, forward_to_deserialize_any};

use crate::http::error::ApiError;
use crate::http::extract::body::{BODY_LIMIT, whole};

const MEDIA_TYPE: &str = "application/x-www-form-urlencoded";

/// A form. Unknown fields and fields without a value are ignored; a known field may not be repeated.
#[derive(Debug)]
pub(crate) struct Form<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Form<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let bytes = whole(body, BODY_LIMIT).await?;
        if !bytes.is_empty() && !is_form(&parts.headers) {
            return Err(ApiError::UnsupportedMediaType(MEDIA_TYPE));
        }
        parse(&bytes).map(Self)
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(MEDIA_TYPE)
}

/// Parses a whole form.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let mut pairs = Vec::new();
    for pair in bytes.split(|byte| *byte == b'&') {
        let end = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let (name, value) = (decode(&pair[..end]), decode(pair.get(end + 1..).unwrap_or_default()));
        match name.zip(value) {
            Some((name, value)) if !value.is_empty() => pairs.push((name, Value(value))),
            Some(_) => {}
            None => return Err(ApiError::Malformed("The form is not UTF-8.".to_owned())),
        }
    }
    let document = MapDeserializer::new(pairs.into_iter());
    // The wrong part may be a value, and a secret: of serde's message only the field's name is returned.
    T::deserialize(document).map_err(|error: Error| {
        let twice = error.to_string();
        let named = twice.strip_prefix("duplicate field ").unwrap_or("a field");
        ApiError::Malformed(format!("The form cannot be read: {named} stands there twice."))
    })
}

/// The value of a field, never empty.
struct Value(String);

impl IntoDeserializer<'_, Error> for Value {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Value {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_string(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf unit unit_struct newtype_struct
        seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

fn decode(text: &[u8]) -> Option<String> {
    let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    percent_decode(&spaced).decode_utf8().ok().map(Cow::into_owned)
}
