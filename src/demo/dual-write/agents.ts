/**
 * The producers: several agents, each its own seed, at a set rate, open loop. Each acknowledged event is written to a ledger
 * outside the topic (one line each), after its acknowledgement: what the ledger holds must be in the final branch.
 */
import { createWriteStream, type WriteStream } from 'node:fs'
import type { Clock } from '../../base/clock.ts'
import { isSwError } from '../../base/errors.ts'
import type { SentRecord, TopicProducer } from '../../topic/topic.ts'
import { Events, slowRecord, summaryRecord } from './events.ts'

export type AgentsOptions = {
  readonly summaries: TopicProducer
  readonly slowQueries: TopicProducer
  readonly agents: number
  readonly seed: number
  readonly databases: number
  readonly patterns: number
  readonly summariesPerSecond: number
  readonly slowPerSecond: number
  readonly ledgerFile: string
  readonly clock: Clock
}

export type Produced = { summaries: number; slowQueries: number; unknown: number }

const tickMs = 50

export async function runAgents(options: AgentsOptions, signal: AbortSignal, produced: Produced): Promise<void> {
  const ledger = createWriteStream(options.ledgerFile, { flags: 'a' })
  const running = Array.from({ length: options.agents }, (_, n) => runAgent(options, n, signal, produced, ledger))
  await Promise.all(running)
  await new Promise<void>((resolve) => ledger.end(resolve))
}

async function runAgent(options: AgentsOptions, n: number, signal: AbortSignal, produced: Produced, ledger: WriteStream): Promise<void> {
  const { clock, databases, patterns } = options
  const events = new Events({ seed: options.seed * 1000 + n, databases, patterns })
  let owedSummaries = 0
  let owedSlow = 0
  let lastMs = clock.monotonicMs()
  while (!signal.aborted) {
    const nowMs = clock.monotonicMs()
    const elapsed = Math.min(1000, nowMs - lastMs) / 1000
    lastMs = nowMs
    owedSummaries += (options.summariesPerSecond / options.agents) * elapsed
    owedSlow += (options.slowPerSecond / options.agents) * elapsed
    const at = Math.floor(clock.nowMs())
    const summaries = Array.from({ length: Math.floor(owedSummaries) }, () => events.summary(at))
    const slow = Array.from({ length: Math.floor(owedSlow) }, () => events.slowQuery(at))
    owedSummaries -= summaries.length
    owedSlow -= slow.length
    const [first, second] = await Promise.all([
      sent(options.summaries.send(summaries.map(summaryRecord))),
      sent(options.slowQueries.send(slow.map(slowRecord))),
    ])
    if (first === null) produced.unknown += summaries.length
    else {
      produced.summaries += summaries.length
      for (const place of first) ledger.write(`summaries ${place.partition} ${place.offset}\n`)
    }
    if (second === null) produced.unknown += slow.length
    else {
      produced.slowQueries += slow.length
      for (const [at_, place] of second.entries()) ledger.write(`slow_queries ${place.partition} ${place.offset} ${slow[at_]?.event_id}\n`)
    }
    await clock.sleep(tickMs, signal).catch(() => undefined)
  }
}

/** null: whether they were written is not known; they are not sent again, and count in neither direction. */
async function sent(sending: Promise<SentRecord[]>): Promise<SentRecord[] | null> {
  try {
    return await sending
  } catch (error) {
    if (isSwError(error) && error.class !== 'user') return null
    throw error
  }
}
