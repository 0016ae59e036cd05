/** How a run of a stream ends: by which of its tasks, whether another run can help, and what is told. */
import { isSwError, SwError } from '../base/errors.ts'
import { isServerError } from '../mysql/errors.ts'
import type { ErrorView } from '../topology/records.ts'
import { moveErrors } from './errors.ts'

/** Resolves when the stream is told to stop; rejects with the first failure. A task that ends by itself is not the end. */
export function firstToFail(tasks: readonly Promise<void>[], stop: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (stop.aborted) resolve()
    stop.addEventListener('abort', () => resolve(), { once: true })
    for (const task of tasks) task.catch(reject)
  })
}

/** Whether beginning again from the stored state can help. */
export function isTransient(error: unknown): boolean {
  if (isServerError(error)) return error.class === 'transient' || error.kind === 'killed' || error.kind === 'interrupted'
  return isSwError(error) && (error.class === 'transient' || error.class === 'unknown')
}

export function errorView(error: unknown, stream: string): ErrorView {
  const shown =
    error instanceof SwError
      ? error
      : moveErrors.internal({ stream, reason: error instanceof Error ? error.message : String(error) }, error)
  return { code: shown.code, what: shown.message, why: shown.why, fix: shown.fix }
}
