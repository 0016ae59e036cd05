/** What is kept of a copy on its targets does not grow with its rows (PROTOCOLS 1.3; why that is right: `scan.ts`). */
import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import { ServerPairs } from '../../test/kit/server-pairs.ts'
import { until } from '../../test/kit/until.ts'
import { flavours } from '../../test/kit/servers.ts'
import { readMarker } from '../binlog/control-schema.ts'
import type { StreamRecord } from '../topology/records.ts'
import type { Failpoints } from './crash-points.ts'
import { markerStream } from './markers.ts'
import { killAt } from './testkit/kill-at.ts'
import { fill, workload, World } from './testkit/world.ts'
import { connect } from '../mysql/connect.ts'
import { applierSql, ensureMoveTables, type ChunkRow } from './tables.ts'

const servers = new ServerPairs()
after(() => servers[Symbol.asyncDispose]())

for (const flavour of flavours()) {
  test(`1.3, promise 8 on ${flavour}: ranges are put together beside landings of others that are not committed, without waiting for them`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-'] }, servers.of(flavour))
    await ensureMoveTables(world.t)
    const path = (i: number): string => String(i).padStart(10, '0')
    const range = (table: string, i: number): ChunkRow => ({
      table,
      path: path(i),
      first: path(i),
      lo: [String(i)],
      hi: [String(i + 1)],
      rows: 1,
      bytes: 1,
      chunks: 1,
      work: { rowsRead: 0, rowsRedone: 0 },
    })
    const noted = (target: string, ...chunks: ChunkRow[]): string => applierSql.chunks('folds', target, 'flow', chunks)
    // Of so many a server would rather read them all than look for each.
    const many = Array.from({ length: 64 }, (_, i) => i)
    for (const target of ['a', 'b', 'c', 'd']) await world.t.query(noted(target, ...many.map((i) => range('item', i))))
    await using lander = await connect(world.target.config)
    await lander.query('BEGIN')
    await lander.query(noted('a', range('item', 64)))
    await lander.query(noted('b', range('item', 64), range('other', 1)))
    await lander.query(noted('c', range('item', 64)))
    await using folder = await connect(world.target.config)
    await folder.query('SET SESSION innodb_lock_wait_timeout=1')
    await folder.query('SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED')
    await folder.query('BEGIN')
    for (const sql of applierSql.withoutChunks('folds', 'b', 'item', many.map(path))) await folder.query(sql)
    await folder.query('COMMIT')
    await lander.query('COMMIT')
    assert.deepEqual(
      await world.t.allText(
        "SELECT target_uid AS t, COUNT(*) AS n FROM _shardwright.move_chunk WHERE stream_uid = 'folds' GROUP BY 1 ORDER BY 1",
      ),
      [
        { t: 'a', n: '65' },
        { t: 'b', n: '2' },
        { t: 'c', n: '65' },
        { t: 'd', n: '64' },
      ],
    )
  })

  test(`1.3, promises 3, 8 on ${flavour}: adjacent ranges that all targets have are put together while the copy runs and is killed; the same rows, each counted once`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-40', '40-80', '80-'] }, servers.of(flavour))
    await fill(world, 0, 12_000, 12_000)
    // Made by an earlier version.
    await ensureMoveTables(world.t)
    await world.t.query(
      'ALTER TABLE _shardwright.move_chunk DROP COLUMN first_path, DROP COLUMN rows_read, DROP COLUMN rows_redone, DROP COLUMN chunk_count',
    )
    await world.t.query('ALTER TABLE _shardwright.move_stream DROP COLUMN round_transactions, DROP COLUMN round_changes')
    const record = world.record(0)
    const stored = async (what: string): Promise<number> =>
      Number(await world.t.value(`SELECT ${what} FROM _shardwright.move_chunk WHERE stream_uid = '${record.uid}'`))
    const load = workload(world, 0, 7, { ids: 12_000, uniques: 100, pauseMs: 5 })
    const config = { chunkBytes: 1_000, copyBytesMax: 20_000, rangesKept: 4 }
    let most = 0
    let killed = 0
    for (const [point, skip] of [
      ['copy.beforeLandCommit', 20],
      ['copy.landedOnSomeTargets', 21],
      ['copy.beforeLandCommit', 22],
    ] as const) {
      const failpoints = killAt(point, skip)
      const running = world.start(record, { failpoints, config })
      while (!['running', 'failed'].includes(world.state(record.uid) ?? '')) {
        const rows = await stored('COUNT(*)').catch(() => 0)
        most = Math.max(most, rows)
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
      killed += failpoints.hits > skip ? 1 : 0
      await running.stop()
      world.reports.delete(record.uid)
    }
    const last = world.start(record, { config })
    await world.untilRunning(record.uid)
    await load.stop()
    await world.drain(record.uid)
    await world.assertEqual()
    assert.ok(killed >= 2, 'killed while it copies')
    // Of each target: what some lack yet, and the last landings, of 16 chunks at most in each of two lanes; of some 370 chunks.
    assert.ok(most <= 3 * 80, `${most} ranges at once`)
    assert.ok((await stored('COUNT(*)')) <= 3 * 40, `${await stored('COUNT(*)')} ranges at the end`)
    const copied = await stored('SUM(row_count)')
    assert.ok(copied > 9_000, `${copied} rows`)
    // A run that begins when the copy is done knows how many rows it had.
    await last.stop()
    const again = world.start(record, { config })
    await world.untilRunning(record.uid)
    const { copy } = again.stream.report()
    assert.deepEqual([copy.rowsDone, copy.bytesDone], [copied, await stored('SUM(byte_count)')])
    assert.ok((copy.chunksDone ?? 0) > 250, `${copy.chunksDone} chunks`)
    await again.stop()
  })
}

