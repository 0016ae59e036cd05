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

export async function killClients(c: Connection, which: 'in transaction' | 'all'): Promise<void> {
  const sql =
    which === 'in transaction'
      ? "SELECT trx_mysql_thread_id AS id FROM information_schema.innodb_trx t JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id WHERE p.user = 'sw_gate'"
      : "SELECT id FROM information_schema.processlist WHERE user = 'sw_gate'"
  for (const row of await c.allText(sql)) await c.query(`KILL ${row['id']}`).catch(() => {})
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
  await killClients(from, 'in transaction')
  await routingStep(store, keyspace, (r) => toOpening(r, { ranges, token: 0, outcome: 'switched' }))
  await killClients(from, 'all')
  await openServer(to)
  await routingStep(store, keyspace, (r) => toStable(r, { ranges, token: 0 }))
  return performance.now() - startMs
}
