import { Chat, useChat } from '@ai-sdk/react';
import { useEffect, useState } from 'react';
import { headgate, isComplete, isLineFailure, stopAnswer, type Message, type Tier } from './headgate';
import { save, type SavedChat } from './saved-chat';

/**
 * connected: as far as anyone can tell. reconnecting: an answer is being looked for. disconnected: it is not to be had, and
 * the reader decides what next.
 */
export type Connection = 'connected' | 'reconnecting' | 'disconnected';

/** Before each try to reach Headgate again. Together longer than a restart takes. */
const WAITS_MS = [250, 500, 1000, 2000, 4000, 8000];

/** `useChat` that survives reloads and broken lines, and never passes half an answer off as a whole one. */
export function useResumableChat(saved: SavedChat) {
  const [answeredBy, setAnsweredBy] = useState<string | null>(null);
  // Not left to useChat to make: it would hide from the chat that this transport replays an answer from its start, and
  // what came before the line broke would be there twice.
  const [chat] = useState(() => new Chat<Message>({ ...saved, transport: headgate(setAnsweredBy) }));
  const { messages, status, error, sendMessage, regenerate } = useChat({ chat, experimental_throttle: 30 });

  useEffect(() => save({ id: chat.id, messages }), [chat, messages]);

  // As useChat's `resume`, which does not tell when there was nothing to resume.
  const [opening, setOpening] = useState(!isComplete(saved.messages));
  useEffect(() => {
    if (!opening) return;
    let mounted = true;
    void chat.resumeStream().finally(() => mounted && setOpening(false));
    return () => {
      mounted = false;
    };
  }, [chat, opening]);

  const lineFailed = status === 'error' && isLineFailure(error);
  const [givenUp, setGivenUp] = useState(false);
  useEffect(() => {
    if (!lineFailed) return;
    setGivenUp(false);
    const over = new AbortController();
    void reconnect(chat, over.signal).then((reached) => !over.signal.aborted && setGivenUp(!reached));
    return () => over.abort();
  }, [chat, lineFailed]);

  const lost = status === 'ready' && !opening && !isComplete(messages);

  let connection: Connection = 'connected';
  let problem = error?.message;
  if (lost) {
    connection = 'disconnected';
    problem = 'The rest of this answer is lost.';
  } else if (lineFailed && givenUp) {
    connection = 'disconnected';
    problem = 'Headgate cannot be reached.';
  } else if (lineFailed || (opening && status === 'ready')) {
    connection = 'reconnecting';
    problem = undefined;
  }

  async function stop() {
    const stopped = chat.stop();
    // From here on the SDK writes nothing into the message, and the mark stays.
    chat.messages = chat.messages.map((message, index) =>
      index < chat.messages.length - 1 ? message : { ...message, metadata: { ...message.metadata, stopped: true } },
    );
    await Promise.all([stopped, stopAnswer(chat.id)]);
  }

  return {
    messages,
    busy: status === 'submitted' || status === 'streaming',
    connection,
    /** A sentence that the reader should see, and may answer with a retry. */
    problem,
    /** Tier that took the last question. */
    answeredBy,
    send: (text: string, tier: Tier) => sendMessage({ text }, { body: { tier } }),
    /** Asks again. While the line is down, looks for the answer first: it may be there, and paid for. */
    retry: (tier: Tier) => (lineFailed ? chat.resumeStream() : regenerate({ body: { tier } })),
    stop,
  };
}

/** Whether Headgate was reached. It is, too, when it has nothing to resume. */
async function reconnect(chat: Chat<Message>, over: AbortSignal) {
  for (const wait of WAITS_MS) {
    await new Promise((resume) => setTimeout(resume, wait));
    if (over.aborted) return true;
    await chat.resumeStream();
    if (!isLineFailure(chat.error)) return true;
  }
  return false;
}
