import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { decide, takeRouting } from '../switch/decide.ts'
import { keys } from '../topology/keys.ts'
import { MemoryStore } from '../topology/memory.ts'
import type { RoutingRecord, VdiffReport } from '../topology/records.ts'
import { attachWorkflow, componentsOfWorkflow, initialRouting } from '../topology/routing.ts'
import { put, readRecord } from '../topology/typed.ts'
import type { ActionContext } from '../workflow/context.ts'
import { KeyspaceTurns } from '../switch/turns.ts'
import { claimedRanges, inTurn } from './reshard.ts'
import { differentTables } from './reshard-plan.ts'
import { vdiffVerdict } from '../switch/vdiff-verdict.ts'
import { replicaReadsTo } from './reshard-switch.ts'

const leader = { v: 1 as const, holder: 'me', token: 1, address: '' }

async function world(shards: string[]): Promise<{
  store: MemoryStore
  claim: (workflow: string, sources: string[], targets: string[], before?: () => Promise<void>) => Promise<void>
}> {
  const store = new MemoryStore()
  await store.commit([], [put(keys.leader, leader), put(keys.routing('app'), initialRouting(shards, 1))])
  const version = (await store.get(keys.leader))?.version ?? 0
  const context = {
    store,
    clock: systemClock,
    leadership: { token: 1, fence: { key: keys.leader, version }, signal: new AbortController().signal },
  }
  return {
    store,
    async claim(workflow, sources, targets, before = async () => undefined) {
      const routing = await takeRouting(context, 'app')
      await before()
      const change = (record: RoutingRecord): ReturnType<typeof attachWorkflow> =>
        attachWorkflow(record, { workflow, sources, targets, token: 1 })
      await decide(context, 'app', routing, change, claimedRanges(sources, targets))
    },
  }
}

async function workflows(store: MemoryStore): Promise<(string | null)[]> {
  return ((await readRecord<RoutingRecord>(store, keys.routing('app')))?.value.components ?? []).map((component) => component.workflow)
}

test('a claim that loses to another workflow of the keyspace is made again, not taken for made', async () => {
  const { store, claim } = await world(['-80', '80-'])
  await claim('b', ['80-'], ['80-c0', 'c0-'], () => claim('a', ['-80'], ['-40', '40-80']))
  assert.deepEqual(await workflows(store), ['a', 'b'])
})

test('of two workflows that claim one shard at once, one is refused', async () => {
  const { store, claim } = await world(['-'])
  await assert.rejects(
    claim('b', ['-'], ['-40', '40-'], () => claim('a', ['-'], ['-80', '80-'])),
    { code: 'SW-SWITCH-010' },
  )
  assert.deepEqual(await workflows(store), ['a'])
})

test('what moves traffic runs one at a time in a keyspace, beside other keyspaces, and after a failure', async () => {
  const turns = new KeyspaceTurns()
  const log: string[] = []
  const run = (keyspace: string, name: string, fails = false): Promise<void> =>
    inTurn(
      turns,
      {
        workflow: { keyspace },
        signal: new AbortController().signal,
        waiting: async (what: string | null) => void log.push(what === null ? `${name} goes on` : `${name} waits`),
      } as unknown as ActionContext,
      async () => {
        log.push(`${name} begins`)
        await systemClock.sleep(5)
        log.push(`${name} ends`)
        if (fails) throw new Error(name)
      },
    )
  const ended = await Promise.allSettled([run('app', 'a', true), run('app', 'b'), run('app', 'c')])
  assert.deepEqual(
    ended.map((one) => one.status),
    ['rejected', 'fulfilled', 'fulfilled'],
  )
  assert.deepEqual(
    log.filter((line) => /begins|ends/.test(line)),
    ['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends'],
  )
  assert.ok(log.includes('b waits') && log.includes('c waits'))
  log.length = 0
  await Promise.all([run('app', 'a'), run('other', 'd')])
  assert.deepEqual(log.slice(0, 2), ['a begins', 'd begins'])
})

test('replica reads go to the side that is meant, and back, before any switch', async () => {
  const { store, claim } = await world(['-'])
  await claim('a', ['-'], ['-80', '80-'])
  const record = (await readRecord<RoutingRecord>(store, keys.routing('app')))?.value
  assert.ok(record)
  let now = record
  for (const [wanted, expected] of [
    [
      ['-80', '80-'],
      ['-80', '80-'],
    ],
    [
      ['-80', '80-'],
      ['-80', '80-'],
    ],
    [['-'], ['-']],
  ] as const) {
    const change = replicaReadsTo(now, ['-'], wanted, 1)
    assert.ok(change.ok)
    now = change.record
    assert.deepEqual(componentsOfWorkflow(now, 'a')[0]?.serving.replica, expected)
  }
})

test('of each table its last comparison that came to an end counts', () => {
  const report = (startedAtMs: number, state: VdiffReport['state'], tables: Record<string, number>): VdiffReport =>
    ({
      startedAtMs,
      state,
      serves: '-@1',
      tables: Object.entries(tables).map(([name, different]) => ({ name, different, missing: 0, extra: 0, misplaced: 0 })),
    }) as unknown as VdiffReport
  const verdict = (...reports: VdiffReport[]): unknown => {
    const { uncompared, differing } = vdiffVerdict(reports, ['a', 'b'], ['-@1'])
    return { uncompared, differing: differing.map(({ table }) => table) }
  }
  assert.deepEqual(verdict(), { uncompared: ['a', 'b'], differing: [] })
  assert.deepEqual(verdict(report(1, 'failed', { a: 0, b: 0 })), { uncompared: ['a', 'b'], differing: [] })
  assert.deepEqual(verdict(report(1, 'different', { a: 0, b: 2 }), report(2, 'clean', { a: 0 })), { uncompared: [], differing: ['b'] })
  assert.deepEqual(verdict(report(1, 'different', { a: 1, b: 2 }), report(2, 'clean', { a: 0, b: 0 })), { uncompared: [], differing: [] })
})

test('sources of a merge that have not the same tables are named with what differs', () => {
  const schema = (...names: string[]): Parameters<typeof differentTables>[1][number] =>
    ({ tables: names.map((name) => ({ name })) }) as never
  const sources = [{ name: '-80' }, { name: '80-' }]
  assert.deepEqual(differentTables(sources, [schema('a', 'b'), schema('b', 'a')]), [])
  const [found] = differentTables(sources, [schema('a', 'b'), schema('a', 'c')])
  assert.equal(found?.code, 'SW-CHANGE-036')
  assert.match(found.message, /80- has other tables than -80: c, b/)
})
