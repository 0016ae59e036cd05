/** Merges, uneven moves, the way back after a switch, a mover that dies in the middle, rows locked by others, streams that do not run. */
import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import { besideEachOther } from '../../test/kit/beside.ts'
import { ServerPairs } from '../../test/kit/server-pairs.ts'
import { mainFlavour } from '../../test/kit/servers.ts'
import { currentPosition } from '../binlog/position.ts'
import { KeyRangeIndex } from '../keyspace/key-range-index.ts'
import { parseKeyRange } from '../keyspace/key-range.ts'
import { createVindex } from '../keyspace/vindexes/create.ts'
import { ensureMoveTables, seedPosition } from '../move/tables.ts'
import { connect } from '../mysql/connect.ts'
import type { Connection } from '../mysql/connection.ts'
import { keys } from '../topology/keys.ts'
import type { RoutingRecord, ShardRef, StreamRecord, VdiffReport } from '../topology/records.ts'
import { put, readRecord, updateRecord } from '../topology/typed.ts'
import { counts, VerifyWorld } from './testkit/world.ts'

const none = { missing: 0, extra: 0, misplaced: 0, different: 0 }
const vindex = createVindex('hash', 'hash')

/** Which of these shards an owner belongs to. */
function homeOf(owner: number, refs: readonly ShardRef[]): ShardRef {
  const index = new KeyRangeIndex(refs.map((value) => ({ range: parseKeyRange(value.shard), value })))
  return index.find(vindex.map([{ type: 'INT32', bytes: Buffer.from(String(owner)) }])!)!
}

async function fill(world: VerifyWorld, conn: Connection, refs: readonly ShardRef[], first: number, rows: number): Promise<void> {
  const byShard = new Map<ShardRef, string[]>()
  for (let i = first; i < first + rows; i++) {
    const home = homeOf(i, refs)
    const values = byShard.get(home) ?? []
    byShard.set(home, values)
    values.push(`(${i}, ${i}, 'row ${i}', NULL, ${i})`)
  }
  for (const [ref, values] of byShard) await conn.query(`INSERT INTO ${world.on(refs, ref.shard, 'item')} VALUES ${values.join(',')}`)
}

/** Rows of which three differ on the targets, while a client holds the second of them on the source. `on`: where a row stands. */
async function heldUp(world: VerifyWorld, rows: number, differing: readonly [number, number, number]) {
  for (let at = 0; at < rows; at += 5000) await fill(world, world.s, world.sources, at, 5000)
  await world.start()
  const on = (id: number): string => world.on(world.targets, homeOf(id, world.targets).shard, 'item')
  for (const id of differing) await world.t.query(`UPDATE ${on(id)} SET a = 'bad' WHERE id = ${id}`)
  const client = await connect(world.source.config)
  await client.query('BEGIN')
  await client.query(`SELECT * FROM ${world.on(world.sources, '-', 'item')} WHERE id = ${differing[1]} FOR UPDATE`)
  return { client, on }
}

const pairs = new ServerPairs()
after(() => pairs[Symbol.asyncDispose]())

/** SHARDWRIGHT_TEST_FLAVOURS=mysql shows the same there. */
const [main = 'mariadb'] = mainFlavour()

