//! Pictures and files in messages.

use serde_json::Value;

use super::parts::Place;
use crate::dialects::text_files::as_text;
use crate::domain::chat::{Media, Part};
use crate::domain::error::GatewayError;

/// A picture or a file. Each version of the SDK has other names for where it is and of what type.
pub(super) fn file(part: &Value, place: Place) -> Result<Part, GatewayError> {
    let first = |names: &[&str]| names.iter().find_map(|name| part[*name].as_str());
    let told = first(&["mediaType", "mimeType", "contentType"]);
    let Some(location) = first(&["url", "data", "image"]) else {
        return Err(place.refuse("has a file that is neither a URL nor base64"));
    };
    let media = match (location.strip_prefix("data:"), told) {
        (Some(inline), _) => data_url(inline, told, place)?,
        (None, _) if location.contains("://") => Media::Url(location.to_owned()),
        (None, Some(media_type)) => {
            Media::Inline { media_type: media_type.to_ascii_lowercase(), data: location.to_owned() }
        }
        (None, None) => return Err(place.refuse("has a file without its `mediaType`")),
    };
    let media_type = match (&media, told) {
        (Media::Inline { media_type, .. }, _) => media_type,
        (Media::Url(_), told) => told.unwrap_or_default(),
    };
    if part["type"] == "image" || media_type.starts_with("image/") {
        return Ok(Part::Image(media));
    }
    let name = first(&["filename", "name"]);
    Ok(as_text(&media, name).unwrap_or_else(|| Part::File { media, name: name.map(str::to_owned) }))
}

fn data_url(inline: &str, told: Option<&str>, place: Place) -> Result<Media, GatewayError> {
    match inline.split_once(',') {
        Some((about, data)) if about.ends_with(";base64") => {
            // `image/png;name=x;base64`: only the type counts.
            let own = about.split(';').next().filter(|media_type| !media_type.is_empty());
            let media_type = own.or(told).unwrap_or("application/octet-stream").to_ascii_lowercase();
            Ok(Media::Inline { media_type, data: data.to_owned() })
        }
        _ => Err(place.refuse("has a data URL that is not base64")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(media_type: &str, data: &str) -> Part {
        let url = format!("data:{media_type};base64,{data}");
        file(&json!({ "type": "file", "mediaType": media_type, "filename": "a", "url": url }), Place(0))
            .expect("a file")
    }

    #[test]
    fn a_file_that_is_text_is_read_to_every_model_and_others_stay_files() {
        assert_eq!(read("text/markdown", "R3LDvMOfZQ=="), Part::Text("a\nGrüße".into()));
        let kept = |media_type: &str, data: &str| matches!(read(media_type, data), Part::File { .. });
        assert!(kept("application/pdf", "R3LDvMOfZQ=="));
        assert!(kept("text/plain", "/////w=="), "no UTF-8");
        assert!(kept("text/plain", "no base64"));
    }
}
