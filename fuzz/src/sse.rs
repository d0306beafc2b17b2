//! The splitter of event streams.

use crate::domain::sse::{SseCaps, SseSplitter, SseTooLarge};

/// Small enough that inputs of a few hundred bytes meet them.
const CAPS: SseCaps = SseCaps { frame_bytes: 96, lines: 6 };

/// The first byte says how long the pieces are that the rest arrives in. Frames, remainder and refusal are the same for
/// every way of cutting, and together the frames are the input without what may be left out.
pub fn splits(input: &[u8]) {
    let Some((first, stream)) = input.split_first() else { return };
    for caps in [SseCaps::default(), CAPS] {
        let whole = split(caps, [stream]);
        let pieces = split(caps, stream.chunks(usize::from(*first).max(1)));
        let bytes = split(caps, stream.chunks(1));
        assert_eq!(whole, bytes, "byte by byte");
        assert_eq!(whole, pieces, "in pieces of {first}");
        let seen: usize = whole.frames.iter().map(Vec::len).sum::<usize>() + whole.remainder.len();
        assert!(seen <= stream.len(), "the splitter invents nothing");
    }
}

#[derive(Debug, PartialEq)]
struct Split {
    frames: Vec<Vec<u8>>,
    refused: bool,
    /// Not looked at after a refusal: how much was taken in by then depends on the cutting.
    remainder: Vec<u8>,
}

fn split<'a>(caps: SseCaps, pieces: impl IntoIterator<Item = &'a [u8]>) -> Split {
    let (mut splitter, mut frames) = (SseSplitter::new(caps), Vec::new());
    let pushed: Result<(), SseTooLarge> = pieces.into_iter().try_for_each(|piece| splitter.push(piece, &mut frames));
    for frame in &frames {
        assert!(frame.raw.len() <= caps.frame_bytes, "a frame is larger than its cap");
        let _ = frame.fields();
    }
    Split {
        frames: frames.iter().map(|frame| frame.raw.to_vec()).collect(),
        refused: pushed.is_err(),
        remainder: if pushed.is_err() { Vec::new() } else { splitter.remainder().to_vec() },
    }
}
