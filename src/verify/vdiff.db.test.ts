/** Comparisons of a running 1 → 4 on real servers: clean under writes, and each harm found and named. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { flavours } from '../../test/kit/servers.ts'
import { connect } from '../mysql/connect.ts'
import type { Connection } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import { counts, VerifyWorld } from './testkit/world.ts'

const split = { sources: ['-'], targets: ['-40', '40-80', '80-c0', 'c0-'] }
const none = { missing: 0, extra: 0, misplaced: 0, different: 0 }

async function fill(conn: Connection, table: string, rows: number): Promise<void> {
  for (let at = 0; at < rows; at += 2000) {
    const values = Array.from(
      { length: Math.min(2000, rows - at) },
      (_, i) => `(${at + i}, ${((at + i) * 7919) % 5000}, 'row ${at + i}', NULL, ${at + i})`,
    )
    await conn.query(`INSERT INTO ${table} VALUES ${values.join(',')}`)
  }
}

/** Writes at random until stopped; statements that a lock or key refuses are passed over and counted by errno. */
function writers(world: VerifyWorld, sessions: number, ids: number): { stop: () => Promise<{ done: number; errors: number[] }> } {
  let stopped = false
  let done = 0
  const errors: number[] = []
  const { schema } = world.sources[0]!
  const work = async (): Promise<void> => {
    const conn = await connect({ ...world.source.config, database: schema })
    while (!stopped) {
      const id = Math.floor(Math.random() * ids)
      const statements = [
        `UPDATE item SET n = n + 1, a = CONCAT('v', n) WHERE id = ${id}`,
        `UPDATE item SET owner = ${Math.floor(Math.random() * 5000)} WHERE id = ${id}`,
        `DELETE FROM item WHERE id = ${id}`,
        `REPLACE INTO item VALUES (${id}, ${Math.floor(Math.random() * 5000)}, NULL, 'x', 1)`,
      ]
      try {
        await conn.query(statements[Math.floor(Math.random() * 4)]!)
        done++
      } catch (error) {
        if (!isServerError(error)) throw error
        errors.push(error.errno)
      }
    }
    conn.destroy()
  }
  const all = Promise.all(Array.from({ length: sessions }, work))
  return { stop: async () => ((stopped = true), await all, { done, errors }) }
}

