/** The ways in which a server can be closed, the strongest first (PROTOCOLS 3, "Closed is durable"). What one lacks stands with it. */
export const fenceKinds = ['locks', 'kill', 'persist', 'triggers'] as const

export type FenceKind = (typeof fenceKinds)[number]

export const fenceNames: Readonly<Record<FenceKind, string>> = {
  locks: 'account locks and read_only',
  kill: 'account locks, sessions ended until none is left (read_only may not be set)',
  persist: 'SET PERSIST read_only (accounts may not be locked; whoever passes read_only must not exist)',
  triggers: 'armed triggers (accounts may not be locked; DDL and TRUNCATE pass, and reads of gates that are cut off)',
}

/** Whether its clients can log in while it stands. Then they are ended once, and may come back: what they write is refused. */
export function keepsOut(kind: FenceKind): boolean {
  return kind === 'locks' || kind === 'kill'
}
