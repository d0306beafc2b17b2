import { useEffect, useState, type FormEvent } from 'react';
import { TIERS, type Message, type Tier } from '@/lib/headgate';
import { load, save, startAnew, type SavedChat } from '@/lib/saved-chat';
import { useResumableChat } from '@/lib/use-resumable-chat';

export default function ChatInterface() {
  const [saved, setSaved] = useState(load);
  return <Conversation key={saved.id} saved={saved} onNew={() => setSaved(startAnew())} />;
}

function Conversation({ saved, onNew }: { saved: SavedChat; onNew: () => void }) {
  const { messages, busy, connection, problem, answeredBy, send, retry, stop } = useResumableChat(saved);
  const [tier, setTier] = useState(saved.tier);
  const [input, setInput] = useState('');
  const waiting = busy || connection === 'reconnecting';
  useEffect(() => save({ id: saved.id, tier, messages }), [saved.id, tier, messages]);

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
        <button type="button" onClick={onNew} disabled={waiting}>
          New chat
        </button>
      </header>

      <section className="messages">
        <div>
          {messages.length === 0 && <p className="hint">Ask something. Reload the page while it answers, or stop it.</p>}
          {messages.map((message) => (
            <Entry key={message.id} message={message} />
          ))}
          {busy && messages.at(-1)?.role === 'user' && <p className="hint">Thinking…</p>}
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
        <input
          aria-label="Message"
          placeholder="Message"
          autoFocus
          value={input}
          onChange={(event) => setInput(event.target.value)}
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
        <small>{answeredBy && `answered by tier ${answeredBy}`}</small>
      </form>
    </main>
  );
}

function Entry({ message }: { message: Message }) {
  const { model, usage, costUsd, stopped } = message.metadata ?? {};
  const facts = [
    model,
    usage && `${usage.inputTokens} + ${usage.outputTokens} tokens`,
    costUsd && `$${costUsd}`,
    stopped && 'stopped',
  ].filter(Boolean);
  return (
    <article data-role={message.role}>
      {message.parts.map((part, index) => {
        if (part.type === 'text') return <p key={index}>{part.text}</p>;
        if (part.type === 'reasoning') return <p key={index} className="reasoning">{part.text}</p>;
        return null;
      })}
      {facts.length > 0 && <footer>{facts.join(' · ')}</footer>}
    </article>
  );
}
