import { duration } from '../format.ts'

export function ErrorNote({ error }: { error: { code: string; what: string; why: string; fix: string } }) {
  return (
    <div class="error-note">
      <p>
        <code>{error.code}</code> {error.what}
      </p>
      <p class="muted">{error.why}</p>
      <p>{error.fix}</p>
    </div>
  )
}

/** Every wait says what it waits for, since when, and what ends it (promise 7). */
export function WaitingNote({
  waiting,
  nowMs,
  who = 'waits for',
}: {
  waiting: { what: string; sinceMs: number; ends: string }
  nowMs: number
  who?: string
}) {
  return (
    <p class="waiting">
      {who} <b>{waiting.what}</b> since {duration(Math.max(0, nowMs - waiting.sinceMs))}; ended by {waiting.ends}
    </p>
  )
}
