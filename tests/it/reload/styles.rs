//! The ways in which editors and deployments write a file.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Value, json};

use super::{editable, in_force, pretty, ready_when};
use crate::support::TestGateway;

fn in_place(file: &Path, text: &str) {
    let mut open = fs::OpenOptions::new().write(true).open(file).unwrap();
    open.write_all(text.as_bytes()).unwrap();
    open.set_len(text.len() as u64).unwrap();
}

fn rename_over(file: &Path, text: &str) {
    let new = file.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, file).unwrap();
}

fn delete_and_create(file: &Path, text: &str) {
    fs::remove_file(file).unwrap();
    fs::write(file, text).unwrap();
}

fn truncate_and_write(file: &Path, text: &str) {
    let mut open = File::create(file).unwrap();
    let (first, second) = text.as_bytes().split_at(text.len() / 2);
    open.write_all(first).unwrap();
    open.flush().unwrap();
    open.write_all(second).unwrap();
}

/// As a mounted config map: `file` -> `..data/file`, and `..data` -> a folder per version, swapped by a rename.
fn link_swap(file: &Path, text: &str) {
    let folder = file.parent().unwrap();
    let version = format!("..v{}", fs::read_dir(folder).unwrap().count());
    let name = file.file_name().unwrap();
    fs::create_dir(folder.join(&version)).unwrap();
    fs::write(folder.join(&version).join(name), text).unwrap();
    symlink(&version, folder.join("..new")).unwrap();
    fs::rename(folder.join("..new"), folder.join("..data")).unwrap();
    if !file.is_symlink() {
        symlink(Path::new("..data").join(name), folder.join("..link")).unwrap();
        fs::rename(folder.join("..link"), file).unwrap();
    }
}

type Style = (&'static str, fn(&Path, &str));

const STYLES: &[Style] = &[
    ("in place", in_place),
    ("rename over", rename_over),
    ("delete and create", delete_and_create),
    ("truncate and write", truncate_and_write),
    ("in place after all that", in_place),
    ("a link in its stead", link_swap),
    ("link swap", link_swap),
    ("link swap again", link_swap),
    ("in place behind the link", in_place),
    ("rename over the link", rename_over),
];

/// The next generation must serve with the cap that was written last.
async fn cap_is(gw: &TestGateway, cap: u64, about: &str) {
    gw.ask("standard").await;
    let seen = gw.mock.requests("first");
    let sent: Value = serde_json::from_str(&seen.last().unwrap().body).unwrap();
    let sent = sent["max_tokens"].as_u64().or(sent["max_completion_tokens"].as_u64());
    assert_eq!(sent, Some(cap), "{about}");
}

#[tokio::test]
async fn the_config_is_noticed_however_it_is_written() {
    let (gw, mut config) = editable().await;
    for (nth, (about, write)) in STYLES.iter().enumerate() {
        let cap = 100 + nth as u64;
        config["tiers"]["standard"]["max_tokens"] = json!(cap);
        write(&gw.config_path(), &pretty(&config));
        ready_when(&gw, about, |ready| ready["generation"] == nth as u64 + 2).await;
        cap_is(&gw, cap, about).await;
    }
}

#[tokio::test]
async fn a_policy_is_noticed_however_it_is_written() {
    let (gw, _) = editable().await;
    for (nth, (about, write)) in STYLES.iter().enumerate() {
        let cap = 100 + nth as u64;
        let script = format!("return function(request) return allow {{ max_tokens = {cap} }} end");
        write(&gw.folder.path().join("admission.lua"), &script);
        ready_when(&gw, about, |ready| ready["generation"] == nth as u64 + 2).await;
        cap_is(&gw, cap, about).await;
    }
}

#[tokio::test]
async fn a_bad_version_behind_a_swapped_link_can_be_mended_where_it_is() {
    let (gw, mut config) = editable().await;
    link_swap(&gw.config_path(), &pretty(&config).replace("\"default_tier\"", "\"defualt_tier\""));
    ready_when(&gw, "the mistake is named", |ready| ready["config_error"].is_string()).await;
    config["default_tier"] = json!("single");
    in_place(&gw.config_path(), &pretty(&config));
    in_force(&gw, 2).await;
}
