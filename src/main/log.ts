import pino from 'pino'
import type { Log } from '../base/log.ts'

/** One JSON line an event, appended to `file`; errors with their stack and code. */
export function fileLog(file: string, name: string, level = 'info'): Log {
  return pino(
    { name, level, serializers: { error: serializeError } },
    pino.destination({ dest: file, mkdir: true, sync: false }),
  ) as unknown as Log
}

function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  return {
    ...('code' in error ? { code: error.code } : {}),
    message: error.message,
    stack: error.stack,
    ...(error.cause === undefined ? {} : { cause: serializeError(error.cause) }),
  }
}
