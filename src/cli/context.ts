import type { ApiClient } from '../api/client.ts'
import type { Clock } from '../base/clock.ts'

/** What a command works with: made by main/, so that commands read neither environment nor terminal themselves. */
export type CliContext = {
  readonly client: () => ApiClient
  readonly clock: Clock
  readonly out: (line: string) => void
  readonly err: (line: string) => void
  /** Rewrites one line in place on a terminal; null elsewhere. */
  readonly live: ((line: string) => void) | null
  /** Asks the person at the terminal; null where there is none. */
  readonly ask: ((question: string) => Promise<string>) | null
  readonly readFile: (path: string) => Promise<string>
  readonly serverPassword: () => string | undefined
  readonly newId: () => string
  /** Who is at the keyboard, for the log of what was asked. */
  readonly actor: string
  /** Aborted by Ctrl-C: the command detaches, the work goes on. */
  readonly interrupted: AbortSignal
  readonly setExitCode: (code: number) => void
}
