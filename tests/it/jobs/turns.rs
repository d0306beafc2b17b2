//! The queue's rules, on either store: who is next, who may write, what is owed.

use std::time::Duration;

use bytes::Bytes;
use headgate::domain::ids::RunId;
use headgate::domain::kept::{JobAbout, KEPT_VERSION, KeptAbout, KeptState, Pen};
use headgate::journal::Journal;
use headgate::runs::{Claimed, Jobs, KeptRuns, Opened, Opening, Process, Queued};
use headgate::store::StoreError;

use crate::ledger::rig::{NOON_MS, Rig, on_both_stores};

const KEEP: Duration = Duration::from_secs(3_600);

on_both_stores!(
    callers_take_turns_and_each_ones_jobs_keep_their_order,
    who_was_overtaken_may_neither_write_nor_end_the_job,
    a_cancelled_job_is_claimed_by_nobody_and_its_worker_is_refused,
    a_start_that_was_given_back_does_not_count,
    what_a_dead_process_owes_is_found_until_it_is_paid,
    a_deleted_job_is_not_run,
);

/// A process that works on jobs.
struct Works {
    jobs: Jobs,
    kept: KeptRuns,
    journal: Journal,
}

impl Works {
    fn on(rig: &Rig) -> Self {
        let process = Process::mint();
        Works {
            jobs: Jobs::new(&rig.store, &process),
            kept: KeptRuns::new(&rig.store, &process),
            journal: Journal::new(&rig.store),
        }
    }

    async fn queue(&self, lane: &str) -> RunId {
        let run = RunId::mint();
        let job = JobAbout { request_id: "r".into(), team: String::new(), forwarded: Vec::new() };
        let about = KeptAbout {
            version: KEPT_VERSION,
            id: run,
            key: "web".into(),
            user: lane.into(),
            dialect: "openai_responses".into(),
            stream: false,
            created_ms: NOON_MS,
            job: Some(job),
        };
        let queued = Queued { lane: lane.into(), work: None };
        let opening = Opening {
            about: &about,
            request: &Bytes::from_static(b"{}"),
            claim: None,
            name: None,
            head: None,
            queued: Some(&queued),
        };
        assert_eq!(self.kept.open(opening, KEEP).await.unwrap(), Opened::New);
        run
    }

    async fn claim(&self) -> Claimed {
        self.jobs.claim().await.unwrap().expect("a job is queued")
    }

    async fn writes(&self, pen: Pen, number: u64) -> Result<(), StoreError> {
        self.journal.append(pen, number, vec![Bytes::from_static(b"data: x\n\n")], KEEP).await
    }
}

/// The processes before this one are dead.
async fn everybody_dies(rig: &Rig) {
    if let Some(redis) = &rig.redis {
        let forget = "for _, k in ipairs(redis.call('KEYS', 'hg:process:*')) do redis.call('DEL', k) end";
        redis.command(&["EVAL", forget, "0"]);
    }
}

async fn callers_take_turns_and_each_ones_jobs_keep_their_order(rig: Rig) {
    let works = Works::on(&rig);
    let mut ann = Vec::new();
    for _ in 0..4 {
        ann.push(works.queue("ann").await);
    }
    assert_eq!(works.claim().await.pen.run, ann[0]);
    // Bob comes late and is next; then they alternate.
    let bob = [works.queue("bob").await, works.queue("bob").await];
    let mut order = Vec::new();
    for _ in 0..5 {
        order.push(works.claim().await.pen.run);
    }
    assert_eq!(order, [bob[0], ann[1], bob[1], ann[2], ann[3]]);
    assert_eq!(works.jobs.claim().await.unwrap(), None);
    assert_eq!(works.jobs.queued().await.unwrap(), 0);
}

