//! Frames of one streamed answer: what they say, and what of them goes to the client.

use bytes::{Bytes, BytesMut};

use crate::dialects::{About, Dialect, StreamEncoder};
use crate::domain::chat::{ChatEvent, Finish};
use crate::domain::failure::{Failure, Phase};
use crate::domain::sse::{SseCaps, SseFrame, SseSplitter};
use crate::providers::{FrameKind, StreamDecoder};

use super::failures;
use super::plain::about;
use super::route::Step;
use super::run::Run;
use super::usage::Sighting;

/// Bytes of role and created frames that may pile up before the first content.
const LARGEST_PRELUDE: usize = 1 << 20;

/// How a provider's frames become the client's.
enum Output {
    /// Same format on both sides: the frames' own bytes, but for the usage the client did not ask for. The encoder
    /// follows them and writes what the provider did not; it is made when the answer has said who it is.
    Pass {
        show_usage: bool,
        behind: Option<Box<dyn StreamEncoder>>,
    },
    Translate(Box<dyn StreamEncoder>),
}

pub(super) struct Reading<'a> {
    step: &'a Step,
    dialect: &'static dyn Dialect,
    about: About,
    splitter: SseSplitter,
    decoder: Box<dyn StreamDecoder>,
    output: Output,
    frames: Vec<SseFrame>,
    events: Vec<ChatEvent>,
    /// Whole frames for the client that have not been sent.
    pending: BytesMut,
    /// The end marker's own bytes, kept back until the run is settled.
    end: Option<Bytes>,
    pub sighting: Sighting,
    /// Content was seen: the run is committed to this target.
    pub content: bool,
    /// A finish reason was seen.
    pub finished: bool,
    /// The provider sent an error event.
    pub refused: bool,
}

impl<'a> Reading<'a> {
    pub(super) fn new(step: &'a Step, run: &Run) -> Self {
        let call = &run.call;
        let about = about(run, None, step.target.model.to_string());
        let output = if run.passes(step.adapter) {
            Output::Pass { show_usage: call.decoded.include_usage, behind: None }
        } else {
            Output::Translate(run.encoder(&about))
        };
        Reading {
            step,
            dialect: call.dialect,
            about,
            splitter: SseSplitter::new(SseCaps::default()),
            decoder: step.adapter.decoder(),
            output,
            frames: Vec::new(),
            events: Vec::new(),
            pending: BytesMut::new(),
            end: None,
            sighting: Sighting::default(),
            content: false,
            finished: false,
            refused: false,
        }
    }

    pub(super) fn phase(&self) -> Phase {
        if self.content { Phase::MidStream } else { Phase::FirstContent }
    }

    /// Bytes for the client, if there are any.
    pub(super) fn pending(&mut self) -> Option<Bytes> {
        (!self.pending.is_empty()).then(|| self.pending.split().freeze())
    }

