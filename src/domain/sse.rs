//! Server-sent events at byte level: split anywhere, any line ending, never decoded as text before a frame is whole.
//!
//! Written by hand because passthrough forwards the frame's own bytes: the known crates decode to strings and drop
//! the original framing, and none caps a line, an event and the number of lines.

use std::borrow::Cow;
use std::fmt;

use bytes::{Bytes, BytesMut};

use super::json::mended;

/// May open a stream, and is a part of the first line anywhere else.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Caps on what a peer may make us hold.
#[derive(Clone, Copy, Debug)]
pub struct SseCaps {
    /// Bytes of one frame, line endings included.
    pub frame_bytes: usize,
    /// Lines of one frame; empty `data:` lines cost no bytes of content, so bytes alone are no cap.
    pub lines: usize,
}

impl Default for SseCaps {
    fn default() -> Self {
        SseCaps { frame_bytes: 4 << 20, lines: 16_384 }
    }
}

/// One whole frame: its exact bytes with the blank line that ends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SseFrame {
    pub raw: Bytes,
}

/// The fields of a frame that matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SseFields<'a> {
    pub event: Option<&'a [u8]>,
    /// Joined with a line feed where there are several `data:` lines, and [`mended`]; none for comments.
    pub data: Option<Cow<'a, [u8]>>,
}

impl SseFrame {
    pub fn fields(&self) -> SseFields<'_> {
        let mut fields = SseFields::default();
        for line in self.raw.split(|b| *b == b'\n' || *b == b'\r') {
            let (name, value) = match memchr(b':', line) {
                Some(0) | None => continue,
                Some(colon) => (&line[..colon], &line[colon + 1..]),
            };
            let value = value.strip_prefix(b" ").unwrap_or(value);
            match name {
                b"event" => fields.event = Some(value),
                b"data" => {
                    fields.data = Some(match fields.data.take() {
                        None => Cow::Borrowed(value),
                        Some(before) => {
                            let mut joined = before.into_owned();
                            joined.push(b'\n');
                            joined.extend_from_slice(value);
                            Cow::Owned(joined)
                        }
                    });
                }
                _ => {}
            }
        }
        fields.data = fields.data.map(|data| match data {
            Cow::Borrowed(data) => mended(data),
            Cow::Owned(data) => mended(&data).into_owned().into(),
        });
        fields
    }
}

/// A frame passed one of the caps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SseTooLarge;

impl fmt::Display for SseTooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a stream event is larger than the gateway accepts")
    }
}

impl std::error::Error for SseTooLarge {}

/// Splits a byte stream into frames. Cut the input anywhere: the frames are the same.
#[derive(Debug, Default)]
pub struct SseSplitter {
    buffer: BytesMut,
    /// Where the search goes on; everything before is known to hold no frame end.
    scanned: usize,
    /// Start of the current line.
    line_start: usize,
    lines: usize,
    caps: SseCaps,
    /// Past the place where a byte-order mark may stand.
    started: bool,
}

impl SseSplitter {
    pub fn new(caps: SseCaps) -> Self {
        SseSplitter { caps, ..SseSplitter::default() }
    }

    /// Takes the next bytes and appends every frame that is now whole.
    pub fn push(&mut self, bytes: &[u8], frames: &mut Vec<SseFrame>) -> Result<(), SseTooLarge> {
        self.buffer.extend_from_slice(bytes);
        if !self.started {
            if self.buffer.len() < BYTE_ORDER_MARK.len() && BYTE_ORDER_MARK.starts_with(&self.buffer) {
                return Ok(());
            }
            self.started = true;
            if self.buffer.starts_with(BYTE_ORDER_MARK) {
                let _ = self.buffer.split_to(BYTE_ORDER_MARK.len());
            }
        }
        while let Some(end) = self.next_end()? {
            let raw = self.buffer.split_to(end).freeze();
            (self.scanned, self.line_start, self.lines) = (0, 0, 0);
            frames.push(SseFrame { raw });
        }
        if self.buffer.len() > self.caps.frame_bytes {
            return Err(SseTooLarge);
        }
        Ok(())
    }

    /// Bytes of a frame that never ended; the peer stopped in the middle of it.
    pub fn remainder(&self) -> &[u8] {
        &self.buffer
    }

