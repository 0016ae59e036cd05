/** What a switch does, as gates and servers see it; rows are not moved. */
import { keys } from '../../topology/keys.ts'
import type { GateRecord, RoutingRecord } from '../../topology/records.ts'
import { toOpening, toStable, toSwitching, type RoutingChange } from '../../topology/routing.ts'
import type { Store } from '../../topology/store.ts'
import { readRecord } from '../../topology/typed.ts'
import type { Connection } from '../../mysql/connection.ts'
import { changeRouting } from './world.ts'

export async function closeServer(c: Connection): Promise<void> {
  await c.query("ALTER USER sw_gate@'%' ACCOUNT LOCK")
  await c.query('SET GLOBAL read_only=1')
}

export async function openServer(c: Connection): Promise<void> {
  await c.query('SET GLOBAL read_only=0')
  await c.query("ALTER USER sw_gate@'%' ACCOUNT UNLOCK")
}

export async function until<T>(what: string, limitMs: number, probe: () => Promise<T | undefined | false>): Promise<T> {
  const endMs = Date.now() + limitMs
  for (;;) {
    const got = await probe()
    if (got !== undefined && got !== false) return got
    if (Date.now() > endMs) throw new Error(`waited ${limitMs} ms for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

export function routingStep(store: Store, keyspace: string, change: (r: RoutingRecord) => RoutingChange): Promise<number> {
  return changeRouting(store, keyspace, (r) => {
    const result = change(r)
    if (!result.ok) throw result.error
    return result.record
  })
}

export async function gateRecord(store: Store, id = 'gate-1'): Promise<GateRecord> {
  const record = await readRecord<GateRecord>(store, keys.gate(id))
  if (record === null) throw new Error('the gate has no record')
  return record.value
}

/** As step 10 of a switch: the gate's sessions end, after the statements they are at. */
async function killClients(c: Connection): Promise<void> {
  const running = "SELECT id FROM information_schema.processlist WHERE user = 'sw_gate' AND command NOT IN ('Sleep', 'Killed')"
  await until('running statements to end', 5000, async () => (await c.allText(running)).length === 0)
  await killGateSessions(c)
}

export async function killGateSessions(c: Connection): Promise<void> {
  await kill(c, await c.allText("SELECT id FROM information_schema.processlist WHERE user = 'sw_gate'"))
}

/**
 * Transactions that wait for their client are ended. One that is at a statement may be an autocommit write that meets the fence
 * only as it commits: killed there, nobody could say whether it was kept, so it is let run into its answer.
 */
async function killTransactions(c: Connection): Promise<void> {
  const open =
    "SELECT p.id, p.command FROM information_schema.innodb_trx t JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id WHERE p.user = 'sw_gate'"
  await until('open transactions to end', 5000, async () => {
    const rows = await c.allText(open)
    await kill(
      c,
      rows.filter((row) => row['command'] === 'Sleep'),
    )
    return rows.length === 0
  })
}

async function kill(c: Connection, sessions: Record<string, string | null>[]): Promise<void> {
  for (const { id } of sessions) await c.query(`KILL ${id}`).catch(() => {})
}

/** `waitForGates` false: the fence comes before the record says a word, so that statements meet it. Resolves with its duration in ms. */
export async function doSwitch(store: Store, keyspace: string, from: Connection, to: Connection, waitForGates: boolean): Promise<number> {
  const ranges = ['-']
  const startMs = performance.now()
  if (!waitForGates) await closeServer(from)
  const version = await routingStep(store, keyspace, (r) =>
    toSwitching(r, { ranges, token: 0, hold: { sinceMs: Date.now(), untilMs: Date.now() + 10_000 } }),
  )
  if (waitForGates) {
    await until('the gate to acknowledge', 5000, async () => {
      const record = await gateRecord(store)
      return (record.seen[keyspace] ?? 0) >= version && record.open[keyspace] === 0
    })
    await closeServer(from)
  }
  await killTransactions(from)
  const opening = await routingStep(store, keyspace, (r) => toOpening(r, { ranges, token: 0, outcome: 'switched' }))
  // Only a gate that knows the new side sends nothing more to the old one: a statement that a KILL overtakes has an unknown outcome.
  await until('the gate to know the new side', 5000, async () => ((await gateRecord(store)).seen[keyspace] ?? 0) >= opening)
  await killClients(from)
  await openServer(to)
  await routingStep(store, keyspace, (r) => toStable(r, { ranges, token: 0 }))
  return performance.now() - startMs
}
