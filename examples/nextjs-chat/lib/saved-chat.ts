import { generateId } from 'ai';
import type { Message, Tier } from './headgate';

export type SavedChat = { id: string; tier: Tier; messages: Message[] };

const PLACE = 'headgate-chat';

/** The chat of this tab, or a new one. */
export function load(): SavedChat {
  try {
    const saved: SavedChat | null = JSON.parse(sessionStorage.getItem(PLACE) ?? 'null');
    if (saved) return saved;
  } catch {
    // Unreadable, or the browser keeps nothing: begin anew.
  }
  return startAnew();
}

export const startAnew = (): SavedChat => ({ id: generateId(), tier: 'auto', messages: [] });

export function save(chat: SavedChat) {
  try {
    sessionStorage.setItem(PLACE, JSON.stringify(chat));
  } catch {
    // Full, or the browser keeps nothing: the chat works all the same, until the next reload.
  }
}
