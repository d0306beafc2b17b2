//! Kept runs on Redis: a hash per run and one per name, which expire by themselves; a key per process that shows life.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::domain::ids::RunId;
use crate::domain::kept::{Claim, KeptName, KeptRun, KeptState};
use crate::store::StoreError;
use crate::store::redis::{Redis, Script};

use super::super::Process;
use super::{Opened, Opening, PROCESS_LEASE, decode, encode};

#[derive(Clone)]
pub(super) struct RedisKept {
    store: Redis,
    process: Process,
    scripts: Arc<Scripts>,
}

struct Scripts {
    open: Script,
    update: Script,
    find: Script,
}

/// What `find.lua` answers: about, state, request, head, body.
type Row = (String, String, Vec<u8>, Option<String>, Option<Vec<u8>>);

impl RedisKept {
    pub fn new(store: Redis, process: Process) -> Self {
        let scripts = Scripts {
            open: Script::new(&[include_str!("open.lua")]),
            update: Script::new(&[include_str!("update.lua")]),
            find: Script::new(&[include_str!("find.lua")]),
        };
        RedisKept { store, process, scripts: Arc::new(scripts) }
    }

    /// Safe to repeat: a claim that is already this run's own answers `Same` with its id.
    pub async fn open(&self, opening: Opening<'_>, keep: Duration) -> Result<Opened, StoreError> {
        let run = opening.about.id;
        let (claim, body) = opening.claim.map(|claim| (hex(&claim.name.0), hex(&claim.body))).unwrap_or_default();
        let args = [
            run.to_string().into_bytes(),
            encode(opening.about)?.into_bytes(),
            self.process.as_bytes(),
            opening.request.to_vec(),
            millis(keep),
            millis(PROCESS_LEASE),
            claim.into_bytes(),
            body.into_bytes(),
            opening.name.map(|name| hex(&name.0)).unwrap_or_default().into_bytes(),
            opening.queued.map(|queued| queued.lane.clone()).unwrap_or_default().into_bytes(),
            opening.head.map(encode).transpose()?.unwrap_or_default().into_bytes(),
            opening.queued.and_then(|queued| queued.work.clone()).unwrap_or_default().to_vec(),
        ];
        let answer: String = self.store.run(&self.scripts.open, &args).await?;
        match answer.as_str() {
            "new" => Ok(Opened::New),
            "other" => Ok(Opened::OtherBody),
            holder => match RunId::parse(holder) {
                // The first try was done and its answer lost.
                Some(holder) if holder == run => Ok(Opened::New),
                Some(holder) => Ok(Opened::Same(holder)),
                None => Err(StoreError::Corrupt("a claim names no run".to_owned())),
            },
        }
    }

    pub async fn set_head(&self, run: RunId, head: String) -> Result<(), StoreError> {
        self.update(run, vec![("head", head.into_bytes())]).await
    }

    pub async fn set_name(&self, run: RunId, name: KeptName, keep: Duration) -> Result<(), StoreError> {
        let key = name_key(name);
        let mut commands = redis::Pipeline::new();
        commands.cmd("DEL").arg(&key).ignore();
        commands.cmd("HSET").arg(&key).arg("run").arg(run.to_string()).ignore();
        commands.cmd("PEXPIRE").arg(&key).arg(millis(keep)).ignore();
        self.store.pipeline(&commands).await
    }

    pub async fn close(&self, run: RunId, state: KeptState, whole: Option<(String, Bytes)>) -> Result<(), StoreError> {
        let mut fields = vec![("state", state.as_str().into())];
        if let Some((head, body)) = whole {
            fields.extend([("head", head.into_bytes()), ("body", body.to_vec())]);
        }
        self.update(run, fields).await
    }

    pub async fn forget(&self, run: RunId, claim: Option<Claim>) -> Result<(), StoreError> {
        let mut command = redis::cmd("DEL");
        command.arg(kept_key(run)).arg(format!("hg:job:{run}"));
        if let Some(claim) = claim {
            command.arg(name_key(claim.name));
        }
        self.store.command(&command).await
    }

    pub async fn find(&self, run: RunId) -> Result<Option<KeptRun>, StoreError> {
        let row: Option<Row> = self.store.run(&self.scripts.find, &[run.to_string().into_bytes()]).await?;
        Ok(row.and_then(|(about, state, request, head, body)| {
            decode(&about, KeptState::parse(&state), request, head, body)
        }))
    }

    pub async fn named(&self, name: KeptName) -> Result<Option<RunId>, StoreError> {
        let run: Option<String> = self.store.command(redis::cmd("HGET").arg(name_key(name)).arg("run")).await?;
        Ok(run.and_then(|run| RunId::parse(&run)))
    }

    pub async fn show_life(&self) -> Result<(), StoreError> {
        let key = format!("hg:process:{}", self.process.as_str());
        let mut command = redis::cmd("SET");
        command.arg(key).arg(1).arg("PX").arg(millis(PROCESS_LEASE));
        self.store.command(&command).await
    }

    pub async fn ask_stop(&self, run: RunId) -> Result<(), StoreError> {
        self.update(run, vec![("stop", b"1".to_vec())]).await
    }

    pub async fn to_stop(&self, runs: &[RunId]) -> Result<Vec<RunId>, StoreError> {
        let mut commands = redis::Pipeline::new();
        for run in runs {
            commands.cmd("HEXISTS").arg(kept_key(*run)).arg("stop");
        }
        let asked: Vec<bool> = self.store.pipeline(&commands).await?;
        Ok(runs.iter().zip(asked).filter_map(|(run, asked)| asked.then_some(*run)).collect())
    }

    async fn update(&self, run: RunId, fields: Vec<(&str, Vec<u8>)>) -> Result<(), StoreError> {
        let mut args = vec![run.to_string().into_bytes()];
        args.extend(fields.into_iter().flat_map(|(field, value)| [field.as_bytes().to_vec(), value]));
        self.store.run::<i64>(&self.scripts.update, &args).await.map(|_| ())
    }
}

fn kept_key(run: RunId) -> String {
    format!("hg:kept:{run}")
}

fn name_key(name: KeptName) -> String {
    format!("hg:name:{}", hex(&name.0))
}

fn millis(duration: Duration) -> Vec<u8> {
    duration.as_millis().to_string().into_bytes()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
