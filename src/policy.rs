//! Hooks: facts in, verdict out. Scripts run under the limits of the `luau` room; a hook whose script is absent or fails
//! has its built-in rule, so nothing above this room ever sees a script error.

mod builtin;
mod facts;
pub mod harness;
mod health;
mod hook;
mod room;
mod verdict;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use crate::domain::facts::{Admission, RequestFacts};
use crate::domain::failure::{ErrorVerdict, Failure};
use crate::luau::{After, CallFailed, PerThread, Script, ScriptError};

use health::Health;
pub use health::HookFailures;
pub use hook::Hook;
use room::Room;

/// A script as it was read.
#[derive(Clone, Debug)]
pub struct Source {
    /// The name that messages show.
    pub file: String,
    pub text: String,
}

/// One script per hook; none = the hook's built-in rule.
#[derive(Clone, Debug, Default)]
pub struct PolicySources {
    pub admission: Option<Source>,
    pub errors: Option<Source>,
    pub tiers: Option<Source>,
}

/// Why a script is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyProblem {
    pub file: String,
    pub line: Option<u32>,
    pub message: String,
}

/// `file:line: message`.
impl fmt::Display for PolicyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

impl From<ScriptError> for PolicyProblem {
    fn from(error: ScriptError) -> Self {
        PolicyProblem { file: error.file, line: error.line, message: error.message }
    }
}

/// A hook has a script and no verdict. `reason` is for the operator; callers read `GatewayError::PolicyFailed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFailed {
    pub hook: &'static str,
    pub reason: String,
}

impl fmt::Display for PolicyFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the `{}` policy has no verdict: {}", self.hook, self.reason)
    }
}

impl std::error::Error for PolicyFailed {}

/// Failures of each hook since its scripts were compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyFailures {
    pub tiers: HookFailures,
    pub admission: HookFailures,
    pub errors: HookFailures,
}

impl PolicyFailures {
    /// By hook name, for metrics.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, HookFailures)> {
        [(Hook::Tiers, self.tiers), (Hook::Admission, self.admission), (Hook::Errors, self.errors)]
            .into_iter()
            .map(|(hook, failures)| (hook.as_str(), failures))
    }
}

/// The compiled policies of one config generation, shared by all threads; each thread runs them in a VM of its own.
pub struct Policies {
    scripts: [Option<Script>; Hook::COUNT],
    health: [Health; Hook::COUNT],
    rooms: PerThread<Room>,
}

impl Policies {
    /// Compiles every script, runs each one's top level once under the limits and requires that it returns a function.
    /// Reports the problems of all scripts.
    pub fn compile(sources: PolicySources) -> Result<Policies, Vec<PolicyProblem>> {
        let mut problems = Vec::new();
        let mut scripts = [const { None }; Hook::COUNT];
        for (hook, source) in
            [(Hook::Tiers, sources.tiers), (Hook::Admission, sources.admission), (Hook::Errors, sources.errors)]
        {
            let Some(source) = source else { continue };
            match Script::compile(&source.file, &source.text) {
                Ok(script) => scripts[hook.index()] = Some(script),
                Err(error) => problems.push(error.into()),
            }
        }
        // A VM per script: one that runs out of time or memory must not spoil the check of the next.
        for (hook, script) in Hook::ALL.into_iter().zip(&scripts) {
            if let Some(script) = script
                && let Err(failed) = Room::build(&scripts).and_then(|mut room| room.check(hook))
            {
                problems.push(room::problem(script.file(), failed));
            }
        }
        match problems.is_empty() {
            true => Ok(Policies { scripts, health: Default::default(), rooms: PerThread::default() }),
            false => Err(problems),
        }
    }

    /// No scripts at all.
    pub fn built_in() -> Policies {
        Policies { scripts: [const { None }; Hook::COUNT], health: Default::default(), rooms: PerThread::default() }
    }

    /// The tier for a request that asked for `auto`. None: no script, or it failed; the caller takes `default_tier`.
    pub fn tier(&self, facts: Arc<RequestFacts>) -> Option<String> {
        self.ask(Hook::Tiers, |room| room.tier(&facts))?.ok()
    }

    /// Without a script everything is allowed. A script that fails denies: its author wanted a say.
    pub fn admission(&self, facts: Arc<RequestFacts>) -> Result<Admission, PolicyFailed> {
        self.ask(Hook::Admission, |room| room.admission(&facts))
            .unwrap_or(Ok(Admission::Allow { tier: None, max_tokens: None }))
    }

    /// What a failed attempt means. Without a script, or when it fails, the built-in table answers.
    pub fn classify(&self, failure: &Failure) -> ErrorVerdict {
        self.errors(failure).and_then(Result::ok).unwrap_or_else(|| builtin::classify(failure))
    }

    /// Counters per hook; they live as long as this object.
    pub fn failures(&self) -> PolicyFailures {
        let now = Instant::now();
        let of = |hook: Hook| self.health[hook.index()].failures(now);
        PolicyFailures { tiers: of(Hook::Tiers), admission: of(Hook::Admission), errors: of(Hook::Errors) }
    }

    fn errors(&self, failure: &Failure) -> Option<Result<ErrorVerdict, PolicyFailed>> {
        self.ask(Hook::Errors, |room| room.errors(failure))
    }

    /// Runs one hook; none when it has no script.
    fn ask<R>(
        &self,
        hook: Hook,
        run: impl FnOnce(&mut Room) -> Result<R, CallFailed>,
    ) -> Option<Result<R, PolicyFailed>> {
        let script = self.scripts[hook.index()].as_ref()?;
        let health = &self.health[hook.index()];
        if health.is_quarantined(Instant::now()) {
            let reason = format!("{} is quarantined after failing again and again", script.file());
            return Some(Err(PolicyFailed { hook: hook.as_str(), reason }));
        }
        let build = || Room::build(&self.scripts);
        let work = |room: &mut Room| {
            let result = run(room);
            (result, if room.is_spent() { After::Rebuild } else { After::Keep })
        };
        match self.rooms.with(build, work).and_then(|result| result) {
            Ok(verdict) => {
                health.succeeded();
                Some(Ok(verdict))
            }
            Err(failed) => {
                let reason = room::problem(script.file(), failed).to_string();
                health.failed(Instant::now(), hook, &reason);
                Some(Err(PolicyFailed { hook: hook.as_str(), reason }))
            }
        }
    }
}

impl fmt::Debug for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = self.scripts.iter().map(|script| script.as_ref().map(Script::file));
        f.debug_list().entries(files).finish()
    }
}
