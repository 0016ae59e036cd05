/** Waiting in tests: for a condition, with a limit, never for a while. */
import { SwError } from '../../src/base/errors.ts'
import { systemClock } from '../../src/base/clock.ts'

/** Waiting longer would not help. */
export class Final extends Error {
  override name = 'Final'
}

/**
 * What `look` gives once it is neither null, undefined nor false. Errors of `look` count as "not yet", and the last one is told
 * at the limit, but for `Final` and refusals of ours that a user has to act on.
 */
export async function until<T>(
  what: string,
  look: () => Promise<T | null | undefined | false> | T | null | undefined | false,
  limitMs = 90_000,
): Promise<T> {
  const deadline = systemClock.monotonicMs() + limitMs
  let last: unknown = null
  // What comes soon is seen soon; what takes long is not asked for all the time: most looks are requests to a process under test.
  for (let pauseMs = 10; ; pauseMs = Math.min(pauseMs * 1.25, 100)) {
    try {
      const found = await look()
      if (found !== null && found !== undefined && found !== false) return found
      last = null
    } catch (error) {
      if (error instanceof Final || (error instanceof SwError && error.class === 'user')) throw error
      last = error
    }
    if (systemClock.monotonicMs() > deadline) {
      throw new Error(
        `waited ${limitMs} ms for ${what}${last === null ? '' : `; the last look failed: ${last instanceof Error ? last.message : String(last)}`}`,
        { cause: last },
      )
    }
    await systemClock.sleep(pauseMs)
  }
}
