//! One thread's VM with its scripts loaded.

use std::sync::Arc;

use mlua::{FromLuaMulti, Function, IntoLuaMulti, Lua, Table};

use super::PolicyProblem;
use super::facts::{self, CurrentRequest, nearest};
use super::hook::Hook;
use super::verdict;
use crate::domain::facts::{Admission, RequestFacts};
use crate::domain::failure::{ErrorVerdict, Failure};
use crate::luau::{CallFailed, HostClock, Limits, Script, ScriptError, Vm};

pub(super) struct Room {
    vm: Vm,
    current: CurrentRequest,
    runners: Table,
    hooks: [Option<Loaded>; Hook::COUNT],
}

struct Loaded {
    file: String,
    chunk: Function,
    runner: Function,
}

impl Room {
    pub(super) fn build(scripts: &[Option<Script>; Hook::COUNT]) -> Result<Room, CallFailed> {
        let current = CurrentRequest::default();
        let mut runners = None;
        let vm = Vm::new(Limits::default(), |lua, clock| {
            runners = Some(prelude(lua, &current, clock)?);
            Ok(())
        })?;
        let runners = runners.ok_or_else(|| host_error("the prelude did not run"))?;
        let mut hooks = [const { None }; Hook::COUNT];
        for (hook, script) in Hook::ALL.into_iter().zip(scripts) {
            if let Some(script) = script {
                let chunk = vm.load(script)?;
                let runner = runners.get(hook.as_str()).map_err(host_error)?;
                hooks[hook.index()] = Some(Loaded { file: script.file().to_owned(), chunk, runner });
            }
        }
        Ok(Room { vm, current, runners, hooks })
    }

    /// Runs a script's top level, as every call will.
    pub(super) fn check(&mut self, hook: Hook) -> Result<(), CallFailed> {
        let Some(loaded) = &self.hooks[hook.index()] else { return Ok(()) };
        let check: Function = self.runners.get("check").map_err(host_error)?;
        self.vm.call(&loaded.file, &check, &loaded.chunk)
    }

    pub(super) fn tier(&mut self, facts: &Arc<RequestFacts>) -> Result<String, CallFailed> {
        self.judge_request(Hook::Tiers, facts)
    }

    pub(super) fn admission(&mut self, facts: &Arc<RequestFacts>) -> Result<Admission, CallFailed> {
        let raw = self.judge_request(Hook::Admission, facts)?;
        verdict::admission(raw, facts.max_tokens).ok_or_else(|| host_error("not a verdict"))
    }

    pub(super) fn errors(&mut self, failure: &Failure) -> Result<ErrorVerdict, CallFailed> {
        let raw = self.call(Hook::Errors, facts::failure_values(failure))?;
        verdict::errors(raw).ok_or_else(|| host_error("not a verdict"))
    }

    pub(super) fn is_spent(&self) -> bool {
        self.vm.is_spent()
    }

    fn judge_request<R: FromLuaMulti>(&mut self, hook: Hook, facts: &Arc<RequestFacts>) -> Result<R, CallFailed> {
        self.current.set(Some(Arc::clone(facts)));
        let result = self.call(hook, facts::request_values(facts));
        self.current.set(None);
        result
    }

    fn call<R: FromLuaMulti>(&mut self, hook: Hook, values: impl IntoLuaMulti) -> Result<R, CallFailed> {
        let Some(loaded) = &self.hooks[hook.index()] else { return Err(host_error("this hook has no script")) };
        self.vm.call(&loaded.file, &loaded.runner, (&loaded.chunk, values))
    }
}

/// What went wrong, as a problem of `file`.
pub(super) fn problem(file: &str, failed: CallFailed) -> PolicyProblem {
    match failed {
        CallFailed::Script(error) => error.into(),
        other => PolicyProblem { file: file.to_owned(), line: None, message: other.to_string() },
    }
}

fn prelude(lua: &Lua, current: &CurrentRequest, clock: HostClock) -> mlua::Result<Table> {
    let nearest = lua.create_function(|_, (name, known): (String, Vec<String>)| {
        Ok(nearest(&name, known.iter().map(String::as_str)))
    })?;
    let lookups = facts::lookups(lua, current, clock)?;
    lua.load(include_str!("prelude.luau")).set_name("=headgate").call((nearest, lookups))
}

fn host_error(error: impl ToString) -> CallFailed {
    CallFailed::Script(ScriptError { file: "headgate".to_owned(), line: None, message: error.to_string() })
}
