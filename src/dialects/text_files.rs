//! Files that are text already: most models take no such files, and all of them read the text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::domain::chat::{Media, Part};

/// The file's name and text; none for other files, and for those that can't be read.
pub(super) fn as_text(media: &Media, name: Option<&str>) -> Option<Part> {
    let Media::Inline { media_type, data } = media else { return None };
    let is_text = media_type.starts_with("text/") || media_type == "application/json";
    let bytes = is_text.then(|| STANDARD.decode(data).ok())??;
    let text = String::from_utf8(bytes).ok()?;
    Some(Part::Text(name.map(|name| format!("{name}\n{text}")).unwrap_or(text)))
}