    /// End of the first whole frame: behind the line ending of its blank line. Leading blank lines belong to no
    /// frame and are dropped.
    fn next_end(&mut self) -> Result<Option<usize>, SseTooLarge> {
        loop {
            let rest = &self.buffer[self.scanned..];
            let Some(at) = memchr2(b'\n', b'\r', rest) else {
                self.scanned = self.buffer.len();
                return Ok(None);
            };
            let at = self.scanned + at;
            let next = if self.buffer[at] == b'\r' {
                match self.buffer.get(at + 1) {
                    Some(b'\n') => at + 2,
                    Some(_) => at + 1,
                    None => {
                        // A lone CR at the very end may be half of a CRLF: decide when the next byte is here.
                        self.scanned = at;
                        return Ok(None);
                    }
                }
            } else {
                at + 1
            };
            let blank = at == self.line_start;
            self.lines += 1;
            if next > self.caps.frame_bytes || self.lines > self.caps.lines {
                return Err(SseTooLarge);
            }
            if blank {
                if self.line_start == 0 {
                    let _ = self.buffer.split_to(next);
                    (self.scanned, self.line_start, self.lines) = (0, 0, 0);
                    continue;
                }
                return Ok(Some(next));
            }
            (self.scanned, self.line_start) = (next, next);
        }
    }
}

fn memchr(needle: u8, haystack: &[u8]) -> Option<usize> {
    haystack.iter().position(|b| *b == needle)
}

fn memchr2(one: u8, two: u8, haystack: &[u8]) -> Option<usize> {
    haystack.iter().position(|b| *b == one || *b == two)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split_all(parts: &[&[u8]]) -> Vec<Vec<u8>> {
        let (mut splitter, mut frames) = (SseSplitter::default(), Vec::new());
        for part in parts {
            splitter.push(part, &mut frames).expect("within the caps");
        }
        frames.iter().map(|f| f.raw.to_vec()).collect()
    }

    #[test]
    fn a_frame_keeps_its_exact_bytes_whatever_its_line_endings() {
        assert_eq!(split_all(&[b"data: a\n\ndata:b\r\n\r\n"]), [b"data: a\n\n".to_vec(), b"data:b\r\n\r\n".to_vec()]);
    }

    #[test]
    fn several_data_lines_are_joined_and_comments_have_no_data() {
        let frame = SseFrame { raw: Bytes::from_static(b"event: x\ndata: a\ndata:b\n\n") };
        let fields = frame.fields();
        assert_eq!((fields.event, fields.data.as_deref()), (Some(&b"x"[..]), Some(&b"a\nb"[..])));
        let comment = SseFrame { raw: Bytes::from_static(b": keep-alive\n\n") };
        assert_eq!(comment.fields(), SseFields::default());
    }

    #[test]
    fn a_frame_over_a_cap_is_an_error_and_not_memory() {
        let mut splitter = SseSplitter::new(SseCaps { frame_bytes: 16, lines: 4 });
        assert_eq!(splitter.push(&[b'x'; 17], &mut Vec::new()), Err(SseTooLarge));
        let mut splitter = SseSplitter::new(SseCaps { frame_bytes: 1_000, lines: 4 });
        assert_eq!(splitter.push(b"data:\ndata:\ndata:\ndata:\ndata:\n", &mut Vec::new()), Err(SseTooLarge));
    }

    proptest! {
        #[test]
        fn cutting_the_input_anywhere_gives_the_same_frames(
            text in "(\u{FEFF}|\n|\r\n){0,3}(data: ?[a-zé😀]{0,6}(\n|\r\n)|: c\n|event: e\r\n|\n|\r\n){0,12}\n\n",
            cuts in proptest::collection::vec(0usize..200, 0..8),
        ) {
            let bytes = text.as_bytes();
            let whole = split_all(&[bytes]);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c % (bytes.len() + 1)).collect();
            cuts.sort_unstable();
            let (mut parts, mut from) = (Vec::new(), 0);
            for cut in cuts {
                parts.push(&bytes[from..cut]);
                from = cut;
            }
            parts.push(&bytes[from..]);
            prop_assert_eq!(split_all(&parts), whole);
        }
    }
}
