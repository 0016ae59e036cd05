/** Several sources into one target (PROTOCOLS 1.6): a merge and an uneven move, with rows and unique values that wander between the sources. */
import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import { systemClock } from '../base/clock.ts'
import { KeyRangeIndex } from '../keyspace/key-range-index.ts'
import { parseKeyRange } from '../keyspace/key-range.ts'
import { createVindex } from '../keyspace/vindexes/create.ts'
import { bumpControlMarker } from '../binlog/control-schema.ts'
import { connect } from '../mysql/connect.ts'
import { besideEachOther } from '../../test/kit/beside.ts'
import { ServerPairs } from '../../test/kit/server-pairs.ts'
import type { StreamRecord } from '../topology/records.ts'
import { holdAt, killAt } from './testkit/kill-at.ts'
import { itemTable, random, World, type Running } from './testkit/world.ts'

const vindex = createVindex('hash', 'hash')

function shardOf(world: World): (owner: number) => number {
  const index = new KeyRangeIndex(world.sourceRefs.map(({ shard }, value) => ({ range: parseKeyRange(shard), value })))
  return (owner) => index.find(vindex.map([{ type: 'INT64', bytes: Buffer.from(String(owner)) }])!)!
}

/**
 * What an application does through a gate: a row stands on the shard of its owner; when the owner changes it is deleted there and then inserted
 * elsewhere; a unique value is given up on one shard and then taken on another. One writer, so that keys and values are never on two shards at once.
 */
function wanderer(
  world: World,
  seed: number,
  ids: number,
  uniques: number,
): AsyncDisposable & { moves: () => number; stop: () => Promise<void> } {
  let stopped = false
  let moves = 0
  const pick = random(seed)
  const where = shardOf(world)
  const done = (async () => {
    const conn = await connect(world.source.config)
    const rows = new Map<number, { shard: number; owner: number; u: number | null }>()
    const table = (shard: number): string => `${world.sourceRefs[shard]!.schema}.item`
    while (!stopped) {
      const id = pick(ids)
      const old = rows.get(id)
      if (old !== undefined) {
        if (pick(4) === 0) {
          await conn.query(`UPDATE ${table(old.shard)} SET v = v + 1 WHERE id = ${id}`)
          continue
        }
        await conn.query(`DELETE FROM ${table(old.shard)} WHERE id = ${id}`)
        rows.delete(id)
        if (pick(3) === 0) continue
      }
      const owner = pick(50)
      const free = pick(2) === 0 ? pick(uniques) : null
      const u = free !== null && [...rows.values()].some((row) => row.u === free) ? null : free
      const shard = where(owner)
      await conn.query(`INSERT INTO ${table(shard)} VALUES (${id}, ${owner}, ${u ?? 'NULL'}, 'n${pick(9)}', ${pick(1000)})`)
      rows.set(id, { shard, owner, u })
      if (old !== undefined && old.shard !== shard) moves++
      if (pick(3) === 0) await systemClock.sleep(1)
    }
    conn.destroy()
  })()
  const stop = async (): Promise<void> => ((stopped = true), await done)
  return { moves: () => moves, stop, [Symbol.asyncDispose]: async () => void (await stop().catch(() => 0)) }
}

const servers = new ServerPairs()
after(() => servers[Symbol.asyncDispose]())

