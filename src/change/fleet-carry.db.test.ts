/**
 * Rule 17 of PROTOCOLS 4 on real servers: a keyspace that a fleet fills goes from two shards to four (split), to two (merge) and back (a reverse), while producers write and the
 * fleet runs and purges; the controller dies in the carry of both. Sums, 1:1 rows and events with ids are exact at the end, row by row where they stand.
 */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { silentLog } from '../base/log.ts'
import { Consumer } from '../ingest/consumer.ts'
import { ingestTables } from '../ingest/tables.ts'
import { smallConsumer } from '../ingest/testkit/small-consumer.ts'
import { KeyRangeIndex } from '../keyspace/key-range-index.ts'
import { parseKeyRange } from '../keyspace/key-range.ts'
import { createVindex } from '../keyspace/vindexes/create.ts'
import { Mover } from '../move/mover.ts'
import { createTopic, openProducer, openTopic } from '../topic/open.ts'
import { ControllerDied } from '../switch/crash-points.ts'
import type { SwitchCrashPoint } from '../switch/crash-points.ts'
import { keys } from '../topology/keys.ts'
import type { FleetRecord } from '../topology/dualwrite-records.ts'
import type { KeyspaceRecord, RoutingRecord, ShardRecord, VSchemaRecord } from '../topology/records.ts'
import { initialRouting } from '../topology/routing.ts'
import { pausedFleet } from '../topology/fleet-pause.ts'
import { put, readRecord, updateRecord } from '../topology/typed.ts'
import { bucketMs } from '../../test/kit/dualwrite-definition.ts'
import { processDir } from '../../test/kit/servers.ts'
import type { TestServer } from '../../test/kit/servers.ts'
import { until } from '../../test/kit/until.ts'
import { createFleet } from './fleets.ts'
import { fleetCarrier, movesOf } from './fleet-carry.ts'
import { attachServer } from './servers.ts'
import { carriedDefinition, carriedTables } from './testkit/carried-tables.ts'
import { Office, rootOf, testServer } from './testkit/office.ts'

const two = ['-80', '80-']
const four = ['-40', '40-80', '80-c0', 'c0-']
const switchArgs = {
  tabletTypes: ['primary', 'replica'],
  shards: [],
  timeoutMs: 60_000,
  maxLagMs: 30_000,
  maxStallMs: 30_000,
  requireVdiff: false,
  enableReverse: true,
  allowDifferences: [],
  allowUnfenced: [],
  dryRun: false,
}

test('rule 17: the new shards that an old one goes to are those whose range meets its own, in key order', () => {
  const shard = (name: string) => ({ shard: name, uid: name, serverId: 's', schema: name })
  const side = (names: readonly string[]) => ({ shards: names.map(shard), serverIds: ['s'] })
  const names = (from: readonly string[], to: readonly string[]) =>
    movesOf({ from: side(from), to: side(to) }).map((move) => [move.from.shard, move.to.map((one) => one.shard)])
  assert.deepEqual(names(two, ['c0-', '80-c0', '-40', '40-80']), [
    ['-80', ['-40', '40-80']],
    ['80-', ['80-c0', 'c0-']],
  ])
  assert.deepEqual(names(two, ['-60', '60-c0', 'c0-']), [
    ['-80', ['-60', '60-c0']],
    ['80-', ['60-c0', 'c0-']],
  ])
})

