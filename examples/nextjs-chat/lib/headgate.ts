import { DefaultChatTransport, generateId, type UIMessage } from 'ai';

/** Where Headgate listens. Written into the page when it is built. */
const HEADGATE = process.env.NEXT_PUBLIC_HEADGATE_URL ?? 'http://127.0.0.1:8080';

/** What `config.yaml` lists under `tiers`, and `auto`, which lets a policy choose. */
export const TIERS = ['auto', 'simple', 'standard', 'complex'] as const;

export type Tier = (typeof TIERS)[number];

export type Metadata = {
  /** Of a question: how it is asked. */
  asked?: { tier: Tier; key: string };
  /** Of an answer, from Headgate: the model at its start, usage and price (exact decimal dollars) at its end. */
  model?: string;
  usage?: { inputTokens: number; outputTokens: number };
  costUsd?: string;
  /** Of what the reader wanted no more of. */
  stopped?: boolean;
};

export type Message = UIMessage<Metadata>;

/** A key of its own for each time that a question is asked. Sent once more with the same key, Headgate gives the same answer. */
export const asking = (tier: Tier): Metadata => ({ asked: { tier, key: generateId() } });

/** Talks to `/api/chat`. `onTier` hears which tier a question went to: a policy may have moved it. */
export function headgate(onTier: (tier: string | null) => void) {
  return new DefaultChatTransport<Message>({
    api: `${HEADGATE}/api/chat`,
    // Without the SDK's `trigger`, so that a question looks the same when it is repeated.
    prepareSendMessagesRequest({ id, messages }) {
      const asked = messages.findLast((message) => message.role === 'user')?.metadata?.asked;
      return {
        body: { id, messages, tier: asked?.tier },
        headers: asked && { 'idempotency-key': asked.key },
      };
    },
    fetch: async (url, init) => {
      const response = await fetch(url, init);
      if (init?.method === 'POST') onTier(response.headers.get('x-headgate-tier'));
      return response;
    },
  });
}

/** Ends the answer of a chat. To hang up is not enough: Headgate goes on, for a page that lost its line and comes back. */
export async function stopAnswer(chat: string) {
  await fetch(`${HEADGATE}/api/chat/${encodeURIComponent(chat)}/stop`, { method: 'POST' });
}

/** Whether the line failed, and not Headgate: `fetch` and its streams reject with a TypeError then, in every browser. */
export const isLineFailure = (error: Error | undefined) => error instanceof TypeError;

/** Whether the last question has its whole answer, or as much of it as was wanted. */
export function isComplete(messages: Message[]) {
  const last = messages.at(-1);
  return !last || Boolean(last.metadata?.stopped || last.metadata?.usage);
}