besideEachOther('rows that wander between sources', (flavour) => {
  for (const [name, sources, targets] of [
    ['merge 4 → 1', ['-40', '40-80', '80-c0', 'c0-'], ['-']],
    ['uneven 2 → 3', ['-80', '80-'], ['-60', '60-c0', 'c0-']],
  ] as const) {
    test(`promise 1 on ${flavour}: ${name} with rows and unique values that wander between the sources`, async () => {
      await using world = await World.create({ flavour, sources: [...sources], targets: [...targets] }, servers.of(flavour))
      const seed = Date.now() % 100_000
      await using load = wanderer(world, seed, 300, 40)
      await new Promise((resolve) => setTimeout(resolve, 300))
      const records: StreamRecord[] = sources.map((_, i) => world.record(i))
      const shares = world.sharesOf(records)
      const running = records.map((record) => world.start(record, { shares, config: { oneLaneChangesMax: 3 } }))
      const uids = records.map((record) => record.uid)
      await world.untilRunning(...uids)
      const before = load.moves()
      await world.until('rows that wander while the streams run', () => load.moves() > before + 20)
      await load.stop()
      await world.drain(...uids)
      const rows = await world.assertEqual()
      assert.ok(rows > 50, `seed ${seed}: ${rows} rows`)
      if (targets.length === 1) assert.ok(await hasUniqueKey(world), 'its unique key was built')
      // Killed in the middle and begun again: the same.
      await using again = wanderer2(world, seed + 1)
      await new Promise((resolve) => setTimeout(resolve, 300))
      for (const one of running) await one.stop()
      const resumed = records.map((record) => world.start(record, { shares: world.sharesOf(records) }))
      await again.stop()
      await world.drain(...uids)
      await world.assertEqual()
      for (const one of resumed) await one.stop()
    })
  }
})

/** Whether the target has the table's unique key. */
async function hasUniqueKey(world: World): Promise<boolean> {
  const { schema } = world.targetRefs[0]!
  const rows = await world.t.allText(
    `SELECT COUNT(*) AS n FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = '${schema}' AND TABLE_NAME = 'item' AND INDEX_NAME = 'u' AND NON_UNIQUE = 0`,
  )
  return rows[0]?.n === '1'
}

