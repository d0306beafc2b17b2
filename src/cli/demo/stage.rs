//! What the tour plays on: a folder with a config, a mock provider, a gateway.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::app::{Gateway, Start};
use crate::cli::Failure;
use crate::simulator::Simulator;

const CONFIG: &str = include_str!("config.yaml");

/// Files of the demo's folder beside its config.
const POLICIES: [(&str, &str); 3] = [
    ("admission.lua", include_str!("admission.lua")),
    ("errors.lua", include_str!("../../../policies/errors.lua")),
    ("tiers.lua", include_str!("../../../policies/tiers.lua")),
];

/// Keys of the demo's two callers. They open nothing but this process's own mock.
pub(super) const WEB_KEY: &str = "demo-web";
pub(super) const TRIAL_KEY: &str = "demo-trial";

/// The port people try first.
const USUAL_PORT: u16 = 8080;

pub(super) struct Stage {
    pub mock: Simulator,
    pub gateway: Gateway,
    folder: PathBuf,
}

impl Stage {
    pub(super) async fn set(once: bool) -> Result<Stage, Failure> {
        let mock = Simulator::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let folder = std::env::temp_dir().join(format!("headgate-demo-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        for (name, text) in POLICIES {
            std::fs::write(folder.join(name), text)?;
        }
        let port = if once { 0 } else { free_or_any(USUAL_PORT) };
        let text = CONFIG
            .replace("@PORT@", &port.to_string())
            .replace("@MOCK@", &mock.anthropic_base_url())
            .replace("@WEB@", &sha256_hex(WEB_KEY))
            .replace("@TRIAL@", &sha256_hex(TRIAL_KEY));
        let config = folder.join("config.yaml");
        std::fs::write(&config, text)?;
        // Not the process's environment: a HEADGATE_ variable of another gateway must not bend the tour.
        let start = Start { config, env: BTreeMap::new(), log: Box::new(|_| {}) };
        let gateway = tokio::task::spawn_blocking(|| Gateway::start(start)).await??;
        Ok(Stage { mock, gateway, folder })
    }

    pub(super) fn config(&self) -> PathBuf {
        self.folder.join("config.yaml")
    }

    /// What a visitor can do next.
    pub(super) fn invite(&self) {
        let (client, admin) = (self.gateway.client, self.gateway.admin);
        println!("\n\x1b[1mIt stays up. Try it:\x1b[0m\n");
        println!(
            "  curl http://{client}/v1/chat/completions -H 'authorization: Bearer {WEB_KEY}' -H 'content-type: application/json' \\\n    \
             -d '{{\"model\":\"simple\",\"messages\":[{{\"role\":\"user\",\"content\":\"hello\"}}]}}'\n"
        );
        println!(
            "  curl -N http://{client}/v1/chat/completions -H 'authorization: Bearer {WEB_KEY}' -H 'content-type: application/json' \\\n    \
             -d '{{\"model\":\"auto\",\"stream\":true,\"messages\":[{{\"role\":\"user\",\"content\":\"hello\"}}]}}'\n"
        );
        println!("  curl http://{client}/v1/models -H 'authorization: Bearer {WEB_KEY}'");
        println!("  curl http://{admin}/api/usage -H 'authorization: Bearer {}'", self.gateway.admin_token);
        println!("\n  Edit {} or a policy beside it, save, and call again.", self.config().display());
        println!(
            "  Any OpenAI SDK: base_url = http://{client}/v1, api_key = {WEB_KEY}, model = simple | standard | complex | auto"
        );
        println!("\nCtrl-C ends it.");
    }

    /// Stops everything and removes the folder.
    pub(super) fn clear(self) {
        self.gateway.stop();
        remove(&self.folder);
    }
}

fn remove(folder: &Path) {
    if let Err(error) = std::fs::remove_dir_all(folder) {
        eprintln!("headgate: {} is left behind: {error}", folder.display());
    }
}

fn free_or_any(port: u16) -> u16 {
    if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() { port } else { 0 }
}

fn sha256_hex(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
