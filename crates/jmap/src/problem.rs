//! Why a request as a whole is refused: problem details (RFC 8620 §3.6.1, RFC 7807).

use serde_json::{Value, json};

use crate::error::MethodError;

/// A refusal of a request, an upload or a download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub status: u16,
    /// `urn:ietf:params:jmap:error:..`, or `about:blank`.
    pub kind: &'static str,
    pub detail: String,
    /// Which limit it is, of [`Problem::limit`].
    pub limit: Option<&'static str>,
}

impl Problem {
    fn new(status: u16, kind: &'static str, detail: &str) -> Problem {
        Problem { status, kind, detail: detail.to_owned(), limit: None }
    }

    pub(crate) fn not_json(detail: &str) -> Problem {
        Problem::new(400, "urn:ietf:params:jmap:error:notJSON", detail)
    }

    pub(crate) fn not_request(detail: &str) -> Problem {
        Problem::new(400, "urn:ietf:params:jmap:error:notRequest", detail)
    }

    pub(crate) fn unknown_capability(name: &str) -> Problem {
        let detail = format!("The capability {name} is not known here");
        Problem::new(400, "urn:ietf:params:jmap:error:unknownCapability", &detail)
    }

    /// `limit` is the property of the core capability that would be exceeded.
    pub(crate) fn limit(limit: &'static str) -> Problem {
        let mut problem = Problem::new(400, "urn:ietf:params:jmap:error:limit", "A limit would be exceeded");
        problem.limit = Some(limit);
        problem
    }

    pub(crate) fn not_found() -> Problem {
        Problem::new(404, "about:blank", "There is no such thing, or it is not yours")
    }

    pub(crate) fn forbidden(detail: &str) -> Problem {
        Problem::new(403, "about:blank", detail)
    }

    pub(crate) fn over_quota(detail: &str) -> Problem {
        Problem::new(413, "about:blank", detail)
    }

    /// Of what would be an error of a method, where a download asks instead.
    pub(crate) fn of_method(error: &MethodError) -> Problem {
        match error.kind {
            "requestTooLarge" => Problem::new(413, "about:blank", &error.description),
            _ => Problem::internal(&error.to_string()),
        }
    }

    pub(crate) fn internal(detail: &str) -> Problem {
        Problem::new(500, "about:blank", detail)
    }

    /// The body of the response, `application/problem+json`.
    pub fn to_json(&self) -> Value {
        let mut problem = json!({ "type": self.kind, "status": self.status, "detail": self.detail });
        if let Some(limit) = self.limit {
            problem["limit"] = json!(limit);
        }
        problem
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_asks_for_too_much_is_told_so_and_the_rest_is_ours() {
        let of = |kind| Problem::of_method(&MethodError::new(kind, "why")).status;
        assert_eq!((of("requestTooLarge"), of("serverFail")), (413, 500));
    }
}