besideEachOther('vdiff', (flavour) => {
  test(`vdiff on ${flavour}: a merge and uneven move under writes; the same after a switch, with the sides exchanged`, async () => {
    await using world = await VerifyWorld.create({ flavour, sources: ['-60', '60-c0', 'c0-'], targets: ['-80', '80-'] }, pairs)
    await fill(world, world.s, world.sources, 0, 6000)
    await world.start()
    let stop = false
    let written = 0
    const side = { conn: await connect(world.source.config), refs: world.sources }
    const writing = (async () => {
      for (let n = 0; !stop; n++) {
        const id = (n * 7919) % 6000
        const on = world.on(side.refs, homeOf(id, side.refs).shard, 'item')
        await side.conn.query(
          n % 3 === 0 ? `DELETE FROM ${on} WHERE id = ${id}` : `REPLACE INTO ${on} VALUES (${id}, ${id}, 'w${n}', NULL, ${n})`,
        )
        written++
      }
    })()
    const clean = await world.vdiff()
    stop = true
    await writing
    side.conn.destroy()
    assert.deepEqual({ state: clean.state, counts: counts(clean) }, { state: 'clean', counts: none })
    assert.ok(written > 10)
    const ids = (await world.t.allText(`SELECT id FROM ${world.on(world.targets, '-80', 'item')} ORDER BY id LIMIT 4`)).map(({ id }) =>
      Number(id),
    ) as [number, number, number, number]
    await world.t.query(`DELETE FROM ${world.on(world.targets, '-80', 'item')} WHERE id = ${ids[0]}`)
    await world.t.query(`UPDATE ${world.on(world.targets, '-80', 'item')} SET a = 'bad' WHERE id = ${ids[1]}`)
    await world.t.query(
      `INSERT INTO ${world.on(world.targets, '80-', 'item')} SELECT * FROM ${world.on(world.targets, '-80', 'item')} WHERE id = ${ids[2]}`,
    )
    const repaired = await world.vdiff({ repair: true })
    assert.deepEqual(
      { state: repaired.state, repaired: repaired.repairedRows, counts: counts(repaired) },
      { state: 'clean', repaired: 3, counts: { missing: 1, extra: 0, misplaced: 1, different: 1 } },
    )

    // Traffic is switched: the targets serve, and streams run back from them to the sources.
    await ensureMoveTables(world.t)
    const position = await currentPosition(world.t)
    const back = world.targets.map((source, i): StreamRecord => ({
      ...world.streams()[0]!,
      uid: `back-${i}`,
      direction: 'reverse',
      source,
      targets: world.sources.filter(({ shard }) => shard !== (source.shard === '-80' ? 'c0-' : '-60')),
      copy: 'none',
    }))
    for (const stream of back) {
      for (const target of stream.targets) {
        await seedPosition(world.s, {
          streamUid: stream.uid,
          workflowUid: 'flow',
          direction: 'reverse',
          sourceUid: stream.source.uid,
          targetUid: target.uid,
          position,
        })
      }
    }
    await world.store.commit(
      [],
      back.map((stream) => put(keys.stream('flow', stream.uid), stream)),
    )
    await updateRecord<RoutingRecord>(world.store, keys.routing('app'), (routing) => ({
      ...routing!,
      components: routing!.components.map((component) => ({
        ...component,
        serving: { primary: component.other, replica: [] },
        other: component.serving.primary,
        epoch: 2,
      })),
    }))
    await fill(world, world.t, world.targets, 10_000, 500)
    const reverse = await world.vdiff()
    assert.deepEqual({ state: reverse.state, counts: counts(reverse) }, { state: 'clean', counts: none })
    // Unlogged: the forward stream still runs and would take it to the side that serves.
    await world.s.query('SET SESSION sql_log_bin=0')
    await world.s.query(`DELETE FROM ${world.on(world.sources, homeOf(10_007, world.sources).shard, 'item')} WHERE id = 10007`)
    const found = await world.vdiff()
    assert.deepEqual(found.tables[0]!.samples, [{ kind: 'missing', key: '10007', shard: homeOf(10_007, world.sources).shard, columns: [] }])
    assert.equal((await world.vdiff({ repair: true })).state, 'clean')
    assert.equal((await world.vdiff()).state, 'clean')
  })

  if (flavour !== main) return

  test('a row that differs and is locked by a client is waited for; a mover that dies meanwhile is taken over where it stood, and nothing counts twice', async () => {
    await using world = await VerifyWorld.create({ flavour: main, sources: ['-'], targets: ['-80', '80-'] }, pairs)
    const { client, on } = await heldUp(world, 100_000, [10, 60_000, 99_999])

    const uid = await world.askVdiff()
    await world.until('chunks before the locked row', async () => ((await world.report(uid))?.rowsCompared ?? 0) > 20_000)
    await world.until('the wait being told', async () => /60000.*locked/.test((await world.report(uid))?.waiting ?? ''))
    const before = (await world.report(uid))!
    assert.equal(before.state, 'running')
    assert.ok(before.rowsCompared < 60_001)
    assert.equal(before.tables[0]!.different, 1)
    // It waits in turns of a second, in between others may lock.
    const other = await connect({ ...world.source.config, sessionSql: ['SET SESSION innodb_lock_wait_timeout=3'] })
    await other.query(`UPDATE ${world.on(world.sources, '-', 'item')} SET n = n + 1 WHERE id IN (10, 99999)`)
    other.destroy()

    await world.stopMovers()
    assert.equal((await world.report(uid))!.state, 'running', 'left for the next mover')
    await client.query('ROLLBACK')
    client.destroy()
    world.startMover('mover-2')
    const ended = await world.vdiffEnded(uid)
    assert.deepEqual(
      { state: ended.state, rows: ended.rowsCompared, counts: counts(ended), startedAtMs: ended.startedAtMs },
      {
        state: 'different',
        rows: 100_000,
        counts: { ...none, different: 3 - (await healed()) },
        startedAtMs: before.startedAtMs,
      },
    )

    /** The client's update of row 99999 brought its whole image to the target: it is right again. Row 10 had been counted. */
    async function healed(): Promise<number> {
      return (await world.t.value(`SELECT a FROM ${on(99_999)} WHERE id = 99999`)) === 'bad' ? 0 : 1
    }
  })

  test('many rows that only a target has: all counted, few at a time in memory; a stopped vdiff and a failed stream say so', async () => {
    await using world = await VerifyWorld.create({ flavour: main, sources: ['-'], targets: ['-80', '80-'] }, pairs)
    await fill(world, world.s, world.sources, 0, 3000)
    await world.start()
    const owner = Array.from({ length: 100 }, (_, i) => i).find((i) => homeOf(i, world.targets).shard === '80-')!
    const extras = 3000
    const values = Array.from({ length: extras }, (_, i) => `(${1_000_000 + i}, ${owner}, NULL, NULL, NULL)`)
    await world.t.query(`INSERT INTO ${world.on(world.targets, '80-', 'item')} VALUES ${values.join(',')}`)
    const startedMs = performance.now()
    const report = await world.vdiff()
    assert.deepEqual(
      { state: report.state, counts: counts(report), samples: report.tables[0]!.samples.length },
      { state: 'different', counts: { ...none, extra: extras }, samples: 20 },
    )
    console.log(`# ${extras} extra rows settled in ${Math.round(performance.now() - startedMs)} ms`)

    // A vdiff that is to stop says `stopped`.
    const client = await connect(world.source.config)
    await client.query('BEGIN')
    const id = Number(await world.s.value(`SELECT MIN(id) FROM ${world.on(world.sources, '-', 'item')}`))
    await client.query(`SELECT * FROM ${world.on(world.sources, '-', 'item')} WHERE id = ${id} FOR UPDATE`)
    await world.t.query(`UPDATE ${world.on(world.targets, homeOf(id, world.targets).shard, 'item')} SET a = 'bad' WHERE id = ${id}`)
    const uid = await world.askVdiff()
    await world.until('a report', async () => (await world.report(uid)) !== undefined)
    await updateRecord(world.store, keys.vdiff('flow', uid), (record) => ({ ...(record as { v: 1 }), wanted: 'stopped' }))
    const stopped = await world.vdiffEnded(uid)
    assert.equal(stopped.state, 'stopped')
    client.destroy()

    // A stream that fails: DDL on a moved table.
    await world.s.query(`ALTER TABLE ${world.on(world.sources, '-', 'item')} ADD COLUMN more INT`)
    await world.until(
      'the stream to fail',
      async () => (await readRecord<{ v: 1; state: string }>(world.store, keys.report('flow', 'flow-0')))?.value.state === 'failed',
    )
    const failed: VdiffReport = await world.vdiff()
    assert.deepEqual({ state: failed.state, code: failed.error?.code }, { state: 'failed', code: 'SW-VERIFY-001' })
  })

  test('a target that crashes in the middle of a comparison delays it, and changes nothing of what it finds', async () => {
    await using world = await VerifyWorld.create({ flavour: main, sources: ['-'], targets: ['-80', '80-'] }, pairs)
    const { client } = await heldUp(world, 60_000, [10, 40_000, 59_999])
    const uid = await world.askVdiff()
    await world.until('the wait being told', async () => /40000.*locked/.test((await world.report(uid))?.waiting ?? ''))
    await world.target.kill9()
    await world.target.restart()
    await client.query('ROLLBACK')
    client.destroy()
    const ended = await world.vdiffEnded(uid)
    assert.deepEqual(
      { state: ended.state, rows: ended.rowsCompared, counts: counts(ended) },
      { state: 'different', rows: 60_000, counts: { ...none, different: 3 } },
    )
  })
})