besideEachOther('rows of several sources', (flavour) => {
  test(`promise 1, 1.6 on ${flavour}: a row that has gone on to another source stays, though the stream of the source that it came from brings it late`, async () => {
    await using world = await World.create({ flavour, sources: ['-80', '80-'], targets: ['-'] }, servers.of(flavour))
    const where = shardOf(world)
    const ownerOf = (shard: number): number => Array.from({ length: 50 }, (_, owner) => owner).find((owner) => where(owner) === shard)!
    const [from, to] = world.sourceRefs.map(({ schema }) => `${schema}.item`)
    await world.s.query(`INSERT INTO ${from} VALUES (1, ${ownerOf(0)}, NULL, 'n', 0)`)
    await world.s.query(`INSERT INTO ${to} VALUES (2, ${ownerOf(1)}, NULL, 'n', 0)`)
    const records = [world.record(0), world.record(1)]
    const [late, early] = records.map(({ uid }) => uid) as [string, string]
    const shares = world.sharesOf(records)
    // Between a round's deletes and its inserts.
    const failpoints = holdAt('round.afterDeletes')
    const running = records.map((record, i) =>
      world.start(record, { shares, config: { oneLaneChangesMax: 0 }, ...(i === 0 ? { failpoints } : {}) }),
    )
    await world.untilRunning(late, early)
    await world.s.query(`INSERT INTO ${from} VALUES (1000, ${ownerOf(0)}, 5, 'first', 0)`)
    await failpoints.held
    await world.s.query(`DELETE FROM ${from} WHERE id = 1000`)
    await world.s.query(`INSERT INTO ${to} VALUES (1000, ${ownerOf(1)}, 5, 'second', 0)`)
    await world.drain(early)
    failpoints.letGo()
    await world.drain(late, early)
    assert.equal(await world.assertEqual(), 3)
    for (const one of running) await one.stop()
  })

  test(`promise 1, 1.6 on ${flavour}: rows that the tail brought before their chunk was read are in nobody's way when it lands`, async () => {
    await using world = await World.create({ flavour, sources: ['-80', '80-'], targets: ['-'] }, servers.of(flavour))
    const where = shardOf(world)
    const ownerOf = (shard: number): number => Array.from({ length: 50 }, (_, owner) => owner).find((owner) => where(owner) === shard)!
    const write = async (from: number): Promise<void> => {
      for (const [shard, { schema }] of world.sourceRefs.entries()) {
        const rows = Array.from({ length: 20 }, (_, i) => `(${from + 2 * i + shard}, ${ownerOf(shard)}, NULL, 'n', ${i})`)
        await world.s.query(`INSERT INTO ${schema}.item VALUES ${rows.join()}`)
      }
    }
    await write(0)
    const records = [world.record(0), world.record(1)]
    const uids = records.map(({ uid }) => uid)
    const shares = world.sharesOf(records)
    let paused = true
    const running = records.map((record) =>
      world.start(record, { shares, pace: () => (paused ? { pausedUntilMs: Date.now() + 1e9 } : {}) }),
    )
    await world.until('paused copies', () => uids.every((uid) => /paused/.test(world.reports.get(uid)?.waiting?.what ?? '')))
    await write(1000)
    await world.drain(...uids)
    assert.equal(await world.t.value(`SELECT COUNT(*) FROM ${world.targetRefs[0]!.schema}.item`), '40', 'the tail has brought its rows')
    paused = false
    await world.untilRunning(...uids)
    assert.equal(await world.assertEqual(), 80)
    for (const one of running) await one.stop()
  })

  test(`1.1, 1.6, 1.12 on ${flavour}: unique keys of a merge wait for the rows of all sources; while two rows hold one value both stay, the streams go on and say so`, async () => {
    const country = {
      name: 'country',
      shardKey: null,
      ddl: 'CREATE TABLE country (code CHAR(2) NOT NULL PRIMARY KEY, name VARCHAR(20) NOT NULL)',
    }
    await using world = await World.create(
      { flavour, sources: ['-80', '80-'], targets: ['-'], tables: [itemTable, country] },
      servers.of(flavour),
    )
    const where = shardOf(world)
    // 1.1: a reference table is moved by the first source's stream alone, whatever the other copies hold.
    await world.s.query(`INSERT INTO ${world.sourceRefs[0]!.schema}.country VALUES ('DE', 'first'), ('FR', 'first')`)
    await world.s.query(`INSERT INTO ${world.sourceRefs[1]!.schema}.country VALUES ('IT', 'second'), ('XX', 'second')`)
    const ownerOf = (shard: number): number => Array.from({ length: 50 }, (_, owner) => owner).find((owner) => where(owner) === shard)!
    for (const [shard, { schema }] of world.sourceRefs.entries()) {
      const rows = Array.from(
        { length: 300 },
        (_, i) => `(${2 * i + shard}, ${ownerOf(shard)}, ${i === 9 ? 7_000 : 2 * i + shard}, 'n', 0)`,
      )
      await world.s.query(`INSERT INTO ${schema}.item VALUES ${rows.join()}`)
    }
    const records = [world.record(0), world.record(1)]
    const uids = records.map(({ uid }) => uid)
    const shares = world.sharesOf(records)
    const running = records.map((record) => world.start(record, { shares }))
    await world.until('streams that say what stands against the key', () =>
      uids.every((uid) => world.failIfFailed(uid) || /unique key of item .*7000/.test(world.reports.get(uid)?.waiting?.what ?? '')),
    )
    assert.deepEqual([uids.map((uid) => world.state(uid)), await hasUniqueKey(world)], [['copying', 'copying'], false])
    await world.s.query(`UPDATE ${world.sourceRefs[1]!.schema}.item SET v = 5 WHERE u = 7000`)
    await world.s.query(`UPDATE ${world.sourceRefs[1]!.schema}.country SET name = 'changed'`)
    await world.drain(...uids)
    assert.equal(await world.assertEqual(), 602)
    await world.s.query(`UPDATE ${world.sourceRefs[0]!.schema}.item SET u = 7001 WHERE u = 7000`)
    await world.untilRunning(...uids)
    await world.drain(...uids)
    assert.equal(await world.assertEqual(), 602)
    assert.ok(await hasUniqueKey(world), 'built')
    for (const one of running) await one.stop()
  })
})