describe('rule 17 on real servers', { timeout: 300_000 }, () => {
  let servers: TestServer[]
  let office: Office
  let url: string
  /** The controller dies there, once. */
  let diesAt: SwitchCrashPoint | null = null
  const stop = new AbortController()
  const running: Promise<unknown>[] = []
  const at = (server: TestServer | undefined) => ({ host: '127.0.0.1', port: server!.port, user: 'root', password: '' })

  before(async () => {
    servers = await Promise.all([0, 1, 2].map(() => testServer({ durability: 'full', bufferPoolMb: 32 })))
    office = await Office.open('mariadb', async (point) => {
      if (point !== diesAt) return
      diesAt = null
      throw new ControllerDied(point)
    })
    const { store, world } = office
    const [first] = servers
    const shards: ShardRecord[] = []
    {
      await using root = await rootOf(first!)
      for (const [i, name] of two.entries()) {
        const schema = `old_${i}`
        await root.query(`CREATE DATABASE ${schema}`)
        for (const table of carriedTables) await root.query(table.replace('CREATE TABLE ', `CREATE TABLE ${schema}.`))
        const place = { serverId: `127.0.0.1:${first!.port}`, schema, madeBy: null, provisioned: false }
        shards.push({ v: 1, keyspace: 'app', name, uid: `old-${i}`, ...place })
      }
    }
    await attachServer(world, at(first))
    const one = { column_vindexes: [{ column: 'tenant', name: 'hash' }] }
    const vschema = { sharded: true, vindexes: { hash: { type: 'hash' } }, tables: { stat: one, detail: one, once: one, passing: one } }
    await store.commit(
      [],
      [
        put<KeyspaceRecord>(keys.keyspace('app'), {
          v: 1,
          name: 'app',
          uid: 'app-uid',
          sharded: true,
          allowUnfenced: [],
          transactionMode: 'multi',
        }),
        put<VSchemaRecord>(keys.vschema('app'), { v: 1, vschema }),
        put<RoutingRecord>(keys.routing('app'), initialRouting(two)),
        ...shards.map((shard) => put(keys.shard('app', shard.name), shard)),
      ],
    )
    url = `log://${mkdtempSync(join(processDir(), 'carry-'))}/events`
    await createTopic(url, { partitions: 3 })
    const mover = new Mover({
      store,
      id: 'mover',
      pid: process.pid,
      clock: systemClock,
      log: silentLog,
      rssBytes: () => 0,
      kill: () => undefined,
    })
    running.push(mover.run(stop.signal))
    const fleetWorld = { ...world, loadDefinition: async () => carriedDefinition }
    await createFleet(fleetWorld, { keyspace: 'app', branch: 'main', definitionPath: 'x', topicUrl: url, start: { at: 'end' } })
    for (const id of ['c1', 'c2']) {
      const consumer = new Consumer({
        store,
        fleet: 'app',
        id,
        pid: process.pid,
        clock: systemClock,
        log: silentLog,
        rssBytes: () => 0,
        openTopic: (address) => openTopic(address),
        loadDefinition: async () => carriedDefinition,
        // Leases that a busy machine does not lose.
        config: { ...smallConsumer, leaseMs: 6000, pingMs: 1500, purgeMs: 250 },
      })
      running.push(consumer.run(stop.signal))
    }
  })
  after(async () => {
    stop.abort()
    await Promise.all(running)
    await office[Symbol.asyncDispose]()
    await Promise.all(servers.map((server) => server[Symbol.asyncDispose]()))
  })

  const act = async (name: string, verb: string, args: object): Promise<void> => {
    const action = await office.act('app', name, verb, args as Record<string, unknown>)
    assert.equal(action.state, 'done', `${name} ${verb}: ${JSON.stringify(action.errors)} ${action.text.join('\n')}`)
  }
  /** Its controller dies with everything carried and nothing decided; whoever comes next gives it up, and the fleet goes on where it was. */
  const dieInTheCarry = async (name: string): Promise<void> => {
    const before = (await shardsNow()).map((shard) => shard.name)
    diesAt = 'rowsCarried'
    const action = await office.act('app', name, 'switchtraffic', switchArgs)
    assert.deepEqual([action.state, diesAt], ['failed', null])
    const checked = await office.act('app', name, 'reversetraffic', switchArgs)
    assert.equal(checked.state, 'failed', 'it recovers what was left, and then there is nothing to reverse')
    assert.deepEqual(
      (await shardsNow()).map((shard) => shard.name),
      before,
    )
    await moves()
  }
  const shardsNow = async (): Promise<ShardRecord[]> => {
    const routing = await readRecord<RoutingRecord>(office.store, keys.routing('app'))
    const names = routing?.value.components.flatMap(({ serving }) => serving.primary) ?? []
    return Promise.all(names.map(async (name) => (await readRecord<ShardRecord>(office.store, keys.shard('app', name)))!.value))
  }
  const onShards = async (sql: string): Promise<{ shard: string; rows: Record<string, string | null>[] }[]> => {
    const out: { shard: string; rows: Record<string, string | null>[] }[] = []
    for (const { name, serverId, schema, uid } of await shardsNow())
      out.push({
        shard: name,
        rows: await office.pool.run(serverId, ({ connection }) =>
          connection.allText(sql.replaceAll('{schema}', schema).replaceAll('{uid}', `'${uid}'`)),
        ),
      })
    return out
  }
  const positions = async (): Promise<bigint[]> =>
    (await onShards('SELECT next_offset AS n FROM _shardwright.ingest_position WHERE shard_uid = {uid} ORDER BY partition_no')).flatMap(
      ({ rows }) => rows.map((row) => BigInt(row['n']!)),
    )
  /** Below which buckets of the table whose rows expire are gone, on every shard. */
  const floors = async (): Promise<number> =>
    Math.max(
      0,
      ...(await onShards("SELECT floor_ms AS n FROM _shardwright.ingest_floor WHERE shard_uid = {uid} AND table_name = 'passing'")).flatMap(
        ({ rows }) => rows.map((row) => Number(row['n'])),
      ),
    )
  /** The fleet writes on the shards that serve now. */
  const moves = async (): Promise<void> => {
    const before = await positions()
    assert.equal(before.length, (await shardsNow()).length * 3, 'positions stand on every shard that serves')
    await until(
      'the fleet to move on on every shard that serves',
      async () => {
        const now = await positions()
        return now.length === before.length && now.every((next, i) => next > before[i]!)
      },
      60_000,
    )
  }
  const follow = (): Promise<unknown> =>
    until(
      'streams to follow',
      async () => {
        const reports = [...(await office.store.list('reports/')).entries.values()].map((entry) => entry.value as { state?: string })
        const failed = reports.find(({ state }) => state === 'failed')
        assert.equal(failed, undefined, JSON.stringify(failed))
        return reports.length > 0 && reports.every(({ state }) => state === 'running')
      },
      90_000,
    )
  const spec = (sourceShards: readonly string[], targetShards: readonly string[], server: TestServer | undefined) => ({
    sourceShards,
    targetShards,
    targetServers: [at(server)],
    autoStart: true,
    deferSecondaryKeys: true,
  })

  test('promises 1, 5, 9: 2 → 4, 4 → 2 and back under a running fleet, its controller dying in the carry: each record once, each event id once', async (t) => {
    const producer = await openProducer(url)
    const sent: { id: string; tenant: number; at: number; seq: number; n: number }[] = []
    const times: number[] = []
    const end = new AbortController()
    const producing = (async () => {
      for (let n = 0; !end.signal.aborted; n++) {
        const events = Array.from({ length: 6 }, (_, i) => ({ id: randomUUID(), tenant: (n * 6 + i) % 50, at: Date.now(), seq: n, n: 1 }))
        // Sent again by a producer that got no answer, to another partition maybe, and maybe after a switch.
        const again = [sent.at(-1 - (n % 300)), sent.at(-40)].filter((event) => event !== undefined)
        sent.push(...events)
        const all = [...events.map((event) => ({ event, key: '' })), ...again.map((event) => ({ event, key: 'again' }))]
        times.push(...all.map(({ event }) => event.at))
        await producer.send(
          all.map(({ event, key }) => ({ key: Buffer.from(`${key}${event.tenant}`), value: Buffer.from(JSON.stringify(event)) })),
        )
        await systemClock.sleep(15)
      }
    })()
    await until(
      'the fleet to write',
      async () => (await positions()).length === 6 && (await positions()).some((next) => next > 50n),
      60_000,
    )

    const there = await office.create('app', 'grow', spec(two, four, servers[1]))
    assert.equal(there.state, 'done', JSON.stringify(there.errors))
    await follow()
    await dieInTheCarry('grow')
    await act('grow', 'switchtraffic', switchArgs)
    await moves()
    await act('grow', 'complete', { keepData: false, dropSource: false, dryRun: false })
    assert.deepEqual(
      (await shardsNow()).map(({ name }) => name),
      four,
    )

    const merge = await office.create('app', 'shrink', spec(four, two, servers[2]))
    assert.equal(merge.state, 'done', JSON.stringify(merge.errors))
    await follow()
    const floor = await floors()
    await dieInTheCarry('shrink')
    await act('shrink', 'switchtraffic', switchArgs)
    assert.deepEqual(
      (await shardsNow()).map(({ name }) => name),
      two,
    )
    const merged = await shardsNow()
    await moves()
    // Expired rows go by DELETE while shards are moved: streams would stop at DDL, and they go on.
    await until('purge to go on meanwhile', async () => (await floors()) > floor)
    await follow()
    await act('shrink', 'reversetraffic', switchArgs)
    await moves()
    await act('shrink', 'cancel', { keepData: false, dropSource: false, dryRun: false })
    assert.deepEqual(
      (await shardsNow()).map(({ name }) => name),
      four,
    )
    // Promise 12: of the fleet nothing is left on what was cancelled, though it had served.
    for (const { serverId, uid } of merged)
      for (const name of ingestTables)
        assert.equal(
          await office.pool.run(serverId, ({ connection }) =>
            connection.value(`SELECT COUNT(*) FROM _shardwright.${name} WHERE shard_uid = '${uid}'`),
          ),
          '0',
          `${name} of ${uid}`,
        )

    end.abort()
    await producing
    const fleet = await readRecord<FleetRecord>(office.store, keys.fleet('app'))
    assert.equal(fleet?.value.wanted, 'running')
    assert.equal(fleet?.value.paused, undefined)
    const topic = await openTopic(url)
    const ends = [...(await topic.endOffsets())].sort(([a], [b]) => a - b).map(([, offset]) => offset)
    await topic.close()
    await until(
      'the fleet to reach the end',
      async () => JSON.stringify(await positions(), big) === JSON.stringify([...ends, ...ends, ...ends, ...ends], big),
      60_000,
    )

    // Where rows stand, and what they add up to, by tenant.
    const index = new KeyRangeIndex(four.map((name) => ({ range: parseKeyRange(name), value: name })))
    const hash = createVindex('hash', 'hash')
    const shardOf = (tenant: string): string | undefined => index.find(hash.map([{ type: 'UINT64', bytes: Buffer.from(tenant) }])!)
    const byTenant = async (sql: string): Promise<Map<string, number>> => {
      const out = new Map<string, number>()
      for (const { shard, rows } of await onShards(sql))
        for (const row of rows) {
          assert.equal(shardOf(row['tenant']!), shard, `tenant ${row['tenant']} stands on ${shard}`)
          out.set(row['tenant']!, Number(row['n']))
        }
      return out
    }
    const stat = await byTenant('SELECT tenant, SUM(calls) AS n FROM {schema}.stat GROUP BY tenant')
    const detail = await byTenant('SELECT tenant, COUNT(*) AS n FROM {schema}.detail GROUP BY tenant')
    const once = await byTenant('SELECT tenant, SUM(calls) AS n FROM {schema}.once GROUP BY tenant')
    const total = (map: Map<string, number>): number => [...map.values()].reduce((a, b) => a + b, 0)
    const records = times.length
    t.diagnostic(`${sent.length} events in ${records} records`)
    assert.ok(records > sent.length + 50)
    assert.equal(total(stat), records, 'each record is in the sums once')
    assert.equal(total(detail), records, 'each record has its row')
    assert.deepEqual(stat, detail)
    const expected = new Map<string, number>()
    for (const { tenant } of sent) expected.set(String(tenant), (expected.get(String(tenant)) ?? 0) + 1)
    // Rows of buckets below the floor are gone for good, all others are there.
    const passing = await onShards('SELECT SUM(calls) AS n, bucket FROM {schema}.passing GROUP BY bucket')
    // Asked behind them: a bucket may go in between.
    const least = await floors()
    const counted = passing.flatMap(({ rows }) => rows).filter((row) => Number(row['bucket']) >= least)
    const expectedPassing = times.filter((time) => Math.floor(time / bucketMs) * bucketMs >= least).length
    assert.equal(
      counted.reduce((sum, row) => sum + Number(row['n']), 0),
      expectedPassing,
      'rows that expire',
    )
    assert.deepEqual(new Map([...once].sort()), new Map([...expected].sort()), 'each event id counts once')
    // The account of what was taken chains from the start to the end (L0).
    for (const { rows } of await onShards('SELECT * FROM _shardwright.ingest_position WHERE shard_uid = {uid}'))
      for (const row of rows) assert.equal(BigInt(row['start_offset']!) + BigInt(row['taken']!), BigInt(row['next_offset']!))
  })

  test('promise 9: a fleet that a switch held goes on when its controller died; one that somebody holds does not', async () => {
    const { store } = office
    const leader = await readRecord(store, keys.leader)
    const leadership = { token: 1, fence: { key: keys.leader, version: leader!.version }, signal: stop.signal }
    const carrier = fleetCarrier({ store, clock: systemClock, log: silentLog, leadership })
    const change = (by: string) =>
      updateRecord<FleetRecord>(store, keys.fleet('app'), (fleet) => (fleet === null ? null : pausedFleet(fleet, by, { wanted: 'held' })))
    const wanted = async () => (await readRecord<FleetRecord>(store, keys.fleet('app')))?.value.wanted
    await change('switch of-a-dead-controller')
    await carrier.recover('app')
    assert.equal(await wanted(), 'running')
    await change('somebody else')
    await carrier.recover('app')
    assert.equal(await wanted(), 'held')
  })
})

function big(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value
}
