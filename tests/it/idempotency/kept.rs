//! What the store keeps of a journaled run, and for how long.

use std::time::Duration;

use bytes::Bytes;
use headgate::domain::ids::RunId;
use headgate::domain::kept::{Claim, KEPT_VERSION, KeptAbout, KeptHead, KeptName, KeptState, NameKind, Pen};
use headgate::journal::{Journal, PAGE};
use headgate::runs::{KeptRuns, Opened, Opening, Process};
use headgate::store::StoreError;

use crate::ledger::rig::{NOON_MS, Rig, on_both_stores};

const KEEP: Duration = Duration::from_secs(3_600);

on_both_stores!(
    frames_come_back_in_order_from_any_number,
    an_append_that_is_repeated_changes_nothing,
    an_append_behind_a_gap_is_refused,
    a_kept_run_is_read_back_as_it_was_written,
    a_state_never_moves_back,
    a_claim_whose_run_is_forgotten_is_free,
    a_late_write_does_not_bring_a_forgotten_run_back,
);

fn frame(n: usize) -> Bytes {
    format!("data: {n}\n\n").into()
}

fn about(id: RunId) -> KeptAbout {
    KeptAbout {
        version: KEPT_VERSION,
        id,
        key: "web".into(),
        user: "ann".into(),
        dialect: "openai_chat".into(),
        stream: true,
        created_ms: NOON_MS,
        job: None,
    }
}

fn claim(body: u8) -> Claim {
    Claim { name: KeptName::new(NameKind::Idempotency, "web", &[b"/v1", b"k"]), body: [body; 32] }
}

async fn open(kept: &KeptRuns, id: RunId, claim: Option<Claim>) -> Opened {
    let request = Bytes::from_static(b"{\"model\":\"m\"}");
    kept.open(Opening { about: &about(id), request: &request, claim, name: None, head: None, queued: None }, KEEP)
        .await
        .unwrap()
}

async fn frames_come_back_in_order_from_any_number(rig: Rig) {
    let (journal, run) = (Journal::new(&rig.store), RunId::mint());
    let all: Vec<Bytes> = (0..PAGE + 10).map(frame).collect();
    for (n, some) in all.chunks(37).enumerate() {
        journal.append(Pen::unfenced(run), (n * 37) as u64, some.to_vec(), KEEP).await.unwrap();
    }
    for from in [0, 1, 36, 37, PAGE, PAGE + 9, PAGE + 10] {
        let read = journal.read(run, from as u64).await.unwrap();
        assert_eq!(read, all[from..(from + PAGE).min(all.len())], "from {from}");
    }
    assert_eq!(journal.read(RunId::mint(), 0).await.unwrap(), Vec::<Bytes>::new());
}

async fn an_append_that_is_repeated_changes_nothing(rig: Rig) {
    let (journal, run) = (Journal::new(&rig.store), RunId::mint());
    for _ in 0..2 {
        journal.append(Pen::unfenced(run), 0, vec![frame(0), frame(1)], KEEP).await.unwrap();
    }
    journal.append(Pen::unfenced(run), 1, vec![frame(1), frame(2)], KEEP).await.unwrap();
    assert_eq!(journal.read(run, 0).await.unwrap(), [frame(0), frame(1), frame(2)]);
}

async fn an_append_behind_a_gap_is_refused(rig: Rig) {
    let (journal, run) = (Journal::new(&rig.store), RunId::mint());
    journal.append(Pen::unfenced(run), 0, vec![frame(0)], KEEP).await.unwrap();
    let refused = journal.append(Pen::unfenced(run), 2, vec![frame(2)], KEEP).await;
    assert!(matches!(refused, Err(StoreError::Corrupt(_))), "{refused:?}");
    assert_eq!(journal.read(run, 0).await.unwrap(), [frame(0)]);
}

async fn a_kept_run_is_read_back_as_it_was_written(rig: Rig) {
    let (kept, run) = (KeptRuns::new(&rig.store, &Process::mint()), RunId::mint());
    let head =
        KeptHead { status: 200, content_type: "application/json".into(), headers: vec![("a".into(), "b".into())] };
    let (body, name) = (Bytes::from_static(b"\x00\xffbinary"), KeptName::new(NameKind::Idempotency, "web", &[b"n"]));
    assert_eq!(open(&kept, run, None).await, Opened::New);
    kept.set_name(run, name, KEEP).await.unwrap();
    let found = kept.find(run).await.unwrap().unwrap();
    assert_eq!((found.about, found.state, found.head, found.body), (about(run), KeptState::Running, None, None));
    kept.close(run, KeptState::Whole, Some((&head, &body))).await.unwrap();
    let found = kept.find(kept.named(name).await.unwrap().unwrap()).await.unwrap().unwrap();
    assert_eq!((found.state, found.head, found.body), (KeptState::Whole, Some(head), Some(body)));
    assert_eq!(kept.find(RunId::mint()).await.unwrap(), None);
}

async fn a_state_never_moves_back(rig: Rig) {
    let (kept, run) = (KeptRuns::new(&rig.store, &Process::mint()), RunId::mint());
    open(&kept, run, None).await;
    kept.close(run, KeptState::Broken, None).await.unwrap();
    kept.close(run, KeptState::Whole, None).await.unwrap();
    assert_eq!(kept.find(run).await.unwrap().unwrap().state, KeptState::Broken);
}

async fn a_claim_whose_run_is_forgotten_is_free(rig: Rig) {
    let (kept, first, second) = (KeptRuns::new(&rig.store, &Process::mint()), RunId::mint(), RunId::mint());
    assert_eq!(open(&kept, first, Some(claim(1))).await, Opened::New);
    assert_eq!(open(&kept, second, Some(claim(1))).await, Opened::Same(first));
    assert_eq!(open(&kept, second, Some(claim(2))).await, Opened::OtherBody);
    kept.forget(first, Some(claim(1))).await.unwrap();
    assert_eq!(open(&kept, second, Some(claim(2))).await, Opened::New);
}

async fn a_late_write_does_not_bring_a_forgotten_run_back(rig: Rig) {
    let (kept, run) = (KeptRuns::new(&rig.store, &Process::mint()), RunId::mint());
    open(&kept, run, None).await;
    kept.forget(run, None).await.unwrap();
    kept.close(run, KeptState::Whole, None).await.unwrap();
    assert_eq!(kept.find(run).await.unwrap(), None);
}

#[tokio::test]
async fn what_is_older_than_keep_results_is_gone_from_the_file() {
    let rig = Rig::sqlite();
    let (kept, journal) = (KeptRuns::new(&rig.store, &Process::mint()), Journal::new(&rig.store));
    // Ids carry the time of this machine, not the clock's; the clock is stepped to it.
    let run = RunId::mint();
    let now_ms = u64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    rig.clock.advance(now_ms.saturating_sub(NOON_MS));
    open(&kept, run, Some(claim(1))).await;
    journal.append(Pen::unfenced(run), 0, vec![frame(0)], KEEP).await.unwrap();
    kept.purge(KEEP).await.unwrap();
    journal.purge(KEEP).await.unwrap();
    assert!(kept.find(run).await.unwrap().is_some());
    rig.clock.advance(3_700_000);
    kept.purge(KEEP).await.unwrap();
    journal.purge(KEEP).await.unwrap();
    assert_eq!(kept.find(run).await.unwrap(), None);
    assert_eq!(journal.read(run, 0).await.unwrap(), Vec::<Bytes>::new());
}
