import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { Leadership } from './context.ts'

export type WhileLeadingOptions = {
  readonly clock: Clock
  readonly log: Log
  readonly leadership: Pick<Leadership, 'signal'>
  readonly everyMs: number
  readonly begins: 'at once' | 'after a pause'
  /** What the log says when a look fails. */
  readonly failing: string
}

/** Looks after something again and again for as long as this leader leads. A look that fails is told and taken again; after the lead there is none. */
export async function whileLeading(options: WhileLeadingOptions, look: () => Promise<void>): Promise<void> {
  const { clock, log, leadership, everyMs, begins, failing } = options
  const { signal } = leadership
  const pause = (): Promise<void> => clock.sleep(everyMs, signal).catch(() => undefined)
  if (begins === 'after a pause') await pause()
  while (!signal.aborted) {
    try {
      await look()
    } catch (error) {
      if (!signal.aborted) log.warn({ error: String(error) }, failing)
    }
    await pause()
  }
}
