/**
 * No round begins on a server that still has user triggers on a moved table (PROTOCOLS 1.11; 3, step 10): what they did stands in the row events
 * already. Looked at before the first round, which waits for the answer, and then every second beside the rounds: a switch drops triggers
 * before a side begins to follow, so the later looks only guard against hands from outside, and must not cost a drain milliseconds.
 */
import type { Clock } from '../base/clock.ts'
import { isSwError } from '../base/errors.ts'
import type { Connection } from '../mysql/connection.ts'
import { refuseTriggers } from './schema-copy.ts'
import type { Waiting } from './applier-options.ts'

const everyMs = 1_000

export type TriggerGateOptions = {
  conn: Connection
  schema: string
  name: string
  tables: readonly string[]
  clock: Clock
  signal: AbortSignal
  onWaiting: (waiting: Waiting | null) => void
}

/** Called before each round: resolves when it may begin. */
export function triggerGate(options: TriggerGateOptions): () => Promise<void> | undefined {
  const { conn, schema, name, tables, clock, signal, onWaiting } = options
  let lookedAtMs = -Infinity
  let clean = false
  const untilClean = async (): Promise<void> => {
    const sinceMs = clock.nowMs()
    for (let waited = false; ; waited = true) {
      try {
        await refuseTriggers(conn, schema, name, tables)
        lookedAtMs = clock.monotonicMs()
        clean = true
        if (waited) onWaiting(null)
        return
      } catch (error) {
        if (!isSwError(error, 'SW-MOVE-017') || signal.aborted) throw error
        onWaiting({ what: error.message, sinceMs, ends: 'the triggers are dropped, which the switch does on the side that does not serve' })
        await clock.sleep(200, signal)
      }
    }
  }
  return () => {
    if (!clean) return untilClean()
    if (clock.monotonicMs() - lookedAtMs >= everyMs) {
      lookedAtMs = clock.monotonicMs()
      // A failure to look, too, makes the next round wait for an answer.
      refuseTriggers(conn, schema, name, tables).catch(() => {
        clean = false
      })
    }
    return undefined
  }
}
