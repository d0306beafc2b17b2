//! Where a picture or a file is: behind a URL, or inside one.

use crate::domain::chat::Media;

/// None for a data URL that is not base64.
pub(super) fn media(url: &str) -> Option<Media> {
    let Some(inline) = url.strip_prefix("data:") else { return Some(Media::Url(url.to_owned())) };
    let (about, content) = inline.split_once(',').filter(|(about, _)| about.ends_with(";base64"))?;
    // `image/png;name=x;base64`: only the type counts.
    let media_type = about.split(';').next().unwrap_or_default().to_ascii_lowercase();
    Some(Media::Inline { media_type, data: content.to_owned() })
}
