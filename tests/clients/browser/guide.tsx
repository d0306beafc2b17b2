// A chat component as guides to version 4 of the AI SDK have it, against a route of its own origin.

import { useChat } from '@ai-sdk/react';
import { useState } from 'react';
import { createRoot } from 'react-dom/client';

function ChatInterface() {
  const [status, setStatus] = useState<'connected' | 'reconnecting' | 'disconnected'>('connected');
  const { messages, input, handleInputChange, handleSubmit, isLoading, error, reload, stop } = useChat({
    api: '/api/chat',
    onError: (err) => {
      if (err.message.includes('timeout')) {
        setStatus('reconnecting');
        setTimeout(() => reload(), 2000);
      } else {
        setStatus('disconnected');
      }
    },
    onFinish: () => setStatus('connected'),
  });
  return (
    <div className="flex flex-col h-full">
      {status !== 'connected' && <div className="bg-yellow-500/10 px-4 py-2 text-sm">{status}...</div>}
      <div className="flex-1 overflow-y-auto p-4">
        {messages.map((m) => (
          <div key={m.id}>{m.content}</div>
        ))}
        {isLoading && <div className="animate-pulse">Thinking...</div>}
      </div>
      {error && <button onClick={() => reload()}>Retry</button>}
      <form onSubmit={handleSubmit}>
        <input value={input} onChange={handleInputChange} disabled={isLoading} />
        <button type="submit">Send</button>
        {isLoading && (
          <button type="button" onClick={stop}>
            Stop
          </button>
        )}
      </form>
    </div>
  );
}

createRoot(document.getElementById('page')!).render(<ChatInterface />);