    /// Reads the next bytes. True once the answer is whole.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<bool, Box<Failure>> {
        let mut frames = std::mem::take(&mut self.frames);
        let split = self.splitter.push(bytes, &mut frames);
        for frame in frames.drain(..) {
            if self.frame(&frame)? {
                return Ok(true);
            }
        }
        self.frames = frames;
        if split.is_err() || (!self.content && self.pending.len() > LARGEST_PRELUDE) {
            return Err(failures::oversized(self.step, self.phase()).into());
        }
        Ok(false)
    }

    /// One frame. True at the end marker of a whole answer.
    fn frame(&mut self, frame: &SseFrame) -> Result<bool, Box<Failure>> {
        let mut events = std::mem::take(&mut self.events);
        let read = self.decoder.push(frame, &mut events);
        for event in events.drain(..) {
            self.event(event)?;
        }
        self.events = events;
        let kind = read.map_err(|error| failures::undecodable(self.step, self.phase(), error))?;
        if let Output::Pass { show_usage, behind } = &mut self.output
            && (kind == FrameKind::Data || (kind == FrameKind::UsageOnly && *show_usage))
        {
            self.pending.extend_from_slice(&frame.raw);
            behind.get_or_insert_with(|| self.dialect.encoder(&self.about)).passed(frame);
        }
        if kind != FrameKind::End {
            return Ok(false);
        }
        self.end = Some(frame.raw.clone());
        self.closed().map(|()| true)
    }

    fn event(&mut self, event: ChatEvent) -> Result<(), Box<Failure>> {
        self.content |= event.is_content();
        self.sighting.output_bytes += event.output_bytes();
        if let Output::Translate(encoder) = &mut self.output {
            encoder.push(&event, &mut self.pending);
        }
        match event {
            ChatEvent::Start { id, model } => self.started(id, model),
            ChatEvent::Usage(usage) => self.sighting.reported = Some(usage),
            ChatEvent::Finish(_) => {
                self.finished = true;
                self.sighting.whole = true;
            }
            ChatEvent::Error(error) => {
                self.refused = true;
                return Err(failures::in_band(self.step, self.phase(), error).into());
            }
            ChatEvent::Text(_)
            | ChatEvent::Reasoning { .. }
            | ChatEvent::ReasoningSignature(_)
            | ChatEvent::Refusal(_)
            | ChatEvent::ToolStart { .. }
            | ChatEvent::ToolArguments { .. }
            | ChatEvent::Detail(_)
            | ChatEvent::End => {}
        }
        Ok(())
    }

    /// The identity of an answer that is passed on is the provider's. A translated one is ours from its first frame on.
    fn started(&mut self, id: Option<String>, model: Option<String>) {
        if let Output::Pass { behind: None, .. } = self.output {
            self.about.id = id.unwrap_or_else(|| std::mem::take(&mut self.about.id));
            self.about.model = model.unwrap_or_else(|| std::mem::take(&mut self.about.model));
        }
    }

    /// The provider has nothing more to say: was that the whole answer? A finish reason is its proof; an end marker
    /// alone is not.
    pub(super) fn closed(&self) -> Result<(), Box<Failure>> {
        match (self.finished, self.content) {
            (true, _) => Ok(()),
            (false, true) => Err(failures::truncated(self.step, Phase::MidStream).into()),
            (false, false) => Err(failures::empty(self.step, Phase::FirstContent).into()),
        }
    }

    /// What is left to send of a whole answer once its run is settled.
    pub(super) fn tail(&mut self, run: &Run) -> Bytes {
        match (&mut self.output, self.end.take()) {
            (Output::Pass { .. }, Some(end)) => self.pending.extend_from_slice(&end),
            (Output::Pass { behind, .. }, None) => {
                behind.get_or_insert_with(|| self.dialect.encoder(&self.about)).finish(None, &mut self.pending);
            }
            (Output::Translate(encoder), _) => {
                // The client may have asked for the usage; where the provider sent none it is ours, as on the bill.
                let billed = self.sighting.bill(run, self.step);
                encoder.priced(run.price_with(billed.pico));
                encoder.finish(Some(&billed.usage), &mut self.pending);
            }
        }
        self.pending.split().freeze()
    }

    /// What knows how far the client's stream is.
    pub(super) fn into_encoder(self) -> Box<dyn StreamEncoder> {
        match self.output {
            Output::Translate(encoder) | Output::Pass { behind: Some(encoder), .. } => encoder,
            Output::Pass { behind: None, .. } => self.dialect.encoder(&self.about),
        }
    }

    /// Ends a stream that used up its hold the way a reached output cap ends.
    pub(super) fn cut(&mut self, run: &Run) -> Bytes {
        let billed = self.sighting.bill(run, self.step);
        let encoder = match &mut self.output {
            Output::Translate(encoder) => encoder,
            Output::Pass { behind, .. } => behind.get_or_insert_with(|| self.dialect.encoder(&self.about)),
        };
        encoder.push(&ChatEvent::Finish(Finish::Length), &mut self.pending);
        encoder.priced(run.price_with(billed.pico));
        encoder.finish(Some(&billed.usage), &mut self.pending);
        self.pending.split().freeze()
    }
}
