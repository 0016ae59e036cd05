/** What the dual-write demonstration prints at its end, and its verdict: one line for each thing that is wrong. */
import type { Account } from './account.ts'
import type { Produced } from './agents.ts'
import type { ReadSecond } from './readers.ts'
import type { ActTime } from './story.ts'

/**
 * Seconds of reads before anything began and after all had ended: told, not judged, as minutes lie between them and other work on the machine may too.
 * What is judged is L5, which asks both branches side by side.
 */
export type Latency = {
  readonly before: readonly ReadSecond[]
  readonly after: readonly ReadSecond[]
  readonly sideBySide: string
}

function medianP95(seconds: readonly ReadSecond[]): number {
  return seconds.map((second) => second.p95Ms).toSorted((a, b) => a - b)[Math.floor(seconds.length / 2)] ?? 0
}

export function closingTable(
  acts: readonly ActTime[],
  seconds: readonly ReadSecond[],
  produced: Produced,
  result: Account,
  shards: number,
  latency: Latency,
): string[] {
  const line = (text: string): void => void process.stdout.write(`${text}\n`)
  const total = (get: (second: ReadSecond) => number): number => seconds.reduce((sum, second) => sum + get(second), 0)
  const number = (n: number): string => n.toLocaleString('en-US')
  line('\nact                 seconds')
  for (const { act, seconds: took, note } of acts) line(`${act.padEnd(18)} ${took.toFixed(1).padStart(8)}  ${note.slice(0, 140)}`)
  const backwards = total((second) => second.backwards)
  const errors = total((second) => second.errors)
  line('')
  line(`shards                     ${shards}`)
  line(
    `events produced            ${number(produced.summaries)} summaries, ${number(produced.slowQueries)} slow queries, ${produced.unknown} of unknown outcome`,
  )
  line(`events in the topics       ${number(result.inTopics)}, ${number(result.acknowledged)} of them acknowledged`)
  line(
    `in the final branch        ${number(result.counted[0])} summaries by minute, ${number(result.counted[1])} by hour, ${number(result.slowRows)} slow queries`,
  )
  line(`roll-up rows               ${number(result.rollUpRows)}`)
  line(`expired meanwhile          ${number(result.expired)} roll-up rows and slow queries, with their buckets, on every shard`)
  line(`reads                      ${number(total((second) => second.reads))}, ${errors} errors, ${backwards} back in time`)
  line(`slowest read               ${Math.round(Math.max(0, ...seconds.map((second) => second.slowestMs)))} ms`)
  const [before, after] = [medianP95(latency.before), medianP95(latency.after)]
  line(`p95 of reads side by side  ${latency.sideBySide}`)
  line(
    `p95 of quiet seconds       ${before.toFixed(1)} ms with four shards at the beginning, ${after.toFixed(1)} ms with ${shards} at the end`,
  )
  line(`lost, doubled, misplaced   ${result.wrong.length}\n`)
  const first = seconds.flatMap((second) => second.messages)[0] ?? ''
  return [
    ...result.wrong.slice(0, 8),
    ...(result.wrong.length > 8 ? [`and ${result.wrong.length - 8} more`] : []),
    ...(errors > 0 ? [`${errors} reads failed, the first: ${first}`] : []),
    ...(backwards > 0 ? [`${backwards} reads went back in time: ${first}`] : []),
    ...(result.expired > 0 ? [] : ['nothing expired: it ran for less time than rows are kept']),
    ...(shards === 8 ? [] : [`${shards} shards instead of 8`]),
  ]
}
