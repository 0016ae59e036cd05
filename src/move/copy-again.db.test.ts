/** Ranges that are read again: those that landed on some targets only, and those thrown away for the keys touched meanwhile (PROTOCOLS 1.3, 1.4). */
import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import { ServerPairs } from '../../test/kit/server-pairs.ts'
import { flavours } from '../../test/kit/servers.ts'
import type { Failpoints } from './crash-points.ts'
import { holdAt, killAt } from './testkit/kill-at.ts'
import { ownersOf } from './testkit/owners.ts'
import { fill, World } from './testkit/world.ts'
import { TouchedKeys } from './touched.ts'

const servers = new ServerPairs()
after(() => servers[Symbol.asyncDispose]())

for (const flavour of flavours()) {
  test(`1.3, promise 8 on ${flavour}: a range that landed on some targets only and has grown since is read in pieces, and is stored when the last of them has landed`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'] }, servers.of(flavour))
    await fill(world, 0, 20, 20)
    const record = world.record(0)
    // The whole table is one chunk, the last, open-ended; it lands on one target.
    let landed = (_: Error): void => undefined
    const other = new Promise<void>((_, reject) => (landed = reject))
    other.catch(() => undefined)
    let commits = 0
    const failpoints: Failpoints = {
      hit(point) {
        if (point === 'copy.landedOnSomeTargets') landed(new Error('killed'))
        return point === 'copy.beforeLandCommit' && commits++ > 0 ? other : undefined
      },
    }
    await world.start(record, { failpoints, config: { chunkBytes: 1 << 20 } }).done
    const stored = async (what: string): Promise<number> =>
      Number(await world.t.value(`SELECT ${what} FROM _shardwright.move_chunk WHERE stream_uid = '${record.uid}'`))
    assert.equal(await stored('COUNT(*)'), 1)
    world.reports.delete(record.uid)
    await world.s.query(`INSERT INTO item SELECT a.id * 150 + b.id * 7 + 21, a.id * 31 + b.id, NULL, 'new', 0 FROM item a, item b`)
    await world.s.query("UPDATE item SET v = 5 WHERE name = 'new' AND id % 3 = 0")
    const rows = Number(await world.s.value('SELECT COUNT(*) FROM item'))
    await world.s.query("SET GLOBAL log_output='TABLE', GLOBAL general_log=1")
    try {
      const config = { chunkBytes: 1_000 }
      const killed = killAt('copy.landedOnSomeTargets', 2)
      const among = world.start(record, { config, failpoints: killed })
      await world.until('the kill', () => ['running', 'failed'].includes(world.state(record.uid) ?? ''))
      await among.stop()
      assert.ok(killed.hits > 2, 'killed among the pieces')
      assert.equal(await stored('COUNT(*)'), 1)
      world.reports.delete(record.uid)
      await world.s.query("DELETE FROM item WHERE name = 'new' AND id % 5 = 0")
      const running = world.start(record, { config })
      await world.untilRunning(record.uid)
      await world.drain(record.uid)
      await world.assertEqual()
      await running.stop()
    } finally {
      await world.s.query("SET GLOBAL general_log=0, GLOBAL log_output='FILE'")
    }
    const reads = (
      await world.s.allText("SELECT CONVERT(argument USING utf8mb4) AS sql_text FROM mysql.general_log WHERE argument LIKE '%FORCE INDEX%'")
    )
      .map(({ sql_text: text }) => text ?? '')
      .filter((text) => text.includes(`\`${world.sourceRefs[0]!.schema}\`.\`item\``))
    const limits = reads.map((text) => Number(/LIMIT (\d+)$/.exec(text)?.[1] ?? Infinity))
    assert.ok(limits.length > 6 && limits.every((limit) => limit < rows / 2), `${rows} rows by ${limits.join()}`)
    // Each target's row says how many rows it has, in pieces or not.
    assert.deepEqual([await stored('COUNT(*)'), await stored('COUNT(DISTINCT path)')], [2, 1])
  })

  test(`1.4, promise 8 on ${flavour}: above the budget of keys touched while a chunk is in flight it is thrown away and read again`, async () => {
    const rows = 12_000
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'] }, servers.of(flavour))
    await fill(world, 0, rows, rows)
    const record = world.record(0)
    const touchedBytesMax = 20_000
    const peak = watchTouched()
    try {
      const failpoints = holdAt('copy.afterRead', 2)
      const running = world.start(record, { failpoints, config: { touchedBytesMax } })
      await failpoints.held
      for (let from = 0; from < rows; from += 100)
        await world.s.query(`UPDATE item SET v = v + 1 WHERE id >= ${from} AND id < ${from + 100}`)
      await world.drain(record.uid)
      assert.equal(world.state(record.uid), 'copying')
      // What comes while a low marker is being committed passes it: on a slow machine that is some groups. All keys together take 300 kB.
      assert.ok(peak() > touchedBytesMax && peak() < 130_000, `${peak()} bytes of keys`)
      failpoints.letGo()
      await world.untilRunning(record.uid)
      await world.drain(record.uid)
      assert.equal(await world.assertEqual(), rows)
      assert.ok((world.reports.get(record.uid)?.copy.sourceRowsRead ?? 0) > rows, 'rows were read again')
      await running.stop()
    } finally {
      peak.end()
    }
  })

  test(`1.4, 1.13 on ${flavour}: a chunk that is about to land, and waits for DDL or keys of another stream, is thrown away as well`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-'] }, servers.of(flavour))
    await fill(world, 0, 3_000, 3_000)
    const record = world.record(0)
    const shares = world.sharesOf([record])
    const share = shares.get(world.targetRefs[0]!.uid)!
    const shared = share.shared.bind(share)
    let asked = 0
    share.shared = (work) => (asked++, shared(work))
    const touchedBytesMax = 20_000
    const peak = watchTouched()
    try {
      const failpoints = holdAt('copy.afterRead', 2)
      const running = world.start(record, { shares, failpoints, config: { touchedBytesMax, pendingBytesMax: 4 << 20 } })
      await failpoints.held
      let end = (): void => undefined
      const alone = share.alone(() => new Promise<void>((resolve) => (end = resolve)))
      asked = 0
      failpoints.letGo()
      await world.until('landing that waits', () => asked > 0)
      for (let from = 0; from < 3_000; from += 100)
        await world.s.query(`UPDATE item SET v = v + 1 WHERE id >= ${from} AND id < ${from + 100}`)
      await world.until('the budget of keys passed', () => peak() > touchedBytesMax)
      end()
      await alone
      await world.untilRunning(record.uid)
      await world.drain(record.uid)
      assert.equal(await world.assertEqual(), 3_000)
      const { retries, copy } = running.stream.report()
      assert.equal(retries, 0)
      assert.ok(copy.sourceRowsRead > 3_000, 'rows were read again')
      await running.stop()
    } finally {
      peak.end()
    }
  })

  test(`1.6, promise 7 on ${flavour}: chunks that meet another stream's rows are tried seldom, one for all of a table, and what they wait for is told`, async () => {
    await using world = await World.create({ flavour, sources: ['-80', '80-'], targets: ['-'] }, servers.of(flavour))
    const [a, b] = ownersOf(world)
    const [first, second] = world.sourceRefs.map(({ schema }) => `${schema}.item`)
    await world.s.query(`INSERT INTO ${first} VALUES ${[7, 300, 500, 800].map((id) => `(${id}, ${a}, NULL, 'a', 0)`).join()}`)
    await world.s.query(`INSERT INTO ${second} VALUES ${Array.from({ length: 1_000 }, (_, i) => `(${i}, ${b}, NULL, 'b', 0)`).join()}`)
    const [one, two] = [world.record(0), world.record(1)]
    const shares = world.sharesOf([one, two])
    const running = [world.start(one, { shares })]
    await world.until('copy of the first', () => (world.reports.get(one.uid)?.copy.rowsDone ?? 0) === 4)
    running.push(world.start(two, { shares, config: { markerMs: 1_000 } }))
    const copied = (): number => world.reports.get(two.uid)?.copy.rowsDone ?? 0
    await world.until('all but some chunks', () => copied() > 200 && running[1]!.stream.report().waiting !== null)
    await new Promise((resolve) => setTimeout(resolve, 3_000))
    const marker = async (): Promise<number> =>
      Number(await world.s.value(`SELECT MAX(n) FROM _shardwright.marker WHERE stream LIKE '%${two.uid}'`))
    const inVain = async (): Promise<number> => Number((await world.t.allText("SHOW GLOBAL STATUS LIKE 'Com_rollback'"))[0]?.Value)
    const before = { marker: await marker(), inVain: await inVain(), atMs: performance.now() }
    await new Promise((resolve) => setTimeout(resolve, 4_000))
    const seconds = (performance.now() - before.atMs) / 1_000
    const perSecond = { markers: ((await marker()) - before.marker) / seconds, inVain: ((await inVain()) - before.inVain) / seconds }
    assert.ok(before.marker > 0 && perSecond.markers < 5 && perSecond.inVain < 5, JSON.stringify(perSecond))
    const { waiting } = running[1]!.stream.report()
    assert.match(waiting?.what ?? '', /a copied row of item .*Duplicate entry '(7|300|500|800)' .*ranges of this table/)
    assert.match(waiting?.ends ?? '', /the other stream comes to the change/)
    // Each in its turn: one that stays keeps no other from landing.
    await world.s.query(`DELETE FROM ${first} WHERE id <> 7`)
    await world.until('the other chunks', () => copied() > 800)
    assert.match(running[1]!.stream.report().waiting?.what ?? '', /Duplicate entry '7' [^;]*$/)
    await world.s.query(`DELETE FROM ${first}`)
    await world.untilRunning(one.uid, two.uid)
    await world.drain(one.uid, two.uid)
    assert.equal(await world.assertEqual(), 1_000)
    assert.equal(running[1]!.stream.report().waiting, null)
    for (const stream of running) await stream.stop()
  })

  test(`1.4, 1.6 on ${flavour}: a chunk that waits for another stream's row is thrown away as well, and lands when that is gone`, async () => {
    await using world = await World.create({ flavour, sources: ['-80', '80-'], targets: ['-'] }, servers.of(flavour))
    const [a, b] = ownersOf(world)
    const [first, second] = world.sourceRefs.map(({ schema }) => `${schema}.item`)
    await world.s.query(`INSERT INTO ${first} VALUES (7, ${a}, NULL, 'a', 0)`)
    const rows = Array.from({ length: 1_000 }, (_, i) => `(${i}, ${b}, NULL, 'b', 0)`)
    await world.s.query(`INSERT INTO ${second} VALUES ${rows.join()}`)
    const [one, two] = [world.record(0), world.record(1)]
    const shares = world.sharesOf([one, two])
    const running = [world.start(one, { shares })]
    await world.until('copy of the first', () => (world.reports.get(one.uid)?.copy.rowsDone ?? 0) === 1)
    running.push(world.start(two, { shares, config: { touchedBytesMax: 10_000 } }))
    const copied = (): number => world.reports.get(two.uid)?.copy.rowsDone ?? 0
    await world.until('all but one chunk', () => copied() > 800 && copied() < 1_000)
    for (let n = 0; n < 4; n++)
      for (let from = 0; from < 1_000; from += 100)
        await world.s.query(`UPDATE ${second} SET v = v + 1 WHERE id >= ${from} AND id < ${from + 100} AND id <> 7`)
    await world.drain(one.uid, two.uid)
    assert.ok((world.reports.get(two.uid)?.copy.sourceRowsRead ?? 0) > 1_000, 'rows were read again')
    await world.s.query(`DELETE FROM ${first}`)
    await world.untilRunning(one.uid, two.uid)
    await world.drain(one.uid, two.uid)
    assert.equal(await world.assertEqual(), 1_000)
    for (const stream of running) await stream.stop()
  })
}

/** The most bytes that any stream's touched keys take from now on. */
function watchTouched(): (() => number) & { end: () => void } {
  const { add } = TouchedKeys.prototype
  let bytes = 0
  TouchedKeys.prototype.add = function (this: TouchedKeys<object>, table: object, key: string) {
    add.call(this, table, key)
    bytes = Math.max(bytes, this.sinceMarkersBytes)
  }
  const end = (): void => void (TouchedKeys.prototype.add = add)
  return Object.assign(() => bytes, { end })
}
