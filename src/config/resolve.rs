//! What a config points to outside itself: secrets, files, addresses.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::read::Field;
use super::secret::Secret;

/// Where references lead.
pub(super) struct Surroundings<'a> {
    /// Folder of the config file; relative paths start here.
    pub(super) folder: &'a Path,
    pub(super) env: &'a BTreeMap<String, String>,
    /// Files that secrets were read from, in order.
    pub(super) secret_files: RefCell<Vec<PathBuf>>,
}

impl Surroundings<'_> {
    /// `${NAME}` or `file:PATH`, never the secret itself unless it is a `HEADGATE_…` override. A variable that is not
    /// set is a warning: a demo or a local server works without.
    pub(super) fn secret(&self, field: &Field<'_>) -> Option<Secret> {
        let text = field.text()?;
        if let Some(file) = text.strip_prefix("file:") {
            return self.secret_file(field, file);
        }
        if let Some(name) = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) {
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                field.problem("this is not the name of an environment variable; write ${NAME}");
                return None;
            }
            return match self.env.get(name).map(|value| value.trim()).filter(|value| !value.is_empty()) {
                Some(value) => Some(Secret::new(value)),
                None => {
                    field.warning(format!("the environment variable {name} is not set"));
                    None
                }
            };
        }
        if field.set_by_env() {
            return Some(Secret::new(text));
        }
        field.problem(
            "a secret must not be written into the file; put it into a variable and write \"${NAME}\", or file:PATH",
        );
        None
    }

    fn secret_file(&self, field: &Field<'_>, file: &str) -> Option<Secret> {
        let path = self.path(file);
        match std::fs::read_to_string(&path) {
            Ok(text) if text.trim().is_empty() => field.problem("the file it names is empty; write the secret into it"),
            Ok(text) => {
                if open_to_others(&path) {
                    field.warning("the file it names can be read by other users; chmod 600 keeps it private");
                }
                self.secret_files.borrow_mut().push(path);
                return Some(Secret::new(text.trim()));
            }
            Err(error) => {
                field.problem(format!("can't read {}: {error}; create it or correct the path", path.display()));
            }
        }
        None
    }

    /// The content of a file that is watched from now on.
    pub(super) fn read_file(&self, field: &Field<'_>, file: &str, max_bytes: u64) -> Option<Vec<u8>> {
        let path = self.path(file);
        match std::fs::metadata(&path).and_then(|meta| Ok((meta.len(), std::fs::read(&path)?))) {
            Ok((bytes, _)) if bytes > max_bytes => field.problem(format!("the file has more than {max_bytes} bytes")),
            Ok((_, content)) => {
                self.secret_files.borrow_mut().push(path);
                return Some(content);
            }
            Err(error) => {
                field.problem(format!("can't read {}: {error}; create it or correct the path", path.display()));
            }
        }
        None
    }

    /// A file that must exist.
    pub(super) fn existing_file(&self, field: &Field<'_>) -> Option<PathBuf> {
        let path = self.path(field.text()?);
        if path.is_file() {
            return Some(path);
        }
        field.problem(format!("there is no file {}; create it or correct the path", path.display()));
        None
    }

    /// Relative to the config file's folder.
    pub(super) fn path(&self, text: &str) -> PathBuf {
        self.folder.join(text.trim())
    }
}

#[cfg(unix)]
fn open_to_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|meta| meta.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn open_to_others(_: &Path) -> bool {
    false
}

/// The parts of an http URL that a config is checked for. By hand, because only the shape matters here and a URL
/// crate would be one more direct dependency; `egress` parses it in full.
pub(super) struct HttpUrl<'a> {
    pub(super) tls: bool,
    /// Without port and brackets.
    pub(super) host: &'a str,
    /// From the first slash behind the host; empty when there is none.
    pub(super) path: &'a str,
}

impl<'a> HttpUrl<'a> {
    /// None when it is no `http://` or `https://` URL, or has credentials, a query or a fragment in it.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (tls, rest) = match text.strip_prefix("https://") {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix("http://")?),
        };
        if text.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '@' | '?' | '#' | '\\')) {
            return None;
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match authority.strip_prefix('[') {
            Some(inner) => {
                let (host, port) = inner.split_once(']')?;
                host.parse::<IpAddr>().ok()?;
                (host, port.strip_prefix(':').or(port.is_empty().then_some("")))
            }
            None => authority.split_once(':').map_or((authority, Some("")), |(host, port)| (host, Some(port))),
        };
        let port = port?;
        if host.is_empty() || !(port.is_empty() || port.parse::<u16>().is_ok()) {
            return None;
        }
        Some(HttpUrl { tls, host, path })
    }

    pub(super) fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_http_url_is_taken() {
        let good = |text| HttpUrl::parse(text).map(|url| (url.tls, url.host, url.path));
        assert_eq!(good("https://api.example/v1"), Some((true, "api.example", "/v1")));
        assert_eq!(good("http://127.0.0.1:11434"), Some((false, "127.0.0.1", "")));
        assert_eq!(good("http://[::1]:9/x"), Some((false, "::1", "/x")));
        for wrong in [
            "api.example",
            "ftp://x",
            "http://",
            "http://:80",
            "https://u:p@x",
            "http://x:port",
            "http://x?y=1",
            "http://[zz]",
            "http://[::1]9",
            "http://a b",
        ] {
            assert_eq!(good(wrong), None, "{wrong}");
        }
    }
}