for (const flavour of flavours()) {
  test(`vdiff on ${flavour}: clean under live writes, a hot row among them; then each harm is found and named; repair mends it`, async () => {
    await using world = await VerifyWorld.create({ flavour, ...split })
    await fill(world.s, world.on(world.sources, '-', 'item'), 30_000)
    await world.start()

    // A row updated all the time, as fast as a session can.
    const hot = await connect({ ...world.source.config, database: world.sources[0]!.schema })
    let updates = 0
    let stop = false
    const heating = (async () => {
      while (!stop) {
        await hot.query('UPDATE item SET n = n + 1 WHERE id = 77')
        updates++
      }
    })()
    const load = writers(world, 2, 30_000)
    // On a busy machine as often as the row takes to be a hot one.
    for (let run = 0; run < 2 || (updates <= 100 && run < 10); run++) {
      const clean = await world.vdiff()
      assert.deepEqual(
        { counts: counts(clean), state: clean.state, samples: clean.tables[0]!.samples },
        { counts: none, state: 'clean', samples: [] },
      )
      assert.ok(clean.rowsCompared > 20_000)
    }
    stop = true
    await heating
    hot.destroy()
    const { done, errors } = await load.stop()
    assert.ok(done > 100 && updates > 100, `${done} writes and ${updates} updates of one row ran meanwhile`)
    assert.deepEqual(
      errors.filter((errno) => errno === 1213),
      [],
      'our locks make nobody a victim of a deadlock',
    )

    // Harms.
    const ids = (await world.s.allText(`SELECT id FROM ${world.on(world.sources, '-', 'item')} ORDER BY id LIMIT 10`)).map(({ id }) =>
      Number(id),
    )
    const at = async (id: number): Promise<string> => world.on(world.targets, await world.shardOf('item', `id = ${id}`), 'item')
    const [lost, moved, doubled, changed, pairA, pairB, nulled, shifted] = ids as [
      number,
      number,
      number,
      number,
      number,
      number,
      number,
      number,
    ]
    for (const id of [changed, pairA, pairB])
      await world.s.query(`UPDATE ${world.on(world.sources, '-', 'item')} SET n = 5, a = 'same', b = NULL WHERE id = ${id}`)
    await world.s.query(`UPDATE ${world.on(world.sources, '-', 'item')} SET a = NULL, b = '1' WHERE id = ${shifted}`)
    await world.s.query(`UPDATE ${world.on(world.sources, '-', 'item')} SET a = NULL, b = NULL WHERE id = ${nulled}`)
    assert.deepEqual(counts(await world.vdiff()), none)

    const movedFrom = await world.shardOf('item', `id = ${moved}`)
    const movedTo = world.targets.find(({ shard }) => shard !== movedFrom)!.shard
    await world.t.query(
      `INSERT INTO ${world.on(world.targets, movedTo, 'item')} SELECT * FROM ${world.on(world.targets, movedFrom, 'item')} WHERE id = ${moved}`,
    )
    await world.t.query(`DELETE FROM ${world.on(world.targets, movedFrom, 'item')} WHERE id = ${moved}`)
    // By itself: all targets together hold what the source holds, so no digest tells.
    assert.deepEqual(counts(await world.vdiff()), { ...none, misplaced: 1 })
    await world.t.query(`DELETE FROM ${await at(lost)} WHERE id = ${lost}`)
    const doubledOn = await world.shardOf('item', `id = ${doubled}`)
    const doubledTo = world.targets.find(({ shard }) => shard !== doubledOn)!.shard
    await world.t.query(
      `INSERT INTO ${world.on(world.targets, doubledTo, 'item')} SELECT * FROM ${world.on(world.targets, doubledOn, 'item')} WHERE id = ${doubled}`,
    )
    await world.t.query(`UPDATE ${await at(changed)} SET n = 6 WHERE id = ${changed}`)
    // Two rows that miss the same change: a linear checksum would cancel.
    for (const id of [pairA, pairB]) await world.t.query(`UPDATE ${await at(id)} SET n = 4 WHERE id = ${id}`)
    await world.t.query(`UPDATE ${await at(nulled)} SET a = '' WHERE id = ${nulled}`)
    await world.t.query(`UPDATE ${await at(shifted)} SET a = '1', b = NULL WHERE id = ${shifted}`)
    // A row of nobody, on the shard where its owner belongs.
    const owner = await world.s.value(`SELECT owner FROM ${world.on(world.sources, '-', 'item')} WHERE id = ${ids[9]}`)
    const extraShard = await world.shardOf('item', `id = ${ids[9]}`)
    await world.t.query(`INSERT INTO ${world.on(world.targets, extraShard, 'item')} VALUES (900001, ${owner}, NULL, NULL, NULL)`)

    const found = await world.vdiff()
    assert.deepEqual(
      { state: found.state, counts: counts(found) },
      { state: 'different', counts: { missing: 1, extra: 1, misplaced: 2, different: 5 } },
      JSON.stringify(found.tables[0]!.samples),
    )
    const samples = found.tables[0]!.samples.map(({ kind, key, shard, columns }) =>
      `${kind} ${key}${kind === 'different' || kind === 'missing' ? '' : ` on ${shard}`} ${columns.join('+')}`.trim(),
    ).sort()
    assert.deepEqual(
      samples,
      [
        `missing ${lost}`,
        `misplaced ${moved} on ${movedTo}`,
        `misplaced ${doubled} on ${doubledTo}`,
        `different ${changed} n`,
        `different ${pairA} n`,
        `different ${pairB} n`,
        `different ${nulled} a`,
        `different ${shifted} a+b`,
        `extra 900001 on ${extraShard}`,
      ].sort(),
    )

    const repaired = await world.vdiff({ repair: true })
    assert.deepEqual(
      { state: repaired.state, repaired: repaired.repairedRows },
      { state: 'clean', repaired: 9 },
      JSON.stringify(repaired.tables[0]),
    )
    const after = await world.vdiff()
    assert.deepEqual({ state: after.state, counts: counts(after) }, { state: 'clean', counts: none })
  })
}