besideEachOther('text shard keys of several sources', (flavour) => {
  test(`1.6, promise 1 on ${flavour}: rows of two sources whose text shard keys the collation equates are never taken for one another's`, async () => {
    const text = 'VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NOT NULL'
    const tables = [
      {
        name: 'person',
        shardKey: 'name',
        vindex: 'xxhash',
        ddl: `CREATE TABLE person (id INT NOT NULL PRIMARY KEY, name ${text}, v INT NOT NULL)`,
      },
      { name: 'word', shardKey: 'name', vindex: 'xxhash', ddl: `CREATE TABLE word (name ${text} PRIMARY KEY, v INT NOT NULL)` },
      {
        name: 'pair',
        shardKey: 'name',
        vindex: 'xxhash',
        ddl: `CREATE TABLE pair (a ${text}, b INT NOT NULL, name ${text}, PRIMARY KEY (a, b))`,
      },
    ]
    await using world = await World.create({ flavour, sources: ['-80', '80-'], targets: ['-'], tables }, servers.of(flavour))
    const { on, lower, upper } = namesOfTwoShards(world)
    const [one, two] = [world.record(0), world.record(1)]
    const shares = world.sharesOf([one, two])
    const config = { oneLaneChangesMax: 1 }
    const start = (record: StreamRecord) => world.start(record, { shares, config })
    const put = async (n: number): Promise<void> => {
      await on(0, `INSERT INTO person VALUES (${n}, '${lower}', 1)`)
      await on(0, `INSERT INTO pair VALUES ('k', ${n}, '${lower}')`)
    }
    const rename = async (n: number): Promise<void> => {
      for (const table of ['person', 'pair']) await on(0, `DELETE FROM ${table} WHERE ${table === 'pair' ? 'b' : 'id'} = ${n}`)
      await on(1, `INSERT INTO person VALUES (${n}, '${upper}', 2)`)
      await on(1, `INSERT INTO pair VALUES ('K', ${n}, '${upper}')`)
    }
    const copied = (uid: string): boolean => world.reports.get(uid)?.copy.tables.every(({ state }) => state === 'done') === true
    /** The second stream has come to what it must not take for its own: it waits for the first, or has applied all. */
    const secondAlone = async (): Promise<Running> => {
      world.reports.clear()
      const running = start(two)
      await world.until('rows read', () => copied(two.uid) || running.stream.report().copy.sourceRowsRead >= 2)
      for (let n = 0; n < 3; n++) {
        const number = await bumpControlMarker(world.s)
        await world.until('marker passed', () => {
          const { state, waiting, targets } = running.stream.report()
          const waits = state !== 'starting' && waiting !== null
          return world.failIfFailed(two.uid) || waits || targets.every(({ controlMarker }) => controlMarker >= number)
        })
      }
      return running
    }
    await put(1)
    await put(2)
    await on(0, `INSERT INTO word VALUES ('${lower}', 1)`)
    const first = start(one)
    await world.until('copy of the first', () => world.failIfFailed(one.uid) || copied(one.uid))
    await first.stop()
    // A landing: the first stream's row stands where the second's chunk wants to.
    await rename(1)
    let second = await secondAlone()
    let again = start(one)
    await world.untilRunning(one.uid, two.uid)
    await world.drain(one.uid, two.uid)
    assert.equal(await world.assertEqual(), 5)
    // A round: the second stream comes to the new row before the first to the end of the old.
    await again.stop()
    await second.stop()
    await rename(2)
    second = await secondAlone()
    again = start(one)
    await world.drain(one.uid, two.uid)
    assert.equal(await world.assertEqual(), 5)
    // Come and gone in one round: the other source's row stays.
    await on(1, `BEGIN; INSERT INTO word VALUES ('${upper}', 2); DELETE FROM word; COMMIT`)
    await world.drain(one.uid, two.uid)
    assert.equal(await world.assertEqual(), 5)
    await again.stop()
    await second.stop()
  })
})

