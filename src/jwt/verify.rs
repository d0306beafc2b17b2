//! Is a token to be believed, and whom does it name? Pure but for the clock.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{DecodingKey, Header, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::config::Issuer;
use crate::domain::caller::Caller;
use crate::domain::jwks::Algorithm;

/// Longest user or team that is believed, in bytes.
const LONGEST_NAME: usize = 256;

/// What a token says before anything of it is checked. It only chooses what to check it against.
pub(super) struct Shown {
    header: Header,
    claims: Claimed,
}

#[derive(Deserialize)]
struct Claimed {
    iss: String,
    aud: Audience,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    fn names(&self, audience: &str) -> bool {
        match self {
            Audience::One(one) => one == audience,
            Audience::Several(several) => several.iter().any(|one| one == audience),
        }
    }
}

impl Shown {
    pub(super) fn read(token: &str) -> Result<Self, String> {
        let header = decode_header(token).map_err(|_| "its header can't be read, or its algorithm is none of ours")?;
        if header.crit.is_some() {
            return Err("its header demands an extension (crit)".to_owned());
        }
        let claims = insecure_decode_claims(token).map_err(|_| "its claims can't be read, or lack iss or aud")?;
        Ok(Shown { header, claims })
    }

    pub(super) fn kid(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    pub(super) fn issuer<'a>(&self, issuers: &'a [Arc<Issuer>]) -> Result<&'a Issuer, String> {
        let mut of_this_name = issuers.iter().filter(|issuer| issuer.issuer == self.claims.iss).peekable();
        if of_this_name.peek().is_none() {
            return Err("no entry of jwt has its iss".to_owned());
        }
        let meant = of_this_name.find(|issuer| self.claims.aud.names(&issuer.audience));
        meant.map(|issuer| &**issuer).ok_or_else(|| format!("its aud is another (issuer {})", self.claims.iss))
    }

    /// The issuer's own list decides, not the token.
    pub(super) fn algorithm(&self, issuer: &Issuer) -> Result<Algorithm, String> {
        let known = Algorithm::from_crate(self.header.alg).filter(|known| issuer.algorithms.contains(known));
        known.ok_or_else(|| format!("its algorithm {:?} is not allowed", self.header.alg))
    }
}

/// Checks signature, `exp`, `nbf`, `iss`, `aud` and age of `token`, and reads whom it names.
pub(super) fn caller(token: &str, issuer: &Issuer, algorithm: Algorithm, key: &DecodingKey) -> Result<Caller, String> {
    let mut rules = Validation::new(algorithm.in_crate());
    rules.leeway = issuer.leeway.as_secs();
    rules.validate_nbf = true;
    rules.set_required_spec_claims(&["exp", "iss", "aud"]);
    rules.set_issuer(&[&issuer.issuer]);
    rules.set_audience(&[&issuer.audience]);
    let claims = decode::<Map<String, Value>>(token, key, &rules).map_err(|error| reason(error.kind()))?.claims;
    if let Some(max_age) = issuer.max_age {
        check_age(&claims, max_age, issuer.leeway)?;
    }
    let user = name(&claims, &issuer.user_claim)?.ok_or_else(|| format!("it has no {}", issuer.user_claim))?;
    let team = match &issuer.team_claim {
        Some(claim) => name(&claims, claim)?,
        None => None,
    };
    Ok(Caller {
        key: Arc::clone(&issuer.key.name),
        team: team.unwrap_or_else(|| Arc::clone(&issuer.key.team)),
        user,
        alone: true,
    })
}

/// Words for the log. None of them comes from the token.
fn reason(kind: &ErrorKind) -> String {
    match kind {
        ErrorKind::InvalidSignature => "its signature is wrong".to_owned(),
        ErrorKind::ExpiredSignature => "it has expired".to_owned(),
        ErrorKind::ImmatureSignature => "it is not valid yet (nbf)".to_owned(),
        ErrorKind::InvalidIssuer => "its iss is another".to_owned(),
        ErrorKind::InvalidAudience => "its aud is another".to_owned(),
        ErrorKind::MissingRequiredClaim(claim) => format!("it has no {claim}, or one of a wrong type"),
        ErrorKind::InvalidClaimFormat(claim) => format!("its {claim} has a wrong type"),
        _ => "it can't be read".to_owned(),
    }
}

fn check_age(claims: &Map<String, Value>, max_age: Duration, leeway: Duration) -> Result<(), String> {
    let issued = claims.get("iat").and_then(Value::as_f64).filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
    let issued = issued.ok_or("it has no iat, which max_age needs")?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    if issued > now + leeway.as_secs_f64() {
        return Err("its iat is in the future".to_owned());
    }
    if now - issued > (max_age + leeway).as_secs_f64() {
        return Err("it is older than max_age".to_owned());
    }
    Ok(())
}

/// A claim that names somebody: text, or a whole number as its digits. None when it is not there.
fn name(claims: &Map<String, Value>, claim: &str) -> Result<Option<Arc<str>>, String> {
    let text = match claims.get(claim) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) if number.is_u64() => number.to_string(),
        Some(_) => return Err(format!("its {claim} is no text")),
    };
    let sound =
        !text.is_empty() && text.len() <= LONGEST_NAME && text.trim() == text && !text.chars().any(char::is_control);
    if sound {
        Ok(Some(text.into()))
    } else {
        Err(format!("its {claim} is not 1 to {LONGEST_NAME} bytes of visible text"))
    }
}
