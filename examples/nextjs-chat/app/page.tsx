'use client';

import dynamic from 'next/dynamic';

// The chat begins with what this tab has stored, which no server can render.
const ChatInterface = dynamic(() => import('@/components/chat-interface'), { ssr: false });

export default function Page() {
  return <ChatInterface />;
}
