//! Google's error details: why, for how long, and which quota.

use std::time::SystemTime;

use serde_json::Value;

use crate::domain::chat::InBandError;
use crate::providers::{FailureParts, errors, retry_after};

pub(super) fn failure(
    status: u16,
    headers: &dyn Fn(&str) -> Option<String>,
    body: &[u8],
    now: SystemTime,
) -> FailureParts {
    let mut parts = errors::failure(status, body, retry_after::Asked { headers, now, resets: &[] });
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let details = Details::of(&value);
    parts.code = details.code().or(parts.code);
    parts.param = details.param().or(parts.param);
    parts.retry_after = parts.retry_after.or_else(|| details.retry_after(now));
    parts
}

/// An error inside a 200; none when it is none.
pub(super) fn in_band(data: &[u8]) -> Option<InBandError> {
    let value: Value = serde_json::from_slice(data).ok()?;
    let error = errors::read(&value)?;
    let details = Details::of(&value);
    Some(InBandError { code: details.code().or(error.code), param: details.param().or(error.param), ..error })
}

struct Details<'a> {
    error: &'a Value,
}

impl<'a> Details<'a> {
    fn of(body: &'a Value) -> Self {
        // A stream that was not asked for as events is a list, and so are its errors.
        Details { error: &body.get(0).unwrap_or(body)["error"] }
    }

    /// The detail of this type, `google.rpc.RetryInfo` for one.
    fn find(&self, name: &str) -> Option<&'a Value> {
        let list = self.error["details"].as_array()?;
        list.iter().find(|detail| detail["@type"].as_str().is_some_and(|kind| kind.ends_with(name)))
    }

    /// The most telling word: which quota is used up (one of a day before one of a minute), the reason, or the status.
    /// The number that Google calls the code is the HTTP status once more.
    fn code(&self) -> Option<String> {
        self.quota()
            .or_else(|| self.find("ErrorInfo")?["reason"].as_str())
            .or_else(|| self.error["status"].as_str())
            .map(str::to_owned)
    }

    fn quota(&self) -> Option<&'a str> {
        let violations = self.find("QuotaFailure")?["violations"].as_array()?;
        let ids = || violations.iter().filter_map(|violation| violation["quotaId"].as_str());
        ids().find(|id| id.contains("PerDay")).or_else(|| ids().next())
    }

    /// The field at fault.
    fn param(&self) -> Option<String> {
        let violations = self.find("BadRequest")?["fieldViolations"].as_array()?;
        violations.iter().find_map(|violation| violation["field"].as_str()).filter(|f| !f.is_empty()).map(str::to_owned)
    }

    /// Fractions are kept: "34.4s".
    fn retry_after(&self, now: SystemTime) -> Option<f64> {
        retry_after::reset_in(self.find("RetryInfo")?["retryDelay"].as_str()?, now)
    }
}