for (const flavour of flavours()) {
  test(`promise 3 on ${flavour}: of rows of which none had landed a resume tells too that they are read again: markers say how many there were`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'] }, servers.of(flavour))
    await fill(world, 0, 6_000, 6_000)
    const record = world.record(0)
    let die = (_: Error): void => undefined
    const never = new Promise<void>((_, reject) => (die = reject))
    const failpoints: Failpoints = { hit: (point) => (point === 'copy.beforeLandCommit' ? never : undefined) }
    let running = world.start(record, { config: { chunkBytes: 1_000 }, failpoints })
    const read = (): number => running.stream.report().copy.sourceRowsRead
    await untilCalm(world, record, read, 0)
    const inVain = read()
    die(new Error('the mover dies'))
    await running.done
    world.reports.delete(record.uid)
    running = world.start(record)
    await world.untilRunning(record.uid)
    assert.deepEqual([running.stream.report().resumed?.rowsRedone, running.stream.report().copy.sourceRowsRead], [inVain, 6_000])
    await running.stop()
  })

  test(`promise 3 on ${flavour}: what a resume tells of rows read again is what was read in vain, but for what was read since the last marker, and never more, also where the dead mover had reported nothing of it, and each time anew`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'] }, servers.of(flavour))
    await fill(world, 0, 12_000, 12_000)
    const record = world.record(0)
    const config = { chunkBytes: 1_000, rangesKept: 4 }
    const landed = async (): Promise<number> =>
      Number(await world.t.value(`SELECT SUM(row_count) FROM _shardwright.move_chunk WHERE stream_uid = '${record.uid}'`))
    let before: { read: number; marked: number; landed: number } | null = null
    let toldInAll = 0
    for (const skip of [2, 2, null]) {
      // As in another process: it begins with what stands on the targets, and with a report of nothing.
      let isOpen = false
      const { promise: gate, resolve: letGo } = Promise.withResolvers<void>()
      const killed = killAt('copy.landedOnSomeTargets', skip ?? Infinity)
      // What is read anew for one target is waited for before the next is read: the gate is shut when some have been read behind that. Of few rows all would have landed before the kill.
      const enough = (before?.landed ?? 0) + 400
      const failpoints: Failpoints = {
        hit: (point) => {
          if (point === 'copy.beforeLandCommit') return read() > enough ? gate : undefined
          return isOpen ? killed.hit(point) : undefined
        },
      }
      const running = world.start(record, { config, failpoints })
      // Nothing lands before all that may be read at once has been.
      const read = (): number => running.stream.report().copy.sourceRowsRead
      if (skip !== null) await untilCalm(world, record, read, enough)
      const marked = read()
      isOpen = true
      letGo()
      await world.until('the kill', () => ['running', 'failed'].includes(world.state(record.uid) ?? ''))
      const { resumed, copy } = running.stream.report()
      if (before !== null) {
        const vain = before.read - before.landed
        assert.ok(vain > 100, `${vain} rows in vain`)
        const told = resumed?.rowsRedone ?? 0
        // How much was read since the last marker is a matter of pace.
        assert.ok(
          told <= vain && told >= before.marked - before.landed,
          `${told} rows told of ${vain}, ${before.marked - before.landed} of them before a marker`,
        )
        toldInAll += told
      } else assert.equal(resumed?.rowsRedone ?? 0, 0)
      await running.stop()
      // Of both targets: some chunks have landed on one only, and are read again for the other.
      before = { read: copy.sourceRowsRead, marked, landed: await landedEverywhere(world, record.uid) }
      world.reports.delete(record.uid)
    }
    assert.ok(toldInAll > 0, 'nothing was told of either kill')
    assert.equal(await landed(), 12_000)
  })
}

/** Until more than that has been read, and nothing more while three markers came: the last of them was begun behind it all. */
async function untilCalm(world: World, { workflowUid, uid }: StreamRecord, read: () => number, above: number): Promise<void> {
  const endMs = performance.now() + 90_000
  await world.until(`reading of more than ${above} rows`, () => read() > above)
  for (let last = -1, since = 0, marker = 0; marker < since + 3;) {
    marker = (await readMarker(world.s, markerStream(workflowUid, uid), 'mark')) ?? 0
    if (read() !== last) [last, since] = [read(), marker]
    assert.ok(performance.now() < endMs, `${last} rows read, and no calm`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** Rows of ranges that stand on both targets, when the servers have executed what they had been sent by the run that was killed: a COMMIT among it may land a range that nobody was told of. */
async function landedEverywhere(world: World, uid: string): Promise<number> {
  const others = 'SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID()'
  await until('sessions of the run to end', async () => Number(await world.t.value(others)) === 0, 60_000)
  const rows = await world.t.allText(
    `SELECT target_uid AS t, COALESCE(first_path, path) AS f, path AS p, row_count AS n FROM _shardwright.move_chunk WHERE stream_uid = '${uid}'`,
  )
  const all = rows.map(({ t, f, p, n }) => ({
    first: f!,
    path: p!,
    lo: null,
    hi: null,
    target: world.targetRefs.findIndex((ref) => ref.uid === t),
    rows: Number(n),
  }))
  const both = (one: (typeof all)[number]): boolean =>
    one.first !== one.path || all.filter(({ first, path }) => first <= one.path && path >= one.path).length === 2
  return all.filter(both).reduce((sum, { rows: n }) => sum + n, 0)
}