/** Two spellings of a name, of which the first source holds the one and the second the other. */
function namesOfTwoShards(world: World): { on: (shard: number, sql: string) => Promise<void>; lower: string; upper: string } {
  const xxhash = createVindex('xxhash', 'xxhash')
  const index = new KeyRangeIndex(world.sourceRefs.map(({ shard }, value) => ({ range: parseKeyRange(shard), value })))
  const shardOf = (name: string): number | undefined => index.find(xxhash.map([{ type: 'VARCHAR', bytes: Buffer.from(name) }])!)
  const lower = Array.from({ length: 100 }, (_, i) => `bob${i}`).find((name) => shardOf(name) === 0 && shardOf(name.toUpperCase()) === 1)!
  const on = async (shard: number, sql: string): Promise<void> => {
    await world.s.useDatabase(world.sourceRefs[shard]!.schema)
    for (const statement of sql.split('; ')) await world.s.query(statement)
  }
  return { on, lower, upper: lower.toUpperCase() }
}

besideEachOther('merges that are killed', (flavour) => {
  for (const point of [
    'copy.beforeLandCommit',
    'copy.beforeKeys',
    'copy.afterKeys',
    'round.afterIntent',
    'round.afterDeletes',
    'round.afterSomeLanes',
    'round.beforePosition',
  ] as const) {
    test(`promise 1 on ${flavour}: a merge, one of its streams killed at ${point} and begun again`, async () => {
      await using world = await World.create({ flavour, sources: ['-80', '80-'], targets: ['-'] }, servers.of(flavour))
      const seed = Date.now() % 100_000
      await using load = wanderer(world, seed, 200, 30)
      await new Promise((resolve) => setTimeout(resolve, 200))
      const records = [world.record(0), world.record(1)]
      const uids = records.map(({ uid }) => uid)
      const config = { oneLaneChangesMax: 1 }
      let died = 0
      // The end of the copy is come to once.
      for (const skip of point.endsWith('Keys') ? [0, 0] : [1, 3]) {
        const failpoints = killAt(point, skip)
        const shares = world.sharesOf(records)
        const killed = world.start(records[0]!, { shares, config, failpoints })
        const other = world.start(records[1]!, { shares, config })
        const ended = killed.done.then(() => true)
        await Promise.race([
          ended,
          world.until('kill', () => failpoints.hits > skip || uids.every((uid) => world.state(uid) === 'running')),
        ])
        if (failpoints.hits <= skip) await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 1000))])
        await killed.stop()
        if (failpoints.hits > skip) died++
        await other.stop()
        world.reports.clear()
      }
      const shares = world.sharesOf(records)
      const running = records.map((record) => world.start(record, { shares, config }))
      await world.untilRunning(...uids)
      await load.stop()
      await world.drain(...uids)
      await world.assertEqual()
      assert.ok(await hasUniqueKey(world), 'its unique key was built')
      for (const one of running) await one.stop()
      assert.ok(died > 0, 'the point was met')
    })
  }
})

/** Goes on with the rows that are there: owners change, rows move. */
function wanderer2(world: World, seed: number): AsyncDisposable & { stop: () => Promise<void> } {
  let stopped = false
  const pick = random(seed)
  const where = shardOf(world)
  const done = (async () => {
    const conn = await connect(world.source.config)
    while (!stopped) {
      const from = pick(world.sourceRefs.length)
      const schema = world.sourceRefs[from]!.schema
      const row = (await conn.allText(`SELECT * FROM ${schema}.item WHERE id >= ${pick(300)} LIMIT 1`))[0]
      await systemClock.sleep(1)
      if (row === undefined) continue
      await conn.query(`DELETE FROM ${schema}.item WHERE id = ${row.id}`)
      const owner = pick(50)
      await conn.query(
        `INSERT INTO ${world.sourceRefs[where(owner)]!.schema}.item VALUES (${row.id}, ${owner}, ${row.u ?? 'NULL'}, 'again', ${pick(1000)})`,
      )
    }
    conn.destroy()
  })()
  const stop = async (): Promise<void> => ((stopped = true), await done)
  return { stop, [Symbol.asyncDispose]: () => stop().catch(() => undefined) }
}
