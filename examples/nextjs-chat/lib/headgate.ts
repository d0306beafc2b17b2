import { DefaultChatTransport, type UIMessage } from 'ai';

/** Where Headgate listens. Written into the page when it is built. */
const HEADGATE = process.env.NEXT_PUBLIC_HEADGATE_URL ?? 'http://127.0.0.1:8080';

/** What `config.yaml` lists under `tiers`, and `auto`, which lets a policy choose. */
export const TIERS = ['auto', 'simple', 'standard', 'complex'] as const;

export type Tier = (typeof TIERS)[number];

/** What is known about an answer. Headgate sends all but `stopped`: the model at its start, the rest at its end. */
export type Facts = {
  model?: string;
  usage?: { inputTokens: number; outputTokens: number };
  /** Exact decimal dollars. */
  costUsd?: string;
  /** The reader wanted no more of it. */
  stopped?: boolean;
};

export type Message = UIMessage<Facts>;

/** Talks to `/api/chat`. `onTier` hears which tier a question went to: a policy may move it. */
export function headgate(onTier: (tier: string | null) => void) {
  return new DefaultChatTransport<Message>({
    api: `${HEADGATE}/api/chat`,
    fetch: async (url, init) => {
      const response = await fetch(url, init);
      if (init?.method === 'POST') onTier(response.headers.get('x-headgate-tier'));
      return response;
    },
  });
}

/** Ends the answer of a chat. Hanging up is not enough: Headgate goes on, so that a page that lost its line can return. */
export async function stopAnswer(chat: string) {
  await fetch(`${HEADGATE}/api/chat/${encodeURIComponent(chat)}/stop`, { method: 'POST' });
}

/** Whether a failure is the line's and not an answer of Headgate: `fetch` rejects with a TypeError then, everywhere. */
export const isLineFailure = (error: Error | undefined) => error instanceof TypeError;

/** Whether the last question has its whole answer, or all of it that was wanted. */
export function isComplete(messages: Message[]) {
  const last = messages.at(-1);
  return !last || Boolean(last.metadata?.stopped || last.metadata?.usage);
}
