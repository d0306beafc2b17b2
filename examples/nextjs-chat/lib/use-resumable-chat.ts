import { Chat, useChat } from '@ai-sdk/react';
import { useEffect, useState } from 'react';
import { asking, headgate, isComplete, isLineFailure, stopAnswer, type Message, type Tier } from './headgate';
import type { SavedChat } from './saved-chat';

/**
 * connected: as far as anyone can tell. reconnecting: an answer is being looked for. disconnected: it is not to be had, and
 * the reader decides what next.
 */
export type Connection = 'connected' | 'reconnecting' | 'disconnected';

/** Before each try to reach Headgate again. Together longer than a restart takes. */
const WAITS_MS = [250, 500, 1000, 2000, 4000, 8000];

/** `useChat` that survives reloads and broken lines, and never passes half an answer off as a whole one. */
export function useResumableChat({ id, messages: saved }: SavedChat) {
  const [answeredBy, setAnsweredBy] = useState<string | null>(null);
  // Not left to useChat to make: it would hide from the chat that this transport replays an answer from its start, and
  // what came before the line broke would be there twice.
  const [chat] = useState(() => new Chat<Message>({ id, messages: saved, transport: headgate(setAnsweredBy) }));
  const { messages, status, error } = useChat({ chat, experimental_throttle: 30 });

  const [opening, setOpening] = useState(!isComplete(saved));
  useEffect(() => {
    if (!opening) return;
    let mounted = true;
    void resume(chat).finally(() => mounted && setOpening(false));
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

  let connection: Connection = 'connected';
  let problem = error?.message;
  if (lineFailed && givenUp) {
    connection = 'disconnected';
    problem = 'Headgate cannot be reached.';
  } else if (lineFailed || (opening && status === 'ready')) {
    connection = 'reconnecting';
    problem = undefined;
  } else if (status === 'ready' && !isComplete(messages)) {
    connection = 'disconnected';
    problem = 'The rest of this answer is lost.';
  }

  async function retry(tier: Tier) {
    // Out of reach, the answer may be there all the same, and paid for: another one only if Headgate says that it is not.
    if (lineFailed) return resume(chat);
    const question = chat.messages.findLast((message) => message.role === 'user');
    chat.messages = chat.messages.map((message) =>
      message === question ? { ...message, metadata: asking(tier) } : message,
    );
    await chat.regenerate();
  }

  async function stop() {
    const stopped = chat.stop();
    // From here on the SDK writes nothing into the message, and the mark stays.
    const last = chat.messages.at(-1);
    chat.messages = chat.messages.map((message) =>
      message === last ? { ...message, metadata: { ...message.metadata, stopped: true } } : message,
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
    send: (text: string, tier: Tier) => chat.sendMessage({ text, metadata: asking(tier) }),
    retry,
    stop,
  };
}

/** As useChat's `resume`, for answers that are not being made any more, too. */
async function resume(chat: Chat<Message>) {
  await chat.resumeStream();
  // It ended while nobody listened, or the question never arrived. With the key that it has, Headgate hands out its answer.
  if (chat.status === 'ready' && !isComplete(chat.messages)) await chat.regenerate();
}

/** Whether Headgate was reached. */
async function reconnect(chat: Chat<Message>, over: AbortSignal) {
  for (const wait of WAITS_MS) {
    await new Promise((resume) => setTimeout(resume, wait));
    if (over.aborted) return true;
    await resume(chat);
    if (!isLineFailure(chat.error)) return true;
  }
  return false;
}
