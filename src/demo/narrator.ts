/** What the demonstration prints: a line each second, and the table at the end with its verdict. */
import type { SecondReport } from './application.ts'
import type { CheckResult } from './final-check.ts'
import type { Story } from './story.ts'

export function secondLine(second: SecondReport): string {
  const operations = second.reads + second.writes
  const errors = second.errors === 0 ? '0 errors' : `${second.errors} ERRORS (the first: ${(second.messages[0] ?? '').slice(0, 160)})`
  return `· ${String(operations).padStart(4)} operations, ${errors}, slowest write ${Math.round(second.slowestWriteMs)} ms`
}

export type Closing = {
  readonly story: Pick<Story, 'phases' | 'switches' | 'rowsMoved'>
  readonly seconds: readonly SecondReport[]
  readonly check: CheckResult
  readonly stallLimitMs: number
  readonly say: (line: string) => void
}

/** Prints the closing table; returns what is wrong, one line each; nothing: all is well. */
export function closingTable({ story, seconds, check, stallLimitMs, say }: Closing): string[] {
  const errors = seconds.reduce((n, second) => n + second.errors, 0)
  const operations = seconds.reduce((n, second) => n + second.reads + second.writes, 0)
  say('')
  say('move      phase             seconds')
  for (const { move, phase, seconds: took, note } of story.phases)
    say(`${move.padEnd(9)} ${phase.padEnd(17)} ${took.toFixed(2).padStart(7)}  ${note}`)
  say('')
  say('move      switch            held  failed  longest hold  median hold  no write for  slowest write')
  for (const s of story.switches) {
    say(
      `${s.move.padEnd(9)} ${s.verb.padEnd(17)} ${String(s.held).padStart(4)}  ${String(s.failed).padStart(6)}  ${ms(s.longestHoldMs)}  ${ms(s.medianHoldMs)}  ${ms(s.stallMs)}  ${ms(s.slowestWriteMs)}`,
    )
  }
  say('')
  say(`rows moved                 ${story.rowsMoved.toLocaleString('en-US')}`)
  say(`client operations          ${operations.toLocaleString('en-US')} in ${seconds.length} s`)
  say(`client errors              ${errors}`)
  say(`operations acknowledged    ${check.acknowledged.toLocaleString('en-US')} writes, ${check.unknown} with unknown outcome`)
  say(`rows on the shards         ${check.rows.toLocaleString('en-US')}`)
  say(`lost                       ${check.lost.length}`)
  say(`doubled                    ${check.doubled.length}`)
  say(`on a wrong shard           ${check.misplaced.length}`)
  say(`ids given twice            ${check.duplicateIds.length}`)
  say('')
  const slow = story.switches.filter((s) => s.stallMs > stallLimitMs)
  return [
    ...first('lost', check.lost),
    ...first('doubled', check.doubled),
    ...first('wrong shard', check.misplaced),
    ...first('id twice', check.duplicateIds),
    ...(errors === 0 ? [] : [`error: ${errors} errors at the client, the first: ${seconds.flatMap((second) => second.messages)[0] ?? ''}`]),
    ...slow.map(
      (s) => `slow switch: ${s.move} ${s.verb}: the application had no write for ${Math.round(s.stallMs)} ms, more than ${stallLimitMs} ms`,
    ),
  ]
}

function first(what: string, lines: readonly string[]): string[] {
  if (lines.length === 0) return []
  return [...lines.slice(0, 5).map((line) => `${what}: ${line}`), ...(lines.length > 5 ? [`${what}: and ${lines.length - 5} more`] : [])]
}

function ms(value: number | null): string {
  return (value === null ? 'unknown' : `${Math.round(value)} ms`).padStart(11)
}
