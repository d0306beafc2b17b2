//! One virtual machine: made, called under limits, thrown away when it ran out of something.

use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use mlua::{FromLuaMulti, Function, IntoLuaMulti, Lua, Table, VmState};

use super::globals;
use super::script::{Script, ScriptError};
use super::watch::Watch;

/// What one call may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes over what the VM needs for itself.
    pub memory_bytes: usize,
    /// Wall clock per call. A call that hardly ran because its thread was not scheduled may take twice as long.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { memory_bytes: 8 * 1024 * 1024, time: Duration::from_millis(10) }
    }
}

/// Why a call has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallFailed {
    OutOfTime {
        limit: Duration,
    },
    OutOfMemory {
        limit_bytes: usize,
    },
    /// The script raised an error or returned something of the wrong type.
    Script(ScriptError),
}

impl fmt::Display for CallFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallFailed::OutOfTime { limit } => {
                write!(f, "the script ran longer than {} ms; make it shorter", limit.as_millis())
            }
            CallFailed::OutOfMemory { limit_bytes } => {
                write!(f, "the script used more than {} MiB; keep less", limit_bytes / (1024 * 1024))
            }
            CallFailed::Script(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CallFailed {}

/// A VM for trusted host code and untrusted scripts. Not shared by threads.
pub struct Vm {
    lua: Lua,
    watch: Rc<Watch>,
    limits: Limits,
    /// The scripts' own globals; reads fall through to the frozen ones.
    environment: Table,
    /// Used bytes above which the VM is cleaned up or rebuilt before its next call.
    crowded_bytes: usize,
    spent: bool,
}

impl Vm {
    /// `prepare` adds the host's own globals before everything is frozen; its clock is for host functions that work long.
    pub fn new(limits: Limits, prepare: impl FnOnce(&Lua, HostClock) -> mlua::Result<()>) -> Result<Vm, CallFailed> {
        Vm::build(limits, prepare).map_err(|error| CallFailed::Script(ScriptError::from_lua("headgate", &error)))
    }

    fn build(limits: Limits, prepare: impl FnOnce(&Lua, HostClock) -> mlua::Result<()>) -> mlua::Result<Vm> {
        let watch = Rc::new(Watch::default());
        let clock = HostClock(Rc::clone(&watch));
        let (lua, globals) = globals::new_lua(|lua| prepare(lua, clock))?;
        let environment = lua.create_table()?;
        let parent = lua.create_table_from([("__index", globals)])?;
        parent.set_readonly(true);
        environment.set_metatable(Some(parent))?;
        // Left without `safeenv`: with it, compiled fast calls would reach built-ins that the allow-list removed by name.

        let asked = Rc::clone(&watch);
        lua.set_interrupt(move |_| match asked.is_over() {
            false => Ok(VmState::Continue),
            true => Err(mlua::Error::runtime("out of time")),
        });
        lua.gc_collect()?;
        let base = lua.used_memory();
        lua.set_memory_limit(base + limits.memory_bytes)?;
        Ok(Vm { lua, watch, limits, environment, crowded_bytes: base + limits.memory_bytes / 2, spent: false })
    }

    /// For values that the host keeps in this VM.
    pub fn lua(&self) -> &Lua {
        &self.lua
    }

    /// Loads a script as a function without running it.
    pub fn load(&self, script: &Script) -> Result<Function, CallFailed> {
        self.lua
            .load(script.bytecode())
            .set_name(format!("@{}", script.file()))
            .set_environment(self.environment.clone())
            .into_function()
            .map_err(|error| self.failure(script.file(), &error))
    }

    /// Calls `function` under the limits. `file` is the script that errors are attributed to.
    pub fn call<R: FromLuaMulti>(
        &mut self,
        file: &str,
        function: &Function,
        arguments: impl IntoLuaMulti,
    ) -> Result<R, CallFailed> {
        self.watch.start(self.limits.time);
        let result = function.call(arguments);
        if self.watch.stop() {
            self.spent = true;
            return Err(CallFailed::OutOfTime { limit: self.limits.time });
        }
        let emptied = self.environment.is_empty() || self.environment.clear().is_ok();
        self.spent |= !emptied || self.is_crowded();
        result.map_err(|error| {
            self.spent |= ran_out_of_memory(&error);
            self.failure(file, &error)
        })
    }

    /// True when the VM must not serve another call.
    pub fn is_spent(&self) -> bool {
        self.spent
    }

    /// Luau collects as it allocates and fails an allocation rather than collect for it, so a call must not start amid much
    /// garbage of earlier ones.
    fn is_crowded(&self) -> bool {
        self.lua.used_memory() > self.crowded_bytes
            && (self.lua.gc_collect().is_err() || self.lua.used_memory() > self.crowded_bytes)
    }

    fn failure(&self, file: &str, error: &mlua::Error) -> CallFailed {
        if ran_out_of_memory(error) {
            return CallFailed::OutOfMemory { limit_bytes: self.limits.memory_bytes };
        }
        CallFailed::Script(ScriptError::from_lua(file, error))
    }
}

/// A clock for host functions: their work is not the script's time.
pub struct HostClock(Rc<Watch>);

impl HostClock {
    pub fn run<R>(&self, work: impl FnOnce() -> R) -> R {
        let begun = Instant::now();
        let result = work();
        self.0.excuse(begun.elapsed());
        result
    }
}

fn ran_out_of_memory(error: &mlua::Error) -> bool {
    match error {
        mlua::Error::MemoryError(_) => true,
        mlua::Error::CallbackError { cause, .. } => ran_out_of_memory(cause),
        // Caught by the script and raised again as text.
        mlua::Error::RuntimeError(text) => text.contains("not enough memory"),
        _ => false,
    }
}