async fn who_was_overtaken_may_neither_write_nor_end_the_job(rig: Rig) {
    let (first, second) = (Works::on(&rig), Works::on(&rig));
    let run = first.queue("ann").await;
    let old = first.claim().await;
    assert_eq!((old.pen.fence, old.starts), (Some(1), 1));
    first.writes(old.pen, 0).await.unwrap();
    everybody_dies(&rig).await;
    assert_eq!(second.jobs.revive().await.unwrap(), 1);
    let new = second.claim().await;
    assert_eq!((new.pen.run, new.pen.fence, new.starts), (run, Some(2), 2));
    assert_ne!(new.pen.hold(), old.pen.hold(), "what the dead set aside is not ours");

    assert_eq!(first.writes(old.pen, 1).await, Err(StoreError::Superseded(run)));
    let ended = first.jobs.end(old.pen, KeptState::Whole, Some("owed".into()), KEEP).await;
    assert_eq!(ended, Err(StoreError::Superseded(run)));
    assert!(!first.jobs.was_cancelled(old.pen).await.unwrap());
    assert_eq!(second.kept.find(run).await.unwrap().unwrap().state, KeptState::Running);

    second.writes(new.pen, 1).await.unwrap();
    second.jobs.end(new.pen, KeptState::Whole, None, KEEP).await.unwrap();
    second.jobs.end(new.pen, KeptState::Whole, None, KEEP).await.expect("it is safe to repeat");
    assert_eq!(second.kept.find(run).await.unwrap().unwrap().state, KeptState::Whole);
    assert_eq!(second.jobs.revive().await.unwrap(), 0);
}

async fn a_cancelled_job_is_claimed_by_nobody_and_its_worker_is_refused(rig: Rig) {
    let works = Works::on(&rig);
    let (working, waiting) = (works.queue("ann").await, works.queue("ann").await);
    let old = works.claim().await.pen;
    for run in [working, waiting] {
        let pen = works.jobs.cancel(run, KEEP).await.unwrap().expect("it had not ended");
        works.writes(pen, 0).await.unwrap();
        assert_eq!(works.jobs.cancel(run, KEEP).await.unwrap(), None, "a second time changes nothing");
        assert_eq!(works.kept.find(run).await.unwrap().unwrap().state, KeptState::Broken);
    }
    assert_eq!(works.writes(old, 1).await, Err(StoreError::Superseded(working)));
    assert!(works.jobs.was_cancelled(old).await.unwrap());
    assert_eq!(works.jobs.claim().await.unwrap(), None);
    assert_eq!(works.jobs.queued().await.unwrap(), 0);
}

async fn a_start_that_was_given_back_does_not_count(rig: Rig) {
    let works = Works::on(&rig);
    let run = works.queue("ann").await;
    let first = works.claim().await;
    assert_eq!(works.jobs.mine().await.unwrap(), [first.pen]);
    works.jobs.hand_back(first.pen).await.unwrap();
    works.jobs.hand_back(first.pen).await.unwrap();
    assert_eq!((works.jobs.queued().await.unwrap(), works.jobs.mine().await.unwrap()), (1, Vec::new()));
    let second = works.claim().await;
    assert_eq!((second.pen.run, second.pen.fence, second.starts), (run, Some(2), 1));
}

async fn what_a_dead_process_owes_is_found_until_it_is_paid(rig: Rig) {
    let (first, second) = (Works::on(&rig), Works::on(&rig));
    let run = first.queue("ann").await;
    let pen = first.claim().await.pen;
    first.jobs.end(pen, KeptState::Whole, Some("7 dollars".into()), KEEP).await.unwrap();
    assert_eq!(first.jobs.unpaid().await.unwrap(), [], "it pays by itself while it lives");
    everybody_dies(&rig).await;
    assert_eq!(second.jobs.unpaid().await.unwrap(), [(run, "7 dollars".to_owned())]);
    second.jobs.paid(run).await.unwrap();
    assert_eq!(second.jobs.unpaid().await.unwrap(), []);
}

async fn a_deleted_job_is_not_run(rig: Rig) {
    let works = Works::on(&rig);
    let run = works.queue("ann").await;
    works.jobs.cancel(run, KEEP).await.unwrap();
    works.kept.forget(run, None).await.unwrap();
    assert_eq!(works.jobs.claim().await.unwrap(), None);
    assert_eq!(works.kept.find(run).await.unwrap(), None);
    let late = works.writes(Pen { run, fence: Some(2) }, 0).await;
    assert_eq!(late, Err(StoreError::Superseded(run)), "nothing brings it back");
}
