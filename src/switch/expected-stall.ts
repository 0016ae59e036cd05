/**
 * How long a switch would hold clients, from what can be measured without touching anything: round trips, who has a transaction open, what streams
 * are behind (PROTOCOLS 5: round trips to gates and servers, grace, drain of what is behind, commits). An estimate; `--max-stall` is the bound.
 */
import type { Clock } from '../base/clock.ts'
import { keys } from '../topology/keys.ts'
import type { GateRecord, StreamReport } from '../topology/records.ts'
import type { Store } from '../topology/store.ts'
import { listRecords } from '../topology/typed.ts'
import type { SwitchLimits } from './context.ts'
import type { SwitchPlan } from './plan.ts'
import { connectAs, ourNames, readServerAccess } from './server-access.ts'
import { isOpen, listClientSessions } from './sessions.ts'
import { settled } from './settled.ts'

export type StallFactors = {
  /** One round trip to the slowest server, and to the topology. */
  readonly serverMs: number
  readonly topologyMs: number
  readonly openTransactions: number
  /** Of the stream that is furthest behind; null: unknown. */
  readonly behindMs: number | null
}

/** Statements and reads, one after the other, from the hold to its end; and what steps cost beside them (commits that are flushed, our own work). */
const serverTrips = 40
const topologyTrips = 15
const restMs = 20
/** To apply one transaction of those behind, at worst. */
const transactionMs = 5

export function expectedStallMs({ serverMs, topologyMs, openTransactions, behindMs }: StallFactors, graceMs: number): number {
  return restMs + serverTrips * serverMs + topologyTrips * topologyMs + (behindMs ?? 0) + (openTransactions > 0 ? graceMs : 0)
}

export function expectedStallText(factors: StallFactors, { graceMs, limitMs }: Pick<SwitchLimits, 'graceMs' | 'limitMs'>): string {
  const { serverMs, topologyMs, openTransactions, behindMs } = factors
  const open =
    openTransactions === 0
      ? 'no transaction is open'
      : `${openTransactions} ${openTransactions === 1 ? 'transaction is' : 'transactions are'} open, which may take up to ${graceMs} ms of it`
  const behind = behindMs === null ? 'how far streams are behind is unknown' : `streams are ${Math.round(behindMs)} ms behind`
  const trips = `a round trip takes ${serverMs.toFixed(1)} ms to the servers, ${topologyMs.toFixed(1)} ms to the topology`
  return `expected stall: about ${Math.round(expectedStallMs(factors, graceMs) / 10) * 10} ms now (${open}; ${behind}; ${trips}), ${limitMs} ms at most`
}

export async function stallFactors(context: { store: Store; clock: Clock }, plan: SwitchPlan): Promise<StallFactors> {
  const { store, clock } = context
  const timed = async (work: () => Promise<unknown>): Promise<number> => {
    const beganMs = clock.monotonicMs()
    await work()
    return clock.monotonicMs() - beganMs
  }
  const servers = await settled(
    [...new Set([...plan.from.serverIds, ...plan.to.serverIds])].map(async (id) => {
      const access = await readServerAccess(store, id)
      await using connection = await connectAs(access, 'admin')
      const spare = new Set(plan.allowUnfenced)
      const sessions = plan.from.serverIds.includes(id) ? await listClientSessions(connection, ourNames(access), spare) : []
      const ms = await timed(() => connection.query('SELECT 1'))
      return { ms, open: sessions.filter(isOpen).length }
    }),
  )
  const topologyMs = await timed(() => listRecords<GateRecord>(store, keys.gates))
  const reports = (await listRecords<StreamReport>(store, keys.reportsOf(plan.workflowUid))).map((record) => record.value)
  const lags = plan.streams.flatMap((stream) => {
    const report = reports.find((one) => one.streamUid === stream.uid)
    return stream.targets.map(({ shard }) => report?.targets.find((target) => target.shard === shard)?.lag ?? null)
  })
  // Under load a few are always on their way, and the last marker is as old as markers are seldom.
  const behind = lags.map((lag) => {
    if (lag === null || lag.markerAgeMs === null) return null
    return lag.transactions === null ? lag.markerAgeMs : Math.min(lag.markerAgeMs, lag.transactions * transactionMs)
  })
  return {
    serverMs: Math.max(0, ...servers.map(({ ms }) => ms)),
    topologyMs,
    openTransactions: servers.reduce((sum, { open }) => sum + open, 0),
    behindMs: behind.includes(null) ? null : Math.max(0, ...behind.map((ms) => ms ?? 0)),
  }
}
