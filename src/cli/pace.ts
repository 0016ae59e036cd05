/** Flags that hold a copy back, as `create` and `update` take them. `none` takes a limit away. */
import type { PaceLimits } from '../api/schemas.ts'
import { cliErrors } from './errors.ts'
import { bool, text, type Flags } from './flags.ts'
import { parseBytes, parseDuration } from './text.ts'

type Rule = {
  readonly flag: string
  readonly name: string
  readonly limit: keyof PaceLimits
  readonly parse: (text: string) => number | null
  readonly wanted: string
}

const positive = (value: string): number | null => (/^\d+(\.\d+)?$/.test(value) && Number(value) > 0 ? Number(value) : null)
const whole = (value: string): number | null => (/^\d+$/.test(value) ? Number(value) : null)

const rules: readonly Rule[] = [
  { flag: '--max-source-load', name: 'maxSourceLoad', limit: 'sourceLoadMax', parse: positive, wanted: 'a share such as 0.1' },
  { flag: '--max-copy-rate', name: 'maxCopyRate', limit: 'copyBytesPerSecondMax', parse: parseBytes, wanted: 'bytes a second such as 20M' },
  { flag: '--max-threads-running', name: 'maxThreadsRunning', limit: 'threadsRunningMax', parse: whole, wanted: 'a number' },
  { flag: '--max-history-length', name: 'maxHistoryLength', limit: 'historyLengthMax', parse: whole, wanted: 'a number' },
  {
    flag: '--max-commit-latency',
    name: 'maxCommitLatency',
    limit: 'commitLatencyMsMax',
    parse: parseDuration,
    wanted: 'a duration such as 20ms',
  },
  { flag: '--max-replica-lag', name: 'maxReplicaLag', limit: 'replicaLagMsMax', parse: parseDuration, wanted: 'a duration such as 5s' },
]

export function paceLimits(flags: Flags, nowMs: number): PaceLimits {
  const limits: PaceLimits = {}
  for (const { flag, name, limit, parse, wanted } of rules) {
    const given = text(flags, name)
    if (given === undefined) continue
    const value = given === 'none' ? null : parse(given)
    if (value === null && given !== 'none')
      throw cliErrors.badArgument({ argument: flag, problem: `${given} is neither ${wanted} nor none`, command: 'reshard update' })
    limits[limit] = value
  }
  const until = text(flags, 'pauseUntil')
  if (until !== undefined) limits.pausedUntilMs = parseTime(until, nowMs)
  if (bool(flags, 'resume', false)) limits.pausedUntilMs = null
  return limits
}

/** `06:00` (the next one, local time), a duration from now, or a date and time. */
function parseTime(given: string, nowMs: number): number {
  const clock = /^(\d{1,2}):(\d{2})$/.exec(given)
  if (clock !== null && Number(clock[1]) < 24 && Number(clock[2]) < 60) {
    const at = new Date(nowMs)
    at.setHours(Number(clock[1]), Number(clock[2]), 0, 0)
    if (at.getTime() <= nowMs) at.setDate(at.getDate() + 1)
    return at.getTime()
  }
  // With its unit: a number alone may be meant for a time of the day ('12.30').
  const duration = /[a-z]$/i.test(given) ? parseDuration(given) : null
  if (duration !== null) return nowMs + duration
  // Anything else is read as some date too: '12.30' as one of 2001, which pauses nothing. And a date without a time as one of UTC.
  const date = /^\d{4}-\d{2}-\d{2}(.*)$/.exec(given)
  const at = date === null ? Number.NaN : Date.parse(date[1] === '' ? `${given}T00:00` : given)
  if (Number.isNaN(at))
    throw cliErrors.badArgument({
      argument: '--pause-until',
      problem: `${given} is none of a time such as 06:00, a duration such as 2h, a date such as 2026-11-30T06:00`,
      command: 'reshard update',
    })
  return at
}
