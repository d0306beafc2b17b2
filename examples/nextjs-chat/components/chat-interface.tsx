'use client';

import { useState, type FormEvent } from 'react';
import { TIERS, type Message, type Tier } from '@/lib/headgate';
import { forget, load } from '@/lib/saved-chat';
import { useResumableChat } from '@/lib/use-resumable-chat';

export default function ChatInterface() {
  const [saved, setSaved] = useState(load);
  const startOver = () => {
    forget();
    setSaved(load());
  };
  return <Conversation key={saved.id} saved={saved} startOver={startOver} />;
}

function Conversation({ saved, startOver }: { saved: ReturnType<typeof load>; startOver: () => void }) {
  const { messages, busy, connection, problem, answeredBy, send, retry, stop } = useResumableChat(saved);
  const [input, setInput] = useState('');
  const [tier, setTier] = useState<Tier>('auto');
  const waiting = busy || connection === 'reconnecting';

  function submit(event: FormEvent) {
    event.preventDefault();
    const text = input.trim();
    if (!text || waiting) return;
    setInput('');
    void send(text, tier);
  }

  return (
    <main>
      <header>
        <h1>Headgate chat</h1>
        <span className="connection" data-connection={connection} role="status">
          {connection}
        </span>
        <button type="button" onClick={startOver} disabled={waiting}>
          New chat
        </button>
      </header>

      <section className="messages">
        <div>
          {messages.length === 0 && <p className="hint">Ask something. Reload, stop or cut the line while it answers.</p>}
          {messages.map((message) => (
            <Entry key={message.id} message={message} />
          ))}
          {busy && messages.at(-1)?.role === 'user' && <p className="thinking">Thinking…</p>}
          {problem && (
            <div className="problem" role="alert">
              <p>{problem}</p>
              <button type="button" onClick={() => void retry(tier)}>
                Retry
              </button>
            </div>
          )}
        </div>
      </section>

      <form onSubmit={submit}>
        <textarea
          aria-label="Message"
          autoFocus
          rows={1}
          value={input}
          onChange={(event) => setInput(event.target.value)}
          onKeyDown={(event) => {
            if (event.key === 'Enter' && !event.shiftKey) submit(event);
          }}
        />
        <label>
          Tier
          <select value={tier} onChange={(event) => setTier(event.target.value as Tier)}>
            {TIERS.map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
        {busy ? (
          <button type="button" onClick={() => void stop()}>
            Stop
          </button>
        ) : (
          <button type="submit" disabled={waiting || !input.trim()}>
            Send
          </button>
        )}
        {answeredBy && <small className="answered-by">answered by tier {answeredBy}</small>}
      </form>
    </main>
  );
}

function Entry({ message }: { message: Message }) {
  const { model, usage, costUsd, stopped } = message.metadata ?? {};
  const facts = [model, usage && `${usage.inputTokens} + ${usage.outputTokens} tokens`, costUsd && `$${costUsd}`];
  if (stopped) facts.push('stopped');
  return (
    <article data-role={message.role}>
      {message.parts.map((part, index) => {
        if (part.type === 'text') return <p key={index}>{part.text}</p>;
        if (part.type === 'reasoning') return <p key={index} className="reasoning">{part.text}</p>;
        return null;
      })}
      <footer>{facts.filter(Boolean).join(' · ')}</footer>
    </article>
  );
}
